/* SPDX-License-Identifier: MIT
 *
 * See handle.h. */
#include "peers/handle.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t s_cookie (int fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof cookie;
    return getsockopt (fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

handle_t handle_of (int fd)
{
    return (handle_t){.fd = fd, .cookie = fd > 0 ? s_cookie (fd) : 0};
}

/* The copy stays what it is while we look, whatever libzmq's threads do. */
bool handle_cut (const handle_t *self)
{
    int copy = self->cookie ? fcntl (self->fd, F_DUPFD_CLOEXEC, 3) : -1;
    if (copy < 0)
        return false;
    bool is_it = s_cookie (copy) == self->cookie;
    if (is_it)
        shutdown (copy, SHUT_RDWR);
    close (copy);
    return is_it;
}

/* SPDX-License-Identifier: MIT
 *
 * See unix_socket.h. */
#include "unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/place.h"

#define IPC     "ipc://"
#define LONGEST (sizeof ((struct sockaddr_un *) 0)->sun_path - 1)
#define LOCK_TURN                                                                      \
    100 /* whoever ends may remove the lock just when another one takes it */

struct unix_socket {
    char *name;     /* of the socket in its directory */
    char *lock;     /* of the lock */
    char *address;  /* for libzmq */
    char *endpoint; /* for peers */
    int dir_fd, lock_fd;
    bool is_free; /* nothing of others stands at the name */
};

bool unix_socket_is_meant (const char *endpoint)
{
    return strncmp (endpoint, IPC, strlen (IPC)) == 0 &&
           endpoint[strlen (IPC)] != '@'; /* an abstract name is the kernel's */
}

/* --- the lock ------------------------------------------------------------------------- */

static bool s_is_at (const unix_socket_t *self, int fd)
{
    struct stat here, there;
    return fstat (fd, &here) == 0 &&
           fstatat (self->dir_fd, self->lock, &there, 0) == 0 &&
           here.st_ino == there.st_ino && here.st_dev == there.st_dev;
}

/* 0 or an errno; EWOULDBLOCK: another broker holds it. */
static int s_lock (unix_socket_t *self)
{
    for (int i = 0; i < LOCK_TURN; i++) {
        int fd = openat (self->dir_fd, self->lock,
                         O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
            return errno;
        int rc = flock (fd, LOCK_EX | LOCK_NB) < 0 ? errno : 0;
        if (rc == 0 && s_is_at (self, fd)) {
            self->lock_fd = fd;
            return 0;
        }
        close (fd);
        if (rc != 0)
            return rc;
    }
    return EWOULDBLOCK;
}

/* --- the place ------------------------------------------------------------------------ */

/* Whether somebody listens, who knows nothing of our lock. */
static bool s_answers (const unix_socket_t *self)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    snprintf (at.sun_path, sizeof at.sun_path, "%s", self->address + strlen (IPC));
    bool answers = fd >= 0 && connect (fd, (struct sockaddr *) &at, sizeof at) == 0;
    if (fd >= 0)
        close (fd);
    return answers;
}

/* What stands in the way of the socket; the caller frees it. NULL: nothing. */
static char *s_find_obstacle (const unix_socket_t *self)
{
    struct stat st;
    if (fstatat (self->dir_fd, self->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? NULL : usi_strdup (strerror (errno));
    if (!S_ISSOCK (st.st_mode))
        return usi_strdup ("a file stands there that is not a socket");
    if (st.st_uid != geteuid ())
        return usi_sprintf ("the socket there belongs to user %u",
                            (unsigned) st.st_uid);
    return s_answers (self) ? usi_strdup ("another program listens there") : NULL;
}

static char *s_take (unix_socket_t *self)
{
    int rc = s_lock (self);
    if (rc == EWOULDBLOCK)
        return usi_strdup ("another broker listens there; stop it or choose another"
                           " address with --bind");
    return rc ? usi_sprintf ("%s: %s", self->lock, strerror (rc))
              : s_find_obstacle (self);
}

/* Its directory, made where it is missing and opened; path: with a slash in it. */
static int s_open_dir (unix_socket_t *self, char *path)
{
    char *slash = strrchr (path, '/');
    *slash = '\0';
    int made = slash == path ? 0 : usi_place_make (path);
    char *real = made ? NULL : realpath (slash == path ? "/" : path, NULL);
    self->name = usi_strdup (slash + 1);
    self->lock = usi_sprintf ("%s.lock", self->name);
    if (!real)
        return made ? made : errno;
    self->dir_fd = open (real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = self->dir_fd < 0 ? errno : 0;
    self->endpoint = usi_sprintf (IPC "%s/%s", real[1] ? real : "", self->name);
    self->address =
        strlen (self->endpoint) - strlen (IPC) <= LONGEST
            ? usi_strdup (self->endpoint)
            : usi_sprintf (IPC "/proc/self/fd/%d/%s", self->dir_fd, self->name);
    free (real);
    return rc;
}

static char *s_open (unix_socket_t *self, const char *given)
{
    char *path = usi_sprintf ("%s%s", given[0] == '/' ? "" : "./", given);
    int rc = s_open_dir (self, path);
    free (path);
    if (rc != 0)
        return usi_strdup (strerror (rc));
    if (!*self->name || strlen (self->address) - strlen (IPC) > LONGEST)
        return usi_strdup ("that is no name for a socket");
    return s_take (self);
}

unix_socket_t *unix_socket_new (const char *endpoint, char **text)
{
    unix_socket_t *self = usi_new (unix_socket_t);
    self->dir_fd = self->lock_fd = -1;
    char *why = s_open (self, endpoint + strlen (IPC));
    self->is_free = !why;
    if (!why)
        return self;
    *text = usi_sprintf ("cannot listen on %s: %s", endpoint, why);
    free (why);
    unix_socket_destroy (&self);
    return NULL;
}

void unix_socket_destroy (unix_socket_t **self_p)
{
    unix_socket_t *self = *self_p;
    if (!self)
        return;
    if (self->lock_fd >= 0) {
        /* While they are ours. libzmq removes only sockets that it has named. */
        if (self->is_free)
            unlinkat (self->dir_fd, self->name, 0);
        unlinkat (self->dir_fd, self->lock, 0);
        close (self->lock_fd);
    }
    if (self->dir_fd >= 0)
        close (self->dir_fd);
    free (self->name);
    free (self->lock);
    free (self->address);
    free (self->endpoint);
    free (self);
    *self_p = NULL;
}

const char *unix_socket_address (const unix_socket_t *self)
{
    return self->address;
}

const char *unix_socket_endpoint (const unix_socket_t *self)
{
    return self->endpoint;
}

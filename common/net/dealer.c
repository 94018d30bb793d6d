/* SPDX-License-Identifier: MIT
 *
 * DEALER sockets with their monitors: see dealer.h. */
#include "net/dealer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#include "proto/limits.h"

#define IPC "ipc://"
#define TROUBLES                                                                       \
    (ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED |           \
     ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |      \
     ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)

static void s_set (void *socket, int option, int value)
{
    zmq_setsockopt (socket, option, &value, sizeof value);
}

static int s_descriptor (void *socket)
{
    int fd = -1;
    size_t len = sizeof fd;
    return zmq_getsockopt (socket, ZMQ_FD, &fd, &len) == 0 ? fd : -1;
}

void usi_dealer_close (usi_dealer_t *self, int linger_ms)
{
    if (self->socket) {
        zmq_socket_monitor (self->socket, NULL, 0);
        s_set (self->socket, ZMQ_LINGER, linger_ms);
        zmq_close (self->socket);
    }
    if (self->monitor)
        zmq_close (self->monitor);
    if (self->dir_fd > 0)
        close (self->dir_fd);
    self->socket = self->monitor = NULL;
    self->dir_fd = 0;
}

/* CURVE: from then on nothing is sent to who does not have the broker's key. */
static void s_set_keys (void *socket, const usi_dealer_keys_t *keys)
{
    zmq_setsockopt (socket, ZMQ_CURVE_SERVERKEY, keys->broker, USI_KEY_LEN);
    zmq_setsockopt (socket, ZMQ_CURVE_PUBLICKEY, keys->own->transport_public,
                    USI_KEY_LEN);
    zmq_setsockopt (socket, ZMQ_CURVE_SECRETKEY, keys->own->transport_secret,
                    USI_KEY_LEN);
}

static bool s_is_curve (void *socket)
{
    int mechanism = ZMQ_NULL;
    size_t len = sizeof mechanism;
    return zmq_getsockopt (socket, ZMQ_MECHANISM, &mechanism, &len) == 0 &&
           mechanism == ZMQ_CURVE;
}

static void s_set_options (const usi_dealer_t *self, int receive_max)
{
    int64_t longest = USI_MAX_MESSAGE;
    /* The owner bounds what it sends by its own windows, and the heartbeat ends a
     * connection that does not move. */
    s_set (self->socket, ZMQ_SNDHWM, 0);
    s_set (self->socket, ZMQ_RCVHWM, receive_max);
    s_set (self->socket, ZMQ_LINGER, 0);
    s_set (self->socket, ZMQ_IPV6, 1);
    s_set (self->monitor, ZMQ_LINGER, 0);
    zmq_setsockopt (self->socket, ZMQ_MAXMSGSIZE, &longest, sizeof longest);
}

/* What libzmq connects to: the address, or for a unix socket with a path over the system's
 * limit the same by the descriptor of its directory, written into the room. NULL, and
 * errno: it cannot be. */
static const char *s_reachable (usi_dealer_t *self, const char *address, char *room,
                                size_t size)
{
    const char *path = address + strlen (IPC);
    struct stat st;
    if (strncmp (address, IPC, strlen (IPC)) != 0 || *path == '@')
        return address;
    if (stat (path, &st) == 0 ? st.st_uid != geteuid () : errno == EACCES) {
        errno = EACCES;
        return NULL;
    }
    if (strlen (path) < sizeof ((struct sockaddr_un *) 0)->sun_path)
        return address;
    const char *slash = strrchr (path, '/');
    char dir[PATH_MAX];
    int len = slash ? (int) (slash - path) : 0;
    if (len >= (int) sizeof dir || !slash) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    snprintf (dir, sizeof dir, "%.*s/", len, path);
    int fd = open (dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    self->dir_fd = fd;
    snprintf (room, size, IPC "/proc/self/fd/%d%s", fd, slash);
    return room;
}

bool usi_dealer_open (usi_dealer_t *self, void *context, const char *address,
                      const usi_dealer_keys_t *keys, int receive_max)
{
    char monitor[48], room[160];
    const char *at = s_reachable (self, address, room, sizeof room);
    if (!at)
        return false;
    snprintf (monitor, sizeof monitor, "inproc://monitor-%u", ++self->opened);
    self->socket = zmq_socket (context, ZMQ_DEALER);
    self->monitor = zmq_socket (context, ZMQ_PAIR);
    if (self->socket && keys)
        s_set_keys (self->socket, keys);
    errno = EPROTO;
    if (self->socket && self->monitor && (!keys || s_is_curve (self->socket))) {
        s_set_options (self, receive_max);
        self->socket_fd = s_descriptor (self->socket);
        self->monitor_fd = s_descriptor (self->monitor);
        /* The monitor's descriptor signals only to who has found the monitor empty:
         * read once, before there is anything to tell. */
        if (zmq_socket_monitor (self->socket, monitor, TROUBLES) == 0 &&
            zmq_connect (self->monitor, monitor) == 0 && !usi_dealer_trouble (self) &&
            zmq_connect (self->socket, at) == 0)
            return true;
    }
    int error = errno;
    usi_dealer_close (self, 0);
    errno = error;
    return false;
}

/* One event of the monitor, in two frames; 0: none is there. */
static int s_next_event (void *monitor)
{
    zmq_msg_t frame;
    uint16_t event = 0;
    zmq_msg_init (&frame);
    bool got = zmq_msg_recv (&frame, monitor, ZMQ_DONTWAIT) >= 0;
    if (got && zmq_msg_size (&frame) >= sizeof event)
        memcpy (&event, zmq_msg_data (&frame), sizeof event);
    if (got && zmq_msg_more (&frame))
        zmq_msg_recv (&frame, monitor, ZMQ_DONTWAIT); /* the address, which we know */
    zmq_msg_close (&frame);
    return event;
}

static const char *s_trouble (int event)
{
    switch (event) {
    case ZMQ_EVENT_DISCONNECTED: return "the connection was closed";
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: return USI_DEALER_NOT_ADMITTED;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL: return USI_DEALER_NO_HANDSHAKE;
    default: return "the connection was refused";
    }
}

const char *usi_dealer_trouble (usi_dealer_t *self)
{
    for (int event; self->monitor && (event = s_next_event (self->monitor)) != 0;)
        if (event & TROUBLES)
            return s_trouble (event);
    return NULL;
}

static bool s_is_readable (void *socket)
{
    int events = 0;
    size_t len = sizeof events;
    int rc = socket ? 0 : -1;
    while (socket && (rc = zmq_getsockopt (socket, ZMQ_EVENTS, &events, &len)) < 0 &&
           errno == EINTR)
        ;
    return rc == 0 && (events & ZMQ_POLLIN);
}

bool usi_dealer_is_readable (const usi_dealer_t *self)
{
    return s_is_readable (self->socket) || s_is_readable (self->monitor);
}

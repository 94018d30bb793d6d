/* SPDX-License-Identifier: MIT
 *
 * See connections.h. */
#include "connections.h"

#include <limits.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"

#define MONITORS_MAX 2

/* One that waits, the oldest first in the list. */
typedef struct waiting {
    handle_t handle;
    int64_t since_ms;
    list_node_t node;
} waiting_t;

struct connections {
    list_t waiting;
    zhashx_t *by_fd; /* descriptor in handle -> waiting_t */
    zloop_t *loop;
    zsock_t *monitors[MONITORS_MAX];
    void *watched[MONITORS_MAX];
    size_t monitors_len;
    int most; /* the first descriptor that is kept for others */
    size_t cut;
};

static size_t s_hash (const void *key)
{
    return (size_t) * (const int *) key * 2654435761u;
}

static int s_compare (const void *a, const void *b)
{
    return *(const int *) a != *(const int *) b;
}

/* At most half of a small limit is kept. */
static int s_most (void)
{
    struct rlimit limit;
    if (getrlimit (RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX)
        return INT_MAX;
    int all = (int) limit.rlim_cur;
    return all - (all / 2 < CONNECTIONS_RESERVE ? all / 2 : CONNECTIONS_RESERVE);
}

connections_t *connections_new (void)
{
    connections_t *self = usi_new (connections_t);
    self->most = s_most ();
    handle_prepare ();
    self->by_fd = zhashx_new ();
    zhashx_set_key_duplicator (self->by_fd, NULL);
    zhashx_set_key_destructor (self->by_fd, NULL);
    zhashx_set_key_hasher (self->by_fd, s_hash);
    zhashx_set_key_comparator (self->by_fd, s_compare);
    return self;
}

static void s_forget (connections_t *self, int fd)
{
    waiting_t *waiting = zhashx_lookup (self->by_fd, &fd);
    if (!waiting)
        return;
    zhashx_delete (self->by_fd, &fd);
    list_remove (&waiting->node);
    free (waiting);
}

static void s_cut (connections_t *self, const waiting_t *waiting)
{
    self->cut += handle_cut (&waiting->handle);
    s_forget (self, waiting->handle.fd);
}

static waiting_t *s_oldest (const connections_t *self)
{
    return LIST_ELEMENT (self->waiting.first, waiting_t, node);
}

/* The system gives the lowest descriptor that is free: this one says how many are taken. */
static void s_add (connections_t *self, int fd)
{
    s_forget (self, fd); /* the number was another connection's */
    handle_t handle = handle_of (fd);
    if (!handle.cookie)
        return; /* closed already */
    waiting_t *waiting = usi_new (waiting_t);
    *waiting = (waiting_t){.handle = handle, .since_ms = usi_now_ms ()};
    list_append (&self->waiting, &waiting->node);
    US_ASSERT (zhashx_insert (self->by_fd, &waiting->handle.fd, waiting) == 0);
    if (fd < self->most)
        return;
    /* It took one that is kept. Whoever comes next finds the place of the oldest one. */
    s_cut (self, waiting);
    if (self->waiting.len > 0)
        s_cut (self, s_oldest (self));
}

/* One event, in two frames; 0: none is there. */
static int s_next_event (void *monitor, int *value)
{
    zmq_msg_t frame;
    uint16_t event = 0;
    uint32_t number = 0;
    zmq_msg_init (&frame);
    bool got = zmq_msg_recv (&frame, monitor, ZMQ_DONTWAIT) >= 0;
    if (got && zmq_msg_size (&frame) >= sizeof event + sizeof number) {
        memcpy (&event, zmq_msg_data (&frame), sizeof event);
        memcpy (&number, (char *) zmq_msg_data (&frame) + sizeof event, sizeof number);
    }
    if (got && zmq_msg_more (&frame))
        zmq_msg_recv (&frame, monitor, ZMQ_DONTWAIT);
    zmq_msg_close (&frame);
    *value = (int) number;
    return event;
}

/* Reads all that the monitor has told. */
static void s_read (connections_t *self, zsock_t *monitor)
{
    int fd;
    for (int event; (event = s_next_event (zsock_resolve (monitor), &fd)) != 0;)
        if (event == ZMQ_EVENT_ACCEPTED)
            s_add (self, fd);
        else
            s_forget (self, fd);
}

static int s_on_event (zloop_t *loop, zsock_t *reader, void *arg)
{
    (void) loop;
    s_read (arg, reader);
    return 0;
}

void connections_watch (connections_t *self, zloop_t *loop, void *socket)
{
    char address[64];
    size_t number = self->monitors_len++;
    US_ASSERT (number < MONITORS_MAX);
    snprintf (address, sizeof address, "inproc://connections-%p", socket);
    zsock_t *monitor = zsock_new (ZMQ_PAIR);
    zmq_setsockopt (zsock_resolve (monitor), ZMQ_RCVHWM, &(int){0}, sizeof (int));
    self->loop = loop;
    self->monitors[number] = monitor;
    self->watched[number] = socket;
    int rc = zmq_socket_monitor (socket, address,
                                 ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED |
                                     ZMQ_EVENT_CLOSED);
    if (rc == 0)
        rc = zmq_connect (zsock_resolve (monitor), address);
    US_ASSERT (rc == 0);
    zloop_reader (loop, monitor, s_on_event, self);
    zloop_reader_set_tolerant (loop, monitor);
}

void connections_greeted (connections_t *self, const handle_t *handle)
{
    /* The monitor has told of it before its first message came, but may not have been read
     * since: read later, it would make a silent connection of a peer. */
    for (size_t i = 0; i < self->monitors_len; i++)
        s_read (self, self->monitors[i]);
    s_forget (self, handle->fd);
}

void connections_cut_endless (connections_t *self)
{
    LIST_EACH (&self->waiting, waiting_t, waiting, node)
        if (handle_received (&waiting->handle) > CONNECTIONS_BYTES)
            s_cut (self, waiting);
}

size_t connections_cut_silent (connections_t *self, int64_t now_ms)
{
    while (self->waiting.len > 0 &&
           now_ms - s_oldest (self)->since_ms >= CONNECTIONS_GREETING_MS)
        s_cut (self, s_oldest (self));
    size_t cut = self->cut;
    self->cut = 0;
    return cut;
}

void connections_destroy (connections_t **self_p)
{
    connections_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < self->monitors_len; i++) {
        zmq_socket_monitor (self->watched[i], NULL, 0);
        zloop_reader_end (self->loop, self->monitors[i]);
        zsock_destroy (&self->monitors[i]);
    }
    while (self->waiting.len > 0)
        s_forget (self, LIST_ELEMENT (self->waiting.first, waiting_t, node)->handle.fd);
    zhashx_destroy (&self->by_fd);
    free (self);
    *self_p = NULL;
}

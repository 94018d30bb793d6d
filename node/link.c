/* SPDX-License-Identifier: MIT
 *
 * The broker connection: see link.h. */
#include "link.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "finder.h"
#include "understudy/version.h"
#include "wake.h"

#define TICK_MS       200
#define GREETING_MS   3000 /* from connect to WELCOME */
#define MISSED_PINGS  3
#define RETRY_MS      100
#define RETRY_MAX_MS  10000
#define QUICK_ROUNDS  5
#define BYE_LINGER_MS 500
#define MAX_RECEIVED  256 /* messages at once, so that workers get their turn */

typedef enum link_state {
    LINK_DOWN,     /* waits for the next attempt, or was never started */
    LINK_GREETING, /* HELLO is sent */
    LINK_UP,
    LINK_CLOSED
} link_state_t;

struct link {
    node_t *node;
    link_state_t state;
    finder_t *finder;
    wake_t *wake;
    zsock_t *sock;
    void *monitor; /* tells at once when the other end is gone */
    int monitor_fd;
    unsigned monitors;
    char endpoint[256];
    unsigned failures; /* since the last WELCOME */
    int64_t since_ms, heard_ms, pinged_ms;
    unsigned unanswered;
    usi_msg_t in, out;
    int tick_timer, retry_timer;
};

static void s_connect (link_t *self);

/* --- sending ---------------------------------------------------------------------- */

bool link_is_up (const link_t *self)
{
    return self->state == LINK_UP;
}

void link_send (link_t *self, usi_msg_t *msg)
{
    if (self->sock) {
        int error = usi_msg_send (msg, zsock_resolve (self->sock), usi_bytes (NULL, 0));
        if (error == 0)
            return;
        usi_msg_clear (msg);
        link_lost (self, strerror (error));
    }
    usi_msg_clear (msg);
}

static void s_send_empty (link_t *self, usi_type_t type)
{
    usi_msg_begin (&self->out, type);
    link_send (self, &self->out);
}

void link_ask_work (link_t *self)
{
    if (self->node->draining || !link_is_up (self))
        return;
    usi_msg_begin (&self->out, USI_CREDIT);
    USI_SET (&self->out.head, CREDIT, credit, 0);
    link_send (self, &self->out);
}

void link_greet (link_t *self)
{
    const node_options_t *options = &self->node->options;
    usi_fields_t *head = &self->out.head;
    usi_buf_t channels = {0}, pythons = {0};
    usi_msg_begin (&self->out, USI_HELLO);
    for (size_t i = 0; i < options->channels_len; i++)
        usi_list_add_str (&channels, usi_bytes_of (options->channels[i]));
    for (size_t i = 0; i < options->pythons_len; i++)
        usi_list_add_str (&pythons, usi_bytes_of (options->pythons[i].version));
    USI_SET (head, ROLE, role, usi_bytes_of ("node"));
    USI_SET (head, VERSION, version, usi_bytes_of (US_VERSION_STRING));
    USI_SET (head, NAME, name, usi_bytes_of (options->name));
    USI_SET (head, HOST, host, usi_bytes_of (usi_host ()));
    USI_SET (head, PID, pid, (uint64_t) getpid ());
    USI_SET (head, NODE, node, self->node->id);
    USI_SET (head, BOOT, boot, self->node->boot);
    USI_SET (head, SLOTS, slots, options->slots);
    USI_SET (head, CHANNELS, channels,
             usi_list_of (&channels, (uint32_t) options->channels_len));
    USI_SET (head, PYTHONS, pythons,
             usi_list_of (&pythons, (uint32_t) options->pythons_len));
    self->state = LINK_GREETING;
    self->since_ms = usi_now_ms ();
    link_send (self, &self->out);
    usi_buf_free (&channels);
    usi_buf_free (&pythons);
}

/* --- ends of a connection --------------------------------------------------------- */

static void s_close (link_t *self)
{
    if (self->monitor) {
        node_unwatch (self->node, self->monitor_fd);
        zmq_socket_monitor (zsock_resolve (self->sock), NULL, 0);
        zmq_close (self->monitor);
        self->monitor = NULL;
    }
    if (self->sock) {
        zmq_pollitem_t item = {.socket = zsock_resolve (self->sock)};
        zloop_poller_end (self->node->loop, &item);
        zsock_destroy (&self->sock);
    }
    self->endpoint[0] = 0;
}

static int s_on_retry (zloop_t *loop, int timer, void *arg)
{
    link_t *self = arg;
    (void) loop, (void) timer;
    self->retry_timer = 0;
    s_connect (self);
    return 0;
}

static void s_retry_later (link_t *self)
{
    size_t rounds = self->failures / (finder_count (self->finder) + 1);
    int64_t delay_ms = RETRY_MS;
    for (size_t i = QUICK_ROUNDS; i < rounds && delay_ms < RETRY_MAX_MS; i++)
        delay_ms *= 2;
    if (delay_ms > RETRY_MAX_MS)
        delay_ms = RETRY_MAX_MS;
    self->failures++;
    self->retry_timer =
        node_after (self->node, usi_jitter_ms (delay_ms), s_on_retry, self);
}

void link_lost (link_t *self, const char *why)
{
    if (self->state == LINK_DOWN || self->state == LINK_CLOSED)
        return;
    if (self->state == LINK_UP)
        usi_warning ("broker.lost", "the broker is gone: %s endpoint=%s", why,
                     self->endpoint);
    else if (self->failures == 0)
        usi_warning ("broker.unreachable", "no answer: %s endpoint=%s", why,
                     self->endpoint);
    self->state = LINK_DOWN;
    s_close (self);
    node_lost (self->node);
    s_retry_later (self);
}

void link_bye (link_t *self, const char *why)
{
    if (self->sock && self->state == LINK_UP) {
        usi_msg_begin (&self->out, USI_BYE);
        USI_SET (&self->out.head, TEXT, text, usi_bytes_of (why));
        zsock_set_linger (self->sock, BYE_LINGER_MS);
        link_send (self, &self->out);
    }
    if (self->retry_timer)
        zloop_timer_end (self->node->loop, self->retry_timer);
    self->retry_timer = 0;
    self->state = LINK_CLOSED;
    s_close (self);
}

/* --- receiving -------------------------------------------------------------------- */

static void s_take_limits (node_limits_t *limits, const usi_fields_t *head)
{
    if (usi_has (head, USI_F_LEASE_MS) && head->lease_ms > 0)
        limits->lease_ms = (int64_t) head->lease_ms;
    if (usi_has (head, USI_F_HEARTBEAT_MS) && head->heartbeat_ms > 0)
        limits->heartbeat_ms = (int64_t) head->heartbeat_ms;
    if (usi_has (head, USI_F_MAX_BODY) && head->max_body > 0)
        limits->max_body = head->max_body;
    if (usi_has (head, USI_F_MAX_PAYLOAD) && head->max_payload > 0)
        limits->max_payload = head->max_payload;
}

static void s_welcome (link_t *self, const usi_fields_t *head)
{
    if (self->state != LINK_GREETING)
        return;
    self->state = LINK_UP;
    self->failures = 0;
    self->unanswered = 0;
    s_take_limits (&self->node->limits, head);
    usi_info ("broker.connected", "connected to a broker endpoint=%s broker=%08llx",
              self->endpoint, (unsigned long long) head->broker);
    wake_set (self->wake, head->redis, head->topic);
    node_welcome (self->node);
}

static void s_error (link_t *self, const usi_fields_t *head)
{
    if (head->code == US_ERR_UNKNOWN_PEER) {
        if (self->state == LINK_UP)
            link_greet (self);
        return;
    }
    usi_error ("broker.refused",
               "the broker answered with an error: %.*s code=%lld to=%s",
               (int) head->text.len, (const char *) head->text.data,
               (long long) head->code, usi_type_name ((int) head->count));
    if (self->state == LINK_GREETING)
        link_lost (self, "HELLO was refused");
}

static void s_receive (link_t *self, const usi_msg_t *msg)
{
    switch (msg->type) {
    case USI_WELCOME: s_welcome (self, &msg->head); break;
    case USI_PING: s_send_empty (self, USI_PONG); break;
    case USI_PONG: break;
    case USI_BYE: link_lost (self, "it says BYE"); break;
    case USI_ERROR: s_error (self, &msg->head); break;
    default:
        if (self->state == LINK_UP)
            node_receive (self->node, msg);
    }
}

static int s_on_message (zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    link_t *self = arg;
    (void) loop, (void) item;
    zsock_t *sock = self->sock;
    for (int i = 0; i < MAX_RECEIVED && self->sock == sock && sock; i++) {
        int error = usi_msg_recv (&self->in, zsock_resolve (sock), NULL, NULL);
        if (error == EAGAIN)
            break;
        self->heard_ms = usi_now_ms ();
        self->unanswered = 0;
        if (error == 0)
            s_receive (self, &self->in);
        else
            usi_notice ("message.malformed", "dropped what a broker sent: %s type=%s",
                        self->in.why ? self->in.why : strerror (error),
                        usi_type_name (self->in.type));
        usi_msg_clear (&self->in);
    }
    return 0;
}

/* Reads all that the monitor has to tell. */
static bool s_hear_monitor (link_t *self)
{
    zmq_msg_t frame;
    bool heard = false;
    zmq_msg_init (&frame);
    while (zmq_msg_recv (&frame, self->monitor, ZMQ_DONTWAIT) >= 0)
        heard = true;
    zmq_msg_close (&frame);
    return heard;
}

static int s_on_monitor (zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    link_t *self = arg;
    (void) loop, (void) item;
    if (s_hear_monitor (self))
        link_lost (self, self->state == LINK_UP ? "the connection is closed"
                                                : "cannot connect");
    return 0;
}

/* --- connecting ------------------------------------------------------------------- */

static void s_watch_closing (link_t *self)
{
    char address[64];
    snprintf (address, sizeof address, "inproc://link-%u", ++self->monitors);
    int events = ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_CONNECT_RETRIED |
                 ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                 ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;
    if (zmq_socket_monitor (zsock_resolve (self->sock), address, events) != 0)
        return; /* heartbeats notice it too, later */
    self->monitor = zmq_socket (zsys_init (), ZMQ_PAIR);
    int linger = 0;
    zmq_setsockopt (self->monitor, ZMQ_LINGER, &linger, sizeof linger);
    zmq_connect (self->monitor, address);
    /* Watched by its descriptor, which is as good where everything is read each
     * time, and costs a turn of the loop nothing. */
    size_t size = sizeof self->monitor_fd;
    zmq_getsockopt (self->monitor, ZMQ_FD, &self->monitor_fd, &size);
    node_watch (self->node, self->monitor_fd, s_on_monitor, self);
    /* It signals only to who has found it empty; nothing is connected yet. */
    s_hear_monitor (self);
}

static void s_open (link_t *self, const char *endpoint)
{
    self->sock = zsock_new (ZMQ_DEALER);
    US_ASSERT (self->sock);
    zsock_set_linger (self->sock, 0);
    /* Nothing can pile up here: credit bounds results, LOG_KEPT the logs, and
     * heartbeats end a connection that does not move. So nothing has to ask for
     * room. */
    zsock_set_sndhwm (self->sock, 0);
    zsock_set_ipv6 (self->sock, 1);
    self->state = LINK_GREETING;
    snprintf (self->endpoint, sizeof self->endpoint, "%s", endpoint);
    s_watch_closing (self);
    if (zsock_connect (self->sock, "%s", endpoint) != 0) {
        link_lost (self, "not an address");
        return;
    }
    zmq_pollitem_t item = {.socket = zsock_resolve (self->sock), .events = ZMQ_POLLIN};
    zloop_poller (self->node->loop, &item, s_on_message, self);
    zloop_poller_set_tolerant (self->node->loop, &item);
    link_greet (self);
}

static void s_on_found (void *arg, const char *endpoint, const char *why)
{
    link_t *self = arg;
    if (self->state != LINK_DOWN)
        return;
    if (endpoint) {
        s_open (self, endpoint);
        return;
    }
    if (self->failures == 0)
        usi_warning ("broker.none", "looking for a broker: %s", why);
    s_retry_later (self);
}

static void s_connect (link_t *self)
{
    finder_next (self->finder, s_on_found, self);
}

static int s_on_tick (zloop_t *loop, int timer, void *arg)
{
    link_t *self = arg;
    (void) loop, (void) timer;
    int64_t now_ms = usi_now_ms (), heartbeat_ms = self->node->limits.heartbeat_ms;
    if (self->state == LINK_GREETING && now_ms - self->since_ms > GREETING_MS)
        link_lost (self, "it does not answer");
    wake_check (self->wake);
    if (self->state != LINK_UP || now_ms - self->heard_ms < heartbeat_ms ||
        now_ms - self->pinged_ms < heartbeat_ms)
        return 0;
    if (self->unanswered++ == MISSED_PINGS) {
        link_lost (self, "it does not answer");
        return 0;
    }
    self->pinged_ms = now_ms;
    s_send_empty (self, USI_PING);
    return 0;
}

link_t *link_new (node_t *node)
{
    link_t *self = usi_new (link_t);
    self->node = node;
    self->finder = finder_new (node);
    self->wake = wake_new (node);
    return self;
}

void link_start (link_t *self)
{
    self->tick_timer = zloop_timer (self->node->loop, TICK_MS, 0, s_on_tick, self);
    s_connect (self);
}

void link_destroy (link_t **self_p)
{
    link_t *self = *self_p;
    if (!self)
        return;
    self->state = LINK_CLOSED;
    s_close (self);
    wake_destroy (&self->wake);
    finder_destroy (&self->finder);
    usi_msg_free (&self->in);
    usi_msg_free (&self->out);
    free (self);
    *self_p = NULL;
}

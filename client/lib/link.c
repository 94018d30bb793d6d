/* SPDX-License-Identifier: MIT
 *
 * The connection: see link.h. A socket is used for one attempt: a new one has no queue
 * of old messages and no half-known peer. libzmq's monitor tells at once what the
 * heartbeat would tell only after three seconds. */
#include "link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "redis/registry.h"

#define PAUSE_FIRST_MS 50
#define PAUSE_MAX_MS   2000
#define PAUSE_MAX_FIRST_MS                                                             \
    500 /* before the first connection: a broker may be starting */
#define ATTEMPT_MIN_MS   500
#define ATTEMPT_MAX_MS   2000
#define REGISTRY_WAIT_MS 1000
#define PINGS_MAX        3
#define LINGER_MS        200
#define RCVHWM           256
#define MONITOR_EVENTS                                                                 \
    (ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED)

static const usi_bytes_t s_no_routing = {0};

/* --- sockets ---------------------------------------------------------------------- */

static void s_set (void *socket, int option, int value)
{
    zmq_setsockopt (socket, option, &value, sizeof value);
}

static void s_close_sockets (link_t *self, int linger_ms)
{
    if (self->socket) {
        zmq_socket_monitor (self->socket, NULL, 0);
        s_set (self->socket, ZMQ_LINGER, linger_ms);
        zmq_close (self->socket);
    }
    if (self->monitor)
        zmq_close (self->monitor);
    self->socket = self->monitor = NULL;
}

static bool s_open_sockets (link_t *self, const char *address)
{
    int64_t limit = USI_MAX_MESSAGE;
    char monitor[48];
    snprintf (monitor, sizeof monitor, "inproc://monitor-%u", ++self->sockets);
    self->socket = zmq_socket (self->context, ZMQ_DEALER);
    self->monitor = zmq_socket (self->context, ZMQ_PAIR);
    if (!self->socket || !self->monitor)
        return false;
    /* What is sent is bounded by the engine's own windows. */
    s_set (self->socket, ZMQ_SNDHWM, 0);
    s_set (self->socket, ZMQ_RCVHWM, RCVHWM);
    s_set (self->socket, ZMQ_LINGER, 0);
    s_set (self->socket, ZMQ_IPV6, 1);
    s_set (self->monitor, ZMQ_LINGER, 0);
    zmq_setsockopt (self->socket, ZMQ_MAXMSGSIZE, &limit, sizeof limit);
    return zmq_socket_monitor (self->socket, monitor, MONITOR_EVENTS) == 0 &&
           zmq_connect (self->monitor, monitor) == 0 &&
           zmq_connect (self->socket, address) == 0;
}

/* --- states ----------------------------------------------------------------------- */

static bool s_apply (link_t *self, conn_event_t event)
{
    conn_state_t before = self->state;
    if (!conn_next (before, event, &self->state))
        return false;
    if (self->state != before)
        client_log (self->client, US_LOG_DEBUG, "connection %s -> %s on %s",
                    conn_state_name (before), conn_state_name (self->state),
                    conn_event_name (event));
    return true;
}

/* What the callers see. */
static void s_publish (link_t *self, bool connected)
{
    us_client_t *client = self->client;
    pthread_mutex_lock (&client->lock);
    client->connected = connected;
    if (connected)
        client->ever_connected = true;
    snprintf (client->endpoint, sizeof client->endpoint, "%s",
              self->address ? self->address : "");
    waiters_wake (client->waiters);
    pthread_mutex_unlock (&client->lock);
}

static void s_lost (link_t *self, const char *why)
{
    bool was_ready = self->state == CONN_READY;
    if (!s_apply (self, CONN_ON_LOST))
        return;
    snprintf (self->why, sizeof self->why, "%s", why);
    client_log (self->client, was_ready ? US_LOG_NOTICE : US_LOG_DEBUG, "%s: %s",
                self->address ? self->address : "?", why);
    s_close_sockets (self, 0);
    if (!was_ready)
        return;
    /* A new round, at once. */
    self->tried = self->addresses_len = 0;
    self->pause_ms = PAUSE_FIRST_MS;
    s_publish (self, false);
    self->events.down (self->events.arg);
}

static void s_say_unreachable (link_t *self, char *text, size_t size)
{
    const us_options_t *options = &self->client->options;
    char shown[300];
    const char *why = self->why[0] ? self->why : "none answers";
    if (!options->redis) {
        snprintf (text, size,
                  "no broker answers at %s; start one with: understudy-broker",
                  options->endpoints);
        return;
    }
    options_show_redis (options->redis, shown, sizeof shown);
    if (self->misconfigured)
        snprintf (text, size, "no broker is found through %s: %s", shown, why);
    else
        snprintf (text, size,
                  "no broker is found through %s: %s; start one with: "
                  "understudy-broker --redis %s",
                  shown, why, shown);
}

static void s_give_up (link_t *self)
{
    char text[1024];
    if (!s_apply (self, CONN_ON_GIVE_UP))
        return;
    s_close_sockets (self, 0);
    s_say_unreachable (self, text, sizeof text);
    client_log (self->client, US_LOG_WARNING, "%s", text);
    self->events.gave_up (self->events.arg, text);
}

/* --- addresses -------------------------------------------------------------------- */

/* Splits a list by comma in place; blanks around its elements are dropped. */
static size_t s_split (char *list)
{
    size_t count = 0;
    char *to = list;
    for (const char *from = list; *from;) {
        size_t len = strcspn (from, ",");
        const char *next = from + len + (from[len] == ',');
        for (; len > 0 && *from == ' '; from++)
            len--;
        while (len > 0 && from[len - 1] == ' ')
            len--;
        bool is_last = *next == '\0';
        if (len > 0) {
            memmove (to, from, len);
            to += len;
            *to++ = '\0';
            count++;
        }
        if (is_last)
            break;
        from = next;
    }
    return count;
}

static char *s_read_registry (link_t *self, const char *url)
{
    usi_buf_t endpoints = {0};
    char why[200] = "";
    int64_t timeout_ms = self->client->options.connect_timeout_ms;
    if (timeout_ms > REGISTRY_WAIT_MS)
        timeout_ms = REGISTRY_WAIT_MS;
    us_err_t err = usi_registry_brokers (url, timeout_ms, &endpoints, why, sizeof why);
    self->misconfigured = err == US_ERR_CONFIG;
    char *list = err == US_OK ? usi_bytes_dup_text (usi_buf_bytes (&endpoints)) : NULL;
    snprintf (self->why, sizeof self->why, "%s",
              err != US_OK         ? (why[0] ? why : us_err_text (err))
              : endpoints.len == 0 ? "none is registered"
                                   : "");
    usi_buf_free (&endpoints);
    return list;
}

/* The addresses of a round. One of a registry begins anywhere, so that clients spread
 * over the brokers; a list keeps its order. */
static void s_load_addresses (link_t *self)
{
    const us_options_t *options = &self->client->options;
    free (self->addresses);
    self->address = NULL;
    self->addresses = options->redis ? s_read_registry (self, options->redis)
                                     : strdup (options->endpoints);
    self->addresses_len = self->addresses ? s_split (self->addresses) : 0;
    self->tried = 0;
    self->first = options->redis && self->addresses_len > 0
                      ? usi_random32 () % self->addresses_len
                      : 0;
}

static const char *s_address (const link_t *self, size_t index)
{
    const char *at = self->addresses;
    while (index-- > 0)
        at += strlen (at) + 1;
    return at;
}

static int64_t s_attempt_ms (const link_t *self)
{
    int64_t ms = self->client->options.connect_timeout_ms;
    if (self->addresses_len <= 1)
        return ms < ATTEMPT_MAX_MS ? ATTEMPT_MAX_MS : ms;
    ms /= (int64_t) self->addresses_len;
    return ms < ATTEMPT_MIN_MS   ? ATTEMPT_MIN_MS
           : ms > ATTEMPT_MAX_MS ? ATTEMPT_MAX_MS
                                 : ms;
}

/* --- greeting --------------------------------------------------------------------- */

static void s_send_hello (link_t *self)
{
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, USI_HELLO);
    USI_SET (&msg.head, ROLE, role, usi_bytes_of ("client"));
    USI_SET (&msg.head, VERSION, version, usi_bytes_of (US_VERSION_STRING));
    USI_SET (&msg.head, NAME, name, usi_bytes_of (self->client->options.name));
    USI_SET (&msg.head, HOST, host, usi_bytes_of (usi_host ()));
    USI_SET (&msg.head, PID, pid, (uint64_t) getpid ());
    int rc = usi_msg_send (&msg, self->socket, s_no_routing);
    usi_msg_free (&msg);
    if (rc)
        s_lost (self, strerror (rc));
}

static void s_send_empty (link_t *self, usi_type_t type)
{
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, type);
    link_send (self, &msg);
    usi_msg_free (&msg);
}

/* Tries the next address, or ends the round. */
static void s_seek (link_t *self)
{
    if (self->addresses_len == 0)
        s_load_addresses (self);
    if (self->tried >= self->addresses_len) {
        int64_t max_ms = self->ever ? PAUSE_MAX_MS : PAUSE_MAX_FIRST_MS;
        s_apply (self, CONN_ON_NO_ADDRESS);
        self->resume_at = usi_now_ms () + usi_jitter_ms (self->pause_ms);
        self->pause_ms = self->pause_ms * 2 > max_ms ? max_ms : self->pause_ms * 2;
        return;
    }
    size_t index = (self->first + self->tried++) % self->addresses_len;
    self->address = s_address (self, index);
    s_apply (self, CONN_ON_ADDRESS);
    self->attempt_until = usi_now_ms () + s_attempt_ms (self);
    if (s_open_sockets (self, self->address))
        s_send_hello (self);
    else
        s_lost (self, zmq_strerror (errno));
}

/* What this broker would refuse need not be sent. */
static void s_adopt_limit (us_client_t *client, const usi_msg_t *welcome)
{
    size_t limit = client->options.max_payload;
    if (usi_has (&welcome->head, USI_F_MAX_PAYLOAD) &&
        welcome->head.max_payload < limit)
        limit = (size_t) welcome->head.max_payload;
    atomic_store_explicit (&client->max_payload, limit, memory_order_relaxed);
}

static void s_on_welcome (link_t *self, const usi_msg_t *msg)
{
    if (self->state != CONN_GREETING || !s_apply (self, CONN_ON_WELCOME))
        return;
    int64_t heartbeat_ms = (int64_t) msg->head.heartbeat_ms;
    self->heartbeat_ms = heartbeat_ms > 0 ? heartbeat_ms : USI_HEARTBEAT_MS;
    self->ping_at = usi_now_ms () + self->heartbeat_ms;
    self->pings = 0;
    self->ever = true;
    self->pause_ms = PAUSE_FIRST_MS;
    self->why[0] = '\0';
    s_adopt_limit (self->client, msg);
    client_log (self->client, US_LOG_INFO, "connected to %s", self->address);
    s_publish (self, true);
    self->events.up (self->events.arg);
}

static void s_on_unknown_peer (link_t *self)
{
    bool was_ready = self->state == CONN_READY;
    if (!was_ready || !s_apply (self, CONN_ON_UNKNOWN_PEER))
        return; /* our HELLO is on its way already */
    self->attempt_until = usi_now_ms () + s_attempt_ms (self);
    s_publish (self, false);
    self->events.down (self->events.arg);
    s_send_hello (self);
}

/* --- calls ------------------------------------------------------------------------ */

bool link_open (link_t *self, us_client_t *client, const link_events_t *events)
{
    *self = (link_t){.client = client,
                     .events = *events,
                     .pause_ms = PAUSE_FIRST_MS,
                     .heartbeat_ms = USI_HEARTBEAT_MS,
                     .ever = client->ever_connected};
    self->context = zmq_ctx_new ();
    return self->context != NULL;
}

void link_close (link_t *self)
{
    if (link_is_ready (self))
        s_send_empty (self, USI_BYE);
    s_apply (self, CONN_ON_STOP);
    s_close_sockets (self, LINGER_MS);
    if (self->context)
        zmq_ctx_term (self->context);
    self->context = NULL;
    free (self->addresses);
    self->addresses = NULL;
}

void link_want (link_t *self)
{
    if (self->state != CONN_IDLE)
        return;
    self->give_up_at = usi_now_ms () + self->client->options.connect_timeout_ms;
    self->addresses_len = self->tried = 0;
    self->pause_ms = PAUSE_FIRST_MS;
    s_apply (self, CONN_ON_WANTED);
}

static void s_heartbeat (link_t *self, int64_t now)
{
    if (now < self->ping_at)
        return;
    if (self->pings >= PINGS_MAX) {
        s_lost (self, "the broker does not answer");
        return;
    }
    self->pings++;
    self->ping_at = now + self->heartbeat_ms;
    s_send_empty (self, USI_PING);
}

void link_service (link_t *self)
{
    int64_t now = usi_now_ms ();
    bool trying = self->state == CONN_SEEKING || self->state == CONN_GREETING ||
                  self->state == CONN_PAUSED;
    if (trying && !self->ever && now >= self->give_up_at) {
        s_give_up (self);
        return;
    }
    if (self->state == CONN_PAUSED && now >= self->resume_at) {
        self->addresses_len = 0; /* the registry may have changed */
        s_apply (self, CONN_ON_RETRY);
    }
    if (self->state == CONN_GREETING && now >= self->attempt_until)
        s_lost (self, "no answer");
    if (self->state == CONN_READY)
        s_heartbeat (self, now);
    if (self->state == CONN_SEEKING)
        s_seek (self);
}

int64_t link_due_ms (const link_t *self)
{
    int64_t due = INT64_MAX;
    switch (self->state) {
    case CONN_SEEKING: return 0;
    case CONN_GREETING: due = self->attempt_until; break;
    case CONN_READY: return self->ping_at;
    case CONN_PAUSED: due = self->resume_at; break;
    default: return due;
    }
    return !self->ever && self->give_up_at < due ? self->give_up_at : due;
}

void link_on_monitor (link_t *self)
{
    while (self->monitor) {
        zmq_msg_t frame;
        uint16_t event = 0;
        zmq_msg_init (&frame);
        bool got = zmq_msg_recv (&frame, self->monitor, ZMQ_DONTWAIT) >= 0;
        if (got && zmq_msg_size (&frame) >= sizeof event)
            memcpy (&event, zmq_msg_data (&frame), sizeof event);
        bool more = got && zmq_msg_more (&frame);
        zmq_msg_close (&frame);
        if (!got)
            return;
        zmq_msg_init (&frame);
        if (more)
            zmq_msg_recv (&frame, self->monitor, ZMQ_DONTWAIT);
        zmq_msg_close (&frame);
        if (event & MONITOR_EVENTS)
            s_lost (self, event == ZMQ_EVENT_DISCONNECTED
                              ? "the connection was closed"
                              : "the connection was refused");
    }
}

static void s_on_error (link_t *self, const usi_msg_t *msg)
{
    client_log (self->client, US_LOG_WARNING, "%s: %s: %.*s", self->address,
                us_err_name ((int) msg->head.code), (int) msg->head.text.len,
                (const char *) msg->head.text.data);
    if (msg->head.code == US_ERR_UNKNOWN_PEER)
        s_on_unknown_peer (self);
    else if (self->state == CONN_GREETING)
        s_lost (self, "the broker refused the greeting");
}

bool link_on_message (link_t *self, const usi_msg_t *msg)
{
    self->pings = 0;
    self->ping_at = usi_now_ms () + self->heartbeat_ms;
    switch (msg->type) {
    case USI_WELCOME: s_on_welcome (self, msg); return true;
    case USI_PING: s_send_empty (self, USI_PONG); return true;
    case USI_PONG: return true;
    case USI_BYE: s_lost (self, "the broker says good-bye"); return true;
    case USI_ERROR:
        s_on_error (self, msg);
        return !usi_has (&msg->head, USI_F_REF); /* the answer to a query goes on */
    default: return !link_is_ready (self);
    }
}

void link_on_malformed (link_t *self, const usi_msg_t *msg)
{
    client_log (self->client, US_LOG_WARNING, "%s: malformed message of type %d: %s",
                self->address ? self->address : "?", msg->type,
                msg->why ? msg->why : "");
}

void link_send (link_t *self, usi_msg_t *msg)
{
    if (!self->socket)
        return;
    int rc = usi_msg_send (msg, self->socket, s_no_routing);
    if (rc) {
        usi_msg_clear (msg);
        s_lost (self, strerror (rc));
    }
}

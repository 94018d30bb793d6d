/* SPDX-License-Identifier: MIT
 *
 * The node's connection to a broker: see conn.h. */
#include "conn.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/file.h"
#include "base/mem.h"
#include "net/connection.h"

#define LOOK_MS      2000 /* for the registry to answer */
#define GREETING_MS  3000 /* from connect to WELCOME */
#define PAUSE_MS     100
#define PAUSE_MAX_MS 10000
#define SHORT_PAUSES 5
#define LINGER_MS    500 /* for BYE */
#define RECEIVE_MAX  1000

struct node_conn {
    node_t *node;
    node_conn_events_t events;
    usi_conn_t *conn;
    char *endpoints;              /* by comma */
    usi_buf_t channels, pythons;  /* of HELLO */
    void *socket;                 /* watched; NULL: none is */
    int monitor_fd, discovery_fd; /* watched; -1: not */
    int timer;                    /* 0: none */
    int64_t timer_ms;             /* when it fires */
    bool told;                    /* the log knows that there is no broker */
    usi_revocation_t revoked;     /* keys that are good no more */
    char *revoked_path;           /* the same on disk; NULL: no keys */
    uint64_t revoked_number;      /* of what stands there */
};

/* --- the loop --------------------------------------------------------------------- */

static int s_on_timer (zloop_t *zloop, int timer, void *arg);

/* The timer fires when the connection wants to be served, or earlier. */
static void s_set_timer (node_conn_t *self)
{
    int64_t due_ms = usi_conn_due_ms (self->conn), now_ms = usi_now_ms ();
    if (due_ms == INT64_MAX || (self->timer && self->timer_ms <= due_ms))
        return;
    loop_cancel (self->node->loop, &self->timer);
    self->timer_ms = due_ms;
    self->timer = loop_after (self->node->loop, due_ms > now_ms ? due_ms - now_ms : 0,
                              s_on_timer, self);
}

static void s_serve (node_conn_t *self)
{
    usi_conn_service (self->conn);
    s_set_timer (self);
}

static int s_on_timer (zloop_t *zloop, int timer, void *arg)
{
    node_conn_t *self = arg;
    (void) zloop, (void) timer;
    self->timer = 0;
    s_serve (self);
    return 0;
}

static int s_on_readable (zloop_t *zloop, zmq_pollitem_t *item, void *arg)
{
    const node_conn_t *self = arg;
    (void) zloop, (void) item;
    usi_conn_read (self->conn);
    return 0;
}

static int s_on_monitor (zloop_t *zloop, zmq_pollitem_t *item, void *arg)
{
    const node_conn_t *self = arg;
    (void) zloop, (void) item;
    usi_conn_receive (self->conn);
    return 0;
}

static int s_on_discovered (zloop_t *zloop, zmq_pollitem_t *item, void *arg)
{
    (void) zloop, (void) item;
    s_serve (arg);
    return 0;
}

static void s_watch (node_conn_t *self)
{
    self->socket = usi_conn_socket (self->conn);
    if (!self->socket)
        return;
    zmq_pollitem_t item = {.socket = self->socket, .events = ZMQ_POLLIN};
    zloop_poller (self->node->loop->zloop, &item, s_on_readable, self);
    zloop_poller_set_tolerant (self->node->loop->zloop, &item);
    self->monitor_fd = usi_conn_monitor_fd (self->conn);
    loop_watch (self->node->loop, self->monitor_fd, s_on_monitor, self);
}

static void s_unwatch (node_conn_t *self)
{
    if (!self->socket)
        return;
    zmq_pollitem_t item = {.socket = self->socket};
    zloop_poller_end (self->node->loop->zloop, &item);
    loop_unwatch (self->node->loop, self->monitor_fd);
    self->socket = NULL;
}

/* --- what the connection tells ---------------------------------------------------- */

static void s_take_limits (node_limits_t *limits, const usi_fields_t *head)
{
    if (usi_has (head, USI_F_LEASE_MS) && head->lease_ms > 0)
        limits->lease_ms = (int64_t) head->lease_ms;
    if (usi_has (head, USI_F_MAX_BODY) && head->max_body > 0)
        limits->max_body = head->max_body;
    if (usi_has (head, USI_F_MAX_PAYLOAD) && head->max_payload > 0)
        limits->max_payload = head->max_payload;
    limits->max_buffer = head->max_buffer;
    limits->max_buffers = head->max_buffers;
}

static void s_up (node_conn_t *self, const usi_fields_t *head)
{
    self->told = false;
    s_take_limits (&self->node->limits, head);
    usi_info ("broker.connected", "connected to a broker endpoint=%s broker=%08llx",
              usi_conn_address (self->conn), (unsigned long long) head->broker);
    self->events.up (self->events.arg, head);
}

/* Says so once, until there is a broker again. */
static void s_down (node_conn_t *self, bool was_ready, const char *why)
{
    const char *no_key = self->node->options.no_key;
    bool is_refused = usi_conn_is_refused (self->conn);
    s_unwatch (self);
    if (was_ready)
        usi_warning ("broker.lost", "the broker is gone: %s endpoint=%s", why,
                     usi_conn_address (self->conn));
    else if (!self->told)
        usi_warning ("broker.unreachable", "no answer: %s%s%s endpoint=%s", why,
                     is_refused && no_key ? "; " : "",
                     is_refused && no_key ? no_key : "", usi_conn_address (self->conn));
    self->told = true;
    self->events.down (self->events.arg);
}

static void s_none (node_conn_t *self, const char *why)
{
    if (!self->told)
        usi_warning ("broker.none", "looking for a broker: %s", why);
    self->told = true;
}

/* The list is kept beside the environments: a broker cannot bring back a key that an other
 * one has told to be revoked. */
static void s_load_revoked (node_conn_t *self)
{
    const usi_identity_t *identity = self->node->options.identity;
    char text[USI_KEY_TEXT_LEN + 1];
    usi_buf_t bytes = {0};
    if (!identity)
        return;
    usi_key_text (identity->cluster.key, text);
    self->revoked_path = usi_sprintf ("%s/revoked-%s", self->node->options.cache, text);
    int error = usi_file_read (self->revoked_path, USI_MAX_REVOKED, &bytes);
    const char *why = error
                          ? strerror (error)
                          : usi_revocation_take (&self->revoked, usi_buf_bytes (&bytes),
                                                 identity->cluster.key);
    if (why && error != ENOENT)
        usi_warning ("keys.revoked", "%s: %s", self->revoked_path, why);
    self->revoked_number = self->revoked.number;
    usi_buf_free (&bytes);
}

static void s_save_revoked (node_conn_t *self)
{
    if (self->revoked.number == self->revoked_number)
        return;
    int error =
        usi_file_write (self->revoked_path, usi_buf_bytes (&self->revoked.bytes), 0600);
    if (error)
        usi_warning ("keys.revoked", "%s: %s", self->revoked_path, strerror (error));
    self->revoked_number = self->revoked.number;
}

static void s_on_changed (void *arg, usi_conn_state_t before, usi_conn_event_t event,
                          const char *why, const usi_msg_t *welcome)
{
    node_conn_t *self = arg;
    switch (event) {
    case USI_CONN_ON_ADDRESS: s_watch (self); break;
    case USI_CONN_ON_WELCOME: s_up (self, &welcome->head); break;
    case USI_CONN_ON_LOST: s_down (self, before == USI_CONN_READY, why); break;
    case USI_CONN_ON_NO_ADDRESS: s_none (self, why); break;
    case USI_CONN_ON_STOP: s_unwatch (self); break;
    default: break;
    }
    s_save_revoked (self);
    s_set_timer (self);
}

static void s_on_hello (void *arg, usi_fields_t *head)
{
    node_conn_t *self = arg;
    const node_options_t *options = &self->node->options;
    self->channels.len = self->pythons.len = 0;
    for (size_t i = 0; i < options->channels_len; i++)
        usi_list_add_str (&self->channels, usi_bytes_of (options->channels[i]));
    for (size_t i = 0; i < options->pythons_len; i++)
        usi_list_add_str (&self->pythons, usi_bytes_of (options->pythons[i].version));
    USI_SET (head, NODE, node, self->node->id);
    USI_SET (head, BOOT, boot, self->node->boot);
    USI_SET (head, SLOTS, slots, options->slots);
    USI_SET (head, CHANNELS, channels,
             usi_list_of (&self->channels, (uint32_t) options->channels_len));
    USI_SET (head, PYTHONS, pythons,
             usi_list_of (&self->pythons, (uint32_t) options->pythons_len));
}

static void s_on_message (void *arg, const usi_msg_t *msg)
{
    const node_conn_t *self = arg;
    self->events.message (self->events.arg, msg);
}

static void s_on_error (void *arg, const usi_msg_t *msg)
{
    const usi_fields_t *head = &msg->head;
    (void) arg;
    if (head->code == US_ERR_UNKNOWN_PEER)
        return; /* greets again */
    usi_error ("broker.refused",
               "the broker answered with an error: %.*s code=%lld to=%s",
               (int) head->text.len, (const char *) head->text.data,
               (long long) head->code, usi_type_name ((int) head->count));
}

static void s_on_malformed (void *arg, const usi_msg_t *msg)
{
    (void) arg;
    usi_notice ("message.malformed", "dropped what a broker sent: %s type=%s",
                msg->why ? msg->why : "", usi_type_name (msg->type));
}

/* --- the owner's calls ------------------------------------------------------------ */

bool node_conn_is_up (const node_conn_t *self)
{
    return usi_conn_is_ready (self->conn);
}

void node_conn_send (node_conn_t *self, usi_msg_t *msg)
{
    usi_conn_send (self->conn, msg);
}

void node_conn_bye (node_conn_t *self, const char *why)
{
    usi_conn_stop (self->conn, why);
}

static char *s_join (const char *const *texts, size_t count)
{
    usi_buf_t all = {0};
    for (size_t i = 0; i < count; i++)
        usi_buf_printf (&all, "%s%s", i ? "," : "", texts[i]);
    char *text = usi_bytes_dup_text (usi_buf_bytes (&all));
    usi_buf_free (&all);
    return text;
}

node_conn_t *node_conn_new (node_t *node, const node_conn_events_t *events)
{
    node_conn_t *self = usi_new (node_conn_t);
    const node_options_t *options = &node->options;
    self->node = node;
    self->events = *events;
    self->endpoints = s_join (options->brokers, options->brokers_len);
    s_load_revoked (self);
    usi_conn_options_t conn = {
        .role = "node",
        .name = options->name,
        .identity = options->identity,
        .revoked = &self->revoked,
        .brokers = {.endpoints = options->redis ? NULL : self->endpoints,
                    .redis = options->redis,
                    .look_ms = LOOK_MS,
                    .in_turn = true},
        .connect_timeout_ms = GREETING_MS,
        .attempt_min_ms = GREETING_MS,
        .attempt_max_ms = GREETING_MS,
        .patient = true,
        .pause_min_ms = PAUSE_MS,
        .pause_max_ms = PAUSE_MAX_MS,
        .short_pauses = SHORT_PAUSES,
        .linger_ms = LINGER_MS,
        .receive_max = RECEIVE_MAX,
    };
    self->conn =
        usi_conn_new (&conn, &(usi_conn_events_t){.arg = self,
                                                  .changed = s_on_changed,
                                                  .hello = s_on_hello,
                                                  .message = s_on_message,
                                                  .error = s_on_error,
                                                  .malformed = s_on_malformed});
    US_ASSERT (self->conn);
    self->discovery_fd = usi_conn_discovery_fd (self->conn);
    if (self->discovery_fd >= 0)
        loop_watch (node->loop, self->discovery_fd, s_on_discovered, self);
    return self;
}

void node_conn_start (node_conn_t *self)
{
    usi_conn_want (self->conn);
}

void node_conn_destroy (node_conn_t **self_p)
{
    node_conn_t *self = *self_p;
    if (!self)
        return;
    if (self->discovery_fd >= 0)
        loop_unwatch (self->node->loop, self->discovery_fd);
    usi_conn_destroy (&self->conn);
    usi_revocation_clear (&self->revoked);
    free (self->revoked_path);
    loop_cancel (self->node->loop, &self->timer);
    usi_buf_free (&self->channels);
    usi_buf_free (&self->pythons);
    free (self->endpoints);
    free (self);
    *self_p = NULL;
}

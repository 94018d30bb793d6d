/* SPDX-License-Identifier: MIT
 *
 * The connection to a broker: see connection.h. s_apply is the only writer of its state,
 * which the table in conn_state.c decides. */
#include "net/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/dealer.h"
#include "understudy/version.h"

#define PINGS_MAX   3   /* unanswered; with the next one the broker is lost */
#define RECEIVE_MAX 256 /* messages at once, so that the owner does other things too */
/* Between rounds, before the first connection: a broker may be starting. */
#define IMPATIENT_PAUSE_MAX_MS 500

struct usi_conn {
    usi_conn_options_t options;
    usi_conn_events_t events;
    usi_conn_state_t state;
    bool is_foreign; /* the last socket belongs to another user */
    bool patient;    /* was told to be, or has been connected: never gives up */
    usi_discovery_t *discovery;
    bool new_round; /* to be begun by the next service */
    void *context;
    usi_dealer_t dealer;
    bool is_keyed; /* the connection is; then keys.broker is the broker's */
    bool is_refused;
    int64_t refused_at; /* since then, by every address; 0: not */
    usi_dealer_keys_t keys;
    usi_revocation_t own_revoked, *revoked;
    usi_msg_t in;
    char address[300]; /* "tcp://", the longest name, a port */
    char why[256];     /* the last reason for a failure */
    int64_t give_up_at, attempt_until, resume_at, ping_at; /* monotonic ms */
    int64_t heartbeat_ms;
    unsigned pauses; /* since the last WELCOME */
    unsigned pings;  /* unanswered */
};

/* --- states ----------------------------------------------------------------------- */

/* False: the event has no meaning now, and nothing has happened. */
static bool s_apply (usi_conn_t *self, usi_conn_event_t event, const char *why,
                     const usi_msg_t *welcome)
{
    usi_conn_state_t before = self->state;
    if (!usi_conn_next (before, event, &self->state))
        return false;
    if (why)
        snprintf (self->why, sizeof self->why, "%s", why);
    self->events.changed (self->events.arg, before, event, self->why, welcome);
    return true;
}

/* From READY a new round begins at once; from GREETING the round goes on. */
static void s_lost (usi_conn_t *self, const char *why)
{
    bool was_ready = self->state == USI_CONN_READY;
    if (!self->is_refused)
        self->refused_at = 0;
    else if (!self->refused_at)
        self->refused_at = usi_now_ms ();
    if (!s_apply (self, USI_CONN_ON_LOST, why, NULL))
        return;
    usi_dealer_close (&self->dealer, 0);
    self->new_round = was_ready;
}

static void s_give_up (usi_conn_t *self)
{
    if (s_apply (self, USI_CONN_ON_GIVE_UP, NULL, NULL))
        usi_dealer_close (&self->dealer, 0);
}

/* --- sending ---------------------------------------------------------------------- */

void usi_conn_send (usi_conn_t *self, usi_msg_t *msg)
{
    int error = 0;
    if (self->dealer.socket)
        error = usi_msg_send (msg, self->dealer.socket, usi_bytes (NULL, 0));
    usi_msg_clear (msg);
    if (error)
        s_lost (self, strerror (error));
}

static void s_send_plain (usi_conn_t *self, usi_type_t type, const char *text)
{
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, type);
    if (text)
        USI_SET (&msg.head, TEXT, text, usi_bytes_of (text));
    usi_conn_send (self, &msg);
    usi_msg_free (&msg);
}

static void s_send_hello (usi_conn_t *self)
{
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, USI_HELLO);
    USI_SET (&msg.head, ROLE, role, usi_bytes_of (self->options.role));
    USI_SET (&msg.head, VERSION, version, usi_bytes_of (US_VERSION_STRING));
    USI_SET (&msg.head, NAME, name, usi_bytes_of (self->options.name));
    USI_SET (&msg.head, HOST, host, usi_bytes_of (usi_host ()));
    USI_SET (&msg.head, PID, pid, (uint64_t) getpid ());
    if (self->is_keyed)
        USI_SET (&msg.head, CERTIFICATE, certificate,
                 usi_bytes (self->options.identity->certificate.bytes,
                            self->options.identity->certificate.len));
    if (self->events.hello)
        self->events.hello (self->events.arg, &msg.head);
    usi_conn_send (self, &msg);
    usi_msg_free (&msg);
}

/* --- seeking ---------------------------------------------------------------------- */

/* How long one address may take. */
static int64_t s_attempt_ms (const usi_conn_t *self)
{
    const usi_conn_options_t *options = &self->options;
    size_t count = usi_discovery_count (self->discovery);
    int64_t ms = options->connect_timeout_ms;
    if (count <= 1)
        return ms < options->attempt_max_ms ? options->attempt_max_ms : ms;
    ms /= (int64_t) count;
    return ms < options->attempt_min_ms   ? options->attempt_min_ms
           : ms > options->attempt_max_ms ? options->attempt_max_ms
                                          : ms;
}

static int64_t s_pause_ms (usi_conn_t *self)
{
    int64_t ms = self->options.pause_min_ms, max_ms = self->options.pause_max_ms;
    if (!self->patient && max_ms > IMPATIENT_PAUSE_MAX_MS)
        max_ms = IMPATIENT_PAUSE_MAX_MS;
    for (unsigned i = self->options.short_pauses; i < self->pauses && ms < max_ms; i++)
        ms *= 2;
    self->pauses++;
    return usi_jitter_ms (ms < max_ms ? ms : max_ms);
}

static void s_pause (usi_conn_t *self)
{
    bool none = usi_discovery_count (self->discovery) == 0;
    self->resume_at = usi_now_ms () + s_pause_ms (self);
    s_apply (self, USI_CONN_ON_NO_ADDRESS,
             none ? usi_discovery_why (self->discovery) : NULL, NULL);
}

/* Takes address and key apart. NULL, or why it cannot be tried. */
static const char *s_take_address (usi_conn_t *self, const char *address)
{
    const usi_identity_t *identity = self->options.identity;
    bool is_tcp = strncmp (address, "tcp://", 6) == 0;
    const char *key = is_tcp ? strchr (address, '#') : NULL;
    int len = (int) (key ? (size_t) (key - address) : strlen (address));
    snprintf (self->address, sizeof self->address, "%.*s", len, address);
    self->is_keyed = is_tcp && identity;
    self->is_refused = self->is_foreign = false;
    if (key && !usi_key_parse (key + 1, self->keys.broker))
        return "what stands behind # is not a broker's key";
    if (key && !identity)
        return "this broker wants a key, and there is none here";
    if (self->is_keyed && !key)
        return "the cluster file lists no broker, so that its key is not known";
    self->keys.own = self->is_keyed ? &identity->keys : NULL;
    return NULL;
}

static const char *s_open (usi_conn_t *self, const char *address)
{
    const char *why = s_take_address (self, address);
    self->is_refused = why != NULL;
    if (why)
        return why;
    if (usi_dealer_open (&self->dealer, self->context, self->address,
                         self->is_keyed ? &self->keys : NULL,
                         self->options.receive_max))
        return NULL;
    self->is_foreign = errno == EACCES;
    return self->is_foreign ? "the socket belongs to another user"
                            : zmq_strerror (errno);
}

/* Tries the next address, or ends the round. */
static void s_seek (usi_conn_t *self)
{
    if (self->new_round) {
        self->new_round = false;
        self->why[0] = '\0';
        usi_discovery_begin (self->discovery);
    }
    if (usi_discovery_is_looking (self->discovery))
        return; /* its descriptor will tell */
    const char *address = usi_discovery_next (self->discovery);
    if (!address) {
        s_pause (self);
        return;
    }
    const char *why = s_open (self, address);
    self->attempt_until = usi_now_ms () + s_attempt_ms (self);
    s_apply (self, USI_CONN_ON_ADDRESS, NULL, NULL);
    if (why)
        s_lost (self, why);
    else
        s_send_hello (self);
}

/* --- what the broker says --------------------------------------------------------- */

/* The broker tells which keys are good no more: its own may be one of them. */
static const char *s_check_broker (usi_conn_t *self, const usi_fields_t *welcome)
{
    const usi_identity_t *identity = self->options.identity;
    const char *why = usi_has (welcome, USI_F_REVOKED)
                          ? usi_revocation_take (self->revoked, welcome->revoked,
                                                 identity->cluster.key)
                          : NULL;
    return why ? why
               : usi_trust_broker (identity, self->revoked, welcome->certificate,
                                   self->keys.broker);
}

/* With what the PING was marked by: it says that all before it has been read. */
static void s_send_pong (usi_conn_t *self, const usi_msg_t *ping)
{
    usi_msg_t pong = USI_MSG_INIT;
    usi_msg_begin (&pong, USI_PONG);
    if (usi_has (&ping->head, USI_F_REF))
        USI_SET (&pong.head, REF, ref, ping->head.ref);
    usi_conn_send (self, &pong);
    usi_msg_free (&pong);
}

/* Only where the broker has proved who it is. */
static void s_learn (usi_conn_t *self, const usi_fields_t *head)
{
    if (self->is_keyed && usi_has (head, USI_F_ENDPOINTS))
        usi_discovery_learn (self->discovery, &head->endpoints);
}

static void s_on_ping (usi_conn_t *self, const usi_msg_t *ping)
{
    if (self->state == USI_CONN_READY)
        s_learn (self, &ping->head);
    s_send_pong (self, ping);
}

static void s_on_welcome (usi_conn_t *self, const usi_msg_t *msg)
{
    if (self->state != USI_CONN_GREETING)
        return;
    const char *why = self->is_keyed ? s_check_broker (self, &msg->head) : NULL;
    if (why) {
        self->is_refused = true;
        s_lost (self, why);
        return;
    }
    int64_t heartbeat_ms = (int64_t) msg->head.heartbeat_ms;
    self->heartbeat_ms = heartbeat_ms > 0 ? heartbeat_ms : USI_HEARTBEAT_MS;
    self->ping_at = usi_now_ms () + self->heartbeat_ms;
    self->patient = true;
    self->refused_at = 0;
    self->pauses = 0;
    s_learn (self, &msg->head);
    s_apply (self, USI_CONN_ON_WELCOME, "", msg);
}

/* While GREETING it means nothing: our HELLO is on its way already. */
static void s_on_unknown_peer (usi_conn_t *self)
{
    if (!s_apply (self, USI_CONN_ON_UNKNOWN_PEER, NULL, NULL))
        return;
    self->attempt_until = usi_now_ms () + s_attempt_ms (self);
    s_send_hello (self);
}

static void s_refused (usi_conn_t *self, const usi_msg_t *msg)
{
    char why[sizeof self->why];
    snprintf (why, sizeof why, "the broker refused the greeting: %.*s",
              (int) msg->head.text.len, (const char *) msg->head.text.data);
    self->is_refused = msg->head.code == US_ERR_DENIED;
    s_lost (self, why);
}

static void s_on_error (usi_conn_t *self, const usi_msg_t *msg)
{
    self->events.error (self->events.arg, msg);
    if (msg->head.code == US_ERR_UNKNOWN_PEER)
        s_on_unknown_peer (self);
    else if (self->state == USI_CONN_GREETING)
        s_refused (self, msg);
    else if (usi_has (&msg->head, USI_F_REF))
        self->events.message (self->events.arg, msg);
}

static void s_on_message (usi_conn_t *self, const usi_msg_t *msg)
{
    switch (msg->type) {
    case USI_WELCOME: s_on_welcome (self, msg); break;
    case USI_PING: s_on_ping (self, msg); break;
    case USI_PONG: break;
    case USI_BYE: s_lost (self, "the broker says good-bye"); break;
    case USI_ERROR: s_on_error (self, msg); break;
    default:
        if (self->state == USI_CONN_READY)
            self->events.message (self->events.arg, msg);
    }
}

static void s_heard (usi_conn_t *self)
{
    self->pings = 0;
    self->ping_at = usi_now_ms () + self->heartbeat_ms;
}

/* A message may end the connection over which it came. */
void usi_conn_read (usi_conn_t *self)
{
    void *socket = self->dealer.socket;
    for (int i = 0; i < RECEIVE_MAX && socket && self->dealer.socket == socket; i++) {
        int error = usi_msg_recv (&self->in, socket, NULL, NULL);
        if (error && error != EPROTO && error != ENOTSUP)
            break;
        s_heard (self);
        if (error)
            self->events.malformed (self->events.arg, &self->in);
        else
            s_on_message (self, &self->in);
    }
}

void usi_conn_receive (usi_conn_t *self)
{
    usi_conn_read (self);
    const char *trouble = usi_dealer_trouble (&self->dealer);
    if (!trouble)
        return;
    self->is_refused = strcmp (trouble, USI_DEALER_NOT_ADMITTED) == 0 ||
                       strcmp (trouble, USI_DEALER_NO_HANDSHAKE) == 0;
    s_lost (self, trouble);
}

/* --- what is due ------------------------------------------------------------------ */

static void s_heartbeat (usi_conn_t *self, int64_t now)
{
    if (now < self->ping_at)
        return;
    if (self->pings >= PINGS_MAX) {
        s_lost (self, "the broker does not answer");
        return;
    }
    self->pings++;
    self->ping_at = now + self->heartbeat_ms;
    s_send_plain (self, USI_PING, NULL);
}

static bool s_is_overdue (const usi_conn_t *self, int64_t now)
{
    bool trying = self->state == USI_CONN_SEEKING || self->state == USI_CONN_GREETING ||
                  self->state == USI_CONN_PAUSED;
    bool is_sent_away = self->options.heeds_refusal && self->refused_at &&
                        now - self->refused_at >= self->options.connect_timeout_ms;
    return trying && (is_sent_away || (!self->patient && now >= self->give_up_at));
}

void usi_conn_service (usi_conn_t *self)
{
    int64_t now = usi_now_ms ();
    if (usi_discovery_is_looking (self->discovery)) {
        if (!usi_discovery_collect (self->discovery))
            return; /* it has an end of its own, and says why there is no broker */
        s_seek (self);
    }
    if (s_is_overdue (self, now)) {
        s_give_up (self);
        return;
    }
    if (self->state == USI_CONN_PAUSED && now >= self->resume_at) {
        self->new_round = true; /* the registry may have changed */
        s_apply (self, USI_CONN_ON_RETRY, NULL, NULL);
    }
    if (self->state == USI_CONN_GREETING && now >= self->attempt_until)
        s_lost (self, "no answer");
    if (self->state == USI_CONN_READY)
        s_heartbeat (self, now);
    if (self->state == USI_CONN_SEEKING)
        s_seek (self);
}

int64_t usi_conn_due_ms (const usi_conn_t *self)
{
    int64_t due = INT64_MAX;
    switch (self->state) {
    case USI_CONN_SEEKING:
        return usi_discovery_is_looking (self->discovery) ? INT64_MAX : 0;
    case USI_CONN_GREETING: due = self->attempt_until; break;
    case USI_CONN_READY: return self->ping_at;
    case USI_CONN_PAUSED: due = self->resume_at; break;
    default: return INT64_MAX;
    }
    return !self->patient && self->give_up_at < due ? self->give_up_at : due;
}

bool usi_conn_is_readable (const usi_conn_t *self)
{
    return usi_dealer_is_readable (&self->dealer);
}

int usi_conn_fds (const usi_conn_t *self, int fds[USI_CONN_FDS_MAX])
{
    int count = 0;
    if (self->dealer.socket) {
        fds[count++] = self->dealer.socket_fd;
        fds[count++] = self->dealer.monitor_fd;
    }
    if (usi_discovery_is_looking (self->discovery))
        fds[count++] = usi_discovery_fd (self->discovery);
    return count;
}

/* --- life ------------------------------------------------------------------------- */

usi_conn_t *usi_conn_new (const usi_conn_options_t *options,
                          const usi_conn_events_t *events)
{
    usi_brokers_t brokers = options->brokers;
    brokers.cluster = options->identity ? &options->identity->cluster : NULL;
    usi_discovery_t *discovery = usi_discovery_new (&brokers);
    void *context = zmq_ctx_new ();
    usi_conn_t *self = discovery && context ? calloc (1, sizeof *self) : NULL;
    if (!self) {
        usi_discovery_destroy (&discovery);
        if (context)
            zmq_ctx_term (context);
        return NULL;
    }
    self->options = *options;
    self->revoked = options->revoked ? options->revoked : &self->own_revoked;
    self->events = *events;
    self->patient = options->patient;
    self->heartbeat_ms = USI_HEARTBEAT_MS;
    self->discovery = discovery;
    self->context = context;
    return self;
}

void usi_conn_want (usi_conn_t *self)
{
    if (self->state != USI_CONN_IDLE)
        return;
    self->give_up_at = usi_now_ms () + self->options.connect_timeout_ms;
    self->refused_at = 0;
    self->new_round = true;
    self->pauses = 0;
    s_apply (self, USI_CONN_ON_WANTED, NULL, NULL);
}

void usi_conn_stop (usi_conn_t *self, const char *text)
{
    bool was_ready = self->state == USI_CONN_READY;
    if (was_ready)
        s_send_plain (self, USI_BYE, text);
    s_apply (self, USI_CONN_ON_STOP, NULL, NULL);
    usi_dealer_close (&self->dealer, was_ready ? self->options.linger_ms : 0);
}

void usi_conn_destroy (usi_conn_t **self_p)
{
    usi_conn_t *self = *self_p;
    if (!self)
        return;
    if (self->state != USI_CONN_CLOSED)
        usi_conn_stop (self, NULL);
    zmq_ctx_term (self->context);
    usi_discovery_destroy (&self->discovery);
    usi_msg_free (&self->in);
    usi_revocation_clear (&self->own_revoked);
    free (self);
    *self_p = NULL;
}

usi_conn_state_t usi_conn_state (const usi_conn_t *self)
{
    return self->state;
}

bool usi_conn_is_ready (const usi_conn_t *self)
{
    return self->state == USI_CONN_READY;
}

const char *usi_conn_address (const usi_conn_t *self)
{
    return self->address;
}

const char *usi_conn_why (const usi_conn_t *self)
{
    return self->why;
}

bool usi_conn_is_foreign (const usi_conn_t *self)
{
    return self->is_foreign;
}

bool usi_conn_is_refused (const usi_conn_t *self)
{
    return self->is_refused;
}

bool usi_conn_is_misconfigured (const usi_conn_t *self)
{
    return usi_discovery_error (self->discovery) == US_ERR_CONFIG;
}

void *usi_conn_socket (const usi_conn_t *self)
{
    return self->dealer.socket;
}

int usi_conn_monitor_fd (const usi_conn_t *self)
{
    return self->dealer.monitor_fd;
}

int usi_conn_discovery_fd (const usi_conn_t *self)
{
    return usi_discovery_fd (self->discovery);
}

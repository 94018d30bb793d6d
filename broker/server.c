/* SPDX-License-Identifier: MIT
 *
 * See server.h. This file wires the parts together and holds the loop; what is done about
 * a message or an event stands in handlers/ and core/. In a turn the loop reads what peers
 * sent and dispatches it to handlers, which ask the store; or it reads what the store
 * answered, whose callbacks fill the outbox. Then it sends what was gathered. Nothing
 * blocks. */
#include "server.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/entries.h"
#include "connections.h"
#include "core/audit.h"
#include "core/fanout.h"
#include "core/follows.h"
#include "core/keys.h"
#include "core/orders.h"
#include "core/presence.h"
#include "core/schedule.h"
#include "core/others.h"
#include "core/slow_peers.h"
#include "core/unfinished.h"
#include "handlers/dispatch.h"
#include "unix_socket.h"
#include "zap.h"

#define TURN_MAX       256   /* messages read in one turn */
#define SEND_MARK      128   /* messages queued to a peer, 1 MiB each at most */
#define RECEIVE_MARK   64    /* messages waiting from a peer, of 4 MiB at most each */
#define BACKLOG_OPS    65536 /* with more than this at the store, nothing is read */
#define BACKLOG_BYTES  (64u * 1024 * 1024)
#define TRIM_REFRESHES 5
#define RESUME_MS      2
#define LINGER_MS      500
#define STORE_WAIT_MS  5000
#define END_TICK_MS    10
#define END_WAIT_MS    3000 /* for the store to answer what is under way */
#define QUIET_BEATS    4    /* without PINGs, after a pause in reading */
#define DENIED_MS      1000 /* between two lines about who was turned away */

struct server {
    broker_t core;
    zloop_t *loop;
    zsock_t *routers[DOORS];
    void *sockets[DOORS]; /* the raw ROUTERs; NULL: no keys, no such door */
    connections_t *connections;
    zap_t *zap; /* NULL: no keys */
    server_options_t options;
    private_redis_t *redis;
    zmq_pollitem_t signals;
    usi_msg_t msg; /* received */
    bool begun;    /* the store has been ready once */
    bool reading;
    bool was_lost;   /* the store was lost since it was last ready */
    bool turn_timer; /* the end of the turn has a timer */
    bool slow_timer;
    unsigned refreshes;
    unsigned quiet_beats;  /* beats to come that PING nobody */
    int64_t idle_since_ms; /* no node since then; -1: there is one */
    int64_t end_at_ms;
    unix_socket_t *unix_sockets[ENDPOINTS_MAX];
    size_t unix_sockets_len;
};

static int s_on_readable (zloop_t *loop, zsock_t *reader, void *arg);

/* --- the turn ----------------------------------------------------------------------------- */

static void s_end_turn (server_t *self)
{
    outbox_flush (self->core.outbox);
    presence_reap (&self->core);
}

static int s_on_turn (zloop_t *loop, int timer, void *arg)
{
    server_t *self = arg;
    (void) loop;
    (void) timer;
    self->turn_timer = false;
    s_end_turn (self);
    return 0;
}

/* Hook of the outbox: a message was begun, by a handler or by a callback of the store. */
static void s_on_filled (void *arg)
{
    server_t *self = arg;
    if (!self->turn_timer)
        zloop_timer (self->loop, 0, 1, s_on_turn, self);
    self->turn_timer = true;
}

/* A timer that repeats comes several times in a row after a turn that took long, even
 * when its first handler has ended it: what ends itself is started anew each time. */
static int s_on_slow (zloop_t *loop, int timer, void *arg)
{
    server_t *self = arg;
    (void) timer;
    self->slow_timer = slow_peers_retry (&self->core);
    if (self->slow_timer)
        zloop_timer (loop, SLOW_PEERS_RETRY_MS, 1, s_on_slow, self);
    return 0;
}

static void s_on_unsent (peer_t *peer, const usi_msg_t *msg, void *arg)
{
    server_t *self = arg;
    slow_peer_unsent (&self->core, peer, msg);
    if (!self->slow_timer)
        zloop_timer (self->loop, SLOW_PEERS_RETRY_MS, 1, s_on_slow, self);
    self->slow_timer = true;
}

static void s_on_gone (peer_t *peer, const usi_msg_t *msg, void *arg)
{
    server_t *self = arg;
    presence_closed (&self->core, peer, msg);
}

/* --- receiving ---------------------------------------------------------------------------- */

/* Takes one message; false where there is none. A routing id that libzmq has made begins
 * with a zero and is never made again; one that a peer has chosen may be another's. */
static bool s_receive (server_t *self, uint8_t door)
{
    routing_t routing = {.door = door};
    int rc =
        usi_msg_recv (&self->msg, self->sockets[door], routing.bytes, &routing.len);
    bool is_chosen = routing.len == 0 || routing.bytes[0] != 0;
    if ((rc == 0 || rc == EPROTO || rc == ENOTSUP) && is_chosen)
        dispatch_refused (&self->core, &routing, &self->msg,
                          "a peer sets no routing id of its own");
    else if (rc == 0)
        dispatch (&self->core, &routing, &self->msg);
    else if (rc == EPROTO)
        dispatch_malformed (&self->core, &routing, &self->msg, US_ERR_PROTOCOL);
    else if (rc == ENOTSUP)
        dispatch_malformed (&self->core, &routing, &self->msg, US_ERR_UNSUPPORTED);
    else
        return false;
    return true;
}

/* --- back pressure ------------------------------------------------------------------------ */

static bool s_is_over (const server_t *self, unsigned part)
{
    size_t bytes = 0;
    size_t ops = store_backlog (self->core.store, &bytes);
    return ops > BACKLOG_OPS / part || bytes > BACKLOG_BYTES / part;
}

static void s_start_reading (server_t *self)
{
    for (int door = 0; door < DOORS; door++)
        if (self->routers[door]) {
            zloop_reader (self->loop, self->routers[door], s_on_readable, self);
            zloop_reader_set_tolerant (self->loop, self->routers[door]);
        }
    self->reading = true;
}

static void s_stop_reading (server_t *self)
{
    for (int door = 0; self->reading && door < DOORS; door++)
        if (self->routers[door])
            zloop_reader_end (self->loop, self->routers[door]);
    self->reading = false;
    self->quiet_beats = QUIET_BEATS;
}

static int s_on_resume (zloop_t *loop, int timer, void *arg)
{
    server_t *self = arg;
    (void) timer;
    if (self->core.ending)
        return 0;
    if (s_is_over (self, 2))
        zloop_timer (loop, RESUME_MS, 1, s_on_resume, self);
    else
        s_start_reading (self);
    return 0;
}

/* Stops reading while the store has more to answer than it can answer soon: messages stay
 * in the sockets, until peers cannot send any more. */
static void s_check_backlog (server_t *self)
{
    if (!self->reading || !s_is_over (self, 1))
        return;
    s_stop_reading (self);
    zloop_timer (self->loop, RESUME_MS, 1, s_on_resume, self);
}

static int s_on_readable (zloop_t *loop, zsock_t *reader, void *arg)
{
    server_t *self = arg;
    uint8_t door = reader == self->routers[DOOR_KEYED] ? DOOR_KEYED : DOOR_PLAIN;
    (void) loop;
    for (int i = 0; i < TURN_MAX && !s_is_over (self, 1) && s_receive (self, door); i++)
        ;
    store_flush (self->core.store);
    s_end_turn (self);
    s_check_backlog (self);
    return 0;
}

/* --- beats -------------------------------------------------------------------------------- */

/* After a pause in reading, the answers to earlier PINGs are still to be read, so no peer is
 * found silent for some beats. */
static void s_beat_peers (server_t *self)
{
    if (self->quiet_beats > 0)
        self->quiet_beats--;
    else
        presence_beat (&self->core);
}

static bool s_is_idle_for_long (server_t *self)
{
    if (peers_count (self->core.peers, USI_BY_NODE) > 0)
        self->idle_since_ms = -1;
    else if (self->idle_since_ms < 0)
        self->idle_since_ms = usi_now_ms ();
    return self->begun && self->options.exit_when_idle_ms >= 0 &&
           self->idle_since_ms >= 0 &&
           usi_now_ms () - self->idle_since_ms >= self->options.exit_when_idle_ms;
}

static void s_cut_silent (server_t *self)
{
    size_t cut = connections_cut_silent (self->connections, usi_now_ms ());
    if (cut > 0)
        usi_notice ("connections.silent", "cut %zu connections that said no HELLO",
                    cut);
}

static int s_on_look (zloop_t *loop, int timer, void *arg)
{
    server_t *self = arg;
    (void) timer;
    zloop_timer (loop, UNFINISHED_LOOK_MS, 1, s_on_look, self);
    connections_cut_endless (self->connections);
    unfinished_look (&self->core);
    s_end_turn (self);
    return 0;
}

static void s_begin_end (server_t *self);

/* Fires once and is started anew: a timer of czmq that repeats runs once for each time that
 * was missed, and after a time in which the broker stood still all peers would be called
 * silent before a message of theirs is read. */
static int s_on_beat (zloop_t *loop, int timer, void *arg)
{
    server_t *self = arg;
    (void) timer;
    if (self->core.ending)
        return 0;
    zloop_timer (loop, USI_HEARTBEAT_MS, 1, s_on_beat, self);
    if (store_is_ready (self->core.store))
        presence_ask_announce (&self->core, false);
    s_beat_peers (self);
    keys_refresh (&self->core);
    keys_enforce (&self->core);
    s_cut_silent (self);
    schedule_look (&self->core);
    s_end_turn (self);
    if (s_is_idle_for_long (self)) {
        usi_info ("broker.idle", "no node for %lld ms, ending",
                  (long long) self->options.exit_when_idle_ms);
        s_begin_end (self);
    }
    return 0;
}

static int s_on_refresh (zloop_t *loop, int timer, void *arg)
{
    server_t *self = arg;
    (void) timer;
    zloop_timer (loop, ENTRIES_REFRESH_MS, 1, s_on_refresh, self);
    entries_refresh (&self->core);
    others_refresh (&self->core);
    /* Returns freed heap to the system after a burst of large bodies. */
    if (++self->refreshes % TRIM_REFRESHES == 0)
        malloc_trim (0);
    return 0;
}

/* --- what the store tells ------------------------------------------------------------------ */

/* The store answers for the first time: peers are served from now on. A Redis that has much
 * to load takes connections before it answers. */
static void s_begin (server_t *self)
{
    self->begun = true;
    self->idle_since_ms = usi_now_ms ();
    keys_refresh (&self->core);
    if (self->zap)
        zap_start (self->zap, self->loop);
    s_start_reading (self);
    entries_refresh (&self->core);
    others_refresh (&self->core);
    if (self->options.ready)
        self->options.ready (self, self->options.arg);
}

/* Nobody knows what became of the operations that were under way when the store was lost,
 * so all peers announce anew. */
static void s_on_ready (void *arg)
{
    server_t *self = arg;
    if (self->core.ending)
        return;
    if (!self->begun)
        s_begin (self);
    if (self->was_lost) {
        usi_notice ("store.back", "the store answers again");
        presence_ask_announce (&self->core, true);
        s_end_turn (self);
    }
    self->was_lost = false;
    entries_refresh (&self->core);
}

/* The store itself has logged why. */
static void s_on_lost (void *arg, const char *why)
{
    server_t *self = arg;
    (void) why;
    self->was_lost = true;
}

static void s_on_ended (void *arg, const usi_id_t *id, const uint32_t *peers,
                        size_t count)
{
    server_t *self = arg;
    fanout_ended (&self->core, id, peers, count);
}

static void s_on_started (void *arg, const usi_id_t *id, const uint32_t *peers,
                          size_t count)
{
    server_t *self = arg;
    fanout_started (&self->core, id, peers, count);
}

static void s_on_logged (void *arg, const usi_id_t *id, const uint32_t *peers,
                         size_t count)
{
    server_t *self = arg;
    fanout_logged (&self->core, id, peers, count);
}

static void s_on_stop (void *arg, const usi_id_t *id, uint64_t node, uint32_t attempt)
{
    server_t *self = arg;
    order_stop (&self->core, id, node, attempt);
}

static void s_on_drain (void *arg, uint64_t node)
{
    server_t *self = arg;
    order_drain (&self->core, node);
}

/* One beat would do, but a key that was revoked is to be heard of no more at once. */
static void s_on_keys_changed (void *arg)
{
    keys_refresh (&((server_t *) arg)->core);
}

static void s_on_wake (void *arg, uint64_t node)
{
    server_t *self = arg;
    order_wake (&self->core, node);
}

/* --- ending ------------------------------------------------------------------------------- */

/* Passes on answers of the store while they come; then says BYE to all, ends the loop. */
static int s_on_ending (zloop_t *loop, int timer, void *arg)
{
    server_t *self = arg;
    (void) loop;
    (void) timer;
    bool answered = store_backlog (self->core.store, NULL) == 0;
    if (!answered && usi_now_ms () < self->end_at_ms)
        return 0;
    s_end_turn (self);
    presence_say_bye (&self->core);
    return -1;
}

static void s_begin_end (server_t *self)
{
    if (self->core.ending)
        return;
    s_stop_reading (self);
    entries_remove (&self->core);
    self->core.ending = true;
    if (self->redis)
        private_redis_ending (self->redis);
    store_flush (self->core.store);
    self->end_at_ms = usi_now_ms () + END_WAIT_MS;
    zloop_timer (self->loop, END_TICK_MS, 0, s_on_ending, self);
}

static int s_on_signal (zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    server_t *self = arg;
    struct signalfd_siginfo info;
    (void) loop;
    while (read (item->fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCHLD) {
            if (self->redis)
                private_redis_reap (self->redis);
            continue;
        }
        if (self->core.ending)
            return -1;
        usi_info ("broker.ending", "%s signal=%u",
                  "finishing what is under way; another signal ends now",
                  (unsigned) info.ssi_signo);
        s_begin_end (self);
    }
    return 0;
}

/* --- life --------------------------------------------------------------------------------- */

static void s_set (void *socket, int option, int value)
{
    US_ASSERT (zmq_setsockopt (socket, option, &value, sizeof value) == 0);
}

static void s_set_options (void *socket)
{
    int64_t most = USI_MAX_MESSAGE;
    s_set (socket, ZMQ_ROUTER_MANDATORY, 1);
    s_set (socket, ZMQ_SNDHWM, SEND_MARK);
    s_set (socket, ZMQ_RCVHWM, RECEIVE_MARK);
    s_set (socket, ZMQ_LINGER, LINGER_MS);
    s_set (socket, ZMQ_BACKLOG, 1024);
    s_set (socket, ZMQ_HANDSHAKE_IVL, 5000);
    US_ASSERT (zmq_setsockopt (socket, ZMQ_MAXMSGSIZE, &most, sizeof most) == 0);
}

/* The filter is of the system: it looks at who has opened the connection. */
static void s_admit_own_user (void *socket)
{
    uid_t own = geteuid ();
    US_ASSERT (zmq_setsockopt (socket, ZMQ_IPC_FILTER_UID, &own, sizeof own) == 0);
}

static void s_set_keys (void *socket, const usi_keys_t *keys)
{
    int mechanism = ZMQ_NULL;
    size_t len = sizeof mechanism;
    s_set (socket, ZMQ_CURVE_SERVER, 1);
    US_ASSERT (zmq_setsockopt (socket, ZMQ_ZAP_DOMAIN, ZAP_DOMAIN,
                               sizeof ZAP_DOMAIN - 1) == 0 &&
               zmq_setsockopt (socket, ZMQ_CURVE_SECRETKEY, keys->transport_secret,
                               USI_KEY_LEN) == 0 &&
               zmq_getsockopt (socket, ZMQ_MECHANISM, &mechanism, &len) == 0 &&
               mechanism == ZMQ_CURVE);
}

static void s_on_greeted (void *arg, const handle_t *handle)
{
    connections_greeted (((server_t *) arg)->connections, handle);
}

/* A line a second at most, as for messages that are refused. */
static void s_on_turned_away (void *arg, const member_t *member, const char *address,
                              const char *why)
{
    broker_t *core = &((server_t *) arg)->core;
    int64_t now_ms = usi_now_ms ();
    core->counters.denied++;
    if (now_ms - core->denied_ms < DENIED_MS)
        return;
    core->denied_ms = now_ms;
    audit_note (core, "deny", member, address, why);
    usi_notice ("peer.denied", "%s key=%s address=%s denied=%llu", why,
                member ? member->certificate.name : "?", address,
                (unsigned long long) core->counters.denied);
}

static void s_open_door (server_t *self, int door)
{
    self->routers[door] = zsock_new (ZMQ_ROUTER);
    self->sockets[door] = zsock_resolve (self->routers[door]);
    s_set_options (self->sockets[door]);
    if (door == DOOR_KEYED)
        s_set_keys (self->sockets[door], &self->core.identity->keys);
    else
        s_admit_own_user (self->sockets[door]);
    connections_watch (self->connections, self->loop, self->sockets[door]);
}

server_t *server_new (const usi_identity_t *identity, bool insecure)
{
    server_t *self = usi_new (server_t);
    broker_t *core = &self->core;
    self->signals.fd = -1;
    self->loop = zloop_new ();
    self->connections = connections_new ();
    core->identity = identity;
    core->insecure = insecure;
    core->greeted = s_on_greeted;
    core->greeted_arg = self;
    /* libzmq lets everybody in while nobody is there to be asked: so that is first. Nobody
     * is answered before the store has been read: see s_begin. */
    if (identity) {
        core->members = members_new (identity->cluster.key);
        self->zap = zap_new (core->members,
                             &(zap_events_t){.refused = s_on_turned_away, .arg = self});
    }
    for (int door = 0; door < (identity ? DOORS : DOOR_KEYED); door++)
        s_open_door (self, door);
    core->peers = peers_new ();
    core->nodes = nodes_new ();
    core->id = usi_random32 ();
    core->started_ms = usi_now_ms ();
    follows_init (core);
    const outbox_hooks_t hooks = {.unsent = s_on_unsent,
                                  .gone = s_on_gone,
                                  .filled = s_on_filled,
                                  .arg = self};
    core->outbox = outbox_new (self->sockets, &hooks);
    zloop_set_nonstop (self->loop, true);
    return self;
}

/* The store is destroyed first: it answers what is under way, and its callbacks use all the
 * other parts. */
void server_destroy (server_t **self_p)
{
    server_t *self = *self_p;
    if (!self)
        return;
    broker_t *core = &self->core;
    core->ending = true;
    store_destroy (&core->store);
    presence_clear (core);
    outbox_destroy (&core->outbox);
    nodes_destroy (&core->nodes);
    peers_destroy (&core->peers);
    follows_destroy (core);
    connections_destroy (&self->connections);
    usi_buf_free (&self->core.others);
    for (int door = 0; door < DOORS; door++)
        zsock_destroy (&self->routers[door]);
    zap_destroy (&self->zap);
    zloop_destroy (&self->loop);
    keys_close (core);
    audit_close (core);
    for (size_t i = 0; i < self->unix_sockets_len; i++)
        unix_socket_destroy (&self->unix_sockets[i]);
    usi_msg_free (&self->msg);
    endpoints_clear (&core->endpoints);
    if (self->signals.fd >= 0)
        close (self->signals.fd);
    free (self);
    *self_p = NULL;
}

static int s_bind_unix (server_t *self, const char *endpoint, char **text)
{
    unix_socket_t *place = unix_socket_new (endpoint, text);
    if (!place)
        return EXIT_OS;
    self->unix_sockets[self->unix_sockets_len++] = place;
    if (zmq_bind (self->sockets[DOOR_PLAIN], unix_socket_address (place)) == 0) {
        endpoints_add_bound (&self->core.endpoints, unix_socket_endpoint (place));
        return 0;
    }
    *text = usi_sprintf ("cannot listen on %s: %s", endpoint, zmq_strerror (errno));
    return EXIT_OS;
}

/* With the key that whoever connects has to expect. */
static void s_add_bound (server_t *self, const char *bound)
{
    endpoints_t *endpoints = &self->core.endpoints;
    size_t first = endpoints->count;
    char key[USI_KEY_TEXT_LEN + 1];
    endpoints_add_bound (endpoints, bound);
    if (!self->core.identity)
        return;
    usi_key_text (self->core.identity->keys.transport_public, key);
    for (size_t i = first; i < endpoints->count; i++) {
        char *keyed = usi_sprintf ("%s#%s", endpoints->texts[i], key);
        free (endpoints->texts[i]);
        endpoints->texts[i] = keyed;
    }
}

int server_bind (server_t *self, const char *endpoint, char **text)
{
    if (unix_socket_is_meant (endpoint))
        return s_bind_unix (self, endpoint, text);
    void *socket = self->sockets[self->core.identity ? DOOR_KEYED : DOOR_PLAIN];
    US_ASSERT (self->core.identity || self->core.insecure);
    char *address = endpoint_to_bind (endpoint);
    char bound[256];
    /* Not where nobody asks for IPv6: libzmq would show IPv4 addresses as IPv4-mapped ones. */
    s_set (socket, ZMQ_IPV6, strchr (endpoint, '[') != NULL);
    size_t len = sizeof bound;
    int rc = zmq_bind (socket, address);
    int reason = errno;
    free (address);
    if (rc == 0 && zmq_getsockopt (socket, ZMQ_LAST_ENDPOINT, bound, &len) == 0) {
        s_add_bound (self, bound);
        return 0;
    }
    bool wrong = reason == EINVAL || reason == EPROTONOSUPPORT;
    *text =
        usi_sprintf ("cannot listen on %s: %s%s", endpoint, zmq_strerror (reason),
                     reason == EADDRINUSE
                         ? "; another broker may run there: stop it or choose another"
                           " address with --bind"
                         : "");
    return wrong ? EXIT_CONFIG : EXIT_OS;
}

static int s_open_store (server_t *self, char **text)
{
    broker_t *core = &self->core;
    const store_options_t options = {.url = self->options.redis_url,
                                     .nodes_url = self->options.nodes_url,
                                     .durability = self->options.durability,
                                     .broker = core->id,
                                     .lease_ms = self->options.lease_ms,
                                     .keep_ms = self->options.keep_ms,
                                     .keep_jobs = self->options.keep_jobs};
    const store_events_t events = {.ready = s_on_ready,
                                   .lost = s_on_lost,
                                   .ended = s_on_ended,
                                   .started = s_on_started,
                                   .logged = s_on_logged,
                                   .stop = s_on_stop,
                                   .drain = s_on_drain,
                                   .keys = s_on_keys_changed,
                                   .wake = s_on_wake,
                                   .arg = self};
    core->store = store_new (self->loop, &options, &events);
    if (!core->store) {
        *text = usi_sprintf (
            "redis is %s, but must be redis://[user:password@]host[:port][/db]"
            " or unix:///path[?db=N]",
            options.url);
        return EXIT_CONFIG;
    }
    us_err_t err = store_check (core->store, STORE_WAIT_MS, text);
    if (err && !*text)
        *text = usi_sprintf ("Redis at %s: %s", options.url, us_err_text (err));
    return err ? EXIT_REDIS : 0;
}

static void s_watch_signals (server_t *self)
{
    sigset_t set;
    sigemptyset (&set);
    sigaddset (&set, SIGTERM);
    sigaddset (&set, SIGINT);
    sigaddset (&set, SIGCHLD);
    self->signals =
        (zmq_pollitem_t){.fd = signalfd (-1, &set, SFD_NONBLOCK | SFD_CLOEXEC),
                         .events = ZMQ_POLLIN};
    US_ASSERT (self->signals.fd >= 0);
    zloop_poller (self->loop, &self->signals, s_on_signal, self);
    zloop_poller_set_tolerant (self->loop, &self->signals);
}

static int s_open_keys (server_t *self, char **text)
{
    *text =
        self->core.identity ? keys_open (&self->core, self->options.state_dir) : NULL;
    if (!*text)
        *text = audit_open (&self->core, self->options.state_dir);
    return *text ? EXIT_OS : 0;
}

int server_open (server_t *self, const server_options_t *options,
                 private_redis_t *redis, char **text)
{
    self->options = *options;
    self->redis = redis;
    self->core.lease_ms = options->lease_ms;
    self->core.max_payload = options->max_payload;
    self->core.max_buffer = options->max_buffer;
    self->core.max_buffers = options->max_buffers;
    int rc = s_open_store (self, text);
    if (rc == 0 && (self->core.identity || self->core.insecure))
        rc = s_open_keys (self, text);
    if (rc)
        return rc;
    s_watch_signals (self);
    if (redis)
        private_redis_attach (redis, self->loop);
    store_sweep_start (self->core.store);
    zloop_timer (self->loop, USI_HEARTBEAT_MS, 1, s_on_beat, self);
    zloop_timer (self->loop, UNFINISHED_LOOK_MS, 1, s_on_look, self);
    zloop_timer (self->loop, ENTRIES_REFRESH_MS, 1, s_on_refresh, self);
    return 0;
}

void server_run (server_t *self)
{
    zloop_start (self->loop);
}

const endpoints_t *server_endpoints (const server_t *self)
{
    return &self->core.endpoints;
}

const char *server_durability (const server_t *self)
{
    return store_durability (self->core.store);
}

uint32_t server_id (const server_t *self)
{
    return self->core.id;
}

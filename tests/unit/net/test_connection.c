/* SPDX-License-Identifier: MIT
 *
 * The connection against brokers that are plain ROUTERs in the same thread: what it
 * says, what it tells its owner, and when it goes on to the next broker. */
#include "../unit.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/connection.h"
#include "tsan.h"

#define WAIT_MS      20000
#define HEARTBEAT_MS 50
#define BROKERS      2

typedef struct broker {
    void *socket;
    char endpoint[64];
    bool mute;         /* reads, and says nothing */
    int refuse;        /* code with which HELLO is answered */
    unsigned got[256]; /* messages by type */
    char text[64];     /* of the last BYE */
    uint64_t node;     /* of the last HELLO */
    char role[16], name[16];
    uint8_t peer[256];
    size_t peer_len;
} broker_t;

/* A connection, its brokers, and what it has told. */
typedef struct scene {
    void *context;
    broker_t brokers[BROKERS];
    usi_conn_t *conn;
    unsigned events[USI_CONN__EVENTS];
    char why[256]; /* of the last LOST or NO_ADDRESS */
    unsigned messages, errors, malformed;
    uint64_t ref; /* of the last message */
    usi_msg_t in, out;
} scene_t;

/* --- the owner -------------------------------------------------------------------- */

static void s_on_changed (void *arg, usi_conn_state_t before, usi_conn_event_t event,
                          const char *why, const usi_msg_t *welcome)
{
    scene_t *self = arg;
    usi_conn_state_t next;
    assert_true (usi_conn_next (before, event, &next));
    assert_int_equal (usi_conn_state (self->conn), next);
    assert_int_equal (welcome != NULL, event == USI_CONN_ON_WELCOME);
    self->events[event]++;
    if (event == USI_CONN_ON_LOST || event == USI_CONN_ON_NO_ADDRESS)
        snprintf (self->why, sizeof self->why, "%s", why);
}

static void s_on_hello (void *arg, usi_fields_t *head)
{
    (void) arg;
    USI_SET (head, NODE, node, 42);
}

static void s_on_message (void *arg, const usi_msg_t *msg)
{
    scene_t *self = arg;
    self->messages++;
    self->ref = msg->head.ref;
}

static void s_on_error (void *arg, const usi_msg_t *msg)
{
    (void) msg;
    ((scene_t *) arg)->errors++;
}

static void s_on_malformed (void *arg, const usi_msg_t *msg)
{
    assert_non_null (msg->why);
    ((scene_t *) arg)->malformed++;
}

static usi_conn_options_t s_options (const char *endpoints)
{
    return (usi_conn_options_t){.role = "node",
                                .name = "tester",
                                .brokers = {.endpoints = endpoints},
                                .patient = true,
                                .connect_timeout_ms = WAIT_MS,
                                .attempt_min_ms = WAIT_MS,
                                .attempt_max_ms = WAIT_MS,
                                .pause_min_ms = 10,
                                .pause_max_ms = 20,
                                .linger_ms = WAIT_MS,
                                .receive_max = 100};
}

static void s_connect (scene_t *self, const usi_conn_options_t *options)
{
    usi_conn_events_t events = {.arg = self,
                                .changed = s_on_changed,
                                .hello = s_on_hello,
                                .message = s_on_message,
                                .error = s_on_error,
                                .malformed = s_on_malformed};
    self->conn = usi_conn_new (options, &events);
    assert_non_null (self->conn);
    assert_int_equal (usi_conn_state (self->conn), USI_CONN_IDLE);
    assert_int_equal (usi_conn_due_ms (self->conn), INT64_MAX);
    usi_conn_want (self->conn);
}

/* --- brokers ---------------------------------------------------------------------- */

static void s_bind (scene_t *self, broker_t *broker)
{
    size_t len = sizeof broker->endpoint;
    int none = 0;
    *broker = (broker_t){.socket = zmq_socket (self->context, ZMQ_ROUTER)};
    zmq_setsockopt (broker->socket, ZMQ_LINGER, &none, sizeof none);
    assert_int_equal (zmq_bind (broker->socket, "tcp://127.0.0.1:*"), 0);
    zmq_getsockopt (broker->socket, ZMQ_LAST_ENDPOINT, broker->endpoint, &len);
}

static usi_fields_t *s_begin (scene_t *self, usi_type_t type)
{
    usi_msg_begin (&self->out, type);
    return &self->out.head;
}

static void s_say (scene_t *self, broker_t *broker)
{
    usi_bytes_t peer = usi_bytes (broker->peer, broker->peer_len);
    assert_int_equal (usi_msg_send (&self->out, broker->socket, peer), 0);
}

static void s_say_error (scene_t *self, broker_t *broker, int code, uint64_t ref)
{
    usi_fields_t *head = s_begin (self, USI_ERROR);
    USI_SET (head, CODE, code, code);
    USI_SET (head, TEXT, text, usi_bytes_of ("no"));
    if (ref)
        USI_SET (head, REF, ref, ref);
    s_say (self, broker);
}

static void s_copy (char *place, size_t size, usi_bytes_t text)
{
    snprintf (place, size, "%.*s", (int) text.len,
              text.data ? (const char *) text.data : "");
}

static void s_on_greeting (scene_t *self, broker_t *broker, const usi_fields_t *hello)
{
    broker->node = hello->node;
    s_copy (broker->role, sizeof broker->role, hello->role);
    s_copy (broker->name, sizeof broker->name, hello->name);
    if (broker->refuse) {
        s_say_error (self, broker, broker->refuse, 0);
        return;
    }
    usi_fields_t *head = s_begin (self, USI_WELCOME);
    USI_SET (head, BROKER, broker, 1);
    USI_SET (head, CLUSTER, cluster, usi_bytes_of ("0123456789abcdef"));
    USI_SET (head, VERSION, version, usi_bytes_of ("0.1.0"));
    USI_SET (head, DURABILITY, durability, usi_bytes_of ("always"));
    USI_SET (head, LEASE_MS, lease_ms, 15000);
    USI_SET (head, HEARTBEAT_MS, heartbeat_ms, HEARTBEAT_MS);
    USI_SET (head, MAX_BODY, max_body, USI_MAX_BODY);
    USI_SET (head, MAX_PAYLOAD, max_payload, USI_MAX_PAYLOAD);
    s_say (self, broker);
}

static void s_serve (scene_t *self, broker_t *broker)
{
    while (broker->socket && usi_msg_recv (&self->in, broker->socket, broker->peer,
                                           &broker->peer_len) == 0) {
        broker->got[self->in.type]++;
        if (self->in.type == USI_BYE)
            s_copy (broker->text, sizeof broker->text, self->in.head.text);
        if (broker->mute)
            continue;
        if (self->in.type == USI_HELLO)
            s_on_greeting (self, broker, &self->in.head);
        if (self->in.type == USI_PING) {
            s_begin (self, USI_PONG);
            s_say (self, broker);
        }
    }
}

static void s_close (broker_t *broker)
{
    zmq_close (broker->socket);
    broker->socket = NULL;
}

/* --- turns ------------------------------------------------------------------------ */

static void s_poll (const scene_t *self)
{
    int fds[USI_CONN_FDS_MAX];
    struct pollfd items[USI_CONN_FDS_MAX];
    int count = usi_conn_fds (self->conn, fds);
    int64_t left = usi_conn_due_ms (self->conn) - usi_now_ms ();
    for (int i = 0; i < count; i++)
        items[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    /* The brokers are looked after again soon. */
    if (!usi_conn_is_readable (self->conn))
        poll (items, (nfds_t) count, left < 0 ? 0 : left < 5 ? (int) left : 5);
}

static void s_turn (scene_t *self)
{
    s_poll (self);
    usi_conn_receive (self->conn);
    usi_conn_service (self->conn);
    for (int i = 0; i < BROKERS; i++)
        s_serve (self, &self->brokers[i]);
}

/* Takes turns until *count has come up to what is wanted. */
static void s_until (scene_t *self, const unsigned *count, unsigned wanted)
{
    int64_t end = usi_now_ms () + WAIT_MS;
    while (*count < wanted) {
        assert_true (usi_now_ms () < end);
        s_turn (self);
    }
}

static void s_until_event (scene_t *self, usi_conn_event_t event, unsigned wanted)
{
    s_until (self, &self->events[event], wanted);
}

static int s_set_up (void **state)
{
    scene_t *self = calloc (1, sizeof *self);
    self->context = zmq_ctx_new ();
    for (int i = 0; i < BROKERS; i++)
        s_bind (self, &self->brokers[i]);
    *state = self;
    return 0;
}

static int s_tear_down (void **state)
{
    scene_t *self = *state;
    usi_conn_destroy (&self->conn); /* its BYE can leave: the brokers are there */
    for (int i = 0; i < BROKERS; i++)
        if (self->brokers[i].socket)
            s_close (&self->brokers[i]);
    zmq_ctx_term (self->context);
    usi_msg_free (&self->in);
    usi_msg_free (&self->out);
    free (self);
    return 0;
}

/* Connected with the first broker. */
static broker_t *s_connected (scene_t *self)
{
    usi_conn_options_t options = s_options (self->brokers[0].endpoint);
    s_connect (self, &options);
    s_until_event (self, USI_CONN_ON_WELCOME, 1);
    return &self->brokers[0];
}

/* --- tests ------------------------------------------------------------------------ */

static void test_greeting (void **state)
{
    scene_t *self = *state;
    broker_t *broker = s_connected (self);
    assert_true (usi_conn_is_ready (self->conn));
    assert_string_equal (usi_conn_address (self->conn), broker->endpoint);
    assert_string_equal (usi_conn_why (self->conn), "");
    assert_string_equal (broker->role, "node");
    assert_string_equal (broker->name, "tester");
    assert_int_equal (broker->node, 42); /* the owner's own field */
    assert_int_equal (self->events[USI_CONN_ON_ADDRESS], 1);
    assert_int_equal (self->events[USI_CONN_ON_LOST], 0);
}

static void test_messages (void **state)
{
    scene_t *self = *state;
    broker_t *broker = s_connected (self);
    s_begin (self, USI_WAKE);
    s_say (self, broker);
    s_until (self, &self->messages, 1);
    s_begin (self, USI_PING);
    s_say (self, broker);
    s_until (self, &broker->got[USI_PONG], 1);
    assert_int_equal (self->messages, 1);
    usi_bytes_t peer = usi_bytes (broker->peer, broker->peer_len);
    zmq_send (broker->socket, peer.data, peer.len, ZMQ_SNDMORE);
    zmq_send (broker->socket, "nonsense", 8, 0);
    s_until (self, &self->malformed, 1);
    /* It answers a question of the owner. */
    s_say_error (self, broker, US_ERR_STORE, 7);
    s_until (self, &self->errors, 1);
    assert_int_equal (self->messages, 2);
    assert_int_equal (self->ref, 7);
    assert_true (usi_conn_is_ready (self->conn));
}

static void test_heartbeat (void **state)
{
    scene_t *self = *state;
    broker_t *broker = s_connected (self);
    s_until (self, &broker->got[USI_PING], 3); /* answered: it goes on for ever */
    assert_int_equal (self->events[USI_CONN_ON_LOST], 0);
    broker->mute = true;
    unsigned before = broker->got[USI_PING];
    s_until_event (self, USI_CONN_ON_LOST, 1);
    assert_string_equal (self->why, "the broker does not answer");
    s_serve (self, broker);
    /* Of the last one the answer may have been on its way. */
    assert_in_range (broker->got[USI_PING] - before, 2, 3);
    broker->mute = false;
    if (broker->got[USI_HELLO] == 2) /* it may have come while nothing was answered */
        s_on_greeting (self, broker, &self->in.head);
    s_until_event (self, USI_CONN_ON_WELCOME, 2);
    assert_int_equal (self->events[USI_CONN_ON_NO_ADDRESS], 0); /* no pause */
}

static void test_next_broker (void **state)
{
    scene_t *self = *state;
    char endpoints[200];
    snprintf (endpoints, sizeof endpoints, "%s,%s", self->brokers[0].endpoint,
              self->brokers[1].endpoint);
    usi_conn_options_t options = s_options (endpoints);
    options.attempt_min_ms = options.attempt_max_ms = HEARTBEAT_MS;
    options.brokers.in_turn = true;
    self->brokers[0].mute = true;
    s_connect (self, &options);
    s_until_event (self, USI_CONN_ON_LOST, 1);
    assert_string_equal (self->why, "no answer");
    s_until_event (self, USI_CONN_ON_WELCOME, 1);
    assert_string_equal (usi_conn_address (self->conn), self->brokers[1].endpoint);
    assert_int_equal (self->events[USI_CONN_ON_NO_ADDRESS], 0);
    /* In turn: the other one, though it stands first in the list. */
    self->brokers[0].mute = false;
    s_begin (self, USI_BYE);
    s_say (self, &self->brokers[1]);
    s_until_event (self, USI_CONN_ON_WELCOME, 2);
    assert_string_equal (self->why, "the broker says good-bye");
    assert_string_equal (usi_conn_address (self->conn), self->brokers[0].endpoint);
}

static void test_broker_goes (void **state)
{
    scene_t *self = *state;
    broker_t *broker = s_connected (self);
    s_close (broker);
    s_until_event (self, USI_CONN_ON_LOST, 1);
    assert_string_equal (self->why, "the connection was closed");
    s_until_event (self, USI_CONN_ON_NO_ADDRESS, 1);
    assert_string_equal (self->why, "the connection was refused");
}

static void test_unknown_peer (void **state)
{
    scene_t *self = *state;
    broker_t *broker = s_connected (self);
    void *socket = usi_conn_socket (self->conn);
    s_say_error (self, broker, US_ERR_UNKNOWN_PEER, 0);
    s_say_error (self, broker, US_ERR_UNKNOWN_PEER, 0);
    s_until_event (self, USI_CONN_ON_WELCOME, 2);
    assert_int_equal (self->events[USI_CONN_ON_UNKNOWN_PEER], 1);
    assert_int_equal (broker->got[USI_HELLO], 2);
    assert_int_equal (self->events[USI_CONN_ON_LOST], 0);
    assert_ptr_equal (usi_conn_socket (self->conn), socket);
}

static void test_refused_greeting (void **state)
{
    scene_t *self = *state;
    usi_conn_options_t options = s_options (self->brokers[0].endpoint);
    self->brokers[0].refuse = US_ERR_UNSUPPORTED;
    s_connect (self, &options);
    s_until_event (self, USI_CONN_ON_NO_ADDRESS, 1);
    assert_int_equal (self->errors, 1);
    assert_string_equal (self->why, "the broker refused the greeting: no");
    self->brokers[0].refuse = 0;
    s_until_event (self, USI_CONN_ON_WELCOME, 1);
}

static void test_pauses_grow (void **state)
{
    scene_t *self = *state;
    usi_conn_options_t options = s_options (self->brokers[0].endpoint);
    static const int64_t expected[] = {10, 10, 20, 40, 50, 50};
    options.pause_max_ms = 50;
    options.short_pauses = 1;
    s_close (&self->brokers[0]);
    s_connect (self, &options);
    for (unsigned i = 0; i < sizeof expected / sizeof *expected; i++) {
        int64_t before = usi_now_ms ();
        s_until_event (self, USI_CONN_ON_NO_ADDRESS, i + 1);
        int64_t due = usi_conn_due_ms (self->conn);
        assert_true (due >= before + expected[i] * 8 / 10);
        assert_true (due <= usi_now_ms () + expected[i] * 12 / 10);
    }
}

static void test_gives_up (void **state)
{
    scene_t *self = *state;
    usi_conn_options_t options = s_options (self->brokers[0].endpoint);
    options.patient = false;
    options.connect_timeout_ms = HEARTBEAT_MS;
    s_close (&self->brokers[0]);
    int64_t before = usi_now_ms ();
    s_connect (self, &options);
    s_until_event (self, USI_CONN_ON_GIVE_UP, 1);
    assert_true (usi_now_ms () - before >= HEARTBEAT_MS);
    assert_int_equal (usi_conn_state (self->conn), USI_CONN_IDLE);
    assert_int_equal (usi_conn_due_ms (self->conn), INT64_MAX);
    assert_int_equal (usi_conn_fds (self->conn, (int[USI_CONN_FDS_MAX]){0}), 0);
    usi_conn_want (self->conn); /* and begins anew when it is wanted again */
    s_until_event (self, USI_CONN_ON_GIVE_UP, 2);
}

static void test_patience_after_welcome (void **state)
{
    scene_t *self = *state;
    usi_conn_options_t options = s_options (self->brokers[0].endpoint);
    options.patient = false;
    options.connect_timeout_ms = WAIT_MS;
    s_connect (self, &options);
    s_until_event (self, USI_CONN_ON_WELCOME, 1);
    s_close (&self->brokers[0]);
    s_until_event (self, USI_CONN_ON_NO_ADDRESS, 5);
    assert_int_equal (self->events[USI_CONN_ON_GIVE_UP], 0);
}

/* Something that listens and never answers, at this URL. */
static int s_silence (char *url, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal (bind (fd, (struct sockaddr *) &address, len), 0);
    assert_int_equal (listen (fd, 16), 0);
    getsockname (fd, (struct sockaddr *) &address, &len);
    snprintf (url, size, "redis://127.0.0.1:%d", ntohs (address.sin_port));
    return fd;
}

/* The time is over while the registry is asked: it is given up when the registry has said
 * why there is no broker, not before. */
static void test_silent_registry (void **state)
{
    scene_t *self = *state;
    char url[64];
    int fd = s_silence (url, sizeof url);
    usi_conn_options_t options = s_options (NULL);
    options.brokers.redis = url;
    options.brokers.look_ms = 4 * HEARTBEAT_MS;
    options.patient = false;
    options.connect_timeout_ms = HEARTBEAT_MS;
    s_connect (self, &options);
    s_until_event (self, USI_CONN_ON_GIVE_UP, 1);
    assert_int_equal (self->events[USI_CONN_ON_NO_ADDRESS], 1);
    assert_string_not_equal (usi_conn_why (self->conn), "");
    assert_false (usi_conn_is_misconfigured (self->conn));
    close (fd);
}

static void test_wrong_registry (void **state)
{
    scene_t *self = *state;
    usi_conn_options_t options = s_options (NULL);
    options.brokers.redis = "redis://host:port";
    options.brokers.look_ms = WAIT_MS;
    s_connect (self, &options);
    s_until_event (self, USI_CONN_ON_NO_ADDRESS, 2);
    assert_true (usi_conn_is_misconfigured (self->conn));
    assert_string_equal (self->why, usi_conn_why (self->conn));
}

static void test_stop (void **state)
{
    scene_t *self = *state;
    broker_t *broker = s_connected (self);
    usi_conn_stop (self->conn, "the test ends");
    assert_int_equal (self->events[USI_CONN_ON_STOP], 1);
    assert_int_equal (usi_conn_state (self->conn), USI_CONN_CLOSED);
    usi_msg_begin (&self->out, USI_CREDIT);
    USI_SET (&self->out.head, CREDIT, credit, 1);
    usi_conn_send (self->conn, &self->out); /* is gone */
    s_until (self, &broker->got[USI_BYE], 1);
    assert_string_equal (broker->text, "the test ends");
    assert_int_equal (broker->got[USI_CREDIT], 0);
    usi_conn_want (self->conn);
    assert_int_equal (usi_conn_state (self->conn), USI_CONN_CLOSED);
}

#define SCENE(test) cmocka_unit_test_setup_teardown (test, s_set_up, s_tear_down)

int main (void)
{
    const struct CMUnitTest tests[] = {
        SCENE (test_greeting),
        SCENE (test_messages),
        SCENE (test_heartbeat),
        SCENE (test_next_broker),
        SCENE (test_broker_goes),
        SCENE (test_unknown_peer),
        SCENE (test_refused_greeting),
        SCENE (test_pauses_grow),
        SCENE (test_gives_up),
        SCENE (test_patience_after_welcome),
        SCENE (test_silent_registry),
        SCENE (test_wrong_registry),
        SCENE (test_stop),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

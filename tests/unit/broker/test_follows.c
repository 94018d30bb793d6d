/* SPDX-License-Identifier: MIT
 *
 * Logs to clients, against a store that answers when the test says so. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "core/fanout.h"
#include "core/follows.h"
#include "peers/missed.h"

/* --- the store ------------------------------------------------------------------------- */

typedef struct asked {
    int stream;
    uint64_t offset;
    store_read_fn *read;
    store_job_fn *job;
    void *arg;
} asked_t;

static asked_t s_asked[32];
static size_t s_asked_len;

void store_log_from (store_t *self, const usi_id_t *id, int stream, uint64_t offset,
                     uint32_t size, store_read_fn *fn, void *arg)
{
    (void) self;
    (void) id;
    (void) size;
    s_asked[s_asked_len++] =
        (asked_t){.stream = stream, .offset = offset, .read = fn, .arg = arg};
}

void store_get (store_t *self, const usi_id_t *id, bool with_body, store_job_fn *fn,
                void *arg)
{
    (void) self;
    (void) id;
    (void) with_body;
    s_asked[s_asked_len++] = (asked_t){.job = fn, .arg = arg};
}

void broker_must_announce (broker_t *self, uint32_t index)
{
    peers_get (self->peers, index)->must_announce = true;
}

/* The answer to question number: the stream is text. */
static void s_read (size_t number, us_err_t code, const char *text, size_t max)
{
    const asked_t *asked = &s_asked[number];
    size_t len = strlen (text),
           from = asked->offset < len ? (size_t) asked->offset : len;
    size_t count = len - from < max ? len - from : max;
    asked->read (code, usi_bytes (text + from, count), len, asked->arg);
}

static void s_end (size_t number)
{
    store_job_t job = {.record = {.state = US_STATE_SUCCEEDED}};
    s_asked[number].job (US_OK, &job, s_asked[number].arg);
}

/* --- the world ------------------------------------------------------------------------- */

static broker_t s_broker;
static peer_t *s_peer;
static const usi_id_t s_id = {{1, 2, 3}};
static char s_sent[256]; /* what the peer got: log text, and . for ENDED */

static void s_filled (void *arg)
{
    (void) arg;
}

static bool s_unsent_marks; /* as the broker does it */

/* No socket here: everything is "not taken", and written down. */
static void s_unsent (peer_t *peer, const usi_msg_t *msg, void *arg)
{
    (void) arg;
    size_t len = strlen (s_sent);
    if (s_unsent_marks) {
        peer->slow = true;
        for (size_t i = 0; i < msg->items_len; i++)
            follow_unsent (&s_broker, peer, &s_id, 0, msg->items[i].offset);
        return;
    }
    for (size_t i = 0; i < msg->items_len; i++) {
        usi_bytes_t body = usi_bytes (NULL, 0);
        if (i < msg->frames_len)
            body = usi_bytes (zmq_msg_data (&msg->frames[i]),
                              zmq_msg_size (&msg->frames[i]));
        if (msg->type == USI_ENDED)
            s_sent[len++] = '.';
        else if (body.len > 0) {
            memcpy (s_sent + len, body.data, body.len);
            len += body.len;
        }
    }
    s_sent[len] = '\0';
}

static const char *s_flush (void)
{
    s_sent[0] = '\0';
    s_peer->slow = true;
    outbox_flush (s_broker.outbox);
    s_peer->slow = false;
    return s_sent;
}

static int s_setup (void **state)
{
    const outbox_hooks_t hooks = {.unsent = s_unsent,
                                  .gone = s_unsent,
                                  .filled = s_filled};
    routing_t routing = {.len = 1};
    (void) state;
    s_asked_len = 0;
    s_broker = (broker_t){.peers = peers_new (), .outbox = outbox_new (NULL, &hooks)};
    follows_init (&s_broker);
    s_peer = peers_add (s_broker.peers, &routing, USI_BY_CLIENT, usi_bytes_of ("c"),
                        usi_bytes_of ("h"), 1);
    return 0;
}

static int s_teardown (void **state)
{
    (void) state;
    follow_drop_all (&s_broker, s_peer);
    outbox_destroy (&s_broker.outbox);
    peers_destroy (&s_broker.peers);
    follows_destroy (&s_broker);
    return 0;
}

static follow_t *s_follow (uint64_t offset)
{
    return follow_open (&s_broker, s_peer, &s_id, USI_WATCH_LOG, offset, false);
}

static void s_chunk (follow_t *follow, uint64_t offset, const char *text)
{
    follow_chunk (&s_broker, follow, US_STREAM_LOG, offset, usi_bytes_of (text));
}

/* --- tests ----------------------------------------------------------------------------- */

static void test_chunks_that_meet_go_straight_out (void **state)
{
    (void) state;
    follow_t *follow = s_follow (0);
    s_chunk (follow, 0, "one ");
    s_chunk (follow, 4, "two ");
    s_chunk (follow, 4, "two three"); /* a repeated chunk brings only what is new */
    assert_string_equal (s_flush (), "one two three");
    assert_int_equal (s_asked_len, 0);
    assert_true (follow_is_complete (follow, 13, 99));
    assert_false (follow_is_complete (follow, 14, 0));
}

static void test_a_gap_is_read_from_the_store (void **state)
{
    (void) state;
    follow_t *follow = s_follow (0);
    s_chunk (follow, 4, "two ");
    assert_int_equal (s_asked_len, 1);
    assert_int_equal (s_asked[0].offset, 0);
    s_chunk (follow, 8, "three"); /* while it is read */
    assert_int_equal (s_asked_len, 1);
    s_read (0, US_OK, "one two three", 8);
    assert_int_equal (s_asked_len, 2);
    s_read (1, US_OK, "one two three", 64);
    assert_string_equal (s_flush (), "one two three");
    s_chunk (follow, 13, " four");
    assert_string_equal (s_flush (), " four");
    assert_int_equal (s_asked_len, 2);
}

static void test_the_end_comes_after_the_last_byte (void **state)
{
    (void) state;
    s_chunk (s_follow (0), 0, "one ");
    ended_t ended = {.id = s_id, .state = US_STATE_SUCCEEDED, .log_end = 8};
    fanout_result (&s_broker, &ended, &s_peer->index, 1);
    assert_int_equal (s_asked_len, 1);
    s_read (0, US_OK, "one two ", 64);
    assert_int_equal (s_asked_len, 2); /* the end itself */
    assert_string_equal (s_flush (), "one two ");
    s_end (1);
    assert_string_equal (s_flush (), ".");
    assert_null (s_peer->follows);
}

static void test_a_complete_log_needs_no_store (void **state)
{
    (void) state;
    s_chunk (s_follow (0), 0, "one ");
    ended_t ended = {.id = s_id,
                     .state = US_STATE_SUCCEEDED,
                     .log_end = 4,
                     .build_end = 9};
    const uint32_t twice[2] = {s_peer->index, s_peer->index};
    fanout_result (&s_broker, &ended, twice, 2);
    assert_string_equal (s_flush (), "one .");
    assert_int_equal (s_asked_len, 0);
    assert_null (s_peer->follows);
}

static void test_who_did_not_read_gets_it_again (void **state)
{
    (void) state;
    follow_t *follow = s_follow (0);
    s_chunk (follow, 0, "one two ");
    s_flush ();
    follow_unsent (&s_broker, s_peer, &s_id, US_STREAM_LOG, 4);
    s_peer->slow = true;
    follow_grow (&s_broker, follow, US_STREAM_LOG, 20);
    assert_int_equal (s_asked_len, 0); /* nothing is read for a slow peer */
    s_peer->slow = false;
    follow_resume_all (&s_broker, s_peer);
    assert_int_equal (s_asked[0].offset, 4);
    s_read (0, US_OK, "one two three", 64);
    assert_string_equal (s_flush (), "two three");
}

/* The message fills up while a chunk is added, leaves early, and is not taken: what it held
 * is missing, not only the new chunk. */
static void test_a_full_message_that_is_not_taken (void **state)
{
    (void) state;
    static char chunk[64 * 1024];
    follow_t *follow = s_follow (0);
    memset (chunk, 'x', sizeof chunk);
    for (uint64_t i = 0; i < 8; i++)
        follow_chunk (&s_broker, follow, US_STREAM_LOG, i * sizeof chunk,
                      usi_bytes (chunk, sizeof chunk));
    s_unsent_marks = true;
    follow_chunk (&s_broker, follow, US_STREAM_LOG, 8 * sizeof chunk,
                  usi_bytes (chunk, sizeof chunk));
    assert_int_equal (follow->streams[0].sent, 0);
    outbox_flush (s_broker.outbox);
    assert_int_equal (follow->streams[0].sent, 0);
    s_unsent_marks = s_peer->slow = false;
}

static void test_an_answer_for_a_dropped_follow_is_ignored (void **state)
{
    (void) state;
    follow_t *follow = s_follow (0);
    follow_grow (&s_broker, follow, US_STREAM_LOG, 4);
    follow_drop (&s_broker, follow);
    follow = s_follow (2);
    s_read (0, US_OK, "one two", 64);
    assert_string_equal (s_flush (), "");
    assert_int_equal (follow->streams[0].sent, 2);
}

static void test_a_lost_store_makes_the_client_announce (void **state)
{
    (void) state;
    follow_grow (&s_broker, s_follow (0), US_STREAM_LOG, 4);
    s_read (0, US_ERR_STORE, "", 0);
    assert_true (s_peer->must_announce);
    assert_null (s_peer->follows);
}

static void test_a_watch_repeated_does_not_rewind (void **state)
{
    (void) state;
    follow_t *follow = s_follow (0);
    s_chunk (follow, 0, "one ");
    assert_ptr_equal (s_follow (0), follow);
    assert_int_equal (follow->streams[0].sent, 4);
    follow_open (&s_broker, s_peer, &s_id, USI_WATCH_LOG, 1, true);
    assert_int_equal (follow->streams[0].sent, 1);
    s_flush ();
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, s_setup, s_teardown)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_chunks_that_meet_go_straight_out),
        TEST (test_a_gap_is_read_from_the_store),
        TEST (test_the_end_comes_after_the_last_byte),
        TEST (test_a_complete_log_needs_no_store),
        TEST (test_who_did_not_read_gets_it_again),
        TEST (test_a_full_message_that_is_not_taken),
        TEST (test_an_answer_for_a_dropped_follow_is_ignored),
        TEST (test_a_lost_store_makes_the_client_announce),
        TEST (test_a_watch_repeated_does_not_rewind),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

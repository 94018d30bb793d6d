/* SPDX-License-Identifier: MIT
 *
 * Logs to clients, over the fake store. */
#include "unit.h"

#include <string.h>

#include "core/fanout.h"
#include "core/follows.h"
#include "world.h"

static const usi_id_t s_id = {{1, 2, 3}};

static follow_t *s_follow (world_t *world, end_t *end, uint64_t offset)
{
    return follow_open (&world->broker, end->peer, &s_id, USI_WATCH_LOG, offset, false);
}

static void s_chunk (world_t *world, follow_t *follow, uint64_t offset,
                     const char *text)
{
    follow_chunk (&world->broker, follow, US_STREAM_LOG, offset, usi_bytes_of (text));
}

/* The store answers the oldest read: the stream is text, of which max bytes are read. */
static void s_read (world_t *world, us_err_t code, const char *text, size_t max)
{
    fake_call_t *call = fake_take (world->store, "log_from");
    size_t len = strlen (text);
    size_t from = call->offset < len ? (size_t) call->offset : len;
    size_t count = len - from < max ? len - from : max;
    fake_answer_read (call, code, usi_bytes (text + from, count), len);
}

static void s_end (world_t *world)
{
    const store_job_t job = {.record = {.id = s_id, .state = US_STATE_SUCCEEDED}};
    fake_answer_job (fake_take (world->store, "get"), US_OK, &job);
}

/* What the client gets: the text of logs, and . for ENDED. */
static const char *s_heard (world_t *world, end_t *end)
{
    static char text[256];
    usi_msg_t msg = USI_MSG_INIT;
    size_t len = 0;
    while (world_hear (world, end, &msg))
        for (size_t i = 0; i < msg.items_len; i++) {
            usi_bytes_t body = usi_msg_item_body (&msg, i);
            if (msg.type == USI_ENDED)
                body = usi_bytes_of (".");
            assert_true (len + body.len < sizeof text);
            memcpy (text + len, body.data, body.len);
            len += body.len;
        }
    text[len] = '\0';
    usi_msg_free (&msg);
    return text;
}

static void test_chunks_that_meet_go_straight_out (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    follow_t *follow = s_follow (world, client, 0);
    s_chunk (world, follow, 0, "one ");
    s_chunk (world, follow, 4, "two ");
    s_chunk (world, follow, 4,
             "two three"); /* repeated in part: only the rest is new */
    assert_string_equal (s_heard (world, client), "one two three");
    assert_int_equal (fake_count (world->store, "log_from"), 0);
    assert_true (follow_is_complete (follow, 13, 99));
    assert_false (follow_is_complete (follow, 14, 0));
}

static void test_a_gap_is_read_from_the_store (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    follow_t *follow = s_follow (world, client, 0);
    s_chunk (world, follow, 4, "two ");
    assert_int_equal (fake_open (world->store), 1);
    s_chunk (world, follow, 8, "three"); /* while it is read */
    assert_int_equal (fake_open (world->store), 1);
    s_read (world, US_OK, "one two three", 8);
    assert_int_equal (fake_open (world->store), 1);
    s_read (world, US_OK, "one two three", 64);
    assert_string_equal (s_heard (world, client), "one two three");
    s_chunk (world, follow, 13, " four");
    assert_string_equal (s_heard (world, client), " four");
    assert_int_equal (fake_count (world->store, "log_from"), 2);
}

static void test_the_end_comes_after_the_last_byte (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    s_chunk (world, s_follow (world, client, 0), 0, "one ");
    const ended_t ended = {.id = s_id, .state = US_STATE_SUCCEEDED, .log_end = 8};
    fanout_result (&world->broker, &ended, &client->peer->index, 1);
    assert_int_equal (fake_count (world->store, "get"), 0);
    s_read (world, US_OK, "one two ", 64);
    assert_string_equal (s_heard (world, client), "one two ");
    s_end (world);
    assert_string_equal (s_heard (world, client), ".");
    assert_int_equal (client->peer->follows.len, 0);
}

static void test_a_complete_log_needs_no_store (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    s_chunk (world, s_follow (world, client, 0), 0, "one ");
    const ended_t ended = {.id = s_id,
                           .state = US_STATE_SUCCEEDED,
                           .log_end = 4,
                           .build_end = 9};
    const uint32_t twice[2] = {client->peer->index, client->peer->index};
    fanout_result (&world->broker, &ended, twice, 2);
    assert_string_equal (s_heard (world, client), "one .");
    assert_int_equal (fake_open (world->store), 0);
    assert_int_equal (client->peer->follows.len, 0);
}

static void test_who_did_not_read_gets_it_again (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    follow_t *follow = s_follow (world, client, 0);
    s_chunk (world, follow, 0, "one two ");
    s_heard (world, client);
    follow_unsent (&world->broker, client->peer, &s_id, US_STREAM_LOG, 4);
    client->peer->slow = true;
    follow_grow (&world->broker, follow, US_STREAM_LOG, 20);
    assert_int_equal (fake_open (world->store),
                      0); /* nothing is read for a slow peer */
    client->peer->slow = false;
    follow_resume_all (&world->broker, client->peer);
    s_read (world, US_OK, "one two three", 64);
    assert_string_equal (s_heard (world, client), "two three");
}

/* The message fills up while a chunk is added, leaves early, and is not taken: what it held
 * is missing, not only the new chunk. */
static void test_a_full_message_that_is_not_taken (void **state)
{
    static char chunk[64 * 1024];
    world_t *world = *state;
    end_t *client = world_client (world);
    follow_t *follow = s_follow (world, client, 0);
    memset (chunk, 'x', sizeof chunk);
    while (outbox_send_plain (world->broker.outbox, client->peer, USI_PING))
        ;
    client->peer->slow = false; /* it seems to read, and nothing is left for it */
    for (uint64_t i = 0; i < 9; i++)
        follow_chunk (&world->broker, follow, US_STREAM_LOG, i * sizeof chunk,
                      usi_bytes (chunk, sizeof chunk));
    assert_true (client->peer->slow);
    assert_int_equal (follow->streams[0].sent, 0);
    outbox_flush (world->broker.outbox);
    assert_int_equal (follow->streams[0].sent, 0);
}

static void test_an_answer_for_a_dropped_follow_is_ignored (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    follow_t *follow = s_follow (world, client, 0);
    follow_grow (&world->broker, follow, US_STREAM_LOG, 4);
    follow_drop (&world->broker, follow);
    follow = s_follow (world, client, 2);
    s_read (world, US_OK, "one two", 64);
    assert_string_equal (s_heard (world, client), "");
    assert_int_equal (follow->streams[0].sent, 2);
}

static void test_a_lost_store_makes_the_client_announce (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    follow_grow (&world->broker, s_follow (world, client, 0), US_STREAM_LOG, 4);
    s_read (world, US_ERR_STORE, "", 0);
    assert_true (client->peer->must_announce);
    assert_int_equal (client->peer->follows.len, 0);
}

static void test_a_watch_repeated_does_not_rewind (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    follow_t *follow = s_follow (world, client, 0);
    s_chunk (world, follow, 0, "one ");
    assert_ptr_equal (s_follow (world, client, 0), follow);
    assert_int_equal (follow->streams[0].sent, 4);
    follow_open (&world->broker, client->peer, &s_id, USI_WATCH_LOG, 1, true);
    assert_int_equal (follow->streams[0].sent, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, world_setup, world_teardown)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_chunks_that_meet_go_straight_out),
        TEST (test_a_gap_is_read_from_the_store),
        TEST (test_the_end_comes_after_the_last_byte),
        TEST (test_a_complete_log_needs_no_store),
        TEST (test_who_did_not_read_gets_it_again),
        cmocka_unit_test_setup_teardown (test_a_full_message_that_is_not_taken,
                                         world_setup_narrow, world_teardown),
        TEST (test_an_answer_for_a_dropped_follow_is_ignored),
        TEST (test_a_lost_store_makes_the_client_announce),
        TEST (test_a_watch_repeated_does_not_rewind),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * Peers that do not read and read again, over the fake store and connections that hold
 * two messages. */
#include "unit.h"

#include "core/follows.h"
#include "core/notify.h"
#include "core/slow_peers.h"
#include "peers/missed.h"
#include "world.h"

static const usi_id_t s_id = {{1, 2, 3}};

/* Fills the connection until the peer counts as slow. */
static void s_fill (world_t *world, end_t *end)
{
    while (outbox_send_plain (world->broker.outbox, end->peer, USI_PING))
        ;
    assert_true (end->peer->slow);
}

/* The peer reads what stands in the connection. */
static void s_drain (world_t *world, end_t *end)
{
    usi_msg_t msg = USI_MSG_INIT;
    while (world_hear (world, end, &msg))
        assert_int_equal (msg.type, USI_PING);
    usi_msg_free (&msg);
}

static void test_a_peer_is_slow_until_a_ping_gets_through (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    assert_false (slow_peers_retry (&world->broker));
    s_fill (world, client);
    assert_int_equal (world->broker.counters.slow, 1);
    assert_true (slow_peers_retry (&world->broker));
    assert_true (client->peer->slow);
    s_drain (world, client);
    assert_false (slow_peers_retry (&world->broker));
    assert_false (client->peer->slow);
    assert_int_equal (world_expect (world, client, USI_PING), 0);
}

static void test_answers_come_later (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    usi_msg_t msg = USI_MSG_INIT;
    s_fill (world, client);
    notify_state (&world->broker, client->peer, &s_id, US_OK, US_STATE_RUNNING, 3);
    s_drain (world, client);
    assert_false (slow_peers_retry (&world->broker));
    assert_int_equal (world_expect (world, client, USI_PING), 0);
    assert_int_equal (world_hear (world, client, &msg), USI_STATE);
    assert_true (usi_id_equal (&msg.items[0].id, &s_id));
    assert_int_equal (msg.items[0].state, US_STATE_RUNNING);
    assert_int_equal (msg.items[0].attempt, 3);
    usi_msg_free (&msg);
}

static void test_ends_and_blobs_are_read_again (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    const uint8_t digest[USI_DIGEST_LEN] = {4};
    const ended_t ended = {.id = s_id, .state = US_STATE_SUCCEEDED};
    s_fill (world, client);
    notify_ended (&world->broker, client->peer, &ended);
    notify_blob (&world->broker, client->peer, digest, 6);
    fake_answer_read (fake_take (world->store, "blob_get"), US_OK,
                      usi_bytes_of ("chunk"), 5);
    s_drain (world, client);
    slow_peers_retry (&world->broker);
    assert_true (usi_id_equal (&fake_take (world->store, "get")->id, &s_id));
    fake_call_t *chunk = fake_take (world->store, "blob_get");
    assert_int_equal (chunk->index, 6);
    assert_memory_equal (chunk->digest, digest, sizeof digest);
}

static void test_an_answer_to_a_question_becomes_busy (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    usi_msg_t msg = USI_MSG_INIT;
    s_fill (world, client);
    usi_msg_begin (&msg, USI_ANSWER);
    USI_SET (&msg.head, REF, ref, 5);
    USI_SET (&msg.head, CODE, code, US_OK);
    assert_false (outbox_send (world->broker.outbox, client->peer, &msg));
    s_drain (world, client);
    slow_peers_retry (&world->broker);
    world_expect (world, client, USI_PING);
    assert_int_equal (world_hear (world, client, &msg), USI_ANSWER);
    assert_int_equal (msg.head.ref, 5);
    assert_int_equal (msg.head.code, US_ERR_BUSY);
    usi_msg_free (&msg);
}

static void test_a_log_goes_on_where_it_was_not_read (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    follow_t *follow =
        follow_open (&world->broker, client->peer, &s_id, USI_WATCH_LOG, 0, false);
    const ended_t ended = {.id = s_id, .state = US_STATE_SUCCEEDED};
    follow_chunk (&world->broker, follow, US_STREAM_LOG, 0, usi_bytes_of ("one"));
    notify_ended (&world->broker, client->peer, &ended);
    s_fill (world, client);
    s_drain (world, client);
    assert_int_equal (client->peer->missed_len, 0);
    slow_peers_retry (&world->broker);
    fake_call_t *call = fake_take (world->store, "log_from");
    assert_int_equal (call->offset, 0);
    fake_answer_read (call, US_OK, usi_bytes_of ("one"), 3);
    assert_int_equal (fake_count (world->store, "get"), 1); /* its end, last */
}

static void test_jobs_are_handed_back (void **state)
{
    world_t *world = *state;
    end_t *node = world_node (world, 7);
    s_fill (world, node);
    usi_fields_t *item =
        outbox_add_id (world->broker.outbox, node->peer, USI_JOBS, &s_id);
    USI_SET (item, ATTEMPT, attempt, 2);
    USI_SET (item, NONCE, nonce, 17);
    outbox_flush (world->broker.outbox);
    fake_call_t *back = fake_take (world->store, "hand_back");
    assert_int_equal (back->fence.attempt, 2);
    assert_int_equal (back->fence.node, 7);
    assert_int_equal (node->node->credit, 1);
    assert_int_equal (node_available (node->node), 0);
    s_drain (world, node);
    slow_peers_retry (&world->broker); /* its credit counts again */
    assert_int_equal (fake_take (world->store, "claim")->count, 1);
}

static void test_missed_answers_come_in_portions (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    s_fill (world, client);
    for (int i = 0; i < 100; i++)
        notify_state (&world->broker, client->peer, &s_id, US_OK, US_STATE_RUNNING, 0);
    s_drain (world, client);
    assert_int_equal (client->peer->missed_len, 100);
    assert_true (slow_peers_retry (&world->broker));
    world_expect (world, client, USI_PING);
    assert_int_equal (world_expect (world, client, USI_STATE), 64);
    assert_false (slow_peers_retry (&world->broker));
    assert_int_equal (world_expect (world, client, USI_STATE), 36);
}

static void test_who_missed_too_much_must_announce (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    s_fill (world, client);
    for (int i = 0; i <= MISSED_MAX; i++)
        notify_state (&world->broker, client->peer, &s_id, US_OK, US_STATE_RUNNING, 0);
    outbox_flush (world->broker.outbox);
    assert_int_equal (client->peer->missed_len, MISSED_MAX);
    assert_int_equal (world->broker.counters.forgotten, 1);
    assert_true (client->peer->must_announce);
}

#define TEST(name)                                                                     \
    cmocka_unit_test_setup_teardown (name, world_setup_narrow, world_teardown)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_a_peer_is_slow_until_a_ping_gets_through),
        TEST (test_answers_come_later),
        TEST (test_ends_and_blobs_are_read_again),
        TEST (test_an_answer_to_a_question_becomes_busy),
        TEST (test_a_log_goes_on_where_it_was_not_read),
        TEST (test_jobs_are_handed_back),
        TEST (test_missed_answers_come_in_portions),
        TEST (test_who_missed_too_much_must_announce),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * What became of a job goes to all peers that want to know, over the fake store. */
#include "unit.h"

#include "core/fanout.h"
#include "core/follows.h"
#include "world.h"

static const usi_id_t s_id = {{1, 2, 3}};

static void s_answer_end (world_t *world)
{
    const store_job_t job = {.record = {.id = s_id, .state = US_STATE_FAILED},
                             .result = {.code = -7}};
    fake_answer_job (fake_take (world->store, "get"), US_OK, &job);
}

static void test_an_end_is_read_once_for_all (void **state)
{
    world_t *world = *state;
    end_t *a = world_client (world), *b = world_client (world);
    const uint32_t left = b->peer->index + 1;
    const uint32_t peers[] = {a->peer->index, b->peer->index, a->peer->index, left};
    usi_msg_t msg = USI_MSG_INIT;
    fanout_ended (&world->broker, &s_id, peers, 4);
    assert_int_equal (fake_open (world->store), 1);
    s_answer_end (world);
    assert_int_equal (world_expect (world, a, USI_ENDED), 1);
    assert_int_equal (world_hear (world, b, &msg), USI_ENDED);
    assert_int_equal (msg.items[0].state, US_STATE_FAILED);
    assert_int_equal (msg.items[0].code, -7);
    usi_msg_free (&msg);
}

static void test_nobody_to_tell_asks_nothing (void **state)
{
    world_t *world = *state;
    const uint32_t left = 77;
    fanout_ended (&world->broker, &s_id, &left, 1);
    fanout_ended (&world->broker, &s_id, NULL, 0);
    assert_int_equal (fake_open (world->store), 0);
}

static void test_a_job_that_runs_again_has_not_ended (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    const store_job_t job = {.record = {.id = s_id, .state = US_STATE_RUNNING}};
    usi_msg_t msg = USI_MSG_INIT;
    fanout_ended (&world->broker, &s_id, &client->peer->index, 1);
    fake_answer_job (fake_take (world->store, "get"), US_OK, &job);
    assert_int_equal (world_hear (world, client, &msg), 0);
    assert_false (client->peer->must_announce);
    usi_msg_free (&msg);
}

static void test_without_the_store_the_peer_must_announce (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    fanout_ended (&world->broker, &s_id, &client->peer->index, 1);
    fake_answer_job (fake_take (world->store, "get"), US_ERR_STORE, NULL);
    assert_true (client->peer->must_announce);
}

static void test_a_peer_that_leaves_meanwhile_is_passed_over (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    fanout_ended (&world->broker, &s_id, &client->peer->index, 1);
    peers_mark_gone (world->broker.peers, client->peer);
    world_turn (world);
    s_answer_end (world);
    assert_int_equal (world->filled, 0);
}

static void test_followers_hear_the_end_after_the_log (void **state)
{
    world_t *world = *state;
    end_t *follower = world_client (world), *other = world_client (world);
    const uint32_t peers[] = {follower->peer->index, other->peer->index};
    follow_open (&world->broker, follower->peer, &s_id, USI_WATCH_LOG, 0, false);
    fanout_ended (&world->broker, &s_id, peers, 2);
    s_answer_end (world); /* for the other */
    assert_int_equal (world_expect (world, other, USI_ENDED), 1);
    fake_answer_read (fake_take (world->store, "log_from"), US_OK, usi_bytes_of ("log"),
                      3);
    assert_int_equal (world_expect (world, follower, USI_LOGGED), 1);
    s_answer_end (world);
    assert_int_equal (world_expect (world, follower, USI_ENDED), 1);
}

static void test_started_is_told_once_a_peer (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    const uint32_t twice[] = {client->peer->index, client->peer->index};
    usi_msg_t msg = USI_MSG_INIT;
    fanout_started (&world->broker, &s_id, twice, 2);
    assert_int_equal (world_hear (world, client, &msg), USI_STATE);
    assert_int_equal (msg.items_len, 1);
    assert_int_equal (msg.items[0].state, US_STATE_RUNNING);
    usi_msg_free (&msg);
}

static void test_logs_go_to_followers_alone (void **state)
{
    world_t *world = *state;
    end_t *follower = world_client (world), *other = world_client (world);
    const uint32_t peers[] = {follower->peer->index, other->peer->index};
    usi_msg_t msg = USI_MSG_INIT;
    follow_open (&world->broker, follower->peer, &s_id, USI_WATCH_LOG, 0, false);
    fanout_chunk (&world->broker, &s_id, peers, 2, US_STREAM_LOG, 0,
                  usi_bytes_of ("log"));
    assert_int_equal (world_expect (world, follower, USI_LOGGED), 1);
    assert_int_equal (world_hear (world, other, &msg), 0);
    fanout_logged (&world->broker, &s_id, peers, 2);
    assert_int_equal (fake_take (world->store, "log_from")->offset, 3);
    usi_msg_free (&msg);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, world_setup, world_teardown)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_an_end_is_read_once_for_all),
        TEST (test_nobody_to_tell_asks_nothing),
        TEST (test_a_job_that_runs_again_has_not_ended),
        TEST (test_without_the_store_the_peer_must_announce),
        TEST (test_a_peer_that_leaves_meanwhile_is_passed_over),
        TEST (test_followers_hear_the_end_after_the_log),
        TEST (test_started_is_told_once_a_peer),
        TEST (test_logs_go_to_followers_alone),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

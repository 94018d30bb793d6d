/* SPDX-License-Identifier: MIT
 *
 * WATCH, UNWATCH and CANCEL, over the fake store. */
#include "unit.h"

#include "core/follows.h"
#include "world.h"

static const usi_id_t s_id = {{1, 2, 3}};

static fake_call_t *s_watch (world_t *world, end_t *client, unsigned flags, int known)
{
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, USI_WATCH);
    usi_fields_t *item = world_add (&msg, &s_id);
    USI_SET (item, FLAGS, flags, flags);
    if (known)
        USI_SET (item, STATE, state, (uint64_t) known);
    world_say (world, client, &msg);
    return fake_take (world->store, "watch");
}

static store_job_t s_job (int state)
{
    return (store_job_t){.record = {.id = s_id, .state = (uint8_t) state, .attempt = 2},
                         .log_len = 3};
}

static void s_expect_state (world_t *world, end_t *end, us_err_t code, int state)
{
    usi_msg_t msg = USI_MSG_INIT;
    assert_int_equal (world_hear (world, end, &msg), USI_STATE);
    assert_int_equal (msg.items[0].code, code);
    assert_int_equal (msg.items[0].state, state);
    usi_msg_free (&msg);
}

static void test_the_state_is_told (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    const store_job_t job = s_job (US_STATE_RUNNING);
    fake_call_t *call = s_watch (world, client, USI_WATCH_ORIGIN, 0);
    assert_int_equal (call->flags, USI_WATCH_ORIGIN);
    assert_int_equal (call->peer, client->peer->index);
    fake_answer_job (call, US_OK, &job);
    s_expect_state (world, client, US_OK, US_STATE_RUNNING);
}

static void test_a_repeated_watch_tells_changes_alone (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    const store_job_t job = s_job (US_STATE_RUNNING);
    fake_call_t *call = s_watch (world, client, USI_WATCH_CHANGED, US_STATE_RUNNING);
    assert_int_equal (call->flags, 0); /* the store need not know of it */
    fake_answer_job (call, US_OK, &job);
    world_expect_nothing (world, client);
    fake_answer_job (s_watch (world, client, USI_WATCH_CHANGED, US_STATE_QUEUED), US_OK,
                     &job);
    s_expect_state (world, client, US_OK, US_STATE_RUNNING);
}

static void test_an_ended_job_is_told_at_once (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    const store_job_t job = s_job (US_STATE_DEAD);
    fake_answer_job (s_watch (world, client, 0, 0), US_OK, &job);
    assert_int_equal (world_expect (world, client, USI_ENDED), 1);
}

static void test_the_log_comes_before_the_end (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    const store_job_t job = s_job (US_STATE_DEAD);
    fake_answer_job (s_watch (world, client, USI_WATCH_LOG, 0), US_OK, &job);
    world_expect_nothing (world, client);
    fake_answer_read (fake_take (world->store, "log_from"), US_OK, usi_bytes_of ("log"),
                      3);
    assert_int_equal (world_expect (world, client, USI_LOGGED), 1);
    fake_answer_job (fake_take (world->store, "get"), US_OK, &job);
    assert_int_equal (world_expect (world, client, USI_ENDED), 1);
}

static void test_an_unknown_job_is_not_followed (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    fake_answer_job (s_watch (world, client, USI_WATCH_LOG, 0), US_ERR_UNKNOWN_JOB,
                     NULL);
    s_expect_state (world, client, US_ERR_UNKNOWN_JOB, 0);
    assert_int_equal (client->peer->follows.len, 0);
}

static void test_without_the_store_the_client_must_announce (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    fake_answer_job (s_watch (world, client, 0, 0), US_ERR_STORE, NULL);
    world_expect_nothing (world, client);
    assert_true (client->peer->must_announce);
}

static void test_unwatch_ends_the_log (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    usi_msg_t msg = USI_MSG_INIT;
    s_watch (world, client, USI_WATCH_LOG, 0);
    assert_int_equal (client->peer->follows.len, 1);
    usi_msg_begin (&msg, USI_UNWATCH);
    world_add (&msg, &s_id);
    world_say (world, client, &msg);
    assert_int_equal (client->peer->follows.len, 0);
    assert_int_equal (fake_take (world->store, "unwatch")->peer, client->peer->index);
}

/* --- CANCEL --------------------------------------------------------------------------- */

static fake_call_t *s_cancel (world_t *world, end_t *client)
{
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, USI_CANCEL);
    usi_fields_t *item = world_add (&msg, &s_id);
    USI_SET (item, MODE, mode, 1);
    world_say (world, client, &msg);
    fake_call_t *call = fake_take (world->store, "cancel");
    assert_int_equal (call->mode, 1);
    return call;
}

static void s_expect_cancelled (world_t *world, end_t *end, us_err_t code, int state)
{
    usi_msg_t msg = USI_MSG_INIT;
    assert_int_equal (world_hear (world, end, &msg), USI_CANCELLED);
    assert_int_equal (msg.items[0].code, code);
    assert_int_equal (msg.items[0].state, state);
    usi_msg_free (&msg);
}

static void test_a_job_that_waits_ends_at_once (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world), *owner = world_client (world);
    const store_cancelled_t reply = {.state = US_STATE_CANCELLED,
                                     .peers = &owner->peer->index,
                                     .peers_len = 1};
    const store_job_t job = s_job (US_STATE_CANCELLED);
    fake_answer_cancel (s_cancel (world, client), US_OK, &reply);
    s_expect_cancelled (world, client, US_OK, US_STATE_CANCELLED);
    fake_answer_job (fake_take (world->store, "get"), US_OK, &job);
    assert_int_equal (world_expect (world, owner, USI_ENDED), 1);
}

static void test_the_node_of_a_running_job_stops_it (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world), *node = world_node (world, 7);
    usi_msg_t msg = USI_MSG_INIT;
    store_cancelled_t reply = {.state = US_STATE_RUNNING,
                               .holder = world->broker.id,
                               .node = 7,
                               .attempt = 4};
    fake_answer_cancel (s_cancel (world, client), US_OK, &reply);
    s_expect_cancelled (world, client, US_OK, US_STATE_RUNNING);
    assert_int_equal (world_hear (world, node, &msg), USI_STOP);
    assert_int_equal (msg.items[0].attempt, 4);
    reply.holder++; /* another broker's node: the store has told that broker */
    fake_answer_cancel (s_cancel (world, client), US_OK, &reply);
    assert_int_equal (world_hear (world, node, &msg), 0);
    usi_msg_free (&msg);
}

static void test_a_cancel_that_fails_is_answered (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    fake_answer_cancel (s_cancel (world, client), US_ERR_UNKNOWN_JOB, NULL);
    s_expect_cancelled (world, client, US_ERR_UNKNOWN_JOB, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, world_setup, world_teardown)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_the_state_is_told),
        TEST (test_a_repeated_watch_tells_changes_alone),
        TEST (test_an_ended_job_is_told_at_once),
        TEST (test_the_log_comes_before_the_end),
        TEST (test_an_unknown_job_is_not_followed),
        TEST (test_without_the_store_the_client_must_announce),
        TEST (test_unwatch_ends_the_log),
        TEST (test_a_job_that_waits_ends_at_once),
        TEST (test_the_node_of_a_running_job_stops_it),
        TEST (test_a_cancel_that_fails_is_answered),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

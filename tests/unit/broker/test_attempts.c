/* SPDX-License-Identifier: MIT
 *
 * What nodes say of attempts, over the fake store: RESULT, LOG, STARTED, RENEW, HAND_BACK,
 * CREDIT, STATUS, RELAY. */
#include "unit.h"

#include <string.h>

#include "core/follows.h"
#include "proto/pack.h"
#include "world.h"

static const usi_id_t s_id = {{1, 2, 3}};

/* RESULT of an attempt with this number; the body is "body". */
static fake_call_t *s_result (world_t *world, end_t *node, unsigned attempt,
                              unsigned outcome)
{
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, USI_RESULT);
    usi_fields_t *item = world_add_attempt (&msg, &s_id);
    USI_SET (item, ATTEMPT, attempt, attempt);
    USI_SET (item, OUTCOME, outcome, outcome);
    USI_SET (item, CODE, code, outcome == USI_SUCCEEDED ? 0 : -9);
    USI_SET (item, LOG_END, log_end, 3);
    usi_msg_body (&msg, "body", 4);
    world_say (world, node, &msg);
    return fake_take (world->store, "done");
}

/* The node hears COMMITTED with this code. */
static void s_expect_committed (world_t *world, end_t *node, int code)
{
    usi_msg_t msg = USI_MSG_INIT;
    assert_int_equal (world_hear (world, node, &msg), USI_COMMITTED);
    assert_true (usi_id_equal (&msg.items[0].id, &s_id));
    assert_int_equal (msg.items[0].code, code);
    usi_msg_free (&msg);
}

static void test_a_first_attempt_is_told_from_the_message (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world), *node = world_node (world, 7);
    fake_call_t *call = s_result (world, node, 1, USI_SUCCEEDED);
    assert_int_equal (call->fence.node, 7);
    assert_int_equal (call->fence.nonce, 17);
    assert_int_equal (call->body.len, 4);
    const store_finished_t reply = {.state = US_STATE_SUCCEEDED,
                                    .started_ms = 5,
                                    .ended_ms = 9,
                                    .peers = &client->peer->index,
                                    .peers_len = 1};
    fake_answer_done (call, US_OK, &reply);
    s_expect_committed (world, node, US_OK);
    usi_msg_t msg = USI_MSG_INIT;
    assert_int_equal (world_hear (world, client, &msg), USI_ENDED);
    assert_int_equal (msg.items[0].state, US_STATE_SUCCEEDED);
    assert_int_equal (msg.items[0].ended_ms, 9);
    assert_int_equal (msg.items[0].log_end, 3);
    assert_true (usi_bytes_equal (usi_msg_item_body (&msg, 0), usi_bytes_of ("body")));
    usi_msg_free (&msg);
    assert_int_equal (fake_count (world->store, "get"), 0);
}

static void test_of_a_later_attempt_the_record_knows_more (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world), *node = world_node (world, 7);
    const store_finished_t reply = {.state = US_STATE_FAILED,
                                    .peers = &client->peer->index,
                                    .peers_len = 1};
    fake_answer_done (s_result (world, node, 2, USI_FAILED), US_OK, &reply);
    s_expect_committed (world, node, US_OK);
    assert_true (usi_id_equal (&fake_take (world->store, "get")->id, &s_id));
}

static void test_an_end_without_a_code_gets_one (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world), *node = world_node (world, 7);
    const store_finished_t reply = {.state = US_STATE_CANCELLED,
                                    .peers = &client->peer->index,
                                    .peers_len = 1};
    usi_msg_t msg = USI_MSG_INIT;
    fake_answer_done (s_result (world, node, 1, USI_SUCCEEDED), US_OK, &reply);
    assert_int_equal (world_hear (world, client, &msg), USI_ENDED);
    assert_int_equal (msg.items[0].code, record_end_code (US_STATE_CANCELLED, 0));
    usi_msg_free (&msg);
}

static void test_a_late_result_is_stale (void **state)
{
    world_t *world = *state;
    end_t *node = world_node (world, 7);
    fake_answer_done (s_result (world, node, 1, USI_SUCCEEDED), US_ERR_STALE, NULL);
    s_expect_committed (world, node, US_ERR_STALE);
}

static void test_an_unknown_outcome_is_not_stored (void **state)
{
    world_t *world = *state;
    end_t *node = world_node (world, 7);
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, USI_RESULT);
    usi_fields_t *item = world_add_attempt (&msg, &s_id);
    USI_SET (item, OUTCOME, outcome, 0);
    USI_SET (item, CODE, code, 0);
    world_say (world, node, &msg);
    assert_int_equal (fake_count (world->store, "done"), 0);
    s_expect_committed (world, node, US_ERR_INVALID);
}

static void test_credit_comes_with_results (void **state)
{
    world_t *world = *state;
    end_t *node = world_node (world, 7);
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, USI_RESULT);
    USI_SET (&msg.head, CREDIT, credit, 3);
    usi_fields_t *item = world_add_attempt (&msg, &s_id);
    USI_SET (item, OUTCOME, outcome, USI_SUCCEEDED);
    USI_SET (item, CODE, code, 0);
    world_say (world, node, &msg);
    assert_int_equal (fake_take (world->store, "claim")->count, 3);
    usi_msg_begin (&msg, USI_CREDIT);
    USI_SET (&msg.head, CREDIT, credit, 2);
    world_say (world, node, &msg);
    assert_int_equal (node->node->credit, 5);
}

/* The node keeps what it said and says it again after its next HELLO. */
static void test_without_the_store_the_node_must_announce (void **state)
{
    world_t *world = *state;
    end_t *node = world_node (world, 7);
    usi_msg_t msg = USI_MSG_INIT;
    fake_answer_done (s_result (world, node, 1, USI_SUCCEEDED), US_ERR_STORE, NULL);
    assert_true (node->peer->must_announce);
    assert_int_equal (world_hear (world, node, &msg), 0);
    usi_msg_free (&msg);
}

/* --- LOG ------------------------------------------------------------------------------ */

static fake_call_t *s_log (world_t *world, end_t *node, uint64_t offset,
                           const char *text)
{
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, USI_LOG);
    usi_fields_t *item = world_add_attempt (&msg, &s_id);
    USI_SET (item, STREAM, stream, US_STREAM_LOG);
    USI_SET (item, OFFSET, offset, offset);
    usi_msg_body (&msg, text, strlen (text));
    world_say (world, node, &msg);
    return fake_take (world->store, "log");
}

static void test_a_chunk_goes_straight_to_followers (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world), *node = world_node (world, 7);
    usi_msg_t msg = USI_MSG_INIT;
    follow_open (&world->broker, client->peer, &s_id, USI_WATCH_LOG, 0, false);
    fake_answer_log (s_log (world, node, 0, "one"), US_OK, 3, &client->peer->index, 1);
    assert_int_equal (world_hear (world, node, &msg), USI_LOG_KEPT);
    assert_int_equal (msg.items[0].offset, 3);
    assert_int_equal (world_hear (world, client, &msg), USI_LOGGED);
    assert_true (usi_bytes_equal (usi_msg_item_body (&msg, 0), usi_bytes_of ("one")));
    usi_msg_free (&msg);
    assert_int_equal (fake_open (world->store), 0);
}

static void test_a_chunk_that_was_not_kept_is_not_shown (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world), *node = world_node (world, 7);
    usi_msg_t msg = USI_MSG_INIT;
    follow_open (&world->broker, client->peer, &s_id, USI_WATCH_LOG, 0, false);
    fake_answer_log (s_log (world, node, 9, "gap"), US_OK, 4, &client->peer->index, 1);
    assert_int_equal (world_hear (world, client, &msg), 0);
    fake_take (world->store, "log_from"); /* what there is, is read */
    fake_answer_log (s_log (world, node, 4, "x"), US_ERR_STORE, 0, NULL, 0);
    assert_true (node->peer->must_announce);
    usi_msg_free (&msg);
}

/* --- the short messages ----------------------------------------------------------------- */

static fake_call_t *s_attempt (world_t *world, end_t *node, usi_type_t type,
                               const char *name)
{
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, type);
    usi_fields_t *item = world_add_attempt (&msg, &s_id);
    if (type == USI_RENEW)
        USI_SET (item, FLAGS, flags, USI_RENEW_STARTED);
    world_say (world, node, &msg);
    return fake_take (world->store, name);
}

static void test_renewals_are_answered_where_they_fail (void **state)
{
    world_t *world = *state;
    end_t *node = world_node (world, 7);
    usi_msg_t msg = USI_MSG_INIT;
    fake_answer_code (s_attempt (world, node, USI_STARTED, "started"), US_OK);
    fake_call_t *renew = s_attempt (world, node, USI_RENEW, "renew");
    assert_true (renew->on);
    fake_answer_code (renew, US_OK);
    assert_int_equal (world_hear (world, node, &msg), 0);
    fake_answer_code (s_attempt (world, node, USI_RENEW, "renew"), US_ERR_STALE);
    assert_int_equal (world_hear (world, node, &msg), USI_RENEWED);
    assert_int_equal (msg.items[0].code, US_ERR_STALE);
    assert_int_equal (msg.items[0].attempt, 2);
    fake_answer_code (s_attempt (world, node, USI_RENEW, "renew"), US_ERR_STORE);
    assert_true (node->peer->must_announce);
    usi_msg_free (&msg);
}

static void test_a_job_handed_back_is_committed (void **state)
{
    world_t *world = *state;
    end_t *node = world_node (world, 7);
    fake_answer_code (s_attempt (world, node, USI_HAND_BACK, "hand_back"), US_OK);
    s_expect_committed (world, node, US_OK);
}

static void test_status_and_relay_are_noted (void **state)
{
    world_t *world = *state;
    end_t *node = world_node (world, 7);
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, USI_STATUS);
    USI_SET (&msg.head, BUSY, busy, 3);
    USI_SET (&msg.head, SLOTS, slots, 8);
    usi_msg_add (&msg);
    usi_msg_body (&msg, "\x80", 1); /* an environment */
    usi_msg_add (&msg);
    usi_msg_body (&msg, "\x01", 1); /* is no map: passed over */
    world_say (world, node, &msg);
    assert_int_equal (node->node->slots, 8);
    assert_int_equal (node->node->envs_len, 1);
    fake_take (world->store, "register_node");
    usi_msg_begin (&msg, USI_RELAY);
    world_say (world, node, &msg);
    assert_true (fake_take (world->store, "relay")->on);
    assert_true (node->node->relayed);
    peers_mark_gone (world->broker.peers, node->peer);
    world_turn (world);
    assert_false (fake_take (world->store, "relay")->on);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, world_setup, world_teardown)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_a_first_attempt_is_told_from_the_message),
        TEST (test_of_a_later_attempt_the_record_knows_more),
        TEST (test_an_end_without_a_code_gets_one),
        TEST (test_a_late_result_is_stale),
        TEST (test_an_unknown_outcome_is_not_stored),
        TEST (test_credit_comes_with_results),
        TEST (test_without_the_store_the_node_must_announce),
        TEST (test_a_chunk_goes_straight_to_followers),
        TEST (test_a_chunk_that_was_not_kept_is_not_shown),
        TEST (test_renewals_are_answered_where_they_fail),
        TEST (test_a_job_handed_back_is_committed),
        TEST (test_status_and_relay_are_noted),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

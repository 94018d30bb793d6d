/* SPDX-License-Identifier: MIT
 *
 * SUBMIT, over the fake store. */
#include "unit.h"

#include <string.h>

#include "core/follows.h"
#include "core/schedule.h"
#include "proto/pack.h"
#include "world.h"

/* Adds a job of the channel, with a new id and a body. */
static usi_id_t s_add (usi_msg_t *msg, const char *channel, unsigned flags)
{
    usi_id_t id;
    usi_id_make (&id, usi_bytes_of (channel));
    usi_fields_t *item = world_add (msg, &id);
    USI_SET (item, CHANNEL, channel, usi_bytes_of (channel));
    USI_SET (item, SPEC, spec, usi_bytes_of ("\x80"));
    USI_SET (item, FLAGS, flags, flags);
    usi_msg_body (msg, "body", 4);
    return id;
}

static usi_id_t s_submit (world_t *world, end_t *end, const char *channel,
                          unsigned flags)
{
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, USI_SUBMIT);
    usi_id_t id = s_add (&msg, channel, flags);
    world_say (world, end, &msg);
    return id;
}

static void s_expect (world_t *world, end_t *end, us_err_t code)
{
    usi_msg_t msg = USI_MSG_INIT;
    assert_int_equal (world_hear (world, end, &msg), USI_SUBMITTED);
    assert_int_equal (msg.items_len, 1);
    assert_int_equal (msg.items[0].code, code);
    usi_msg_free (&msg);
}

static void test_a_job_goes_into_the_store (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    usi_id_t id = s_submit (world, client, "a", 0);
    fake_call_t *call = fake_take (world->store, "submit");
    assert_true (usi_id_equal (&call->id, &id));
    assert_string_equal (call->text, "a");
    assert_int_equal (call->peer, client->peer->index);
    assert_int_equal (call->body.len, 4);
    assert_false (call->on);
    fake_answer_submit (call, US_OK, 0);
    s_expect (world, client, US_OK);
    assert_int_equal (world->broker.counters.submitted, 1);
}

static void test_credit_claims_in_the_same_turn (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world), *node = world_node (world, 7);
    usi_msg_t msg = USI_MSG_INIT;
    node_add_credit (node->node, 5);
    usi_msg_begin (&msg, USI_SUBMIT);
    s_add (&msg, "a", 0);
    s_add (&msg, "a", 0);
    s_add (&msg, "b", 0);
    world_say (world, client, &msg);
    assert_int_equal (fake_count (world->store, "submit"), 3);
    fake_call_t *claim = fake_take (world->store, "claim");
    assert_string_equal (claim->text, "a");
    assert_int_equal (claim->count, 2); /* jobs of one channel are claimed together */
    claim = fake_take (world->store, "claim");
    assert_string_equal (claim->text, "b");
    assert_int_equal (claim->count, 1);
}

static void test_what_is_wrong_is_said_and_the_rest_stored (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, USI_SUBMIT);
    s_add (&msg, "-bad", 0);
    s_add (&msg, "a", 0);
    msg.items[1].id.bytes[US_ID_LEN - 1] ^= 1; /* of another channel */
    s_add (&msg, "a", 0);
    USI_SET (&msg.items[2], PYTHON, python, usi_bytes_of ("three"));
    s_add (&msg, "a", 0);
    USI_SET (&msg.items[3], PYTHON, python, usi_bytes_of ("3.11"));
    world_say (world, client, &msg);
    assert_int_equal (fake_count (world->store, "submit"), 1);
    assert_string_equal (fake_take (world->store, "submit")->needs, "python=3.11");
    assert_int_equal (world_hear (world, client, &msg), USI_SUBMITTED);
    assert_int_equal (msg.items_len, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal (msg.items[i].code, US_ERR_INVALID);
        assert_true (msg.items[i].text.len > 0);
    }
    usi_msg_free (&msg);
}

static void test_a_job_that_ended_before_is_told_so (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    usi_id_t id = s_submit (world, client, "a", 0);
    fake_answer_submit (fake_take (world->store, "submit"), US_OK, US_STATE_SUCCEEDED);
    assert_true (usi_id_equal (&fake_take (world->store, "get")->id, &id));
    s_expect (world, client, US_OK);
    s_submit (world, client, "a", USI_SUBMIT_DETACHED);
    fake_answer_submit (fake_take (world->store, "submit"), US_OK, US_STATE_SUCCEEDED);
    assert_int_equal (fake_count (world->store, "get"), 1); /* nobody waits for it */
}

static void test_a_log_is_followed_from_the_start (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    usi_id_t id = s_submit (world, client, "a", USI_SUBMIT_STREAM_LOG);
    const store_job_t job = {.record = {.state = US_STATE_RUNNING}, .log_len = 3};
    fake_answer_submit (fake_take (world->store, "submit"), US_OK, 0);
    fake_call_t *watch = fake_take (world->store, "watch");
    assert_int_equal (watch->flags, USI_WATCH_LOG);
    fake_answer_job (watch, US_OK, &job); /* a job of earlier: its log has grown */
    assert_int_equal (fake_take (world->store, "log_from")->offset, 0);
    assert_non_null (follow_find (&world->broker, client->peer, &id));
}

static void test_the_log_of_a_refused_job_is_not_followed (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    s_submit (world, client, "a", USI_SUBMIT_STREAM_LOG);
    fake_answer_submit (fake_take (world->store, "submit"), US_ERR_STORE, 0);
    s_expect (world, client, US_ERR_STORE);
    assert_int_equal (client->peer->follows.len, 0);
    fake_answer_job (fake_take (world->store, "watch"), US_ERR_STORE, NULL);
}

/* --- early exits: jobs that nobody would serve ------------------------------------------ */

static void test_a_served_channel_asks_nobody (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    world_node (world, 7);
    s_submit (world, client, "a", USI_SUBMIT_IF_LISTENED);
    assert_int_equal (fake_count (world->store, "submit"), 1);
    assert_int_equal (fake_count (world->store, "nodes"), 0);
}

static usi_bytes_t s_entry (usi_buf_t *buf, const char *channel)
{
    usi_buf_t list = {0};
    usi_fields_t fields = {0};
    usi_list_add_str (&list, usi_bytes_of (channel));
    USI_SET (&fields, NODE, node, 9);
    USI_SET (&fields, CHANNELS, channels, usi_list_of (&list, 1));
    usi_fields_encode (&fields, buf);
    usi_buf_free (&list);
    return usi_buf_bytes (buf);
}

static void test_the_registry_is_asked_once_for_all (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    usi_buf_t buf = {0};
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, USI_SUBMIT);
    usi_id_t served = s_add (&msg, "elsewhere", USI_SUBMIT_IF_LISTENED);
    s_add (&msg, "nowhere", USI_SUBMIT_IF_LISTENED);
    world_say (world, client, &msg);
    assert_int_equal (fake_count (world->store, "submit"), 0);
    assert_int_equal (fake_count (world->store, "nodes"), 1);
    usi_bytes_t entry = s_entry (&buf, "elsewhere");
    fake_answer_registry (fake_take (world->store, "nodes"), US_OK, &entry, 1);
    fake_call_t *call = fake_take (world->store, "submit");
    assert_true (usi_id_equal (&call->id, &served));
    assert_int_equal (call->body.len, 4); /* copies outlive the message */
    assert_int_equal (call->spec.len, 1);
    assert_int_equal (fake_count (world->store, "submit"), 1);
    s_expect (world, client, US_ERR_NO_UNDERSTUDIES);
    s_submit (world, client, "nowhere", USI_SUBMIT_IF_LISTENED);
    assert_int_equal (fake_count (world->store, "nodes"), 2); /* a new question */
    usi_buf_free (&buf);
}

static void test_without_a_registry_the_job_is_not_accepted (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    s_submit (world, client, "nowhere", USI_SUBMIT_IF_LISTENED);
    fake_answer_registry (fake_take (world->store, "nodes"), US_ERR_STORE, NULL, 0);
    s_expect (world, client, US_ERR_STORE);
    assert_int_equal (fake_count (world->store, "submit"), 0);
}

static void test_a_client_that_leaves_does_not_submit (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    usi_buf_t buf = {0};
    s_submit (world, client, "elsewhere", USI_SUBMIT_IF_LISTENED);
    peers_mark_gone (world->broker.peers, client->peer);
    world_turn (world);
    usi_bytes_t entry = s_entry (&buf, "elsewhere");
    fake_answer_registry (fake_take (world->store, "nodes"), US_OK, &entry, 1);
    assert_int_equal (fake_count (world->store, "submit"), 0);
    usi_buf_free (&buf);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, world_setup, world_teardown)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_a_job_goes_into_the_store),
        TEST (test_credit_claims_in_the_same_turn),
        TEST (test_what_is_wrong_is_said_and_the_rest_stored),
        TEST (test_a_job_that_ended_before_is_told_so),
        TEST (test_a_log_is_followed_from_the_start),
        TEST (test_the_log_of_a_refused_job_is_not_followed),
        TEST (test_a_served_channel_asks_nobody),
        TEST (test_the_registry_is_asked_once_for_all),
        TEST (test_without_a_registry_the_job_is_not_accepted),
        TEST (test_a_client_that_leaves_does_not_submit),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

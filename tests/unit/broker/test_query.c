/* SPDX-License-Identifier: MIT
 *
 * QUERY, over the fake store: what is asked of it and what the rows say. */
#include "unit.h"

#include <string.h>

#include "core/entries.h"
#include "proto/pack.h"
#include "world.h"

static void s_begin (usi_msg_t *msg, const char *what)
{
    usi_msg_begin (msg, USI_QUERY);
    USI_SET (&msg->head, WHAT, what, usi_bytes_of (what));
    USI_SET (&msg->head, REF, ref, 5);
}

static void s_ask (world_t *world, end_t *end, const char *what)
{
    usi_msg_t msg = USI_MSG_INIT;
    s_begin (&msg, what);
    world_say (world, end, &msg);
}

/* Hears the ANSWER: rows are the bodies of its items. */
static void s_hear (world_t *world, end_t *end, usi_msg_t *msg, us_err_t code,
                    size_t rows)
{
    assert_int_equal (world_hear (world, end, msg), USI_ANSWER);
    assert_int_equal (msg->head.ref, 5);
    assert_int_equal (msg->head.code, code);
    assert_int_equal (msg->items_len, rows);
}

static void s_expect (world_t *world, end_t *end, us_err_t code)
{
    usi_msg_t msg = USI_MSG_INIT;
    s_hear (world, end, &msg, code, 0);
    assert_true (msg.head.text.len > 0);
    usi_msg_free (&msg);
}

static us_value_t s_value (const usi_msg_t *msg, size_t row, const char *key)
{
    us_reader_t at = usi_map_find (usi_msg_item_body (msg, row), key);
    return usi_read (&at);
}

static void s_expect_text (const usi_msg_t *msg, size_t row, const char *key,
                           const char *text)
{
    us_value_t value = s_value (msg, row, key);
    assert_int_equal (value.type, US_TYPE_STR);
    assert_true (
        usi_bytes_equal (usi_bytes (value.data, value.len), usi_bytes_of (text)));
}

static void test_unknown_questions_are_refused (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    usi_msg_t msg = USI_MSG_INIT;
    s_ask (world, client, "weather");
    s_expect (world, client, US_ERR_UNSUPPORTED);
    s_begin (&msg, "jobs");
    USI_SET (&msg.head, CHANNEL, channel, usi_bytes_of ("-bad"));
    world_say (world, client, &msg);
    s_expect (world, client, US_ERR_INVALID);
    s_ask (world, client, "find");
    s_expect (world, client, US_ERR_INVALID);
    s_ask (world, client, "show");
    s_expect (world, client, US_ERR_INVALID);
    s_ask (world, client, "retry");
    s_expect (world, client, US_ERR_INVALID);
    assert_int_equal (fake_open (world->store), 0);
}

static void test_status_is_answered_without_the_store (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    const store_channel_t channels[] = {{.name = "a", .queued = 2},
                                        {.name = "b", .queued = 3}};
    usi_msg_t msg = USI_MSG_INIT;
    world->broker.counters.slow = 4;
    s_ask (world, client, "status");
    fake_answer_channels (fake_take (world->store, "channels"), US_OK, channels, 2);
    s_hear (world, client, &msg, US_OK, 1);
    assert_int_equal (s_value (&msg, 0, "queued").as.integer, 5);
    assert_int_equal (s_value (&msg, 0, "parked").as.integer, 4);
    assert_int_equal (s_value (&msg, 0, "clients").as.integer, 1);
    s_ask (world, client, "status");
    fake_answer_channels (fake_take (world->store, "channels"), US_ERR_STORE, NULL, 0);
    s_hear (world, client, &msg, US_OK, 1);
    assert_int_equal (s_value (&msg, 0, "queued").type, US_TYPE_END);
    usi_msg_free (&msg);
}

static void test_channels (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    store_queue_t queue = {.needs = "python=3.11", .queued = 2};
    const store_channel_t channel = {.name = "a",
                                     .running = 1,
                                     .queues = &queue,
                                     .queues_len = 1};
    usi_msg_t msg = USI_MSG_INIT;
    world_node (world, 7);
    s_ask (world, client, "channels");
    fake_answer_channels (fake_take (world->store, "channels"), US_OK, &channel, 1);
    s_hear (world, client, &msg, US_OK, 1);
    s_expect_text (&msg, 0, "name", "a");
    assert_int_equal (s_value (&msg, 0, "nodes").as.integer, 1);
    assert_int_equal (s_value (&msg, 0, "queues").as.count, 1);
    usi_msg_free (&msg);
    s_begin (&msg, "channels");
    USI_SET (&msg.head, CHANNEL, channel, usi_bytes_of ("b"));
    world_say (world, client, &msg);
    fake_answer_channels (fake_take (world->store, "channels"), US_OK, &channel, 1);
    s_expect (world, client, US_ERR_UNKNOWN_CHANNEL);
}

/* Entries of the registry: our node, with what is newer here, and another one. */
static void test_nodes_and_their_environments (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world), *node = world_node (world, 7);
    usi_buf_t own = {0}, env = {0};
    usi_msg_t msg = USI_MSG_INIT;
    usi_pack_map (&env, 1);
    usi_pack_str (&env, "key", 3);
    usi_pack_str (&env, "abc", 3);
    usi_buf_append (&node->node->envs, env.data, env.len);
    node->node->envs_len = 1;
    entry_encode_node (&world->broker, node->node, &own);
    const usi_bytes_t entries[] = {usi_buf_bytes (&own), usi_bytes_of ("\x80")};
    node->node->credit = 6;
    s_ask (world, client, "nodes");
    fake_answer_registry (fake_take (world->store, "nodes"), US_OK, entries, 2);
    s_hear (world, client, &msg, US_OK, 2);
    assert_int_equal (s_value (&msg, 0, "node").as.integer, 7);
    assert_int_equal (s_value (&msg, 0, "credit").as.integer, 6);
    assert_int_equal (s_value (&msg, 1, "credit").type, US_TYPE_END);
    s_ask (world, client, "envs");
    fake_answer_registry (fake_take (world->store, "nodes"), US_OK, entries, 2);
    s_hear (world, client, &msg, US_OK, 1);
    s_expect_text (&msg, 0, "key", "abc");
    s_expect_text (&msg, 0, "name", "node");
    s_ask (world, client, "brokers");
    fake_answer_registry (fake_take (world->store, "brokers"), US_ERR_STORE, NULL, 0);
    s_expect (world, client, US_ERR_STORE);
    usi_msg_free (&msg);
    usi_buf_free (&own);
    usi_buf_free (&env);
}

static void test_rows_that_do_not_fit_come_with_the_cursor (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    const usi_bytes_t entries[] = {usi_bytes_of ("\x80"), usi_bytes_of ("\x80"),
                                   usi_bytes_of ("\x80")};
    usi_msg_t msg = USI_MSG_INIT;
    s_begin (&msg, "brokers");
    USI_SET (&msg.head, LIMIT, limit, 2);
    world_say (world, client, &msg);
    fake_answer_registry (fake_take (world->store, "brokers"), US_OK, entries, 3);
    s_hear (world, client, &msg, US_OK, 2);
    assert_true (usi_bytes_equal (msg.head.cursor, usi_bytes_of ("2")));
    s_begin (&msg, "brokers");
    USI_SET (&msg.head, CURSOR, cursor, usi_bytes_of ("2"));
    world_say (world, client, &msg);
    fake_answer_registry (fake_take (world->store, "brokers"), US_OK, entries, 3);
    s_hear (world, client, &msg, US_OK, 1);
    assert_int_equal (msg.head.cursor.len, 0);
    usi_msg_free (&msg);
}

static void test_doctor_tells_weak_settings_from_good_ones (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    const char *const findings[] = {"aof", "yes", "memory", "weak: no limit"};
    usi_msg_t msg = USI_MSG_INIT;
    s_ask (world, client, "doctor");
    fake_answer_doctor (fake_take (world->store, "doctor"), US_OK, findings, 4);
    s_hear (world, client, &msg, US_OK, 4);
    s_expect_text (&msg, 2, "name", "security");
    s_expect_text (&msg, 2, "level", "ok");
    s_expect_text (&msg, 3, "name", "trust");
    s_expect_text (&msg, 0, "level", "ok");
    s_expect_text (&msg, 0, "text", "aof: yes");
    s_expect_text (&msg, 1, "level", "warning");
    s_expect_text (&msg, 1, "text", "memory: no limit");
    usi_msg_free (&msg);
}

/* --- drain ------------------------------------------------------------------------------ */

static void s_drain (world_t *world, end_t *end, const char *name)
{
    usi_msg_t msg = USI_MSG_INIT;
    s_begin (&msg, "drain");
    USI_SET (&msg.head, NAME, name, usi_bytes_of (name));
    world_say (world, end, &msg);
}

static void test_our_node_drains (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world), *node = world_node (world, 7);
    usi_msg_t msg = USI_MSG_INIT;
    s_drain (world, client, "node");
    s_hear (world, client, &msg, US_OK, 1);
    assert_int_equal (s_value (&msg, 0, "node").as.integer, 7);
    usi_msg_free (&msg);
    assert_int_equal (world_expect (world, node, USI_DRAIN), 0);
    assert_true (node->node->draining);
    assert_int_equal (fake_take (world->store, "register_node")->node, 7);
    world_node (world, 8); /* of the same name */
    s_drain (world, client, "node");
    s_expect (world, client, US_ERR_INVALID);
}

static void test_a_node_elsewhere_is_drained_by_its_broker (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    usi_buf_t entry = {0};
    usi_fields_t fields = {0};
    usi_msg_t msg = USI_MSG_INIT;
    USI_SET (&fields, NODE, node, 9);
    USI_SET (&fields, NAME, name, usi_bytes_of ("far"));
    USI_SET (&fields, BROKER, broker, 77);
    usi_fields_encode (&fields, &entry);
    const usi_bytes_t entries[] = {usi_buf_bytes (&entry), usi_buf_bytes (&entry)};
    s_drain (world, client, "far");
    fake_answer_registry (fake_take (world->store, "nodes"), US_OK, entries, 1);
    fake_call_t *told = fake_take (world->store, "tell_drain");
    assert_int_equal (told->broker, 77);
    assert_int_equal (told->node, 9);
    s_hear (world, client, &msg, US_OK, 1);
    usi_msg_free (&msg);
    s_drain (world, client, "far");
    fake_answer_registry (fake_take (world->store, "nodes"), US_OK, entries, 2);
    s_expect (world, client, US_ERR_INVALID);
    s_drain (world, client, "nowhere");
    fake_answer_registry (fake_take (world->store, "nodes"), US_OK, entries, 2);
    s_expect (world, client, US_ERR_UNKNOWN_NODE);
    usi_buf_free (&entry);
}

/* --- jobs ------------------------------------------------------------------------------- */

static usi_id_t s_id (void)
{
    usi_id_t id;
    usi_id_make (&id, usi_bytes_of ("a"));
    return id;
}

static store_job_t s_job (const usi_id_t *id, int state, usi_bytes_t spec)
{
    return (store_job_t){.record = {.id = *id,
                                    .state = (uint8_t) state,
                                    .attempt = 1,
                                    .node = 7,
                                    .channel = usi_bytes_of ("a"),
                                    .spec = spec,
                                    .body = usi_bytes_of ("body"),
                                    .body_len = 4}};
}

static void test_listed_jobs (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    const usi_id_t id = s_id ();
    const store_job_t job = s_job (&id, US_STATE_RUNNING, usi_bytes_of ("\x80"));
    usi_msg_t msg = USI_MSG_INIT;
    s_begin (&msg, "jobs");
    USI_SET (&msg.head, CHANNEL, channel, usi_bytes_of ("a"));
    USI_SET (&msg.head, LIMIT, limit, 1000);
    USI_SET (&msg.head, CURSOR, cursor, usi_bytes_of ("here"));
    world_say (world, client, &msg);
    fake_call_t *call = fake_take (world->store, "list");
    assert_string_equal (call->text, "a");
    assert_string_equal (call->needs, "here");
    assert_true (call->count < 1000); /* as many as fit in every case */
    fake_answer_list (call, US_OK, &job.record, 1, "there");
    s_hear (world, client, &msg, US_OK, 1);
    assert_true (usi_bytes_equal (msg.head.cursor, usi_bytes_of ("there")));
    assert_int_equal (s_value (&msg, 0, "node").as.integer, 7);
    assert_int_equal (s_value (&msg, 0, "size").as.integer, 4);
    usi_msg_free (&msg);
}

static void test_shown_jobs (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    const usi_id_t id = s_id ();
    store_job_t job = s_job (&id, US_STATE_FAILED, usi_bytes_of ("\x80"));
    usi_msg_t msg = USI_MSG_INIT;
    job.has_result = true;
    job.result = (store_result_t){.code = -24, .body = usi_bytes_of ("error")};
    job.log_len = 9;
    s_begin (&msg, "show");
    USI_SET (&msg.head, ID, id, id);
    world_say (world, client, &msg);
    fake_call_t *call = fake_take (world->store, "get");
    assert_false (call->on); /* without the body */
    fake_answer_job (call, US_OK, &job);
    s_hear (world, client, &msg, US_OK, 1);
    assert_int_equal (s_value (&msg, 0, "code").as.integer, -24);
    assert_int_equal (s_value (&msg, 0, "result_len").as.integer, 5);
    assert_int_equal (s_value (&msg, 0, "log_len").as.integer, 9);
    assert_int_equal (s_value (&msg, 0, "node").type, US_TYPE_END);
    usi_msg_free (&msg);
    s_begin (&msg, "show");
    USI_SET (&msg.head, ID, id, id);
    world_say (world, client, &msg);
    fake_answer_job (fake_take (world->store, "get"), US_ERR_UNKNOWN_JOB, NULL);
    s_expect (world, client, US_ERR_UNKNOWN_JOB);
}

static void s_retry (world_t *world, end_t *end, const usi_id_t *old,
                     const usi_id_t *fresh)
{
    usi_msg_t msg = USI_MSG_INIT;
    s_begin (&msg, "retry");
    USI_SET (&msg.head, ID, id, *old);
    USI_SET (&msg.head, PREFIX, prefix, usi_bytes (fresh->bytes, US_ID_LEN));
    world_say (world, end, &msg);
}

static void test_a_retry_is_a_new_job_of_the_same_specification (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    const usi_id_t old = s_id ();
    usi_id_t fresh = s_id ();
    usi_buf_t spec = {0};
    usi_fields_t fields = {0};
    usi_msg_t msg = USI_MSG_INIT;
    USI_SET (&fields, NAME, name, usi_bytes_of ("job"));
    USI_SET (&fields, RETRY_OF, retry_of, fresh); /* of a retry before */
    usi_fields_encode (&fields, &spec);
    const store_job_t job = s_job (&old, US_STATE_FAILED, usi_buf_bytes (&spec));
    s_retry (world, client, &old, &fresh);
    fake_call_t *get = fake_take (world->store, "get");
    assert_true (get->on); /* with the body */
    fake_answer_job (get, US_OK, &job);
    fake_call_t *call = fake_take (world->store, "submit");
    assert_true (usi_id_equal (&call->id, &fresh));
    assert_true (call->on); /* detached */
    assert_int_equal (usi_fields_decode (&fields, usi_buf_bytes (&call->spec), NULL),
                      US_OK);
    assert_true (usi_id_equal (&fields.retry_of, &old));
    assert_true (usi_bytes_equal (fields.name, usi_bytes_of ("job")));
    fake_answer_submit (call, US_OK, 0);
    s_hear (world, client, &msg, US_OK, 1);
    assert_int_equal (s_value (&msg, 0, "state").as.integer, US_STATE_QUEUED);
    usi_msg_free (&msg);
    fresh.bytes[US_ID_LEN - 1] ^= 1;
    s_retry (world, client, &old, &fresh);
    fake_answer_job (fake_take (world->store, "get"), US_OK, &job);
    s_expect (world, client, US_ERR_INVALID); /* it would belong to another channel */
    usi_buf_free (&spec);
}

static void test_only_ended_jobs_are_purged (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    usi_msg_t msg = USI_MSG_INIT;
    s_begin (&msg, "purge");
    USI_SET (&msg.head, STATE, state, US_STATE_RUNNING);
    world_say (world, client, &msg);
    s_expect (world, client, US_ERR_INVALID);
    s_begin (&msg, "purge");
    USI_SET (&msg.head, STATE, state, US_STATE_FAILED);
    USI_SET (&msg.head, OLDER_MS, older_ms, 60000);
    world_say (world, client, &msg);
    fake_call_t *call = fake_take (world->store, "purge");
    assert_int_equal (call->state, US_STATE_FAILED);
    assert_int_equal (call->older_ms, 60000);
    fake_answer_purge (call, US_OK, 12);
    s_hear (world, client, &msg, US_OK, 0);
    assert_int_equal (msg.head.count, 12);
    usi_msg_free (&msg);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, world_setup, world_teardown)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_unknown_questions_are_refused),
        TEST (test_status_is_answered_without_the_store),
        TEST (test_channels),
        TEST (test_nodes_and_their_environments),
        TEST (test_rows_that_do_not_fit_come_with_the_cursor),
        TEST (test_doctor_tells_weak_settings_from_good_ones),
        TEST (test_our_node_drains),
        TEST (test_a_node_elsewhere_is_drained_by_its_broker),
        TEST (test_listed_jobs),
        TEST (test_shown_jobs),
        TEST (test_a_retry_is_a_new_job_of_the_same_specification),
        TEST (test_only_ended_jobs_are_purged),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

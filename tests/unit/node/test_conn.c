/* SPDX-License-Identifier: MIT
 *
 * The node's connection, driven by its loop: what HELLO says, when its owner is told, and
 * that it comes back. (What a connection does by itself: tests/unit/net.) */
#include "stage.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fake_router.h"
#include "fake_zygote.h"

typedef struct scene {
    router_t router;
    stage_t *stage;
} scene_t;

static int s_setup (void **state)
{
    scene_t *scene = usi_new (scene_t);
    router_open (&scene->router);
    scene->stage = stage_new_at (3, scene->router.brokers);
    *state = scene;
    return 0;
}

static int s_teardown (void **state)
{
    scene_t *scene = *state;
    stage_destroy (scene->stage);
    router_free (&scene->router);
    free (scene);
    return 0;
}

/* --- conditions ------------------------------------------------------------------- */

typedef struct wanted {
    router_t *router;
    int type;
    unsigned count;
} wanted_t;

static bool s_has_got (stage_t *stage, const void *arg)
{
    const wanted_t *wanted = arg;
    (void) stage;
    router_read (wanted->router);
    return wanted->router->got[wanted->type] >= wanted->count;
}

static void s_until_got (scene_t *scene, int type, unsigned count)
{
    wanted_t wanted = {&scene->router, type, count};
    stage_until (scene->stage, s_has_got, &wanted);
}

static bool s_is_up (stage_t *stage, const void *arg)
{
    router_read ((router_t *) (uintptr_t) arg);
    return stage->up;
}

static bool s_is_down (stage_t *stage, const void *arg)
{
    (void) arg;
    return !stage->up;
}

static void s_connect (scene_t *scene)
{
    node_conn_start (scene->stage->node.conn);
    stage_until (scene->stage, s_is_up, &scene->router);
}

static bool s_has_message (stage_t *stage, const void *arg)
{
    (void) arg;
    return stage->messages > 0;
}

/* --- tests ------------------------------------------------------------------------ */

static void s_check_only (const usi_list_t *list, const char *text)
{
    size_t position = 0;
    usi_bytes_t element;
    assert_int_equal (list->count, 1);
    assert_true (usi_list_next (list, &position, &element));
    assert_true (usi_bytes_equal (element, usi_bytes_of (text)));
}

static void test_hello (void **state)
{
    static const char *const channels[] = {"gpu"};
    scene_t *scene = *state;
    node_t *node = &scene->stage->node;
    node->id = 77;
    node->boot = 88;
    node->options.channels = channels;
    node->options.channels_len = 1;
    scene->router.mute = true;
    node_conn_start (node->conn);
    s_until_got (scene, USI_HELLO, 1);
    const usi_fields_t *head = &scene->router.in.head;
    assert_true (usi_bytes_equal (head->role, usi_bytes_of ("node")));
    assert_true (usi_bytes_equal (head->name, usi_bytes_of ("tester")));
    assert_int_equal (head->node, 77);
    assert_int_equal (head->boot, 88);
    assert_int_equal (head->slots, 3);
    s_check_only (&head->channels, "gpu");
    s_check_only (&head->pythons, "3.11.2");
    assert_false (node_conn_is_up (node->conn));
}

static void test_limits_of_welcome (void **state)
{
    scene_t *scene = *state;
    node_t *node = &scene->stage->node;
    s_connect (scene);
    assert_true (node_conn_is_up (node->conn));
    assert_int_equal (node->limits.lease_ms, 7000);
    assert_int_equal (node->limits.max_body, 1000);
    assert_int_equal (node->limits.max_payload, 100000);
}

static void test_messages_both_ways (void **state)
{
    scene_t *scene = *state;
    usi_msg_t msg = USI_MSG_INIT;
    s_connect (scene);
    usi_msg_begin (&msg, USI_WAKE);
    router_say (&scene->router, &msg);
    stage_until (scene->stage, s_has_message, NULL);
    assert_int_equal (scene->stage->type, USI_WAKE);
    usi_msg_begin (&msg, USI_RELAY);
    node_conn_send (scene->stage->node.conn, &msg);
    s_until_got (scene, USI_RELAY, 1);
    usi_msg_free (&msg);
}

static void test_comes_back (void **state)
{
    scene_t *scene = *state;
    s_connect (scene);
    router_close (&scene->router);
    stage_until (scene->stage, s_is_down, NULL);
    assert_false (node_conn_is_up (scene->stage->node.conn));
    router_open (&scene->router);
    stage_until (scene->stage, s_is_up, &scene->router);
}

static void test_a_broker_that_forgot_us_is_greeted_again (void **state)
{
    scene_t *scene = *state;
    usi_msg_t msg = USI_MSG_INIT;
    s_connect (scene);
    usi_msg_begin (&msg, USI_ERROR);
    USI_SET (&msg.head, CODE, code, US_ERR_UNKNOWN_PEER);
    USI_SET (&msg.head, TEXT, text, usi_bytes_of ("who are you?"));
    router_say (&scene->router, &msg);
    s_until_got (scene, USI_HELLO, 2);
    stage_until (scene->stage, s_is_up, &scene->router);
    usi_msg_free (&msg);
}

static void test_bye (void **state)
{
    scene_t *scene = *state;
    s_connect (scene);
    node_conn_bye (scene->stage->node.conn, "the test ends");
    s_until_got (scene, USI_BYE, 1);
    assert_true (
        usi_bytes_equal (scene->router.in.head.text, usi_bytes_of ("the test ends")));
    assert_false (node_conn_is_up (scene->stage->node.conn));
}

/* --- what is sent of jobs --------------------------------------------------------- */

static void test_result_with_its_log_and_credit (void **state)
{
    scene_t *scene = *state;
    s_connect (scene);
    stage_job (scene->stage, 1, "say hello\n");
    s_until_got (scene, USI_RESULT, 1);
    const usi_msg_t *msg = &scene->router.in;
    assert_true (router_got_before (&scene->router, USI_LOG, USI_RESULT));
    assert_int_equal (msg->items_len, 1);
    assert_int_equal (msg->items[0].outcome, USI_SUCCEEDED);
    assert_int_equal (msg->items[0].nonce, 7);
    assert_int_equal (msg->items[0].log_end, 6);
    assert_int_equal (usi_msg_item_body (msg, 0).len, 10);
}

static void test_credit_goes_at_once (void **state)
{
    scene_t *scene = *state;
    s_connect (scene);
    loop_touch (scene->stage->node.loop);
    s_until_got (scene, USI_CREDIT, 1);
    assert_int_equal (scene->router.in.head.credit, 3);
}

static void test_start_is_told (void **state)
{
    scene_t *scene = *state;
    s_connect (scene);
    job_t *job = stage_job (scene->stage, 1, "deaf");
    s_until_got (scene, USI_STARTED, 1);
    assert_true (job->announced);
}

static void test_results_are_told_again_on_a_new_connection (void **state)
{
    scene_t *scene = *state;
    s_connect (scene);
    job_t *job = stage_job (scene->stage, 1, "say hello\n");
    s_until_got (scene, USI_RESULT, 1);
    router_close (&scene->router);
    stage_until (scene->stage, s_is_down, NULL);
    router_open (&scene->router);
    scene->router.types_len = 0;
    s_until_got (scene, USI_RESULT, 2);
    assert_true (router_got_before (&scene->router, USI_RENEW, USI_LOG));
    assert_true (router_got_before (&scene->router, USI_LOG, USI_RESULT));
    assert_int_equal (job->state, JOB_ENDED); /* until COMMITTED */
}

static void test_jobs_are_handed_back (void **state)
{
    scene_t *scene = *state;
    s_connect (scene);
    scene->stage->node.draining = true;
    stage_job (scene->stage, 1, "echo");
    s_until_got (scene, USI_HAND_BACK, 1);
    assert_int_equal (scene->router.in.items_len, 1);
}

/* Over max_body of WELCOME: it goes as a blob, in one chunk here, before its result. */
static void test_large_result_goes_as_a_blob (void **state)
{
    scene_t *scene = *state;
    usi_msg_t msg = USI_MSG_INIT;
    s_connect (scene);
    job_t *job = stage_job (scene->stage, 1, "large 2000");
    s_until_got (scene, USI_BLOB_PUT, 1);
    const usi_fields_t *item = &scene->router.in.items[0];
    assert_int_equal (item->size, 2000);
    assert_int_equal (scene->router.got[USI_RESULT], 0);
    usi_msg_begin (&msg, USI_BLOB_KEPT);
    usi_fields_t *kept = usi_msg_add (&msg);
    USI_SET (kept, BLOB, blob, item->blob);
    USI_SET (kept, INDEX, index, 0);
    USI_SET (kept, CODE, code, US_OK);
    router_say (&scene->router, &msg);
    s_until_got (scene, USI_RESULT, 1);
    assert_true (job->has_blob);
    assert_int_equal (scene->router.in.items[0].size, 2000);
    usi_msg_free (&msg);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, s_setup, s_teardown)

int main (int argc, char **argv)
{
    fake_zygote (argc, argv);
    const struct CMUnitTest tests[] = {
        TEST (test_hello),
        TEST (test_limits_of_welcome),
        TEST (test_messages_both_ways),
        TEST (test_comes_back),
        TEST (test_a_broker_that_forgot_us_is_greeted_again),
        TEST (test_bye),
        TEST (test_result_with_its_log_and_credit),
        TEST (test_credit_goes_at_once),
        TEST (test_start_is_told),
        TEST (test_results_are_told_again_on_a_new_connection),
        TEST (test_jobs_are_handed_back),
        TEST (test_large_result_goes_as_a_blob),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

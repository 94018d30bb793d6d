/* SPDX-License-Identifier: MIT
 *
 * Who may send what, HELLO, PING and BYE. */
#include "unit.h"

#include "handlers/dispatch.h"
#include "world.h"

static void s_hello (usi_msg_t *msg, const char *role)
{
    usi_msg_begin (msg, USI_HELLO);
    USI_SET (&msg->head, ROLE, role, usi_bytes_of (role));
    USI_SET (&msg->head, VERSION, version, usi_bytes_of ("1"));
    USI_SET (&msg->head, NAME, name, usi_bytes_of ("name"));
}

static void s_plain (world_t *world, end_t *end, usi_type_t type)
{
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, type);
    world_say (world, end, &msg);
}

/* The end hears ERROR with this code. */
static void s_expect_error (world_t *world, end_t *end, us_err_t code)
{
    usi_msg_t msg = USI_MSG_INIT;
    assert_int_equal (world_hear (world, end, &msg), USI_ERROR);
    assert_int_equal (msg.head.code, code);
    usi_msg_free (&msg);
}

static void test_who_is_unknown_has_to_say_hello (void **state)
{
    world_t *world = *state;
    end_t *end = world_connect (world);
    s_plain (world, end, USI_PING);
    s_expect_error (world, end, US_ERR_UNKNOWN_PEER);
    s_plain (world, end, USI_BYE); /* needs no answer */
    world_expect_nothing (world, end);
    assert_int_equal (world->broker.counters.malformed, 0);
    assert_int_equal (world->broker.counters.messages, 2);
}

static void test_a_client_is_welcome (void **state)
{
    world_t *world = *state;
    end_t *end = world_connect (world);
    usi_msg_t msg = USI_MSG_INIT;
    s_hello (&msg, "client");
    world_say (world, end, &msg);
    assert_int_equal (world_hear (world, end, &msg), USI_WELCOME);
    assert_int_equal (msg.head.broker, world->broker.id);
    assert_int_equal (msg.head.max_payload, world->broker.max_payload);
    assert_false (usi_has (&msg.head, USI_F_TOPIC));
    usi_msg_free (&msg);
    assert_int_equal (peers_count (world->broker.peers, USI_BY_CLIENT), 1);
}

static void test_a_second_hello_makes_a_new_peer (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    uint32_t index = client->peer->index;
    usi_msg_t msg = USI_MSG_INIT;
    s_hello (&msg, "client");
    world_say (world, client, &msg);
    world_expect (world, client, USI_WELCOME);
    assert_null (peers_get (world->broker.peers, index));
    assert_int_equal (peers_count (world->broker.peers, USI_BY_CLIENT), 1);
}

static void s_say_node_hello (world_t *world, end_t *end, const char *channel)
{
    usi_buf_t channels = {0};
    usi_msg_t msg = USI_MSG_INIT;
    s_hello (&msg, "node");
    usi_list_add_str (&channels, usi_bytes_of (channel));
    USI_SET (&msg.head, NODE, node, 7);
    USI_SET (&msg.head, BOOT, boot, 1);
    USI_SET (&msg.head, CHANNELS, channels, usi_list_of (&channels, 1));
    world_say (world, end, &msg);
    usi_buf_free (&channels);
}

static void test_a_node_is_registered_and_told_its_topic (void **state)
{
    world_t *world = *state;
    end_t *end = world_connect (world);
    usi_msg_t msg = USI_MSG_INIT;
    s_say_node_hello (world, end, "a");
    assert_int_equal (world_hear (world, end, &msg), USI_WELCOME);
    assert_true (msg.head.topic.len > 0);
    usi_msg_free (&msg);
    assert_int_equal (fake_take (world->store, "register_node")->node, 7);
    /* The same node over another connection: the older one has broken unnoticed. */
    end_t *again = world_connect (world);
    s_say_node_hello (world, again, "a");
    world_expect (world, again, USI_WELCOME);
    assert_int_equal (peers_count (world->broker.peers, USI_BY_NODE), 1);
    assert_int_equal (nodes_count (world->broker.nodes), 1);
}

static void test_a_wrong_hello_makes_no_peer (void **state)
{
    world_t *world = *state;
    end_t *end = world_connect (world);
    usi_msg_t msg = USI_MSG_INIT;
    s_hello (&msg, "friend");
    world_say (world, end, &msg);
    s_expect_error (world, end, US_ERR_INVALID);
    s_say_node_hello (world, end, "-bad");
    s_expect_error (world, end, US_ERR_INVALID);
    size_t count;
    peers_all (world->broker.peers, &count);
    assert_int_equal (count, 0);
    assert_int_equal (nodes_count (world->broker.nodes), 0);
}

static void test_ping_is_answered_and_heard (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    client->peer->unanswered = 2;
    s_plain (world, client, USI_PING);
    world_expect (world, client, USI_PONG);
    assert_true (client->peer->heard);
    assert_int_equal (client->peer->unanswered, 0);
    s_plain (world, client, USI_PONG);
    world_expect_nothing (world, client);
}

static void test_bye_takes_a_node_out_of_the_registry (void **state)
{
    world_t *world = *state;
    end_t *node = world_node (world, 7);
    s_plain (world, node, USI_BYE);
    world_turn (world);
    assert_int_equal (fake_take (world->store, "unregister_node")->node, 7);
    assert_int_equal (nodes_count (world->broker.nodes), 0);
    world_expect_nothing (world, node);
}

static void test_messages_of_another_role_are_refused (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world), *node = world_node (world, 7);
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, USI_CREDIT);
    USI_SET (&msg.head, CREDIT, credit, 5);
    world_say (world, client, &msg);
    s_expect_error (world, client, US_ERR_PROTOCOL);
    usi_msg_begin (&msg, USI_QUERY);
    USI_SET (&msg.head, WHAT, what, usi_bytes_of ("status"));
    USI_SET (&msg.head, REF, ref, 1);
    world_say (world, node, &msg);
    s_expect_error (world, node, US_ERR_PROTOCOL);
    s_plain (world, client, USI_DRAIN); /* only brokers send it */
    s_expect_error (world, client, US_ERR_PROTOCOL);
    assert_int_equal (world->broker.counters.malformed, 3);
    assert_int_equal (fake_open (world->store), 0);
}

static void test_malformed_messages_are_refused_but_for_the_last_words (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    usi_msg_t msg = {.type = USI_SUBMIT, .why = "too short"};
    dispatch_malformed (&world->broker, &client->routing, &msg, US_ERR_PROTOCOL);
    s_expect_error (world, client, US_ERR_PROTOCOL);
    msg = (usi_msg_t){.type = 200, .why = "unknown type"};
    dispatch_malformed (&world->broker, &client->routing, &msg, US_ERR_UNSUPPORTED);
    s_expect_error (world, client, US_ERR_UNSUPPORTED);
    msg = (usi_msg_t){.type = USI_ERROR, .why = "too short"};
    dispatch_malformed (&world->broker, &client->routing, &msg, US_ERR_PROTOCOL);
    world_expect_nothing (world, client);
    assert_int_equal (world->broker.counters.malformed, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, world_setup, world_teardown)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_who_is_unknown_has_to_say_hello),
        TEST (test_a_client_is_welcome),
        TEST (test_a_second_hello_makes_a_new_peer),
        TEST (test_a_node_is_registered_and_told_its_topic),
        TEST (test_a_wrong_hello_makes_no_peer),
        TEST (test_ping_is_answered_and_heard),
        TEST (test_bye_takes_a_node_out_of_the_registry),
        TEST (test_messages_of_another_role_are_refused),
        TEST (test_malformed_messages_are_refused_but_for_the_last_words),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * Peers on their way out, and what nodes are told unasked, over the fake store. */
#include "unit.h"

#include "core/entries.h"
#include "core/orders.h"
#include "core/presence.h"
#include "world.h"

static const usi_id_t s_id = {{1, 2, 3}};

static void test_who_answers_no_ping_is_given_up (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    presence_beat (&world->broker); /* it has just come */
    world_expect_nothing (world, client);
    for (int i = 0; i < PEER_UNANSWERED; i++) {
        presence_beat (&world->broker);
        world_expect (world, client, USI_PING);
    }
    presence_beat (&world->broker);
    assert_int_equal (peers_count (world->broker.peers, USI_BY_CLIENT), 0);
    world_expect_nothing (world, client);
}

static void s_expect_hello_again (world_t *world, end_t *end)
{
    usi_msg_t msg = USI_MSG_INIT;
    assert_int_equal (world_hear (world, end, &msg), USI_ERROR);
    assert_int_equal (msg.head.code, US_ERR_UNKNOWN_PEER);
    usi_msg_free (&msg);
}

static void test_who_missed_an_answer_says_hello_again (void **state)
{
    world_t *world = *state;
    end_t *one = world_client (world), *other = world_client (world);
    peer_must_announce (one->peer);
    presence_ask_announce (&world->broker, false);
    s_expect_hello_again (world, one);
    world_expect_nothing (world, other);
    presence_ask_announce (&world->broker, true);
    s_expect_hello_again (world, other);
    world_expect_nothing (world, one); /* is no peer any more */
}

static void test_a_closed_connection_hands_jobs_back (void **state)
{
    world_t *world = *state;
    end_t *node = world_node (world, 7);
    usi_fields_t *item =
        outbox_add_id (world->broker.outbox, node->peer, USI_JOBS, &s_id);
    USI_SET (item, ATTEMPT, attempt, 1);
    peers_mark_gone (world->broker.peers, node->peer);
    world_turn (world);
    assert_int_equal (fake_take (world->store, "hand_back")->fence.node, 7);
    assert_int_equal (nodes_count (world->broker.nodes), 0);
}

static void test_all_hear_that_the_broker_ends (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world), *node = world_node (world, 7);
    presence_say_bye (&world->broker);
    world_expect (world, client, USI_BYE);
    world_expect (world, node, USI_BYE);
}

static void test_orders_go_to_our_nodes (void **state)
{
    world_t *world = *state;
    end_t *node = world_node (world, 7);
    order_wake (&world->broker, 7);
    world_expect (world, node, USI_WAKE);
    order_stop (&world->broker, &s_id, 7, 3);
    assert_int_equal (world_expect (world, node, USI_STOP), 1);
    order_drain (&world->broker, 7);
    world_expect (world, node, USI_DRAIN);
    assert_int_equal (fake_count (world->store, "register_node"), 1);
    order_wake (&world->broker, 8);
    order_stop (&world->broker, &s_id, 8, 3);
    order_drain (&world->broker, 8);
    world_expect_nothing (world, node);
}

static void test_entries_are_put_and_taken_out (void **state)
{
    world_t *world = *state;
    world_node (world, 7);
    fake_set_ready (world->store, false);
    entries_refresh (&world->broker);
    assert_int_equal (fake_count (world->store, "register_broker"), 0);
    fake_set_ready (world->store, true);
    entries_refresh (&world->broker);
    usi_fields_t fields;
    fake_call_t *call = fake_take (world->store, "register_node");
    assert_int_equal (usi_fields_decode (&fields, usi_buf_bytes (&call->body), NULL),
                      US_OK);
    assert_int_equal (fields.node, 7);
    assert_int_equal (fields.broker, world->broker.id);
    assert_int_equal (fields.channels.count, 2);
    assert_int_equal (fake_count (world->store, "register_broker"), 1);
    entries_remove (&world->broker);
    assert_int_equal (fake_take (world->store, "unregister_node")->node, 7);
    fake_take (world->store, "unregister_broker");
    world->broker.ending = true;
    entries_refresh (&world->broker); /* nothing comes back */
    assert_int_equal (fake_count (world->store, "register_broker"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, world_setup, world_teardown)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_who_answers_no_ping_is_given_up),
        TEST (test_who_missed_an_answer_says_hello_again),
        TEST (test_a_closed_connection_hands_jobs_back),
        TEST (test_all_hear_that_the_broker_ends),
        TEST (test_orders_go_to_our_nodes),
        TEST (test_entries_are_put_and_taken_out),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

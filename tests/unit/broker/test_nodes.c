/* SPDX-License-Identifier: MIT
 *
 * The table of nodes: channels, classes and credit. */
#include "unit.h"

#include <string.h>

#include "peers/nodes.h"
#include "proto/message.h"

typedef struct world {
    peers_t *peers;
    nodes_t *nodes;
    uint8_t next;
} world_t;

static int s_setup (void **state)
{
    static world_t world;
    world = (world_t){.peers = peers_new (), .nodes = nodes_new ()};
    *state = &world;
    return 0;
}

static int s_teardown (void **state)
{
    world_t *world = *state;
    nodes_destroy (&world->nodes);
    peers_destroy (&world->peers);
    return 0;
}

static us_err_t s_hello (world_t *world, uint64_t id, const char *channel,
                         const char *python, node_t **node)
{
    usi_buf_t channels = {0}, pythons = {0};
    usi_fields_t hello = {.node = id, .boot = 1, .slots = 2};
    routing_t routing = {.len = 1, .bytes = {world->next++}};
    const char *why;
    peer_t *peer = peers_add (world->peers, &routing, USI_BY_NODE, usi_bytes_of ("n"),
                              usi_bytes_of ("h"), 1);
    usi_list_add_str (&channels, usi_bytes_of (channel));
    usi_list_add_str (&channels, usi_bytes_of ("common"));
    usi_list_add_str (&channels, usi_bytes_of (channel));
    usi_list_add_str (&pythons, usi_bytes_of (python));
    hello.channels = usi_list_of (&channels, 3);
    hello.pythons = usi_list_of (&pythons, 1);
    us_err_t err = nodes_add (world->nodes, peer, &hello, node, &why);
    assert_true ((err == US_OK) == (why == NULL));
    usi_buf_free (&channels);
    usi_buf_free (&pythons);
    return err;
}

static node_t *s_node (world_t *world, uint64_t id, uint32_t credit)
{
    node_t *node;
    assert_int_equal (s_hello (world, id, "own", "3.11.2", &node), US_OK);
    node_add_credit (node, credit);
    return node;
}

static channel_t *s_channel (world_t *world, const char *name)
{
    return nodes_channel (world->nodes, usi_bytes_of (name));
}

static void test_channels_live_with_their_nodes (void **state)
{
    world_t *world = *state;
    node_t *node = s_node (world, 1, 0);
    assert_int_equal (node->channels_len, 2); /* the one named twice counts once */
    assert_non_null (s_channel (world, "own"));
    assert_true (channel_is_served (s_channel (world, "common"), 0));
    assert_false (channel_is_served (s_channel (world, "common"), 99));
    node->draining = true;
    assert_false (channel_is_served (s_channel (world, "common"), 0));
    nodes_remove (world->nodes, node);
    assert_null (s_channel (world, "own"));
    assert_int_equal (nodes_count (world->nodes), 0);
}

static void test_nonsense_is_refused (void **state)
{
    world_t *world = *state;
    node_t *node;
    assert_int_equal (s_hello (world, 1, "-bad", "3.11.2", &node), US_ERR_INVALID);
    assert_int_equal (s_hello (world, 1, "good", "python", &node), US_ERR_INVALID);
    assert_int_equal (s_hello (world, 0, "good", "3.11.2", &node), US_ERR_INVALID);
    assert_int_equal (nodes_count (world->nodes), 0);
    assert_null (s_channel (world, "good"));
}

static void test_classes_follow_from_pythons (void **state)
{
    world_t *world = *state;
    node_t *node = s_node (world, 1, 0);
    assert_true (node_serves (node, 0));
    assert_true (node_serves (node, usi_class (usi_bytes_of ("3.11"), NULL)));
    assert_false (node_serves (node, usi_class (usi_bytes_of ("3.12"), NULL)));
}

static void test_available_credit (void **state)
{
    world_t *world = *state;
    node_t *node = s_node (world, 1, 10);
    node->claimed = 4;
    assert_int_equal (node_available (node), 6);
    node->peer->slow = true;
    assert_int_equal (node_available (node), 0);
    node->peer->slow = false;
    node_add_credit (node, UINT64_MAX / 2);
    assert_int_equal (node->credit, NODE_CREDIT_MAX);
}

static void s_take (node_t *node, size_t index, uint32_t count, void *arg)
{
    assert_ptr_equal (node->channels[index].channel, arg);
    node->claimed += count;
}

static void test_spread_is_even_and_bounded_by_credit (void **state)
{
    world_t *world = *state;
    node_t *a = s_node (world, 1, 100), *b = s_node (world, 2, 100),
           *c = s_node (world, 3, 2);
    channel_t *channel = s_channel (world, "common");
    assert_int_equal (channel_spread (channel, 0, 30, s_take, channel), 0);
    assert_int_equal (a->claimed + b->claimed + c->claimed, 30);
    assert_int_equal (c->claimed, 2);
    assert_in_range (a->claimed, 10, 20);
    assert_int_equal (channel_spread (channel, 0, 500, s_take, channel), 500 - 172);
    assert_int_equal (node_available (a) + node_available (b) + node_available (c), 0);
}

static void test_spread_of_one_asks_one_node (void **state)
{
    world_t *world = *state;
    node_t *a = s_node (world, 1, 5), *b = s_node (world, 2, 5);
    channel_t *channel = s_channel (world, "common");
    for (int i = 0; i < 4; i++)
        assert_int_equal (channel_spread (channel, 0, 1, s_take, channel), 0);
    assert_int_equal (a->claimed, 2); /* in turn */
    assert_int_equal (b->claimed, 2);
    uint32_t other = usi_class (usi_bytes_of ("3.9"), NULL);
    assert_int_equal (channel_spread (channel, other, 1, s_take, channel), 1);
}

static void test_find_by_name_or_id (void **state)
{
    world_t *world = *state;
    bool several;
    node_t *node = s_node (world, 0xabc, 0);
    assert_ptr_equal (nodes_find (world->nodes, 0xabc), node);
    assert_ptr_equal (nodes_find_name (world->nodes, usi_bytes_of ("0000000000000abc"),
                                       &several),
                      node);
    assert_ptr_equal (nodes_find_name (world->nodes, usi_bytes_of ("n"), &several),
                      node);
    assert_false (several);
    s_node (world, 0xdef, 0);
    nodes_find_name (world->nodes, usi_bytes_of ("n"), &several);
    assert_true (several);
    assert_null (nodes_find_name (world->nodes, usi_bytes_of ("x"), &several));
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, s_setup, s_teardown)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_channels_live_with_their_nodes),
        TEST (test_nonsense_is_refused),
        TEST (test_classes_follow_from_pythons),
        TEST (test_available_credit),
        TEST (test_spread_is_even_and_bounded_by_credit),
        TEST (test_spread_of_one_asks_one_node),
        TEST (test_find_by_name_or_id),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

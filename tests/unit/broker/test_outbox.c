/* SPDX-License-Identifier: MIT
 *
 * The outbox over a real pair of sockets within the process. */
#include "unit.h"

#include <string.h>
#include <zmq.h>

#include "peers/outbox.h"

typedef struct world {
    void *context, *router, *dealer;
    peers_t *peers;
    peer_t *peer;
    outbox_t *outbox;
    int filled, unsent, gone;
    size_t unsent_items;
} world_t;

static void s_filled (void *arg)
{
    ((world_t *) arg)->filled++;
}

static void s_unsent (peer_t *peer, const usi_msg_t *msg, void *arg)
{
    world_t *world = arg;
    peer->slow = true;
    world->unsent++;
    world->unsent_items += msg->items_len;
}

static void s_gone (peer_t *peer, const usi_msg_t *msg, void *arg)
{
    (void) peer;
    (void) msg;
    ((world_t *) arg)->gone++;
}

static void s_set (void *socket, int option, int value)
{
    assert_int_equal (zmq_setsockopt (socket, option, &value, sizeof value), 0);
}

static int s_setup (void **state)
{
    static world_t world;
    memset (&world, 0, sizeof world);
    world.context = zmq_ctx_new ();
    world.router = zmq_socket (world.context, ZMQ_ROUTER);
    world.dealer = zmq_socket (world.context, ZMQ_DEALER);
    s_set (world.router, ZMQ_ROUTER_MANDATORY, 1);
    s_set (world.router, ZMQ_SNDHWM, 2);
    s_set (world.dealer, ZMQ_RCVHWM, 2);
    s_set (world.router, ZMQ_LINGER, 0);
    s_set (world.dealer, ZMQ_LINGER, 0);
    s_set (world.dealer, ZMQ_RCVTIMEO, 5000);
    assert_int_equal (zmq_bind (world.router, "inproc://outbox"), 0);
    assert_int_equal (zmq_connect (world.dealer, "inproc://outbox"), 0);
    assert_int_equal (zmq_send (world.dealer, "x", 1, 0), 1);
    routing_t routing = {0};
    char byte;
    routing.len =
        (size_t) zmq_recv (world.router, routing.bytes, sizeof routing.bytes, 0);
    assert_int_equal (zmq_recv (world.router, &byte, 1, 0), 1);
    world.peers = peers_new ();
    world.peer = peers_add (world.peers, &routing, USI_BY_CLIENT, usi_bytes_of (""),
                            usi_bytes_of (""), 0);
    const outbox_hooks_t hooks = {.unsent = s_unsent,
                                  .gone = s_gone,
                                  .filled = s_filled,
                                  .arg = &world};
    world.outbox = outbox_new ((void *[DOORS]){world.router}, &hooks);
    *state = &world;
    return 0;
}

static int s_teardown (void **state)
{
    world_t *world = *state;
    outbox_destroy (&world->outbox);
    peers_destroy (&world->peers);
    zmq_close (world->router);
    zmq_close (world->dealer);
    zmq_ctx_term (world->context);
    return 0;
}

static void s_add (world_t *world, usi_type_t type, uint8_t number, usi_bytes_t body)
{
    usi_id_t id = {{number}};
    usi_fields_t *item = outbox_add (world->outbox, world->peer, type, body, 0, NULL);
    USI_SET (item, ID, id, id);
    USI_SET (item, CODE, code, 0);
    if (type == USI_ENDED)
        USI_SET (item, STATE, state, US_STATE_SUCCEEDED);
    if (type == USI_LOGGED) {
        USI_SET (item, STREAM, stream, 0);
        USI_SET (item, OFFSET, offset, 0);
    }
}

static size_t s_receive (world_t *world, usi_type_t type)
{
    zmq_pollitem_t item = {.socket = world->dealer, .events = ZMQ_POLLIN};
    usi_msg_t msg = USI_MSG_INIT;
    assert_int_equal (zmq_poll (&item, 1, 5000), 1);
    assert_int_equal (usi_msg_recv (&msg, world->dealer, NULL, NULL), 0);
    assert_int_equal (msg.type, type);
    size_t count = msg.items_len;
    usi_msg_free (&msg);
    return count;
}

static void test_gathers_by_type_and_keeps_the_order_of_types (void **state)
{
    world_t *world = *state;
    usi_bytes_t body = usi_bytes_of ("body");
    s_add (world, USI_ENDED, 1, body);
    s_add (world, USI_LOGGED, 2, body);
    s_add (world, USI_ENDED, 2, usi_bytes (NULL, 0));
    assert_int_equal (world->filled, 1);
    outbox_flush (world->outbox);
    assert_int_equal (s_receive (world, USI_LOGGED), 1);
    assert_int_equal (s_receive (world, USI_ENDED), 2);
    s_add (world, USI_ENDED, 3, body);
    assert_int_equal (world->filled, 2);
}

static void test_a_full_message_leaves_early (void **state)
{
    world_t *world = *state;
    for (int i = 0; i < USI_MAX_ITEMS + 3; i++)
        s_add (world, USI_SUBMITTED, (uint8_t) i, usi_bytes (NULL, 0));
    assert_int_equal (s_receive (world, USI_SUBMITTED), USI_MAX_ITEMS);
    outbox_flush (world->outbox);
    assert_int_equal (s_receive (world, USI_SUBMITTED), 3);
    static uint8_t large[256 * 1024];
    for (int i = 0; i < 3; i++)
        s_add (world, USI_ENDED, (uint8_t) i, usi_bytes (large, sizeof large));
    assert_int_equal (s_receive (world, USI_ENDED), 2);
}

static void test_who_does_not_read_is_told_of (void **state)
{
    world_t *world = *state;
    for (int i = 0; i < 10; i++) {
        s_add (world, USI_SUBMITTED, (uint8_t) i, usi_bytes (NULL, 0));
        outbox_flush (world->outbox);
    }
    assert_int_equal (world->unsent, 6); /* both high water marks count */
    assert_int_equal (world->unsent_items, 6);
    assert_true (world->peer->slow);
    world->peer->slow = false;
    world->peer->gone = true;
    s_add (world, USI_SUBMITTED, 1, usi_bytes (NULL, 0));
    outbox_flush (world->outbox);
    assert_int_equal (world->gone, 1);
}

static void test_forget_drops_what_is_gathered (void **state)
{
    world_t *world = *state;
    s_add (world, USI_SUBMITTED, 1, usi_bytes (NULL, 0));
    outbox_forget (world->outbox, world->peer);
    outbox_flush (world->outbox);
    usi_msg_t msg = USI_MSG_INIT;
    assert_int_not_equal (usi_msg_recv (&msg, world->dealer, NULL, NULL), 0);
    usi_msg_free (&msg);
}

static void test_a_refusal_answers_what_it_refuses (void **state)
{
    world_t *world = *state;
    usi_msg_t query = USI_MSG_INIT, msg = USI_MSG_INIT;
    usi_msg_begin (&query, USI_QUERY);
    USI_SET (&query.head, REF, ref, 5);
    outbox_refuse (world->outbox, &world->peer->routing, &query, US_ERR_INVALID, "why");
    assert_int_equal (usi_msg_recv (&msg, world->dealer, NULL, NULL), 0);
    assert_int_equal (msg.type, USI_ERROR);
    assert_int_equal (msg.head.code, US_ERR_INVALID);
    assert_int_equal (msg.head.count, USI_QUERY);
    assert_int_equal (msg.head.ref, 5);
    assert_true (usi_bytes_equal (msg.head.text, usi_bytes_of ("why")));
    /* Who has to say HELLO first asks again after it. */
    outbox_refuse (world->outbox, &world->peer->routing, &query, US_ERR_UNKNOWN_PEER,
                   NULL);
    assert_int_equal (usi_msg_recv (&msg, world->dealer, NULL, NULL), 0);
    assert_false (usi_has (&msg.head, USI_F_REF));
    assert_true (msg.head.text.len > 0);
    usi_msg_free (&msg);
    usi_msg_free (&query);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, s_setup, s_teardown)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_gathers_by_type_and_keeps_the_order_of_types),
        TEST (test_a_full_message_leaves_early),
        TEST (test_who_does_not_read_is_told_of),
        TEST (test_forget_drops_what_is_gathered),
        TEST (test_a_refusal_answers_what_it_refuses),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

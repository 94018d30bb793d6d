/* SPDX-License-Identifier: MIT
 *
 * See world.h. */
#include "world.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "core/follows.h"
#include "core/presence.h"
#include "core/slow_peers.h"
#include "handlers/dispatch.h"

#define ADDRESS "inproc://broker"

static void s_unsent (peer_t *peer, const usi_msg_t *msg, void *arg)
{
    world_t *self = arg;
    slow_peer_unsent (&self->broker, peer, msg);
}

static void s_gone (peer_t *peer, const usi_msg_t *msg, void *arg)
{
    world_t *self = arg;
    presence_closed (&self->broker, peer, msg);
}

static void s_filled (void *arg)
{
    ((world_t *) arg)->filled++;
}

static void s_set (void *socket, int option, int value)
{
    assert_int_equal (zmq_setsockopt (socket, option, &value, sizeof value), 0);
}

static void *s_socket (world_t *self, int type, int mark)
{
    void *socket = zmq_socket (self->context, type);
    s_set (socket, ZMQ_SNDHWM, mark);
    s_set (socket, ZMQ_RCVHWM, mark);
    s_set (socket, ZMQ_LINGER, 0);
    return socket;
}

static int s_setup (void **state, int mark)
{
    static world_t world;
    world_t *self = &world;
    memset (self, 0, sizeof *self);
    self->context = zmq_ctx_new ();
    self->router = s_socket (self, ZMQ_ROUTER, mark);
    s_set (self->router, ZMQ_ROUTER_MANDATORY, 1);
    assert_int_equal (zmq_bind (self->router, ADDRESS), 0);
    const outbox_hooks_t hooks = {.unsent = s_unsent,
                                  .gone = s_gone,
                                  .filled = s_filled,
                                  .arg = self};
    self->store = store_new (NULL, NULL, NULL);
    self->broker =
        (broker_t){.store = self->store,
                   .peers = peers_new (),
                   .nodes = nodes_new (),
                   .outbox = outbox_new ((void *[DOORS]){self->router}, &hooks),
                   .id = 0xb,
                   .lease_ms = 15000,
                   .max_payload = 64 << 20,
                   .max_buffer = 1 << 30,
                   .max_buffers = (uint64_t) 4 << 30};
    follows_init (&self->broker);
    *state = self;
    return 0;
}

int world_setup (void **state)
{
    return s_setup (state, 1000);
}

int world_setup_narrow (void **state)
{
    return s_setup (state, 1);
}

/* In the order of server_destroy. */
int world_teardown (void **state)
{
    world_t *self = *state;
    broker_t *broker = &self->broker;
    broker->ending = true;
    store_destroy (&broker->store);
    presence_clear (broker);
    outbox_destroy (&broker->outbox);
    nodes_destroy (&broker->nodes);
    peers_destroy (&broker->peers);
    follows_destroy (broker);
    endpoints_clear (&broker->endpoints);
    for (size_t i = 0; i < self->ends_len; i++)
        world_cut (&self->ends[i]);
    zmq_close (self->router);
    zmq_ctx_term (self->context);
    return 0;
}

/* --- connections ---------------------------------------------------------------------- */

end_t *world_connect (world_t *self)
{
    int mark = 0;
    char byte;
    size_t len = sizeof mark;
    end_t *end = &self->ends[self->ends_len++];
    assert_true (self->ends_len <= WORLD_ENDS_MAX);
    zmq_getsockopt (self->router, ZMQ_RCVHWM, &mark, &len);
    end->socket = s_socket (self, ZMQ_DEALER, mark);
    assert_int_equal (zmq_connect (end->socket, ADDRESS), 0);
    /* A first message tells the routing id. */
    assert_int_equal (zmq_send (end->socket, "x", 1, 0), 1);
    end->routing.len = (size_t) zmq_recv (self->router, end->routing.bytes,
                                          sizeof end->routing.bytes, 0);
    assert_int_equal (zmq_recv (self->router, &byte, 1, 0), 1);
    return end;
}

end_t *world_client (world_t *self)
{
    end_t *end = world_connect (self);
    end->peer = peers_add (self->broker.peers, &end->routing, USI_BY_CLIENT,
                           usi_bytes_of ("client"), usi_bytes_of ("host"), 1);
    return end;
}

end_t *world_node (world_t *self, uint64_t id)
{
    usi_buf_t channels = {0}, pythons = {0};
    usi_fields_t hello = {.node = id, .boot = 1, .slots = 1};
    const char *why;
    end_t *end = world_connect (self);
    usi_list_add_str (&channels, usi_bytes_of ("a"));
    usi_list_add_str (&channels, usi_bytes_of ("b"));
    usi_list_add_str (&pythons, usi_bytes_of ("3.11.2"));
    hello.channels = usi_list_of (&channels, 2);
    hello.pythons = usi_list_of (&pythons, 1);
    end->peer = peers_add (self->broker.peers, &end->routing, USI_BY_NODE,
                           usi_bytes_of ("node"), usi_bytes_of ("host"), 1);
    assert_int_equal (nodes_add (self->broker.nodes, end->peer, &hello, &end->node,
                                 &why),
                      US_OK);
    usi_buf_free (&channels);
    usi_buf_free (&pythons);
    return end;
}

void world_cut (end_t *end)
{
    if (end->socket)
        zmq_close (end->socket);
    end->socket = NULL;
}

/* --- messages ------------------------------------------------------------------------- */

usi_fields_t *world_add (usi_msg_t *msg, const usi_id_t *id)
{
    usi_fields_t *item = usi_msg_add (msg);
    USI_SET (item, ID, id, *id);
    return item;
}

usi_fields_t *world_add_attempt (usi_msg_t *msg, const usi_id_t *id)
{
    usi_fields_t *item = world_add (msg, id);
    USI_SET (item, ATTEMPT, attempt, 2);
    USI_SET (item, NONCE, nonce, 17);
    return item;
}

void world_say (world_t *self, end_t *end, usi_msg_t *msg)
{
    routing_t routing = {0};
    usi_msg_t received = USI_MSG_INIT;
    assert_int_equal (usi_msg_send (msg, end->socket, usi_bytes (NULL, 0)), 0);
    assert_int_equal (usi_msg_recv (&received, self->router, routing.bytes,
                                    &routing.len),
                      0);
    dispatch (&self->broker, &routing, &received);
    usi_msg_free (&received);
    usi_msg_free (msg);
}

void world_turn (world_t *self)
{
    outbox_flush (self->broker.outbox);
    presence_reap (&self->broker);
}

/* A loop that polls the socket sees at once what a peer has read; libzmq itself looks for
 * that once a millisecond. */
static void s_poll (world_t *self)
{
    int events;
    size_t len = sizeof events;
    assert_int_equal (zmq_getsockopt (self->router, ZMQ_EVENTS, &events, &len), 0);
}

int world_hear (world_t *self, end_t *end, usi_msg_t *msg)
{
    world_turn (self);
    int rc = usi_msg_recv (msg, end->socket, NULL, NULL);
    s_poll (self);
    return rc == 0 ? (int) msg->type : 0;
}

size_t world_expect (world_t *self, end_t *end, usi_type_t type)
{
    usi_msg_t msg = USI_MSG_INIT;
    int heard = world_hear (self, end, &msg);
    if (heard != (int) type)
        fail_msg ("heard %s, not %s", heard ? usi_type_name (heard) : "nothing",
                  usi_type_name ((int) type));
    size_t count = msg.items_len;
    usi_msg_free (&msg);
    return count;
}

void world_expect_nothing (world_t *self, end_t *end)
{
    usi_msg_t msg = USI_MSG_INIT;
    int heard = world_hear (self, end, &msg);
    if (heard)
        fail_msg ("heard %s", usi_type_name (heard));
    usi_msg_free (&msg);
}

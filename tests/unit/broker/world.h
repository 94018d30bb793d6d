/* SPDX-License-Identifier: MIT
 *
 * A broker without its loop: the real parts over the fake store, wired as server.c wires
 * them, and clients and nodes that are connected to it within the process. */
#ifndef TESTS_BROKER_WORLD_H
#define TESTS_BROKER_WORLD_H

#include "core/broker.h"
#include "fake_store.h"

#define WORLD_ENDS_MAX 8

/* The other end of a connection. */
typedef struct end {
    void *socket;
    routing_t routing;
    peer_t *peer; /* NULL where it is nobody's; good until it is gone */
    node_t *node; /* NULL for a client */
} end_t;

typedef struct world {
    broker_t broker;
    store_t *store;
    void *context, *router;
    end_t ends[WORLD_ENDS_MAX];
    size_t ends_len;
    unsigned filled; /* how often the outbox asked to be flushed */
} world_t;

/* cmocka's: *state becomes the world. */
int world_setup (void **state);
/* The same with connections that hold so few messages that nobody reads. */
int world_setup_narrow (void **state);
int world_teardown (void **state);

/* A connection that has said nothing yet. */
end_t *world_connect (world_t *self);
end_t *world_client (world_t *self);
/* A node that listens on channels "a" and "b", with one slot and Python 3.11. */
end_t *world_node (world_t *self, uint64_t id);
/* The connection breaks. */
void world_cut (end_t *end);

/* One more item about this job. */
usi_fields_t *world_add (usi_msg_t *msg, const usi_id_t *id);
/* The same for an attempt: number 2, nonce 17. */
usi_fields_t *world_add_attempt (usi_msg_t *msg, const usi_id_t *id);
/* Sends the message from this end, lets the broker handle it, and clears it. */
void world_say (world_t *self, end_t *end, usi_msg_t *msg);
/* The end of a turn. */
void world_turn (world_t *self);
/* Ends the turn and takes the oldest message that came to this end: its type, or 0 where
 * none came. */
int world_hear (world_t *self, end_t *end, usi_msg_t *msg);
/* As above, fails the test where a message of another type came, and forgets this one but
 * for its number of items. */
size_t world_expect (world_t *self, end_t *end, usi_type_t type);
/* Ends the turn, and fails the test where anything came to this end. */
void world_expect_nothing (world_t *self, end_t *end);

#endif

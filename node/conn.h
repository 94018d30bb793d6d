/* SPDX-License-Identifier: MIT
 *
 * The node's connection to a broker: common/net's connection, driven by the node's loop,
 * with what a node says in HELLO and writes to its log. The owner is told by events when
 * a connection is there, is gone, or has brought a message. Stands on host/ and
 * common/net. */
#ifndef NODE_CONN_H
#define NODE_CONN_H

#include "node.h"

typedef struct node_conn_events {
    void (*up) (void *arg, const usi_fields_t *welcome); /* announce everything */
    void (*down) (void *arg);
    /* What is not the connection's own; its views are valid for the call. */
    void (*message) (void *arg, const usi_msg_t *msg);
    void *arg;
} node_conn_events_t;

node_conn_t *node_conn_new (node_t *node, const node_conn_events_t *events);
void node_conn_destroy (node_conn_t **self_p);
/* Begins to connect; once. */
void node_conn_start (node_conn_t *self);
bool node_conn_is_up (const node_conn_t *self);
/* Sends the message and clears it; never waits. Where there is no connection the
 * message is lost: what matters is told again after the next WELCOME. */
void node_conn_send (node_conn_t *self, usi_msg_t *msg);
/* Says BYE, and makes no new connection. */
void node_conn_bye (node_conn_t *self, const char *why);

#endif

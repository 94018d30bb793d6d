/* SPDX-License-Identifier: MIT
 *
 * The connection to one broker out of several: HELLO, heartbeats, and on to the next
 * one where none answers. Nothing sent on one connection is ever sent by itself on
 * another. */
#ifndef NODE_LINK_H
#define NODE_LINK_H

#include "node.h"

link_t *link_new (node_t *node);
void link_destroy (link_t **self_p);
/* Begins to connect; once. */
void link_start (link_t *self);
bool link_is_up (const link_t *self);
/* Sends and clears; never waits. Where there is no connection the message is lost: what
 * matters is told again after the next WELCOME. */
void link_send (link_t *self, usi_msg_t *msg);
/* There may be work: the broker looks. */
void link_ask_work (link_t *self);
/* BYE, and no new connection. */
void link_bye (link_t *self, const char *why);
/* The broker does not know us: HELLO again. */
void link_greet (link_t *self);
/* This broker is leaving, or broken: the next one. */
void link_lost (link_t *self, const char *why);

#endif

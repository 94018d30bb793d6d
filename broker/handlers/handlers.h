/* SPDX-License-Identifier: MIT
 *
 * One handler for each type of message that peers send (docs/protocol.md section 4). The
 * message has been decoded and checked against the table of types; a handler checks
 * what the codec cannot know, asks the store and answers in its callback. It must not
 * keep pointers to the message or the peer. Handlers stand on the core, and not on one
 * another; dispatch.c calls them. */
#ifndef BROKER_HANDLERS_H
#define BROKER_HANDLERS_H

#include "core/broker.h"

typedef void handler_fn (broker_t *self, peer_t *peer, usi_msg_t *msg);

handler_fn handle_ping, handle_pong, handle_bye;
handler_fn handle_submit, handle_watch, handle_unwatch, handle_cancel, handle_query;
handler_fn handle_blob_find, handle_blob_put, handle_blob_get;
handler_fn handle_credit, handle_started, handle_result, handle_log, handle_renew,
    handle_hand_back, handle_relay, handle_status;

/* HELLO is the one message of somebody who is not yet a peer. */
void handle_hello (broker_t *self, const routing_t *routing, const usi_msg_t *msg);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Peers on their way out: who does not answer, who has to say HELLO again, and what is
 * forgotten with a peer that has left. Stands on follows.h and schedule.h. */
#ifndef BROKER_PRESENCE_H
#define BROKER_PRESENCE_H

#include "core/broker.h"

/* Once a heartbeat: PINGs peers that were silent, and gives up those that did not answer
 * several PINGs. */
void presence_beat (broker_t *self);
/* Whether one more line about peers that come and go may be logged now: some in a second. */
bool presence_may_log (broker_t *self);
/* Asks peers that missed an answer of the store, or everybody, to say HELLO again: as new
 * peers they announce what they hold. */
void presence_ask_announce (broker_t *self, bool everybody);
/* The connection of this peer is closed. msg: what the peer did not get. */
void presence_closed (broker_t *self, peer_t *peer, const usi_msg_t *msg);
/* Frees the peers that are gone. Not while a pointer to a peer is in use. */
void presence_reap (broker_t *self);
/* Tells all peers that the broker ends. */
void presence_say_bye (broker_t *self);
/* Frees what the core keeps for peers: the broker has ended. */
void presence_clear (broker_t *self);

#endif

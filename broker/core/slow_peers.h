/* SPDX-License-Identifier: MIT
 *
 * Peers that do not read. A slow peer is sent nothing. What it misses becomes entries of
 * missed.h and offsets of follows.h, both bounded. Once a PING gets through to it, it gets
 * what it missed in small portions. Stands on the fan-out and on scheduling. */
#ifndef BROKER_SLOW_PEERS_H
#define BROKER_SLOW_PEERS_H

#include "core/broker.h"

#define SLOW_PEERS_RETRY_MS 20

/* The peer did not take this message, and is slow from now on. */
void slow_peer_unsent (broker_t *self, peer_t *peer, const usi_msg_t *msg);
/* Tries all peers that are slow or have missed something. False: there are none, so the
 * caller need not try again. */
bool slow_peers_retry (broker_t *self);

#endif

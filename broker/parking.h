/* SPDX-License-Identifier: MIT
 *
 * Peers that do not read. Nothing is sent to a parked peer; what it should have got
 * becomes debts and follows (ids and offsets, bounded), and is paid in small portions once
 * a PING gets through. */
#ifndef BROKER_PARKING_H
#define BROKER_PARKING_H

#include "broker.h"

#define PARKING_RETRY_MS 20

/* The peer did not take this message: parks it. */
void parking_unsent (broker_t *self, peer_t *peer, const usi_msg_t *msg);
/* Tries all who are parked or owed something. False: nobody is, stop trying. */
bool parking_retry (broker_t *self);

#endif

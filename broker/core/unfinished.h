/* SPDX-License-Identifier: MIT
 *
 * Peers that send without end. libzmq hands a message out when its last frame is there, and
 * keeps what came so far without a bound; only the system knows how much that is (not for
 * unix sockets, where the only peers are of the broker's own user). */
#ifndef BROKER_UNFINISHED_H
#define BROKER_UNFINISHED_H

#include "core/broker.h"

#define UNFINISHED_LOOK_MS 250

/* Cuts peers of whom much came and no message, for some looks in a row. Every
 * UNFINISHED_LOOK_MS. */
void unfinished_look (broker_t *self);

#endif

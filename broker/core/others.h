/* SPDX-License-Identifier: MIT
 *
 * The other brokers on the same store, as peers with keys are told of them: in WELCOME, and in a
 * PING when they change. A peer that was given one address so finds another broker when this
 * one is gone. Each address names the key that its broker has to prove. */
#ifndef BROKER_OTHERS_H
#define BROKER_OTHERS_H

#include "core/broker.h"

/* Looks who is registered, and tells peers where that has changed. */
void others_refresh (broker_t *self);
/* Puts what is known into the head of a message for a peer with a key. */
void others_show (const broker_t *self, usi_fields_t *head);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Hints that there may be work: from the store's pub/sub where this node can reach it,
 * otherwise the broker is asked to receive for us. */
#ifndef NODE_WAKE_H
#define NODE_WAKE_H

#include "node.h"

typedef struct wake wake_t;

wake_t *wake_new (node_t *node);
void wake_destroy (wake_t **self_p);
/* What WELCOME says; both empty where the broker has nothing. */
void wake_set (wake_t *self, usi_bytes_t redis, usi_bytes_t topic);
/* Each second: asks the broker to relay once the subscription is found dead. */
void wake_check (wake_t *self);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Wakes: hints that there may be work. They come from the store's pub/sub where this node
 * can reach it; otherwise the broker is asked to receive them for us. On each the broker
 * is asked to look. Stands on conn.h. */
#ifndef NODE_WAKE_H
#define NODE_WAKE_H

#include "node.h"

wake_t *wake_new (node_t *node);
void wake_destroy (wake_t **self_p);
/* What WELCOME says; both empty where the broker has nothing. */
void wake_set (wake_t *self, usi_bytes_t redis, usi_bytes_t topic);
/* A hint has come: asks the broker to look whether there is work. */
void wake_heard (wake_t *self);
/* From time to time: asks the broker to relay once the subscription is found dead. */
void wake_check (wake_t *self);

#endif

/* SPDX-License-Identifier: MIT
 *
 * What the broker tells the registry in the store: itself and its nodes. */
#ifndef BROKER_REGISTRY_H
#define BROKER_REGISTRY_H

#include "broker.h"

#define REGISTRY_REFRESH_MS 2000

void registry_put_node (broker_t *self, const node_t *node);
/* Itself and all its nodes. */
void registry_refresh (broker_t *self);
/* The broker ends: nothing of it stays. */
void registry_remove_all (broker_t *self);

/* Values as the registry holds them; appended to buf. */
void registry_encode_broker (const broker_t *self, usi_buf_t *buf);
void registry_encode_node (const broker_t *self, const node_t *node, usi_buf_t *buf);

/* The node takes no more jobs, finishes and leaves. */
void registry_drain (broker_t *self, node_t *node);

#endif

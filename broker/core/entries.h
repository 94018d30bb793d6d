/* SPDX-License-Identifier: MIT
 *
 * What the broker tells the registry in the store: itself and its nodes. */
#ifndef BROKER_REGISTRY_H
#define BROKER_REGISTRY_H

#include "core/broker.h"

#define ENTRIES_REFRESH_MS 2000

void entry_put_node (broker_t *self, const node_t *node);
/* Itself and all its nodes. */
void entries_refresh (broker_t *self);
/* The broker ends: nothing of it stays. */
void entries_remove (broker_t *self);

/* Values as the registry holds them; appended to buf. */
void entry_encode_broker (const broker_t *self, usi_buf_t *buf);
void entry_encode_node (const broker_t *self, const node_t *node, usi_buf_t *buf);

/* The node takes no more jobs, finishes and leaves. */
void order_drain (broker_t *self, node_t *node);

#endif

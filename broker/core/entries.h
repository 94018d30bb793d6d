/* SPDX-License-Identifier: MIT
 *
 * What the registry in the store says of this broker and its nodes. Stands on the table of
 * nodes and on the store. */
#ifndef BROKER_ENTRIES_H
#define BROKER_ENTRIES_H

#include "core/broker.h"

#define ENTRIES_REFRESH_MS 2000

void entry_put_node (broker_t *self, const node_t *node);
/* The broker itself and all its nodes. */
void entries_refresh (broker_t *self);
/* The broker ends: takes all its entries out. */
void entries_remove (broker_t *self);

/* The entry as the registry holds it; appended to buf. */
void entry_encode_node (const broker_t *self, const node_t *node, usi_buf_t *buf);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Fences of attempts: by what a node says of one, and by what a record says of the one
 * that was just claimed. Pure. */
#ifndef BROKER_FENCE_H
#define BROKER_FENCE_H

#include "peers/nodes.h"
#include "store/store.h"

/* item: of a message from this node, or of a JOBS message to it. */
store_fence_t fence_of_item (const node_t *node, const usi_fields_t *item);
store_fence_t fence_of_record (const store_record_t *record);

#endif

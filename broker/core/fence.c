/* SPDX-License-Identifier: MIT
 *
 * See fence.h. */
#include "core/fence.h"

store_fence_t fence_of_item (const node_t *node, const usi_fields_t *item)
{
    return (store_fence_t){.id = item->id,
                           .node = node->id,
                           .boot = node->boot,
                           .attempt = (uint32_t) item->attempt,
                           .nonce = item->nonce};
}

store_fence_t fence_of_record (const store_record_t *record)
{
    return (store_fence_t){.id = record->id,
                           .node = record->node,
                           .boot = record->boot,
                           .attempt = record->attempt,
                           .nonce = record->nonce};
}

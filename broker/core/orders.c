/* SPDX-License-Identifier: MIT
 *
 * See stop.h. */
#include "core/orders.h"

void order_stop (broker_t *self, const usi_id_t *id, uint64_t node_id, uint32_t attempt)
{
    node_t *node = nodes_find (self->nodes, node_id);
    if (!node)
        return;
    usi_fields_t *item =
        outbox_add (self->outbox, node->peer, USI_STOP, usi_bytes (NULL, 0), 0, NULL);
    USI_SET (item, ID, id, *id);
    USI_SET (item, ATTEMPT, attempt, attempt);
}

/* SPDX-License-Identifier: MIT
 *
 * See orders.h. */
#include "core/orders.h"

#include "core/entries.h"

void order_stop (broker_t *self, const usi_id_t *id, uint64_t node_id, uint32_t attempt)
{
    node_t *node = nodes_find (self->nodes, node_id);
    if (!node)
        return;
    usi_fields_t *item = outbox_add_id (self->outbox, node->peer, USI_STOP, id);
    USI_SET (item, ATTEMPT, attempt, attempt);
}

void order_drain (broker_t *self, uint64_t node_id)
{
    node_t *node = nodes_find (self->nodes, node_id);
    if (!node)
        return;
    node->draining = true;
    outbox_send_plain (self->outbox, node->peer, USI_DRAIN);
    entry_put_node (self, node);
}

void order_wake (broker_t *self, uint64_t node_id)
{
    node_t *node = nodes_find (self->nodes, node_id);
    if (node)
        outbox_send_plain (self->outbox, node->peer, USI_WAKE);
}

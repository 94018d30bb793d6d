/* SPDX-License-Identifier: MIT
 *
 * What a node of this broker is told unasked: STOP, DRAIN, WAKE. Nothing happens where
 * the node is not connected here. Stands on entries.h. */
#ifndef BROKER_ORDERS_H
#define BROKER_ORDERS_H

#include "core/broker.h"

/* The node stops the job. Where this is lost, the answer to its next RENEW says the same. */
void order_stop (broker_t *self, const usi_id_t *id, uint64_t node, uint32_t attempt);
/* The node takes no more jobs, finishes those it has, and leaves. */
void order_drain (broker_t *self, uint64_t node);
/* There may be jobs for the node's credit. */
void order_wake (broker_t *self, uint64_t node);

#endif

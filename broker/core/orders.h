/* SPDX-License-Identifier: MIT
 *
 * Telling a node of ours to stop a job. */
#ifndef BROKER_STOP_H
#define BROKER_STOP_H

#include "core/broker.h"

/* Nothing happens where the node is not here: its answer to the next RENEW says the same. */
void order_stop (broker_t *self, const usi_id_t *id, uint64_t node, uint32_t attempt);

#endif

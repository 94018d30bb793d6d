/* SPDX-License-Identifier: MIT
 *
 * The rounds of the store, and what falls due between them. Stands on batch.h and
 * collector.h. */
#ifndef BROKER_STORE_SWEEP_H
#define BROKER_STORE_SWEEP_H

#include "store/store_internal.h"

/* Something of this partition falls due then, perhaps before the next round. */
void sweep_after (store_t *self, uint8_t number, int64_t wait_ms);
void sweep_stop (store_t *self);

#endif

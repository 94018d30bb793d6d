/* SPDX-License-Identifier: MIT
 *
 * Guards: an operation that names blobs waits until all of them are known to be there,
 * and what comes later about the same job waits behind it. Stands on batch.h and
 * blobs.h. */
#ifndef BROKER_STORE_GUARD_H
#define BROKER_STORE_GUARD_H

#include "store/batch.h"

void guard_start (store_t *self);
void guard_stop (store_t *self);
/* Queues the operation in the order in which operations on its job came, once all blobs
 * (32 bytes each, often none) are known to be there. Fails it with US_ERR_MISSING_BLOB
 * where one is not. Consumes the operation. */
void guard_queue (store_t *self, op_t *op, usi_bytes_t blobs);

#endif

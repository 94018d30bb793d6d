/* SPDX-License-Identifier: MIT
 *
 * Removes blobs that nobody needs any more. Stands on blob_keys.h. */
#ifndef BROKER_STORE_COLLECTOR_H
#define BROKER_STORE_COLLECTOR_H

#include "store/store_internal.h"

/* Looks for such blobs, if the last look was long enough ago. */
void collector_round (store_t *self);
/* The clock of Redis has stepped: what was touched before cannot be told from what is old,
 * and brokers take for granted for a while that what they have touched is there. */
void collector_stepped (store_t *self);

#endif

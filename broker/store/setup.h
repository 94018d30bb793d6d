/* SPDX-License-Identifier: MIT
 *
 * Makes a new connection ready for use, and loads the function library where Redis does
 * not have it. Stands on check.h, library.h, topics.h and claim_recovery.h. */
#ifndef BROKER_STORE_SETUP_H
#define BROKER_STORE_SETUP_H

#include "store/store_internal.h"

void setup_start (store_t *self);
/* Somebody flushed the functions while we were connected. */
void setup_load_library (store_t *self);

#endif

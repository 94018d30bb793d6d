/* SPDX-License-Identifier: MIT
 *
 * Items of a message that are about jobs. Several results may be the same job, opened
 * more than once, and each of them has to learn what a message says. */
#ifndef CLIENT_LIB_ITEMS_H
#define CLIENT_LIB_ITEMS_H

#include "engine_internal.h"

typedef void item_fn (engine_t *self, us_result_t *result, const usi_msg_t *msg,
                      size_t i);

/* Calls fn for each tracked result of each item's id, with the lock held, and wakes who
 * waits for the client. fn may let go of its result. */
void items_each (engine_t *self, const usi_msg_t *msg, item_fn *fn);

#endif

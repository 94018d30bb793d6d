/* SPDX-License-Identifier: MIT
 *
 * Plain commands and calls of single functions, outside of batches. The callback runs
 * exactly once and later, with NULL where there is no connection. Stands on the
 * connection alone. */
#ifndef BROKER_STORE_COMMAND_H
#define BROKER_STORE_COMMAND_H

#include "store/store_internal.h"

void command_send (store_t *self, const usi_bytes_t *args, size_t count,
                   usi_reply_fn *fn, void *arg);
/* The same with texts, a NULL last. */
void command_text (store_t *self, usi_reply_fn *fn, void *arg, const char *command, ...)
    __attribute__ ((sentinel));
/* Calls one of our functions, by its name behind us_HASH_. */
void command_call (store_t *self, const char *name, const char *key,
                   const usi_bytes_t *args, size_t count, usi_reply_fn *fn, void *arg);
/* Runs the callbacks of those that could not be sent; false where there were none. */
bool command_fail_deferred (store_t *self);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Keeps the members as the store has them, and the list of revoked keys also on disk: a
 * store that was stolen or set back cannot hide what this broker has seen. Stands on the
 * members, the store and access.h. */
#ifndef BROKER_KEYS_H
#define BROKER_KEYS_H

#include "core/broker.h"

/* Reads the list that is kept in this folder. NULL, or what is wrong, for the
 * operator, from malloc. */
char *keys_open (broker_t *self, const char *folder);
void keys_close (broker_t *self);
/* Looks whether the store has something new. */
void keys_refresh (broker_t *self);
/* Takes a list of revoked keys that an admin brings: whoever it names is not heard any more.
 * NULL, or why not, static. */
const char *keys_revoke (broker_t *self, usi_bytes_t list, store_code_fn *fn,
                         void *arg);
/* Cuts peers whose key has been revoked or has expired. */
void keys_enforce (broker_t *self);

#endif

/* SPDX-License-Identifier: MIT
 *
 * What the store tells unasked about jobs, whoever found it out: an answer, a sweep or
 * another broker. Stands on record.h. */
#ifndef BROKER_STORE_EVENTS_H
#define BROKER_STORE_EVENTS_H

#include "store/store_internal.h"

typedef void store_peers_fn (void *arg, const usi_id_t *id, const uint32_t *peers,
                             size_t count);

/* Calls fn, which may be NULL, with the packed peers (I4 each). */
void events_tell (store_t *self, store_peers_fn *fn, const usi_id_t *id,
                  usi_bytes_t peers);
/* list: id, state and peers of each job that ended without an operation of its own. */
void events_tell_ended (store_t *self, const usi_reply_t *list);

#endif

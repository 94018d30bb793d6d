/* SPDX-License-Identifier: MIT
 *
 * Memory that is taken in small pieces and freed all at once: what the fields of an
 * outgoing message point to until it is sent. Pieces never move. Stands on the messages
 * (common/proto) alone. */
#ifndef BROKER_ARENA_H
#define BROKER_ARENA_H

#include "proto/fields.h"

typedef struct arena_block arena_block_t;

typedef struct arena {
    arena_block_t *blocks; /* the one in use first */
} arena_t;                 /* zero-initialise */

usi_bytes_t arena_copy (arena_t *self, usi_bytes_t bytes);
/* A list of digests that stand behind one another. */
usi_list_t arena_digests (arena_t *self, usi_bytes_t digests);
/* Frees all pieces, but keeps one block for the next time. */
void arena_reset (arena_t *self);
void arena_free (arena_t *self);

#endif

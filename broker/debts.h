/* SPDX-License-Identifier: MIT
 *
 * What a peer that does not read is owed: ids and codes only; contents are read again
 * from the store when it reads again. The list is bounded. What falls off is counted, and
 * heals: a client repeats WATCH for what it waits for, a node announces anew. */
#ifndef BROKER_DEBTS_H
#define BROKER_DEBTS_H

#include "arena.h"
#include "peers.h"
#include "proto/message.h"

#define DEBTS_MAX 16384 /* of one peer: 1 MiB */

typedef struct debt {
    uint8_t type;  /* of the message: SUBMITTED, ENDED, COMMITTED, … */
    uint8_t state; /* or the stream */
    int32_t code;
    uint32_t number;             /* attempt, or index of a chunk */
    uint64_t size;               /* or offset, or ref */
    uint8_t key[USI_DIGEST_LEN]; /* id or digest */
} debt_t;

/* What the item becomes; false: nothing to remember for this type. */
bool debt_of (usi_type_t type, const usi_fields_t *item, debt_t *debt);
/* False: the list is full. */
bool debts_add (peer_t *peer, const debt_t *debt);
/* Takes up to max of the oldest. */
size_t debts_take (peer_t *peer, debt_t *debts, size_t max);
void debts_free (peer_t *peer);
/* Fills an item of a type whose debts hold all there is to say. */
void debt_fill (const debt_t *debt, usi_fields_t *item, arena_t *arena);

#endif

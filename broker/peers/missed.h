/* SPDX-License-Identifier: MIT
 *
 * What a slow peer has missed, as a list of ids and codes: contents are read from the
 * store once the peer reads again. The list is bounded. What no longer fits is counted by
 * the caller, and heals: a client repeats WATCH for what it waits for, a node announces
 * anew. Stands on the table of peers alone. */
#ifndef BROKER_MISSED_H
#define BROKER_MISSED_H

#include "peers/arena.h"
#include "peers/peers.h"
#include "proto/message.h"

#define MISSED_MAX 16384 /* of one peer: 1 MiB */

typedef struct missed {
    uint8_t type;  /* of the message: SUBMITTED, ENDED, COMMITTED, … */
    uint8_t state; /* or the stream */
    int32_t code;
    uint32_t number;             /* attempt, or index of a chunk */
    uint64_t size;               /* or offset, or ref */
    uint8_t key[USI_DIGEST_LEN]; /* id or digest */
} missed_t;

/* Makes an entry of an item that was not sent. False: items of this type are asked for
 * again soon, so nothing is kept. */
bool missed_of (usi_type_t type, const usi_fields_t *item, missed_t *missed);
/* False: the list is full. */
bool missed_add (peer_t *peer, const missed_t *missed);
/* Moves up to max of the oldest entries out of the list. */
size_t missed_take (peer_t *peer, missed_t *missed, size_t max);
void missed_free (peer_t *peer);
/* Fills an item of a type of which the entry holds all there is to say. */
void missed_fill (const missed_t *missed, usi_fields_t *item, arena_t *arena);

#endif

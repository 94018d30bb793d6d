/* SPDX-License-Identifier: MIT
 *
 * A result that is a blob while it is put together from its chunks, which come in any
 * order, and perhaps twice.
 *
 * A leaf: stands on common/base. */
#ifndef CLIENT_LIB_FETCH_H
#define CLIENT_LIB_FETCH_H

#include "base/id.h"
#include "base/list.h"

typedef struct fetch {
    list_node_t node; /* in the engine's list */
    us_result_t *result;
    us_state_t state; /* the end of its job, shown once the blob is whole */
    us_err_t code;
    uint8_t digest[USI_DIGEST_LEN];
    uint8_t *data; /* NULL until fetch_prepare */
    bool *have;    /* by chunk */
    size_t size;
    uint32_t chunks, chunks_had;
    uint32_t next, unanswered; /* chunk to ask for; asked for and not yet here */
    int64_t since_ms;          /* something came, or it was begun (anew) */
    int64_t resume_at;         /* the store did not answer: not before */
} fetch_t;

/* NULL: out of memory. size is not 0. */
fetch_t *fetch_new (const uint8_t *digest, size_t size);
/* Takes it out of its list; NULL is allowed. */
void fetch_free (fetch_t *self);
/* Asks for the memory, which is done when its turn comes. False: there is none. */
bool fetch_prepare (fetch_t *self);
/* Asks for everything again that is not here. */
void fetch_restart (fetch_t *self);
/* Takes a chunk. False: it is not of this blob. */
bool fetch_take (fetch_t *self, uint64_t index, usi_bytes_t chunk);
static inline bool fetch_is_whole (const fetch_t *self)
{
    return self->chunks_had == self->chunks;
}
/* All chunks are here: gives their bytes away. NULL: their digest is another one. */
uint8_t *fetch_give (fetch_t *self);

#endif

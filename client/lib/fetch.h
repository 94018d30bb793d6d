/* SPDX-License-Identifier: MIT
 *
 * An ended result while what it names is fetched: its body, where that is a blob, and then
 * its buffers, one after another. A blob is put together from its chunks, which come in any
 * order, and perhaps twice.
 *
 * A leaf: stands on blob.h and common. */
#ifndef CLIENT_LIB_FETCH_H
#define CLIENT_LIB_FETCH_H

#include "base/id.h"
#include "base/list.h"
#include "blob.h"
#include "proto/fields.h"

typedef struct fetch {
    list_node_t node; /* in the engine's list */
    us_result_t *result;
    us_state_t state; /* the end of its job, shown once the blob is whole */
    us_err_t code;
    uint8_t *body; /* here already; NULL: it is fetched now */
    size_t body_len;
    uint8_t digests[USI_MAX_BLOBS * USI_DIGEST_LEN]; /* of its buffers */
    uint64_t sizes[USI_MAX_BLOBS];
    us_blob_t *buffers[USI_MAX_BLOBS];
    uint32_t buffers_len, buffers_had;

    /* What is fetched now. */
    uint8_t digest[USI_DIGEST_LEN];
    uint8_t *data; /* NULL until fetch_prepare */
    bool *have;    /* by chunk */
    size_t size;
    uint32_t chunks, chunks_had;
    uint32_t next, unanswered; /* chunk to ask for; asked for and not yet here */
    int64_t since_ms;          /* something came, or it was begun (anew) */
    int64_t resume_at;         /* the store did not answer: not before */
} fetch_t;

/* buffers: what the result has besides its body. NULL: out of memory. */
fetch_t *fetch_new (const usi_list_t *buffers);
/* Begins with a blob, of which nothing is here yet. size is not 0. */
void fetch_begin (fetch_t *self, const uint8_t *digest, size_t size);
/* The body is here (self->body): reads from it how large the buffers are. False: it is not
 * an envelope with so many. */
bool fetch_read_sizes (fetch_t *self);
/* Begins with the next buffer. False: all are here. */
bool fetch_begin_buffer (fetch_t *self);
/* What was fetched becomes the body, or the next buffer. False: its sum is another one, or
 * there is no memory. */
bool fetch_keep (fetch_t *self);
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

#endif

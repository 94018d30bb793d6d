/* SPDX-License-Identifier: MIT
 *
 * Blobs put together: see fetch.h. */
#include "fetch.h"

#include <stdlib.h>

#include "base/clock.h"
#include "proto/chunk.h"

fetch_t *fetch_new (const uint8_t *digest, size_t size)
{
    fetch_t *self = calloc (1, sizeof *self);
    if (!self)
        return NULL;
    memcpy (self->digest, digest, sizeof self->digest);
    self->size = size;
    self->chunks = (uint32_t) usi_chunk_count (size);
    self->since_ms = usi_now_ms ();
    return self;
}

void fetch_free (fetch_t *self)
{
    if (!self)
        return;
    list_remove (&self->node);
    free (self->data);
    free (self->have);
    free (self);
}

bool fetch_prepare (fetch_t *self)
{
    if (!self->data)
        self->data = malloc (self->size);
    if (!self->have)
        self->have = calloc (self->chunks, sizeof *self->have);
    return self->data && self->have;
}

void fetch_restart (fetch_t *self)
{
    self->next = 0;
    self->unanswered = 0;
    self->since_ms = usi_now_ms ();
}

bool fetch_take (fetch_t *self, uint64_t index, usi_bytes_t chunk)
{
    if (!self->have || index >= self->chunks || self->have[index])
        return true; /* not asked for, or here already */
    if (chunk.len != usi_chunk_len (self->size, index))
        return false;
    memcpy (self->data + (size_t) index * USI_MAX_CHUNK, chunk.data, chunk.len);
    self->have[index] = true;
    self->chunks_had++;
    self->unanswered -= self->unanswered > 0;
    self->since_ms = usi_now_ms ();
    return true;
}

uint8_t *fetch_give (fetch_t *self)
{
    uint8_t digest[USI_DIGEST_LEN];
    uint8_t *data = self->data;
    usi_sha256 (data, self->size, digest);
    if (memcmp (digest, self->digest, sizeof digest) != 0)
        return NULL;
    self->data = NULL;
    return data;
}

/* SPDX-License-Identifier: MIT
 *
 * Blobs put together: see fetch.h. */
#include "fetch.h"

#include <stdlib.h>

#include "base/clock.h"
#include "proto/chunk.h"

#define MOST ((int64_t) 1 << 36) /* so many chunks can be counted */

fetch_t *fetch_new (const usi_list_t *buffers)
{
    fetch_t *self = calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->buffers_len = buffers->count;
    usi_digests_of_list (buffers, self->digests);
    return self;
}

void fetch_begin (fetch_t *self, const uint8_t *digest, size_t size)
{
    memcpy (self->digest, digest, sizeof self->digest);
    self->size = size;
    self->chunks = (uint32_t) usi_chunk_count (size);
    self->chunks_had = 0;
    self->resume_at = 0;
    fetch_restart (self);
}

bool fetch_read_sizes (fetch_t *self)
{
    us_reader_t reader = us_reader (self->body, self->body_len);
    us_value_t outer = us_read (&reader);
    bool fits = outer.type == US_TYPE_ARRAY && outer.as.count == 5;
    for (int i = 0; i < 4; i++)
        us_read (&reader); /* form, Python, has_code, pickle */
    us_value_t sizes = us_read (&reader);
    fits &= sizes.type == US_TYPE_ARRAY && sizes.as.count == self->buffers_len;
    for (uint32_t i = 0; fits && i < self->buffers_len; i++) {
        us_value_t size = us_read (&reader);
        fits =
            size.type == US_TYPE_INT && size.as.integer > 0 && size.as.integer <= MOST;
        self->sizes[i] = fits ? (uint64_t) size.as.integer : 0;
    }
    return fits;
}

bool fetch_begin_buffer (fetch_t *self)
{
    uint32_t next = self->buffers_had;
    if (next == self->buffers_len)
        return false;
    fetch_begin (self, self->digests + (size_t) next * USI_DIGEST_LEN,
                 (size_t) self->sizes[next]);
    return true;
}

void fetch_free (fetch_t *self)
{
    if (!self)
        return;
    list_remove (&self->node);
    for (uint32_t i = 0; i < self->buffers_had; i++)
        blob_unref (self->buffers[i]);
    free (self->body);
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

bool fetch_keep (fetch_t *self)
{
    uint8_t digest[USI_DIGEST_LEN];
    us_blob_t *buffer = NULL;
    usi_sha256 (self->data, self->size, digest);
    if (memcmp (digest, self->digest, sizeof digest) != 0)
        return false;
    if (!self->body) {
        self->body = self->data;
        self->body_len = self->size;
    } else if ((buffer = blob_adopt (self->data, self->size, digest))) {
        self->buffers[self->buffers_had++] = buffer;
    } else {
        return false;
    }
    free (self->have);
    self->data = NULL;
    self->have = NULL;
    return true;
}

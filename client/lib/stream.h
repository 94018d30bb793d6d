/* SPDX-License-Identifier: MIT
 *
 * One stream of a job, its log or its build log, as far as it has come. Bytes may come
 * twice, late or with gaps; a stream takes what continues it. The client's lock guards
 * it.
 *
 * A leaf: stands on common/base. */
#ifndef CLIENT_LIB_STREAM_H
#define CLIENT_LIB_STREAM_H

#include "base/bytes.h"

#define STREAMS 2 /* of a job: US_STREAM_LOG, US_STREAM_BUILD */

/* So many bytes of a stream are kept for readers. The rest is asked for again once
 * these have been read. */
#define STREAM_KEEP ((size_t) 64 * 1024 * 1024)

typedef struct stream {
    usi_buf_t data; /* from base on */
    uint64_t base;
    bool asked; /* a message on this connection has asked for it */
    bool asked_after_end;
    unsigned short_ends; /* how often ENDED came and the stream had not grown */
    bool grew;           /* since the last tick */
    bool full;           /* bytes were left out; the reader has the engine ask again */
    bool closed;         /* no more will come, whatever length was promised */
} stream_t;

/* Takes bytes that came from the broker. */
void stream_take (stream_t *stream, uint64_t offset, usi_bytes_t bytes);
/* Drops what is there: the stream begins anew at this place of a reader. */
void stream_seek (stream_t *stream, uint64_t offset);
/* Copies what is there from offset on; returns how much. */
size_t stream_copy (const stream_t *stream, uint64_t offset, void *buffer, size_t size);
static inline uint64_t stream_end (const stream_t *stream)
{
    return stream->base + stream->data.len;
}

#endif

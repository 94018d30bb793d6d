/* SPDX-License-Identifier: MIT
 *
 * Streams: see stream.h. */
#include "stream.h"

void stream_take (stream_t *stream, uint64_t offset, usi_bytes_t bytes)
{
    uint64_t end = stream_end (stream);
    if (offset > end)
        return; /* a gap: the next WATCH asks for what is missing */
    if (stream->full || offset + bytes.len <= end)
        return;
    usi_bytes_t fresh =
        usi_bytes (bytes.data + (end - offset), bytes.len - (size_t) (end - offset));
    stream->grew = true;
    if (stream->data.len + fresh.len > STREAM_KEEP ||
        !usi_buf_reserve (&stream->data, fresh.len)) {
        stream->data.failed = false;
        stream->full = true;
        return;
    }
    usi_buf_append (&stream->data, fresh.data, fresh.len);
}

void stream_seek (stream_t *stream, uint64_t offset)
{
    usi_buf_free (&stream->data);
    stream->base = offset;
    stream->full = false;
    stream->closed = false;
    stream->asked = false;
}

size_t stream_copy (const stream_t *stream, uint64_t offset, void *buffer, size_t size)
{
    if (offset < stream->base || offset >= stream_end (stream))
        return 0;
    size_t at = (size_t) (offset - stream->base);
    size_t len = stream->data.len - at < size ? stream->data.len - at : size;
    memcpy (buffer, stream->data.data + at, len);
    return len;
}

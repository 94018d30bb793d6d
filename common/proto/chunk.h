/* SPDX-License-Identifier: MIT
 *
 * How a blob is cut into chunks (docs/protocol.md section 4.3): all of USI_MAX_CHUNK
 * bytes but the last. Pure. */
#ifndef COMMON_PROTO_CHUNK_H
#define COMMON_PROTO_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#include "proto/limits.h"

/* At least one: a blob of no bytes has one empty chunk. */
static inline uint64_t usi_chunk_count (uint64_t size)
{
    return size ? (size - 1) / USI_MAX_CHUNK + 1 : 1;
}

/* Of chunk number index; 0 behind the last. */
static inline size_t usi_chunk_len (uint64_t size, uint64_t index)
{
    if (index >= usi_chunk_count (size))
        return 0;
    uint64_t left = size - index * USI_MAX_CHUNK;
    return (size_t) (left < USI_MAX_CHUNK ? left : USI_MAX_CHUNK);
}

#endif

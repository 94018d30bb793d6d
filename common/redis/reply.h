/* SPDX-License-Identifier: MIT
 *
 * A reply of Redis, so that only this folder needs hiredis. It is borrowed by the callback
 * that gets it. Stands on common/base. */
#ifndef COMMON_REDIS_REPLY_H
#define COMMON_REDIS_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

typedef struct usi_reply usi_reply_t; /* truly a struct redisReply */

typedef enum usi_reply_type {
    USI_REPLY_NIL,
    USI_REPLY_INT,
    USI_REPLY_BYTES, /* bulk strings and status lines */
    USI_REPLY_ERROR,
    USI_REPLY_ARRAY,
} usi_reply_type_t;

usi_reply_type_t usi_reply_type (const usi_reply_t *reply);
static inline bool usi_reply_is (const usi_reply_t *reply, usi_reply_type_t type)
{
    return reply && usi_reply_type (reply) == type;
}
/* 0 for other types; bulk strings of digits count as integers. */
int64_t usi_reply_int (const usi_reply_t *reply);
/* Empty for other types; NUL terminated behind its end. Errors have their text here. */
usi_bytes_t usi_reply_bytes (const usi_reply_t *reply);
/* 0 for other types. */
size_t usi_reply_count (const usi_reply_t *reply);
/* NULL beyond the end. */
const usi_reply_t *usi_reply_at (const usi_reply_t *reply, size_t index);
/* The answer to TIME in milliseconds; -1 where it is none. */
int64_t usi_reply_time_ms (const usi_reply_t *reply);
/* An error whose text begins with prefix. */
bool usi_reply_is_error (const usi_reply_t *reply, const char *prefix);

#endif

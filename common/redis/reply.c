/* SPDX-License-Identifier: MIT */
#include "redis/reply.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

static const redisReply *s_real (const usi_reply_t *reply)
{
    return (const redisReply *) reply;
}

usi_reply_type_t usi_reply_type (const usi_reply_t *reply)
{
    switch (s_real (reply)->type) {
    case REDIS_REPLY_INTEGER: return USI_REPLY_INT;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS: return USI_REPLY_BYTES;
    case REDIS_REPLY_ERROR: return USI_REPLY_ERROR;
    case REDIS_REPLY_ARRAY: return USI_REPLY_ARRAY;
    default: return USI_REPLY_NIL;
    }
}

int64_t usi_reply_int (const usi_reply_t *reply)
{
    if (usi_reply_is (reply, USI_REPLY_INT))
        return s_real (reply)->integer;
    if (usi_reply_is (reply, USI_REPLY_BYTES))
        return strtoll (s_real (reply)->str, NULL, 10);
    return 0;
}

usi_bytes_t usi_reply_bytes (const usi_reply_t *reply)
{
    if (usi_reply_is (reply, USI_REPLY_BYTES) || usi_reply_is (reply, USI_REPLY_ERROR))
        return usi_bytes (s_real (reply)->str, s_real (reply)->len);
    return usi_bytes ("", 0);
}

size_t usi_reply_count (const usi_reply_t *reply)
{
    return usi_reply_is (reply, USI_REPLY_ARRAY) ? s_real (reply)->elements : 0;
}

const usi_reply_t *usi_reply_at (const usi_reply_t *reply, size_t index)
{
    if (index >= usi_reply_count (reply))
        return NULL;
    return (const usi_reply_t *) s_real (reply)->element[index];
}

bool usi_reply_is_error (const usi_reply_t *reply, const char *prefix)
{
    return usi_reply_is (reply, USI_REPLY_ERROR) &&
           strncmp (s_real (reply)->str, prefix, strlen (prefix)) == 0;
}

int64_t usi_reply_time_ms (const usi_reply_t *reply)
{
    if (usi_reply_count (reply) != 2)
        return -1;
    return usi_reply_int (usi_reply_at (reply, 0)) * 1000 +
           usi_reply_int (usi_reply_at (reply, 1)) / 1000;
}

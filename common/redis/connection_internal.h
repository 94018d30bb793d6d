/* SPDX-License-Identifier: MIT
 *
 * What the subscriber needs of a connection: the context itself, since the callbacks of
 * a subscription run many times. */
#ifndef COMMON_REDIS_CONNECTION_INTERNAL_H
#define COMMON_REDIS_CONNECTION_INTERNAL_H

#include <hiredis/async.h>

#include "redis/connection.h"

/* NULL while not connected. */
redisAsyncContext *usi_redis_context (usi_redis_t *self);

#endif

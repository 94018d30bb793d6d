/* SPDX-License-Identifier: MIT
 *
 * A blocking connection with a timeout, for what happens before a loop runs or outside
 * of one: the check of the server at start, and the look at the registry of those who seek
 * a broker. Stands on url.h and reply.h. */
#ifndef COMMON_REDIS_ASK_H
#define COMMON_REDIS_ASK_H

#include "redis/reply.h"
#include "redis/url.h"

typedef struct usi_ask usi_ask_t;

/* Connects, gives user and password, selects the database. US_ERR_UNREACHABLE: nobody
 * there; US_ERR_CONFIG: refused (wrong password, no such database); US_ERR_NOMEM. why
 * (may be NULL) gets a line. */
us_err_t usi_ask_open (usi_ask_t **self_p, const usi_redis_url_t *url,
                       int64_t timeout_ms, char *why, size_t why_len);
void usi_ask_close (usi_ask_t **self_p);
/* Text arguments, a NULL last. The reply is borrowed until the next call; NULL: the
 * connection is lost or timed out. */
const usi_reply_t *usi_ask (usi_ask_t *self, const char *command, ...)
    __attribute__ ((sentinel));
/* The same with bytes. */
const usi_reply_t *usi_ask_bytes (usi_ask_t *self, const usi_bytes_t *args,
                                  size_t count);

#endif

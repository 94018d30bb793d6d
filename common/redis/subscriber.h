/* SPDX-License-Identifier: MIT
 *
 * A connection that only listens: topics are subscribed to, and again after each
 * reconnect. In that mode PING is never answered to hiredis, so a repeated SUBSCRIBE
 * shows that Redis is still there. Messages are hints: they may be lost. Stands on
 * connection.h. */
#ifndef COMMON_REDIS_SUBSCRIBER_H
#define COMMON_REDIS_SUBSCRIBER_H

#include <czmq.h>

#include "base/bytes.h"

typedef struct usi_subscriber usi_subscriber_t;

typedef void usi_message_fn (usi_bytes_t topic, usi_bytes_t message, void *arg);

/* NULL: not a URL. fn must not destroy the subscriber. */
usi_subscriber_t *usi_subscriber_new (zloop_t *loop, const char *url,
                                      usi_message_fn *fn, void *arg);
/* Not from within a timer's handler (see usi_redis_destroy). */
void usi_subscriber_destroy (usi_subscriber_t **self_p);
/* Adding twice is adding once. */
void usi_subscriber_add (usi_subscriber_t *self, const char *topic);
void usi_subscriber_remove (usi_subscriber_t *self, const char *topic);
/* Redis has confirmed the topics once on this connection, and has answered within the last
 * seconds. The repeated SUBSCRIBE may be under way. */
bool usi_subscriber_is_live (const usi_subscriber_t *self);
/* Since when (monotonic) nothing published to its topics has been missed, as far as can be
 * known; 0: it is not live. */
int64_t usi_subscriber_since_ms (const usi_subscriber_t *self);

#endif

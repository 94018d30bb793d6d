/* SPDX-License-Identifier: MIT
 *
 * A connection to Redis that lives on a zloop and reconnects by itself: with user,
 * password and database, with a time limit for connecting and for silence, with a
 * growing, jittered wait between attempts (up to a second). Not thread safe; belongs to
 * the loop. Stands on adapter.h, url.h and reply.h. */
#ifndef COMMON_REDIS_CONNECTION_H
#define COMMON_REDIS_CONNECTION_H

#include <czmq.h>

#include "redis/reply.h"
#include "redis/url.h"

typedef struct usi_redis usi_redis_t;

#define USI_REDIS_TIMEOUT_MS 5000

/* Exactly one call for each command: the reply, or NULL where the connection was
 * lost. */
typedef void usi_reply_fn (const usi_reply_t *reply, void *arg);

typedef struct usi_redis_events {
    void (*connected) (void *arg);
    /* Also for each failed attempt; pending callbacks have run before. */
    void (*lost) (void *arg, const char *why);
    void *arg;
} usi_redis_events_t;

/* The first attempt starts with the loop's next turn. url is copied. */
usi_redis_t *usi_redis_new (zloop_t *loop, const usi_redis_url_t *url,
                            const usi_redis_events_t *events);
/* Ends it for good: pending callbacks run (with NULL), events do not, and every send
 * returns -1 from now on. Not from within a callback. */
void usi_redis_close (usi_redis_t *self);
/* Closes first. Not from within a timer's handler either: zloop may still call timers
 * of ours that fell due in the same pass. */
void usi_redis_destroy (usi_redis_t **self_p);
bool usi_redis_is_connected (const usi_redis_t *self);
/* -1: not connected, and the callback does not run. fn may be NULL. */
int usi_redis_send (usi_redis_t *self, const usi_bytes_t *args, size_t count,
                    usi_reply_fn *fn, void *arg);
/* The same with texts, a NULL last. */
int usi_redis_text (usi_redis_t *self, usi_reply_fn *fn, void *arg, const char *command,
                    ...) __attribute__ ((sentinel));
/* Writes now, without waiting for the end of the loop turn. */
void usi_redis_flush (usi_redis_t *self);
/* Bytes of the commands that have no answer yet. */
size_t usi_redis_pending_bytes (const usi_redis_t *self);
/* Gives the connection up; it is made anew after a moment. */
void usi_redis_drop (usi_redis_t *self, const char *why);

#endif

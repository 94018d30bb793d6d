/* SPDX-License-Identifier: MIT */
#include "redis/subscriber.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "redis/connection_internal.h"

#define TICK_MS   2000
#define SILENT_MS 6000

struct usi_subscriber {
    zloop_t *loop;
    usi_redis_t *redis;
    usi_message_fn *fn;
    void *arg;
    char **topics;
    size_t count, cap;
    size_t unconfirmed;    /* topics whose SUBSCRIBE was not answered yet */
    int64_t heard_ms;      /* last sign of life */
    unsigned silent_ticks; /* since then */
    int64_t since_ms;      /* since then all topics are confirmed; 0: not yet */
    int tick;
};

static void s_confirm (usi_subscriber_t *self)
{
    if (--self->unconfirmed == 0 && !self->since_ms)
        self->since_ms = usi_now_ms ();
}

static void s_on_message (redisAsyncContext *context, void *data, void *arg)
{
    (void) context;
    const usi_reply_t *reply = data;
    usi_subscriber_t *self = arg;
    if (!reply)
        return;
    self->heard_ms = usi_now_ms ();
    self->silent_ticks = 0;
    if (usi_reply_is (reply, USI_REPLY_ERROR)) {
        usi_redis_drop (self->redis, (const char *) usi_reply_bytes (reply).data);
        return;
    }
    usi_bytes_t kind = usi_reply_bytes (usi_reply_at (reply, 0));
    if (usi_bytes_equal (kind, usi_bytes_of ("message")))
        self->fn (usi_reply_bytes (usi_reply_at (reply, 1)),
                  usi_reply_bytes (usi_reply_at (reply, 2)), self->arg);
    else if (usi_bytes_equal (kind, usi_bytes_of ("subscribe")) && self->unconfirmed)
        s_confirm (self);
}

static void s_command (usi_subscriber_t *self, const char *command, const char *topic)
{
    redisAsyncContext *context = usi_redis_context (self->redis);
    if (!context)
        return;
    redisAsyncCommand (context, s_on_message, self, "%s %s", command, topic);
}

static void s_subscribe (usi_subscriber_t *self, const char *topic)
{
    if (!usi_redis_is_connected (self->redis))
        return;
    self->unconfirmed++;
    s_command (self, "SUBSCRIBE", topic);
}

static void s_on_connected (void *arg)
{
    usi_subscriber_t *self = arg;
    self->unconfirmed = 0;
    self->since_ms = 0;
    self->heard_ms = usi_now_ms ();
    self->silent_ticks = 0;
    for (size_t i = 0; i < self->count; i++)
        s_subscribe (self, self->topics[i]);
}

static void s_on_lost (void *arg, const char *why)
{
    (void) arg;
    usi_debug ("redis.subscriber", "subscription lost why=\"%s\"", why);
}

/* Silence is counted in ticks, one timer each, and not by the clock: after a time in which
 * this process stood still, answers may wait to be read. (A timer of czmq that repeats runs
 * once for each time that was missed.) */
static int s_on_tick (zloop_t *loop, int timer, void *arg)
{
    (void) timer;
    usi_subscriber_t *self = arg;
    self->tick = zloop_timer (loop, TICK_MS, 1, s_on_tick, self);
    if (!usi_redis_is_connected (self->redis) || self->count == 0)
        return 0;
    if (++self->silent_ticks > SILENT_MS / TICK_MS)
        usi_redis_drop (self->redis, "no answer");
    else
        s_subscribe (self, self->topics[0]);
    return 0;
}

usi_subscriber_t *usi_subscriber_new (zloop_t *loop, const char *url,
                                      usi_message_fn *fn, void *arg)
{
    usi_redis_url_t parsed;
    if (usi_redis_url_parse (&parsed, url, NULL, 0) != US_OK) {
        usi_redis_url_free (&parsed);
        return NULL;
    }
    usi_subscriber_t *self = usi_new (usi_subscriber_t);
    usi_redis_events_t events = {s_on_connected, s_on_lost, self};
    self->loop = loop;
    self->fn = fn;
    self->arg = arg;
    self->redis = usi_redis_new (loop, &parsed, &events);
    self->tick = zloop_timer (loop, TICK_MS, 1, s_on_tick, self);
    usi_redis_url_free (&parsed);
    return self;
}

void usi_subscriber_destroy (usi_subscriber_t **self_p)
{
    usi_subscriber_t *self = *self_p;
    if (!self)
        return;
    usi_redis_destroy (&self->redis);
    zloop_timer_end (self->loop, self->tick);
    for (size_t i = 0; i < self->count; i++)
        free (self->topics[i]);
    free (self->topics);
    free (self);
    *self_p = NULL;
}

static size_t s_find (const usi_subscriber_t *self, const char *topic)
{
    size_t i = 0;
    while (i < self->count && strcmp (self->topics[i], topic) != 0)
        i++;
    return i;
}

void usi_subscriber_add (usi_subscriber_t *self, const char *topic)
{
    if (s_find (self, topic) < self->count)
        return;
    if (self->count == self->cap) {
        self->cap = self->cap ? self->cap * 2 : 4;
        self->topics = usi_realloc (self->topics, self->cap * sizeof *self->topics);
    }
    self->topics[self->count++] = usi_strdup (topic);
    s_subscribe (self, topic);
}

void usi_subscriber_remove (usi_subscriber_t *self, const char *topic)
{
    size_t i = s_find (self, topic);
    if (i == self->count)
        return;
    s_command (self, "UNSUBSCRIBE", topic);
    free (self->topics[i]);
    self->topics[i] = self->topics[--self->count];
    if (self->count == 0) /* hiredis leaves its mode with the last topic: begin anew */
        usi_redis_drop (self->redis, "no topic is left");
}

int64_t usi_subscriber_since_ms (const usi_subscriber_t *self)
{
    bool live = usi_redis_is_connected (self->redis) &&
                usi_now_ms () - self->heard_ms <= SILENT_MS;
    return live ? self->since_ms : 0;
}

bool usi_subscriber_is_live (const usi_subscriber_t *self)
{
    return usi_subscriber_since_ms (self) != 0;
}

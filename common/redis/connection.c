/* SPDX-License-Identifier: MIT
 *
 * hiredis 0.14 knows no time-outs for asynchronous contexts: a timer looks twice a
 * second at how long an answer is overdue. A lost context frees itself; this object
 * stays. */
#include "redis/connection.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "redis/adapter.h"
#include "redis/connection_internal.h"

#define MAX_TEXT_ARGS  16
#define TICK_MS        500
#define FIRST_RETRY_MS 20
#define LAST_RETRY_MS  1000

struct usi_redis {
    zloop_t *loop;
    usi_redis_url_t url;
    usi_redis_events_t events;
    usi_adapter_t adapter;
    redisAsyncContext *context;
    bool connected;                /* introduced: user, password, database */
    bool closed;                   /* for good */
    char why[160];                 /* our own reason for dropping it */
    size_t pending, pending_bytes; /* commands without an answer */
    unsigned silent_ticks; /* since the last answer, or the first command after it */
    int64_t connected_ms;  /* when it was introduced last */
    int64_t retry_ms;
    int tick, retry; /* timers, 0 = none */
    const char **argv;
    size_t *argv_len;
    size_t argv_cap;
};

typedef struct command {
    usi_redis_t *self;
    usi_reply_fn *fn;
    void *arg;
    size_t bytes; /* of its arguments */
} command_t;

static void s_connect (usi_redis_t *self);

static int s_on_retry (zloop_t *loop, int timer, void *arg)
{
    (void) loop;
    (void) timer;
    usi_redis_t *self = arg;
    self->retry = 0;
    s_connect (self);
    return 0;
}

static void s_retry_later (usi_redis_t *self)
{
    size_t wait_ms = (size_t) usi_jitter_ms (self->retry_ms);
    self->retry = zloop_timer (self->loop, wait_ms, 1, s_on_retry, self);
    self->retry_ms *= 2;
    if (self->retry_ms > LAST_RETRY_MS)
        self->retry_ms = LAST_RETRY_MS;
}

/* The context frees itself after this. */
static void s_on_gone (void *arg, const char *why)
{
    usi_redis_t *self = arg;
    char text[sizeof self->why];
    snprintf (text, sizeof text, "%s", *self->why ? self->why : why);
    /* A server that answers and does not suit is not asked again at once: only a
     * connection that held begins with short waits. */
    if (self->connected_ms && usi_now_ms () - self->connected_ms > LAST_RETRY_MS)
        self->retry_ms = FIRST_RETRY_MS;
    self->connected_ms = 0;
    self->context = NULL;
    self->connected = false;
    *self->why = 0;
    if (self->closed)
        return;
    s_retry_later (self);
    self->events.lost (self->events.arg, text);
}

void usi_redis_drop (usi_redis_t *self, const char *why)
{
    if (!self->context)
        return;
    snprintf (self->why, sizeof self->why, "%s", why);
    self->connected = false;
    redisAsyncFree (self->context);
}

/* --- introduction ----------------------------------------------------------------- */

static void s_introduced (usi_redis_t *self)
{
    if (!self->context || *self->why)
        return;
    self->connected = true;
    self->connected_ms = usi_now_ms ();
    self->events.connected (self->events.arg);
}

static void s_on_auth (redisAsyncContext *context, void *reply, void *arg)
{
    (void) context;
    usi_redis_t *self = arg;
    self->silent_ticks = 0;
    if (usi_reply_is (reply, USI_REPLY_ERROR))
        usi_redis_drop (self, (const char *) usi_reply_bytes (reply).data);
}

static void s_on_select (redisAsyncContext *context, void *reply, void *arg)
{
    s_on_auth (context, reply, arg);
    if (reply && !usi_reply_is (reply, USI_REPLY_ERROR))
        s_introduced (arg);
}

static void s_on_connect (const redisAsyncContext *context, int status)
{
    usi_redis_t *self = context->data;
    redisAsyncContext *mine = self->context;
    if (status != REDIS_OK)
        return; /* s_on_gone follows */
    const usi_redis_url_t *url = &self->url;
    if (url->password && url->user)
        redisAsyncCommand (mine, s_on_auth, self, "AUTH %s %s", url->user,
                           url->password);
    else if (url->password)
        redisAsyncCommand (mine, s_on_auth, self, "AUTH %s", url->password);
    if (url->db)
        redisAsyncCommand (mine, s_on_select, self, "SELECT %d", url->db);
    else /* a user that may only subscribe can still do this */
        redisAsyncCommand (mine, s_on_select, self, "ECHO us");
}

static void s_connect (usi_redis_t *self)
{
    redisAsyncContext *context =
        self->url.path
            ? redisAsyncConnectUnix (self->url.path)
            : redisAsyncConnect (self->url.host ? self->url.host : "localhost",
                                 self->url.port);
    self->silent_ticks = 0;
    if (!context || context->err) {
        char why[sizeof self->why];
        snprintf (why, sizeof why, "%s", context ? context->errstr : "out of memory");
        if (context)
            redisAsyncFree (context);
        s_retry_later (self);
        self->events.lost (self->events.arg, why);
        return;
    }
    self->context = context;
    context->data = self;
    self->adapter.gone = s_on_gone;
    self->adapter.arg = self;
    usi_adapter_attach (&self->adapter, self->loop, context);
    redisAsyncSetConnectCallback (context, s_on_connect);
}

/* --- commands --------------------------------------------------------------------- */

static void s_on_reply (redisAsyncContext *context, void *reply, void *arg)
{
    (void) context;
    command_t *command = arg;
    usi_redis_t *self = command->self;
    self->pending--;
    self->pending_bytes -= command->bytes;
    self->silent_ticks = 0;
    if (command->fn)
        command->fn (reply, command->arg);
    free (command);
}

static void s_reserve_args (usi_redis_t *self, size_t count)
{
    if (count <= self->argv_cap)
        return;
    self->argv_cap = count * 2;
    self->argv = usi_realloc (self->argv, self->argv_cap * sizeof *self->argv);
    self->argv_len =
        usi_realloc (self->argv_len, self->argv_cap * sizeof *self->argv_len);
}

int usi_redis_send (usi_redis_t *self, const usi_bytes_t *args, size_t count,
                    usi_reply_fn *fn, void *arg)
{
    if (!self->connected)
        return -1;
    s_reserve_args (self, count);
    command_t *command = usi_new (command_t);
    *command = (command_t){.self = self, .fn = fn, .arg = arg};
    for (size_t i = 0; i < count; i++) {
        self->argv[i] = (const char *) args[i].data;
        self->argv_len[i] = args[i].len;
        command->bytes += args[i].len;
    }
    if (redisAsyncCommandArgv (self->context, s_on_reply, command, (int) count,
                               self->argv, self->argv_len) != REDIS_OK) {
        free (command);
        return -1;
    }
    if (self->pending++ == 0)
        self->silent_ticks = 0;
    self->pending_bytes += command->bytes;
    return 0;
}

int usi_redis_text (usi_redis_t *self, usi_reply_fn *fn, void *arg, const char *command,
                    ...)
{
    usi_bytes_t args[MAX_TEXT_ARGS] = {usi_bytes_of (command)};
    size_t count = 1;
    const char *text;
    va_list list;
    va_start (list, command);
    while ((text = va_arg (list, const char *))) {
        US_ASSERT (count < MAX_TEXT_ARGS);
        args[count++] = usi_bytes_of (text);
    }
    va_end (list);
    return usi_redis_send (self, args, count, fn, arg);
}

void usi_redis_flush (usi_redis_t *self)
{
    usi_adapter_flush (&self->adapter);
}

size_t usi_redis_pending_bytes (const usi_redis_t *self)
{
    return self->pending_bytes;
}

/* --- life ------------------------------------------------------------------------- */

/* Silence is counted in ticks, one timer each, and not by the clock: after a time in which
 * this process stood still, answers may wait to be read. (A timer of czmq that repeats runs
 * once for each time that was missed.) */
static int s_on_tick (zloop_t *loop, int timer, void *arg)
{
    (void) timer;
    usi_redis_t *self = arg;
    bool waiting = self->context && (!self->connected || self->pending);
    self->tick = zloop_timer (loop, TICK_MS, 1, s_on_tick, self);
    if (waiting && ++self->silent_ticks > USI_REDIS_TIMEOUT_MS / TICK_MS)
        usi_redis_drop (self, "no answer");
    return 0;
}

static void s_copy (char **to, const char *from)
{
    *to = from ? usi_strdup (from) : NULL;
}

usi_redis_t *usi_redis_new (zloop_t *loop, const usi_redis_url_t *url,
                            const usi_redis_events_t *events)
{
    usi_redis_t *self = usi_new (usi_redis_t);
    self->loop = loop;
    self->url = *url;
    s_copy (&self->url.path, url->path);
    s_copy (&self->url.host, url->host);
    s_copy (&self->url.user, url->user);
    s_copy (&self->url.password, url->password);
    self->events = *events;
    self->retry_ms = FIRST_RETRY_MS;
    self->tick = zloop_timer (loop, TICK_MS, 1, s_on_tick, self);
    self->retry = zloop_timer (loop, 0, 1, s_on_retry, self);
    return self;
}

void usi_redis_close (usi_redis_t *self)
{
    if (self->closed)
        return;
    self->closed = true;
    self->connected = false;
    if (self->context)
        redisAsyncFree (self->context);
    zloop_timer_end (self->loop, self->tick);
    if (self->retry)
        zloop_timer_end (self->loop, self->retry);
}

void usi_redis_destroy (usi_redis_t **self_p)
{
    usi_redis_t *self = *self_p;
    if (!self)
        return;
    usi_redis_close (self);
    usi_redis_url_free (&self->url);
    free (self->argv);
    free (self->argv_len);
    free (self);
    *self_p = NULL;
}

bool usi_redis_is_connected (const usi_redis_t *self)
{
    return self->connected;
}

redisAsyncContext *usi_redis_context (usi_redis_t *self)
{
    return self->connected ? self->context : NULL;
}

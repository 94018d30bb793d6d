/* SPDX-License-Identifier: MIT
 *
 * See command.h. */
#include "store/command.h"

#include <stdlib.h>

#define TEXT_ARGS 16
#define CALL_ARGS 4

/* A command that could not be sent. */
typedef struct deferred {
    list_node_t node; /* in store_t.deferred */
    usi_reply_fn *fn;
    void *arg;
} deferred_t;

/* What the callbacks defer in turn is for the next time. */
bool command_fail_deferred (store_t *self)
{
    size_t count = self->deferred.len;
    if (self->deferred_timer)
        zloop_timer_end (self->loop, self->deferred_timer);
    self->deferred_timer = 0;
    for (size_t i = 0; i < count && self->deferred.first; i++) {
        deferred_t *deferred = LIST_ELEMENT (self->deferred.first, deferred_t, node);
        list_remove (&deferred->node);
        deferred->fn (NULL, deferred->arg);
        free (deferred);
    }
    return count > 0;
}

static int s_on_deferred (zloop_t *loop, int timer, void *arg)
{
    (void) loop;
    (void) timer;
    store_t *self = arg;
    self->deferred_timer = 0;
    command_fail_deferred (self);
    return 0;
}

static void s_defer (store_t *self, usi_reply_fn *fn, void *arg)
{
    deferred_t *deferred = usi_new (deferred_t);
    *deferred = (deferred_t){.fn = fn, .arg = arg};
    list_append (&self->deferred, &deferred->node);
    if (!self->deferred_timer)
        self->deferred_timer = zloop_timer (self->loop, 0, 1, s_on_deferred, self);
}

void command_send (store_t *self, const usi_bytes_t *args, size_t count,
                   usi_reply_fn *fn, void *arg)
{
    if (usi_redis_send (self->redis, args, count, fn, arg) != 0 && fn)
        s_defer (self, fn, arg);
}

void command_text (store_t *self, usi_reply_fn *fn, void *arg, const char *command, ...)
{
    usi_bytes_t args[TEXT_ARGS] = {usi_bytes_of (command)};
    size_t count = 1;
    const char *text;
    va_list list;
    va_start (list, command);
    while ((text = va_arg (list, const char *))) {
        US_ASSERT (count < TEXT_ARGS);
        args[count++] = usi_bytes_of (text);
    }
    va_end (list);
    command_send (self, args, count, fn, arg);
}

void command_call (store_t *self, const char *name, const char *key,
                   const usi_bytes_t *args, size_t count, usi_reply_fn *fn, void *arg)
{
    char function[48];
    usi_bytes_t all[4 + CALL_ARGS] = {usi_bytes_of ("FCALL"),
                                      {0},
                                      usi_bytes_of ("1"),
                                      usi_bytes_of (key)};
    US_ASSERT (count <= CALL_ARGS);
    snprintf (function, sizeof function, "us_%s_%s", self->hash, name);
    all[1] = usi_bytes_of (function);
    memcpy (all + 4, args, count * sizeof *args);
    command_send (self, all, 4 + count, fn, arg);
}

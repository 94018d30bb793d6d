/* SPDX-License-Identifier: MIT
 *
 * The daemon's loop: see loop.h. */
#include "host/loop.h"

#include <stdlib.h>

#include "base/mem.h"

loop_t *loop_new (loop_turn_fn *turn, void *arg)
{
    loop_t *self = usi_new (loop_t);
    *self = (loop_t){.zloop = zloop_new (), .turn = turn, .arg = arg};
    zloop_set_nonstop (self->zloop, true);
    return self;
}

void loop_destroy (loop_t **self_p)
{
    loop_t *self = *self_p;
    if (!self)
        return;
    zloop_destroy (&self->zloop);
    free (self);
    *self_p = NULL;
}

void loop_run (loop_t *self)
{
    zloop_start (self->zloop);
}

static int s_on_turn (zloop_t *zloop, int timer, void *arg)
{
    loop_t *self = arg;
    (void) zloop, (void) timer;
    self->turn_asked = false;
    return self->turn (self->arg);
}

void loop_touch (loop_t *self)
{
    if (self->turn_asked)
        return;
    self->turn_asked = true;
    loop_after (self, 0, s_on_turn, self);
}

int loop_after (loop_t *self, int64_t ms, zloop_timer_fn *fn, void *arg)
{
    return zloop_timer (self->zloop, (size_t) ms, 1, fn, arg);
}

int loop_every (loop_t *self, int64_t ms, zloop_timer_fn *fn, void *arg)
{
    return zloop_timer (self->zloop, (size_t) ms, 0, fn, arg);
}

void loop_cancel (loop_t *self, int *timer)
{
    if (*timer)
        zloop_timer_end (self->zloop, *timer);
    *timer = 0;
}

void loop_watch (loop_t *self, int fd, zloop_fn *fn, void *arg)
{
    zmq_pollitem_t item = {.fd = fd, .events = ZMQ_POLLIN};
    zloop_poller (self->zloop, &item, fn, arg);
    zloop_poller_set_tolerant (self->zloop, &item);
}

void loop_unwatch (loop_t *self, int fd)
{
    zmq_pollitem_t item = {.fd = fd};
    zloop_poller_end (self->zloop, &item);
}

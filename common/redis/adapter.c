/* SPDX-License-Identifier: MIT */
#include "redis/adapter.h"

#include "redis/quiet.h"

static int s_on_poll (zloop_t *loop, zmq_pollitem_t *item, void *arg);

static void s_poll (usi_adapter_t *self, short events)
{
    if (self->polled && self->item.events == events)
        return;
    if (self->polled)
        zloop_poller_end (self->loop, &self->item);
    self->polled = events != 0;
    self->item.events = events;
    if (self->polled) {
        zloop_poller (self->loop, &self->item, s_on_poll, self);
        zloop_poller_set_tolerant (self->loop, &self->item);
    }
}

/* A write that fails frees the context. */
static void s_write (usi_adapter_t *self)
{
    usi_quiet_t quiet;
    usi_quiet_begin (&quiet);
    redisAsyncHandleWrite (self->context);
    usi_quiet_end (&quiet, self->context == NULL);
}

static int s_on_poll (zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    (void) loop;
    usi_adapter_t *self = arg;
    short events = item->revents;
    if (self->context && events & ZMQ_POLLOUT)
        s_write (self);
    if (self->context && events & (ZMQ_POLLIN | ZMQ_POLLERR))
        redisAsyncHandleRead (self->context);
    return 0;
}

void usi_adapter_flush (usi_adapter_t *self)
{
    if (!self->context || !(self->context->c.flags & REDIS_CONNECTED))
        return;
    if (self->timer) {
        zloop_timer_end (self->loop, self->timer);
        self->timer = 0;
    }
    self->flushing = true;
    s_write (self);
    self->flushing = false;
}

static int s_on_timer (zloop_t *loop, int timer, void *arg)
{
    (void) loop;
    (void) timer;
    usi_adapter_t *self = arg;
    self->timer = 0;
    usi_adapter_flush (self);
    return 0;
}

static void s_add_read (void *arg)
{
    usi_adapter_t *self = arg;
    s_poll (self, self->item.events | ZMQ_POLLIN);
}

static void s_del_read (void *arg)
{
    usi_adapter_t *self = arg;
    s_poll (self, self->item.events & ~ZMQ_POLLIN);
}

/* While it connects, and where the socket took only a part, writability is polled
 * for. */
static void s_add_write (void *arg)
{
    usi_adapter_t *self = arg;
    if (self->flushing || !(self->context->c.flags & REDIS_CONNECTED))
        s_poll (self, self->item.events | ZMQ_POLLOUT);
    else if (!self->timer && !(self->item.events & ZMQ_POLLOUT))
        self->timer = zloop_timer (self->loop, 0, 1, s_on_timer, self);
}

static void s_del_write (void *arg)
{
    usi_adapter_t *self = arg;
    s_poll (self, self->item.events & ~ZMQ_POLLOUT);
}

static void s_cleanup (void *arg)
{
    usi_adapter_t *self = arg;
    s_poll (self, 0);
    if (self->timer)
        zloop_timer_end (self->loop, self->timer);
    self->timer = 0;
    const char *why = self->context->errstr;
    self->context = NULL;
    self->gone (self->arg, why && *why ? why : "closed");
}

void usi_adapter_attach (usi_adapter_t *self, zloop_t *loop, redisAsyncContext *context)
{
    self->loop = loop;
    self->context = context;
    self->item = (zmq_pollitem_t){.fd = context->c.fd};
    self->polled = self->flushing = false;
    context->ev.data = self;
    context->ev.addRead = s_add_read;
    context->ev.delRead = s_del_read;
    context->ev.addWrite = s_add_write;
    context->ev.delWrite = s_del_write;
    context->ev.cleanup = s_cleanup;
}

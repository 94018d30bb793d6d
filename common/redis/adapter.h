/* SPDX-License-Identifier: MIT
 *
 * hiredis' asynchronous context on a zloop. Commands of one loop turn leave in one
 * write: a zero-delay timer, which zloop serves before it reads sockets again. Only for
 * the sources of this folder. */
#ifndef COMMON_REDIS_ADAPTER_H
#define COMMON_REDIS_ADAPTER_H

#include <czmq.h>
#include <hiredis/async.h>

typedef struct usi_adapter {
    zloop_t *loop;
    redisAsyncContext *context; /* NULL: detached */
    zmq_pollitem_t item;
    bool polled;
    bool flushing;
    int timer; /* 0: none */
    /* The context is about to be freed, its pending callbacks have run. */
    void (*gone) (void *arg, const char *why);
    void *arg;
} usi_adapter_t;

/* Attaches to a context; it detaches by itself when hiredis frees it. */
void usi_adapter_attach (usi_adapter_t *self, zloop_t *loop,
                         redisAsyncContext *context);
/* Writes now what is gathered. */
void usi_adapter_flush (usi_adapter_t *self);

#endif

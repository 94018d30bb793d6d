/* SPDX-License-Identifier: MIT
 *
 * The states of a pool, as a table: pure, no I/O. pool.c is the only writer of a pool's
 * state and asks here first. */
#ifndef NODE_POOL_STATE_H
#define NODE_POOL_STATE_H

typedef enum pool_state {
    POOL_COLD,      /* nothing was asked for yet */
    POOL_PREPARING, /* environment or bundles are on their way */
    POOL_READY,
    POOL_STATES
} pool_state_t;

typedef enum pool_event {
    POOL_WANTED, /* a job waits: environment and bundles are asked for */
    POOL_FILLED, /* environment and all bundles are there */
    POOL_FAILED, /* one of them cannot be had */
    POOL_COOLED, /* one of them is not there any more */
    POOL_EVENTS
} pool_event_t;

/* The next state, or -1: the event means nothing in this state. */
int pool_next (pool_state_t state, pool_event_t event);

#endif

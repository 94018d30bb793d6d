/* SPDX-License-Identifier: MIT
 *
 * The life of a worker process, as a table: pure, no I/O. worker.c is the only
 * writer of a worker's state and asks here first. Busy or idle is not a state: it
 * follows from the jobs the worker holds. */
#ifndef NODE_WORKER_STATE_H
#define NODE_WORKER_STATE_H

typedef enum worker_state {
    WORKER_STARTING, /* the zygote was asked to fork it; jobs may already wait for it */
    WORKER_LIVE,     /* it said READY */
    WORKER_ENDING,   /* it was told END, and finishes by itself */
    WORKER_STOPPING, /* it is being interrupted or killed */
    WORKER_GONE,     /* the process has ended */
    WORKER_STATES
} worker_state_t;

typedef enum worker_event {
    WORKER_READY,  /* W came */
    WORKER_RETIRE, /* it is not needed any more */
    WORKER_STOP,   /* a limit, a cancel, a protocol fault */
    WORKER_RESUME, /* the interrupted job ended by itself: the worker is still good */
    WORKER_DIED,
    WORKER_EVENTS
} worker_event_t;

/* The next state, or -1: the event means nothing in this state. */
int worker_next (worker_state_t state, worker_event_t event);
const char *worker_state_name (worker_state_t state);

#endif

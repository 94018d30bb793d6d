/* SPDX-License-Identifier: MIT
 *
 * The start and the end of a worker process, as docs/worker-protocol.md describes them:
 * the zygote of its environment forks it, and whatever it left is settled when it has
 * ended. Stands on zygote.h, worker_io.h and worker_life.h. */
#ifndef NODE_WORKER_H
#define NODE_WORKER_H

#include "worker_life.h"

/* Asks the zygote of the pool's environment for a worker. NULL: it cannot now. */
worker_t *worker_start (pool_t *pool, unsigned slot, const worker_events_t *events);
/* The process has ended: reads what it left, settles its jobs, tells that it is gone, and
 * frees it. */
void worker_ended (worker_t *self, int status);
/* Frees the worker, whose process is gone and whose jobs have been taken out. */
void worker_destroy (worker_t **self_p);

#endif

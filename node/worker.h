/* SPDX-License-Identifier: MIT
 *
 * The start and the end of a worker process, as docs/worker-protocol.md describes them:
 * the zygote of its environment forks it, and whatever it left is settled when it has
 * ended. Stands on zygote.h, worker_io.h and worker_life.h. */
#ifndef NODE_WORKER_H
#define NODE_WORKER_H

#include "worker_life.h"

/* Asks the zygote of the environment for a worker, which is a spare one at first. NULL:
 * it cannot now. */
worker_t *worker_start (node_t *node, env_t *env, unsigned slot,
                        const worker_events_t *events);
/* The spare worker is one of the program's from now on. */
void worker_join (worker_t *self, program_t *program);
/* The process has ended: reads what it left, settles its jobs, tells that it is gone, and
 * frees it. */
void worker_ended (worker_t *self, int status);
/* Frees the worker, whose process is gone and whose jobs have been taken out. */
void worker_destroy (worker_t **self_p);

#endif

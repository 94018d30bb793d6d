/* SPDX-License-Identifier: MIT
 *
 * The job socket and the log pipe of a worker (docs/worker-protocol.md). The daemon keeps
 * a copy of the worker's end of the socket, from which it takes back jobs that the worker
 * has not taken yet. The pipe is watched only while a job runs for some time; otherwise
 * it is read with the result, so that a short job costs one send, one receive and one
 * read. Stands on worker_life.h. */
#ifndef NODE_WORKER_IO_H
#define NODE_WORKER_IO_H

#include "worker_life.h"

/* Watches socket and pipe of a new worker. */
void worker_listen (worker_t *self);
/* Tells an idle worker of the pool's program what its jobs will need. */
void worker_tell (worker_t *self, pool_t *pool);
/* Sends the job, the first of the pool's queue, and takes it into its list. false: the
 * socket is full, and the job stays where it was. */
bool worker_give (worker_t *self, job_t *job);
/* Takes jobs that the worker has not taken yet back into the pool, in order. */
void worker_take_back (worker_t *self);
void worker_watch_pipe (worker_t *self, bool on);
/* Reads everything that is still in socket and pipe, at the worker's end. */
void worker_drain (worker_t *self);

#endif

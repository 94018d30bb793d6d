/* SPDX-License-Identifier: MIT
 *
 * What worker.c (life and stops) and worker_io.c (job socket and log pipe) share. */
#ifndef NODE_WORKER_INTERNAL_H
#define NODE_WORKER_INTERNAL_H

#include "worker.h"

/* The only writer of a worker's state. false: the event means nothing now. */
bool worker_apply (worker_t *self, worker_event_t event);
int worker_on_socket (zloop_t *loop, zmq_pollitem_t *item, void *arg);
/* Everything that is still in socket and pipe. */
void worker_drain (worker_t *self);
/* The error code a failure envelope holds. */
int worker_envelope_code (usi_bytes_t envelope);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Sends what the broker is told about jobs: STARTED, LOG, RESULT, HAND_BACK and RENEW,
 * and the credit that goes with them. Everything that one turn of the loop brought leaves
 * in as few messages as it fits in: first the bytes of logs, then the results they
 * belong to. Stands on jobs.h and conn.h. */
#ifndef NODE_JOB_SENDER_H
#define NODE_JOB_SENDER_H

#include "jobs.h"

typedef struct job_sender {
    node_t *node;
    usi_msg_t msg; /* kept, so that its arrays are */
} job_sender_t;

/* Zero-initialise; free at the end. */
void job_sender_init (job_sender_t *self, node_t *node);
void job_sender_free (job_sender_t *self);
/* There is a new connection: tells the broker everything that is held. */
void job_sender_announce (job_sender_t *self);
/* Renews the leases of all jobs. */
void job_sender_renew (job_sender_t *self);
/* Sends again what the broker has not answered in time. */
void job_sender_repeat (job_sender_t *self);
/* Sends what a turn has brought: LOG, STARTED, RESULT with the credit, HAND_BACK;
 * CREDIT where there was no RESULT. Called only while there is a connection. */
void job_sender_flush (job_sender_t *self, uint64_t credit);

#endif

/* SPDX-License-Identifier: MIT
 *
 * What the broker says about jobs: JOBS brings them and chooses the pool that they run
 * in, COMMITTED and LOG_KEPT say what the store has, RENEWED and STOP end what nobody
 * wants any more. Stands on slots.h, pool.h and jobs.h. */
#ifndef NODE_INTAKE_H
#define NODE_INTAKE_H

#include "node.h"

/* Makes the table of specifications, each of which gets its pool here. */
job_specs_t *intake_specs_new (node_t *node);

void intake_jobs (node_t *node, const usi_msg_t *msg);
void intake_committed (node_t *node, const usi_msg_t *msg);
void intake_log_kept (node_t *node, const usi_msg_t *msg);
void intake_renewed (node_t *node, const usi_msg_t *msg);
void intake_stop (node_t *node, const usi_msg_t *msg);

#endif

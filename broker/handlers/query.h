/* SPDX-License-Identifier: MIT
 *
 * The questions of docs/protocol.md section 4.4. Each consumes the answer. Stands on
 * answer.h. */
#ifndef BROKER_QUERY_H
#define BROKER_QUERY_H

#include "handlers/answer.h"

typedef void query_fn (answer_t *answer);

/* query_cluster.c */
query_fn query_status, query_channels, query_nodes, query_brokers, query_envs,
    query_doctor, query_drain;
/* query_keys.c */
query_fn query_keys, query_revoked, query_admit, query_revoke;
/* query_why.c */
query_fn query_why;
/* query_jobs.c */
query_fn query_jobs, query_find, query_show, query_retry, query_purge;

#endif

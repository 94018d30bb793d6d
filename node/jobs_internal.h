/* SPDX-License-Identifier: MIT
 *
 * What jobs.c (the table and its ends) and report.c (what is sent) share. */
#ifndef NODE_JOBS_INTERNAL_H
#define NODE_JOBS_INTERNAL_H

#include "jobs.h"

struct jobs {
    node_t *node;
    zhashx_t *table; /* by id; jobs are owned by the list */
    job_list_t all;
    job_list_t starts, results, returns; /* to be sent; JOB_LINK_OUT */
    job_list_t logs;                     /* have unsent bytes */
    size_t counts[JOB_STATES];
    uint64_t order;
    usi_msg_t msg; /* kept, so that its arrays are */
};

job_t *jobs_find (jobs_t *self, const usi_id_t *id, uint64_t attempt);
/* Its result goes, or goes again, as a blob. */
void job_put_result (node_t *node, job_t *job);

#endif

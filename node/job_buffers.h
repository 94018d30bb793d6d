/* SPDX-License-Identifier: MIT
 *
 * The buffers of a result: what a worker has written into sealed memory files, which are
 * mapped here until the broker has the result. Stands on nothing of the node's. */
#ifndef NODE_JOB_BUFFERS_H
#define NODE_JOB_BUFFERS_H

#include "node.h"

#define JOB_BUFFERS_MAX (USI_MAX_BLOBS - 1) /* one blob of a result may be its body */

typedef struct job_buffer {
    usi_bytes_t bytes; /* mapped */
    uint8_t digest[USI_DIGEST_LEN];
} job_buffer_t;

/* Zero-initialise. */
typedef struct job_buffers {
    job_buffer_t *all;
    size_t len;
    uint64_t size; /* of all */
} job_buffers_t;

/* Maps one more. The descriptor stays the caller's. false: it is no memory file that nobody
 * can change any more, or there are too many. */
bool job_buffers_add (job_buffers_t *self, int fd);
void job_buffers_free (job_buffers_t *self);
/* The size of the one that is over the broker's limit, or of all where they are, and that
 * limit; 0: all is well. */
uint64_t job_buffers_excess (const job_buffers_t *self, const node_limits_t *limits,
                             uint64_t *limit);

#endif

/* SPDX-License-Identifier: MIT
 *
 * A job to be: what us_job_set_… gathers, and, once us_submit has sealed it, what the
 * engine sends and keeps to send again. Belongs to its caller until us_submit, then to
 * its result.
 *
 * A leaf: stands on blob.h and the messages (common/proto). */
#ifndef CLIENT_LIB_JOB_H
#define CLIENT_LIB_JOB_H

#include "base/bytes.h"
#include "blob.h"
#include "proto/limits.h"
#include "proto/message.h"

#define JOB_BLOBS_MAX (USI_MAX_BLOBS - 1) /* one place is the body's */

typedef struct job_limits {
    uint64_t payload; /* of a body or a blob of code */
    uint64_t buffer;  /* of one buffer; 0: the broker takes none */
    uint64_t buffers; /* of all buffers of a job */
} job_limits_t;

struct us_job {
    us_id_t id;
    bool has_id;
    bool fresh, queue, stream_log, detached;
    char channel[USI_CHANNEL_MAX + 1];
    char python[16];
    const char *kind; /* "call", "shell"; NULL: not yet set */
    uint8_t *body;    /* NULL once it is a blob */
    size_t body_len;
    char *name;
    uint32_t retries, soft_ms, hard_ms, expire_ms;
    char *cwd;
    usi_buf_t packages, constraints, env; /* elements of a list */
    uint32_t packages_len, constraints_len, env_len;
    us_blob_t *setup;                /* NULL: none; also among the blobs */
    us_blob_t *blobs[JOB_BLOBS_MAX]; /* of its code */
    uint32_t blobs_len;
    us_blob_t *
        *buffers; /* of its arguments, USI_MAX_BLOBS at most; one may come twice */
    uint32_t buffers_len;
    us_blob_t *body_blob;
    char error[200];

    /* Once sealed. */
    usi_buf_t spec;
    us_blob_t *all[USI_MAX_BLOBS]; /* each blob that it names, once */
    uint32_t all_len;
    usi_buf_t digests; /* elements of a list: theirs */
    size_t cost;       /* bytes it holds, about */
};

/* Makes spec and, of a large body, a blob; chooses an id. key: of the program. Can be
 * repeated after a failure; job->error says what is wrong. */
us_err_t job_seal (us_job_t *job, usi_bytes_t key, const job_limits_t *limits);
/* Adds a sealed job to a SUBMIT. */
void job_add_to (const us_job_t *job, usi_msg_t *msg, unsigned more_flags);

#endif

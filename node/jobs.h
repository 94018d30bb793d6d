/* SPDX-License-Identifier: MIT
 *
 * The jobs that this node holds, from JOBS until a broker has answered COMMITTED: their
 * table, their states and their ends. What has to be told to the broker is put into lists
 * here; job_sender.c empties them at the end of a turn. Stands on job_spec.h,
 * blob_cache.h (for big results) and conn.h (whether a broker takes logs now). */
#ifndef NODE_JOBS_H
#define NODE_JOBS_H

#include "base/list.h"
#include "job_buffers.h"
#include "job_log.h"
#include "job_spec.h"

typedef enum job_state {
    JOB_WAITING,  /* for its environment or for bytes */
    JOB_READY,    /* for a worker; in its pool's queue, as WAITING is */
    JOB_GIVEN,    /* to a worker: in its list */
    JOB_ENDED,    /* has its result: until COMMITTED */
    JOB_RETURNED, /* handed back: until COMMITTED */
    JOB_STATES
} job_state_t;

struct job {
    usi_id_t id;
    uint32_t attempt;
    uint64_t nonce;
    job_state_t state;
    bool started;   /* runs, or ran */
    bool announced; /* the broker has been told so */
    bool forgotten; /* the broker does not want it, and is not told of it any more */
    bool cancelled;
    bool marked;       /* in its worker: the end of its log was seen */
    bool log_again;    /* the store could not keep what we sent */
    list_node_t all;   /* in the table */
    list_node_t place; /* in its pool's queue, or in its worker */
    list_node_t out;   /* has to be told: starts, results or returns */
    list_node_t log;   /* has log bytes to be sent */
    uint64_t order;    /* of arrival */
    int64_t since_us;  /* when it came into its state */
    job_spec_t *spec;
    pool_t *pool; /* NULL before it is known and after the end */
    worker_t *worker;
    size_t missing;    /* blobs of its own that are being fetched */
    usi_buf_t body;    /* empty where the specification names a blob */
    uint32_t seq;      /* its number in its worker */
    uint64_t bases[2]; /* where this attempt's bytes begin in the streams */
    job_log_t logs[2];
    /* the result */
    uint8_t outcome;
    int32_t code;
    usi_buf_t result;
    job_buffers_t buffers;
    size_t put;    /* of its buffers, and then of its body, are with the broker */
    bool has_blob; /* its body is one */
    uint8_t blob[USI_DIGEST_LEN];
    uint64_t blob_size;
    int64_t sent_ms; /* 0: not on this connection */
};

struct jobs {
    node_t *node;
    zhashx_t *table; /* by id; jobs are owned by the list */
    list_t all;
    list_t starts, results, returns; /* to be sent */
    list_t logs;                     /* have unsent bytes */
    size_t counts[JOB_STATES];
    uint64_t order;
};

/* Through the lists of pools and workers. */
static inline job_t *job_at (const list_node_t *node)
{
    return LIST_ELEMENT (node, job_t, place);
}

static inline job_t *job_behind (const job_t *job)
{
    return job_at (job->place.next);
}

jobs_t *jobs_new (node_t *node);
void jobs_destroy (jobs_t **self_p);
size_t jobs_count (const jobs_t *self);
size_t jobs_in_state (const jobs_t *self, job_state_t state);
/* Takes up an item of JOBS. No other attempt of it is in the table. */
job_t *jobs_add (jobs_t *self, const usi_fields_t *item, usi_bytes_t body);
/* Finds this attempt. NULL: the job is not held, or another attempt of it is. */
job_t *jobs_find (jobs_t *self, const usi_id_t *id, uint64_t attempt);
/* Finds the attempt that is held, whichever it is; NULL: none is. */
job_t *jobs_find_any (jobs_t *self, const usi_id_t *id);
void job_set_state (node_t *node, job_t *job, job_state_t state);

/* --- what jobs do ----------------------------------------------------------------- */
/* The job has begun: has the broker told so, once. */
void job_announce_start (node_t *node, job_t *job);
/* Appends bytes to the log: stream 0 is the job's output, 1 that of its build. */
void job_write_log (node_t *node, job_t *job, int stream, const void *data, size_t len);
/* So much waits for the broker that the job's pipe is not read any further. */
bool job_log_is_full (const node_t *node, const job_t *job);

/* --- ends ------------------------------------------------------------------------- */
/* The attempt has ended; takes over result's content (a body as in protocol.md
 * section 8). The job leaves its pool or worker. */
void job_end (node_t *node, job_t *job, int outcome, int code, usi_buf_t *result);
/* The same with a value that has buffers besides; takes over theirs. */
void job_end_with (node_t *node, job_t *job, usi_buf_t *result, job_buffers_t *buffers);
/* The same with a failure envelope made here. */
void job_fail (node_t *node, job_t *job, int outcome, us_err_t code,
               const char *message);
/* The same for a result of this size, which is over the limit. */
void job_too_large (node_t *node, job_t *job, uint64_t size, uint64_t limit);
void job_hand_back (node_t *node, job_t *job);
/* Puts all blobs of the result, perhaps again, and then sends it. */
void job_put_result (node_t *node, job_t *job);
/* The result names blobs. */
static inline bool job_has_blobs (const job_t *job)
{
    return job->has_blob || job->buffers.len > 0;
}
/* All blobs that the result names are with the broker. */
static inline bool job_is_put (const job_t *job)
{
    return job->put == job->buffers.len + (job->has_blob ? 1 : 0);
}
/* Nobody wants the job any more: frees it without telling the broker. false: a worker
 * has it, and it is freed when the worker lets go of it. */
bool job_forget (node_t *node, job_t *job);
/* Frees a job of which the broker knows the end. */
void job_destroy (node_t *node, job_t *job);

#endif

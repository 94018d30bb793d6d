/* SPDX-License-Identifier: MIT
 *
 * The jobs that this node holds: from JOBS until a broker has answered COMMITTED.
 * All that is said about them to the broker leaves from here: STARTED, LOG, RESULT,
 * HAND_BACK, RENEW, gathered and sent at the end of a loop turn. */
#ifndef NODE_JOBS_H
#define NODE_JOBS_H

#include "job_log.h"
#include "node.h"
#include "recipe.h"

typedef enum job_state {
    JOB_WAITING,  /* for its environment or for bytes */
    JOB_READY,    /* for a worker; in its pool's queue, as WAITING is */
    JOB_GIVEN,    /* to a worker: in its list */
    JOB_ENDED,    /* has its result: until COMMITTED */
    JOB_RETURNED, /* handed back: until COMMITTED */
    JOB_STATES
} job_state_t;

/* Lists of jobs through the jobs themselves; a job is in one list of each kind at
 * most. */
enum { JOB_LINK_ALL, JOB_LINK_PLACE, JOB_LINK_OUT, JOB_LINK_LOG, JOB_LINKS };

typedef struct job_list {
    job_t *first, *last;
    size_t count;
    int link;
} job_list_t;

struct job {
    usi_id_t id;
    uint32_t attempt;
    uint64_t nonce;
    job_state_t state;
    bool started;   /* runs, or ran */
    bool announced; /* the broker has been told so */
    bool forgotten; /* the broker does not want it: no word about it any more */
    bool cancelled;
    bool marked;    /* in its worker: the end of its log was seen */
    bool log_again; /* the store could not keep what we sent */
    struct {
        job_t *prev, *next;
        job_list_t *list;
    } links[JOB_LINKS];
    uint64_t order;   /* of arrival */
    int64_t since_us; /* when it came into its state */
    recipe_t *recipe;
    pool_t *pool; /* NULL before it is known and after the end */
    worker_t *worker;
    usi_buf_t body;    /* empty where the recipe names a blob */
    uint32_t seq;      /* its number in its worker */
    uint64_t bases[2]; /* where this attempt's bytes begin in the streams */
    job_log_t logs[2];
    /* the result */
    uint8_t outcome;
    int32_t code;
    usi_buf_t result;
    bool has_blob;
    uint8_t blob[USI_DIGEST_LEN];
    uint64_t blob_size;
    int64_t sent_ms; /* 0: not on this connection */
};

void job_list_init (job_list_t *list, int link);
void job_list_push (job_list_t *list, job_t *job);
void job_list_push_front (job_list_t *list, job_t *job);
/* From whatever list of that kind it is in. */
void job_list_remove (job_t *job, int link);
job_t *job_list_pop (job_list_t *list);
static inline job_t *job_next (const job_t *job, int link)
{
    return job->links[link].next;
}

jobs_t *jobs_new (node_t *node);
void jobs_destroy (jobs_t **self_p);
size_t jobs_count (const jobs_t *self);
size_t jobs_in_state (const jobs_t *self, job_state_t state);
/* All, by job_next (job, JOB_LINK_ALL). */
job_t *jobs_first (jobs_t *self);

/* --- from the broker -------------------------------------------------------------- */
void jobs_receive (jobs_t *self, const usi_msg_t *msg); /* JOBS */
void jobs_committed (jobs_t *self, const usi_msg_t *msg);
void jobs_log_kept (jobs_t *self, const usi_msg_t *msg);
void jobs_renewed (jobs_t *self, const usi_msg_t *msg);
void jobs_stop (jobs_t *self, const usi_msg_t *msg);

/* --- to the broker ---------------------------------------------------------------- */
/* A new connection: everything held is told again. */
void jobs_announce (jobs_t *self);
void jobs_renew (jobs_t *self);
/* Results whose COMMITTED is overdue are sent again. */
void jobs_repeat (jobs_t *self);
/* The end of a turn: LOG, STARTED, RESULT, HAND_BACK, CREDIT. */
void jobs_flush (jobs_t *self);

void job_set_state (node_t *node, job_t *job, job_state_t state);

/* --- ends ------------------------------------------------------------------------- */
/* The attempt has ended; takes over result's content (a body as in protocol.md
 * section 8). The job leaves its pool or worker. */
void job_end (node_t *node, job_t *job, int outcome, int code, usi_buf_t *result);
/* The same with a failure envelope made here. */
void job_fail (node_t *node, job_t *job, int outcome, us_err_t code,
               const char *message);
void job_hand_back (node_t *node, job_t *job);
/* Not wanted any more: gone at once, without a word. */
void job_forget (node_t *node, job_t *job);
void job_announce_start (node_t *node, job_t *job);
/* Bytes of stream 0 or 1. */
void job_write_log (node_t *node, job_t *job, int stream, const void *data, size_t len);
/* More bytes than the broker has taken are here: its pipe waits. */
bool job_log_is_full (const node_t *node, const job_t *job);

#endif

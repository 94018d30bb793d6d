/* SPDX-License-Identifier: MIT
 *
 * One worker process, as docs/worker-protocol.md describes it: a job socket, a copy
 * of its other end from which untaken jobs are taken back, and the pipe of its log.
 * The pipe is watched only while a job runs for some time; otherwise it is read with
 * the result, so that a short job costs one send, one receive and one read. */
#ifndef NODE_WORKER_H
#define NODE_WORKER_H

#include "log_pipe.h"
#include "pool.h"
#include "worker_state.h"

typedef enum worker_stop {
    STOP_NONE,
    STOP_CANCEL,     /* outcome cancelled */
    STOP_TIME_LIMIT, /* outcome failed */
    STOP_DRAIN,      /* handed back */
    STOP_DROP,       /* forgotten */
    STOP_FAULT       /* it broke the protocol: crashed */
} worker_stop_t;

struct worker {
    node_t *node;
    worker_t *next;
    pool_t *pool;
    worker_state_t state;
    unsigned slot;
    bool occupies;        /* its slot; no more once it is told END with nothing to do */
    bool left_pool;       /* its pool does not count on it any more */
    bool yielding;        /* gets no more jobs: another pool waits for the slot */
    bool full;            /* its socket took no more */
    pid_t pid;            /* 0: not known yet */
    int sock, peer, pipe; /* -1: closed */
    bool pipe_watched, pipe_ended;
    bool throttled; /* the pipe waits until the broker has taken more */
    log_pipe_t log;
    job_list_t jobs; /* in the order given; the first runs */
    uint32_t next_seq;
    uint64_t done;
    int64_t born_us;
    int64_t head_since_us; /* when the first job began */
    bool soft_sent;
    bool long_head;  /* the first job is a long one: no other waits behind it */
    bool replace;    /* after this job */
    bool children;   /* it left processes behind */
    usi_buf_t loose; /* written between two jobs: belongs to the next one */
    worker_stop_t stop;
    unsigned stop_step;
    bool stop_done; /* the last step was taken */
    int64_t stop_at_us;
    usi_buf_t refusal; /* the envelope of X */
    char *fault;       /* what we saw of its end */
    bool ended;        /* it was reaped before it was known */
    int end_status;
};

/* Asks the zygote of the pool's environment for a worker. NULL: it cannot now. */
worker_t *worker_start (pool_t *pool, unsigned slot);
/* Frees everything; the process is gone. Jobs have been taken out. */
void worker_destroy (worker_t **self_p);
bool worker_can_take (const worker_t *self);
/* Sends the job, the first of the pool's queue, and takes it into its list. false: the
 * socket is full, and the job stays where it was. */
bool worker_give (worker_t *self, job_t *job);
/* Jobs that it has not taken yet go back to the pool, in order. */
void worker_take_back (worker_t *self);
/* Told END; leaves by itself. */
void worker_retire (worker_t *self);
/* Begins to stop it: by steps, or killed at once. */
void worker_begin_stop (worker_t *self, worker_stop_t why, bool at_once);
/* Limits and the next step of a stop. Returns when to look again, in ms; 0: not
 * needed. */
int64_t worker_check (worker_t *self, int64_t now_us);
void worker_watch_pipe (worker_t *self, bool on);
/* The process has ended: reads what it left, settles its jobs, frees it. */
void worker_gone (worker_t *self, int status);
/* It ended before it was known, or never began: likewise. */
void worker_lost (worker_t *self, const char *why);
static inline bool worker_is_idle (const worker_t *self)
{
    return self->state == WORKER_LIVE && self->jobs.count == 0;
}

#endif

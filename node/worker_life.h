/* SPDX-License-Identifier: MIT
 *
 * What the daemon knows of one worker process, its state, and how it is stopped: by
 * steps from an interrupt to a kill, or at once. Also the time limits of the job that
 * runs. worker_state.h says what may follow what. Stands on pool.h and host/; its job
 * socket is in worker_io.h, its start and end in worker.h. */
#ifndef NODE_WORKER_LIFE_H
#define NODE_WORKER_LIFE_H

#include "log_pipe.h"
#include "pool.h"
#include "worker_state.h"

#define WORKER_WATCH_MS 20 /* between two looks at limits and stops */

typedef enum worker_stop {
    STOP_NONE,
    STOP_CANCEL,     /* outcome cancelled */
    STOP_TIME_LIMIT, /* outcome failed */
    STOP_DRAIN,      /* handed back */
    STOP_DROP,       /* forgotten */
    STOP_FAULT       /* it broke the protocol: crashed */
} worker_stop_t;

/* How the owner of the workers (slots.c) is told of them. */
typedef struct worker_events {
    void (*watch) (void *arg, int64_t ms);         /* worker_check is due within ms */
    void (*measured) (void *arg, int64_t took_us); /* a job has ended after so long */
    void (*gone) (void *arg, worker_t *worker);    /* it is freed after this call */
    void *arg;
} worker_events_t;

struct worker {
    node_t *node;
    worker_t *next;
    worker_events_t events;
    /* Of worker.c: the process has ended; settles its jobs and frees the worker. */
    void (*end) (worker_t *self, int status);
    env_t *env;
    program_t *program; /* whose jobs it runs; NULL: it is a spare one */
    bool told;          /* of its program */
    pool_t **sets;      /* whose bundles it was told of, by number; NULL: taken back */
    size_t sets_len;
    worker_state_t state;
    unsigned slot;
    bool left_program;    /* which does not count on it any more */
    bool full;            /* its socket took no more */
    pid_t pid;            /* 0: not known yet */
    int sock, peer, pipe; /* -1: closed */
    bool pipe_watched, pipe_ended;
    bool throttled; /* the pipe waits until the broker has taken more */
    log_pipe_t log;
    list_t jobs; /* by their place, in the order given; the first runs */
    uint32_t next_seq;
    uint64_t done;
    uint64_t memory; /* of its own, in bytes, as of so many jobs done */
    uint64_t memory_done;
    int64_t born_us;
    int64_t turn_since_us; /* when it got its slot, or was left without a job */
    int64_t head_since_us; /* when the first job began */
    bool soft_sent;
    bool long_head;  /* the first job is a long one: no other waits behind it */
    bool replace;    /* after this job */
    bool setting_up; /* its program's initializer runs, outside the limits of the job */
    bool set_up;     /* it has begun to run, which it does once */
    bool children;   /* it left processes behind */
    usi_buf_t loose; /* written between two jobs: belongs to the next one */
    worker_stop_t stop;
    unsigned stop_step;
    bool stop_done; /* the last step was taken */
    int64_t stop_at_us;
    char *fault; /* what we saw of its end */
    bool ended;  /* it was reaped before it was known */
    int end_status;
};

/* The job that runs, or runs next; NULL: it has none. */
static inline job_t *worker_head (const worker_t *self)
{
    return job_at (self->jobs.first);
}

static inline bool worker_is_idle (const worker_t *self)
{
    return self->state == WORKER_LIVE && self->jobs.len == 0;
}

/* Slots bound what runs, not what is kept: an idle worker has none. */
static inline bool worker_has_slot (const worker_t *self)
{
    return self->program && (self->jobs.len > 0 || self->state == WORKER_STARTING ||
                             self->state == WORKER_STOPPING);
}

/* The only writer of a worker's state. false: the event means nothing now. */
bool worker_apply (worker_t *self, worker_event_t event);
/* The worker takes no more jobs: its program does not count on it any more. */
void worker_leave (worker_t *self);
bool worker_can_take (const worker_t *self);
/* It has had the one job that a worker of its program may have. */
bool worker_is_spent (const worker_t *self);
/* Tells the worker END; it leaves by itself. */
void worker_retire (worker_t *self);
/* Begins to stop it: by steps, or killed at once. */
void worker_begin_stop (worker_t *self, worker_stop_t why, bool at_once);
/* The worker broke the protocol: kills it. */
void worker_fault (worker_t *self, const char *what);
/* Enforces time limits and takes the next step of a stop. Returns when to look again,
 * in ms; 0: not needed. */
int64_t worker_check (worker_t *self, int64_t now_us);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Which worker runs which job. Slots bound what runs, not what is kept: a worker without
 * a job stays for its program, and the one that was used least goes when there are too
 * many. Short jobs queue in their worker's socket, long ones never wait behind each
 * other. Also the clock of what runs: when a job counts as started, limits, the steps from
 * interrupt to kill. No timer runs while there is nothing to watch. Stands on worker.h,
 * worker_io.h and pool.h. */
#ifndef NODE_SLOTS_H
#define NODE_SLOTS_H

#include "worker_life.h"

struct slots {
    node_t *node;
    worker_t *workers; /* all that have not been reaped */
    unsigned next_slot;
    unsigned pass;  /* of slots_schedule; as of this pass: */
    unsigned taken; /* slots */
    int64_t now_us;
    int64_t spares_due_us;  /* an environment may lack its spare worker; 0: none does */
    bool spent_wait;        /* to go: see SPENT_US */
    uint64_t ewma_us;       /* of all jobs */
    uint64_t given_credit;  /* not yet spent by the broker */
    int tick_timer;         /* 0: none */
    int64_t tick_within_ms; /* as it was set */
};

slots_t *slots_new (node_t *node);
void slots_destroy (slots_t **self_p);
/* Gives jobs to workers; starts and retires workers. At the end of a turn. */
void slots_schedule (slots_t *self);
/* How much credit to give the broker now; counted as given. */
uint64_t slots_credit (slots_t *self);
/* Jobs have come for credit that was given. */
void slots_spend_credit (slots_t *self, size_t jobs);
void slots_forget_credit (slots_t *self);
unsigned slots_busy (const slots_t *self);
/* No worker runs a job, none is on its way. */
bool slots_are_quiet (const slots_t *self);
bool slots_has_pid (const slots_t *self, pid_t pid);
/* A child has ended. While a worker is not known yet this may be it: such an end is kept
 * (host/children.h). */
void slots_reaped (slots_t *self, pid_t pid, int status);
/* Stops every running job and hands it back. */
void slots_stop_all (slots_t *self);
/* Ends a job that nobody wants any more, wherever it is; at_once: without interrupting
 * it first. */
void slots_cancel (slots_t *self, job_t *job, bool at_once);
/* The broker has kept log bytes of the job: its pipe is read again. */
void slots_resume_log (slots_t *self, job_t *job);
/* There is no broker: pipes are read all the same, within the limits of job_log.h. */
void slots_resume_all (slots_t *self);
/* Lets all workers leave that have nothing to do. */
void slots_retire_idle (slots_t *self);
/* Lets the spare workers of this environment leave. */
void slots_retire_spares (slots_t *self, const env_t *env);
/* Lets idle workers leave that nobody has used for some time, or for which there is no
 * memory. */
void slots_tidy (slots_t *self);

#endif

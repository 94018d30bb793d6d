/* SPDX-License-Identifier: MIT
 *
 * A worker's state and its stops: see worker_life.h. */
#include "worker_life.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/process.h"

#define STEP_MS       2000 /* between the steps of a stop */
#define DRAIN_STEP_MS 500
#define START_MS      60000 /* a zygote may have to load a slow disk */

bool worker_apply (worker_t *self, worker_event_t event)
{
    int next = worker_next (self->state, event);
    if (next < 0)
        return false;
    if (self->state != (worker_state_t) next)
        usi_debug ("worker.state", "a worker is %s slot=%u pid=%d",
                   worker_state_name ((worker_state_t) next), self->slot,
                   (int) self->pid);
    self->state = (worker_state_t) next;
    return true;
}

void worker_leave (worker_t *self)
{
    if (!self->left_program && self->program)
        self->program->workers--;
    self->left_program = true;
    loop_touch (self->node->loop);
}

bool worker_is_spent (const worker_t *self)
{
    return self->program && self->program->fresh && self->done > 0;
}

bool worker_can_take (const worker_t *self)
{
    if (self->replace || self->full || self->long_head || worker_is_spent (self))
        return false;
    return self->state == WORKER_LIVE ||
           (self->state == WORKER_STARTING && self->jobs.len == 0);
}

void worker_retire (worker_t *self)
{
    if (self->children) {
        worker_begin_stop (self, STOP_DROP, true);
        return;
    }
    if (!worker_apply (self, WORKER_RETIRE))
        return;
    if (send (self->sock, "Q", 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
        worker_begin_stop (self, STOP_DROP, true);
    worker_leave (self);
}

/* --- stops ------------------------------------------------------------------------ */

typedef enum action { ACT_NONE, ACT_INTERRUPT, ACT_TERM, ACT_KILL } action_t;

typedef struct step {
    action_t action;
    int64_t then_ms; /* until the next step; 0: the last one */
} step_t;

#define STEPS_MAX 3
static const step_t s_steps[][STEPS_MAX] = {
    [STOP_NONE] = {{ACT_NONE, 0}},
    [STOP_CANCEL] = {{ACT_INTERRUPT, STEP_MS}, {ACT_TERM, STEP_MS}, {ACT_KILL, 0}},
    [STOP_TIME_LIMIT] = {{ACT_TERM, STEP_MS}, {ACT_KILL, 0}},
    [STOP_DRAIN] = {{ACT_INTERRUPT, DRAIN_STEP_MS}, {ACT_KILL, 0}},
    [STOP_DROP] = {{ACT_KILL, 0}},
    [STOP_FAULT] = {{ACT_KILL, 0}},
};

static void s_interrupt (worker_t *self, uint8_t why)
{
    uint8_t message[6] = {'I'};
    if (!self->jobs.first)
        return;
    usi_put_be (message + 1, worker_head (self)->seq, 4);
    message[5] = why;
    if (send (self->sock, message, sizeof message, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        kill (self->pid, SIGUSR1);
}

static void s_step (worker_t *self, int64_t now_us)
{
    if (self->pid <= 0)
        return; /* READY will bring it; worker_check comes again */
    const step_t *step = &s_steps[self->stop][self->stop_step];
    switch (step->action) {
    case ACT_INTERRUPT: s_interrupt (self, 1); break;
    case ACT_TERM: kill (-self->pid, SIGTERM); break;
    case ACT_KILL: process_kill_tree (self->pid); break;
    case ACT_NONE: break;
    }
    self->stop_at_us = step->then_ms ? now_us + step->then_ms * 1000 : 0;
    if (step->then_ms)
        self->stop_step++;
    else
        self->stop_done = true;
}

void worker_begin_stop (worker_t *self, worker_stop_t why, bool at_once)
{
    if (self->stop != STOP_NONE && !at_once)
        return; /* the first reason stands */
    if (!worker_apply (self, WORKER_STOP))
        return;
    self->stop = why;
    self->stop_step = 0;
    self->stop_done = false;
    if (at_once)
        while (s_steps[why][self->stop_step].then_ms)
            self->stop_step++;
    worker_leave (self);
    s_step (self, usi_now_us ());
    self->events.watch (self->events.arg, WORKER_WATCH_MS);
}

static int64_t s_check_limits (worker_t *self, int64_t now_us)
{
    const job_t *job = worker_head (self);
    int64_t ran_ms = (now_us - self->head_since_us) / 1000;
    if (!job || self->state != WORKER_LIVE || self->setting_up)
        return 0;
    const job_spec_t *spec = job->spec;
    if (spec->hard_ms && ran_ms >= (int64_t) spec->hard_ms) {
        worker_begin_stop (self, STOP_TIME_LIMIT, false);
    } else if (spec->soft_ms && !self->soft_sent && ran_ms >= (int64_t) spec->soft_ms) {
        self->soft_sent = true;
        s_interrupt (self, 2);
    }
    return spec->hard_ms || (spec->soft_ms && !self->soft_sent) ? WORKER_WATCH_MS : 0;
}

int64_t worker_check (worker_t *self, int64_t now_us)
{
    if (self->state == WORKER_STARTING && now_us - self->born_us > START_MS * 1000LL) {
        self->born_us = now_us;
        usi_warning ("worker.slow", "a worker takes long to start slot=%u", self->slot);
    }
    if (self->state == WORKER_STOPPING) {
        if (!self->stop_done && now_us >= self->stop_at_us)
            s_step (self, now_us);
        return self->stop_done ? 0 : WORKER_WATCH_MS;
    }
    return s_check_limits (self, now_us);
}

void worker_fault (worker_t *self, const char *what)
{
    if (self->stop == STOP_FAULT)
        return; /* it is being killed; the log knows the first breach */
    usi_error ("worker.fault", "a worker broke the protocol: %s slot=%u pid=%d", what,
               self->slot, (int) self->pid);
    if (!self->fault)
        self->fault = usi_sprintf ("the worker was killed: %s", what);
    worker_begin_stop (self, STOP_FAULT, true);
}

/* SPDX-License-Identifier: MIT
 *
 * Which worker runs which job: see slots.h. */
#include "slots.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "kept.h"
#include "worker.h"
#include "worker_io.h"

#define STARTED_US   2000 /* a job that runs longer is announced, and its log watched */
#define LONG_HEAD_US 5000 /* nothing waits behind a job that runs longer */
#define HAND_BACK_US                                                                   \
    100000 /* all slots are busy for longer: others may have a free one */
#define TURN_US      5000  /* others wait: a worker gets no more jobs after so long */
#define SPARE_US     10000 /* after which the next spare worker is forked */
#define SPENT_US     5000  /* after which a worker goes that had its only job */
#define PREPARE_MS   60000 /* a program without jobs for longer gets no worker ahead */
#define RETRY_US     1000000 /* after a spare worker could not be had */
#define FAST_TICK_MS 2
#define SLOW_TICK_MS 20
#define WAITING_MIN  8 /* jobs that may wait for environments beside the others */

slots_t *slots_new (node_t *node)
{
    slots_t *self = usi_new (slots_t);
    self->node = node;
    return self;
}

void slots_destroy (slots_t **self_p)
{
    slots_t *self = *self_p;
    if (!self)
        return;
    while (self->workers) {
        worker_t *worker = self->workers;
        while (worker->jobs.first)
            list_remove (worker->jobs.first);
        self->workers = worker->next;
        worker_destroy (&worker);
    }
    free (self);
    *self_p = NULL;
}

/* --- credit ----------------------------------------------------------------------- */

unsigned slots_busy (const slots_t *self)
{
    return (unsigned) (jobs_in_state (self->node->jobs, JOB_WAITING) +
                       jobs_in_state (self->node->jobs, JOB_READY) +
                       jobs_in_state (self->node->jobs, JOB_GIVEN));
}

static uint64_t s_wanted (const slots_t *self)
{
    unsigned slots = self->node->options.slots, busy = 0;
    for (const worker_t *worker = self->workers; worker; worker = worker->next)
        busy += worker->jobs.len > 0 &&
                (worker->long_head || worker->state == WORKER_STOPPING);
    if (busy > slots)
        busy = slots;
    return busy + (uint64_t) (slots - busy) * pool_depth_for (self->ewma_us);
}

uint64_t slots_credit (slots_t *self)
{
    const node_t *node = self->node;
    if (node->draining)
        return 0;
    /* Jobs that wait for an environment hold no slot; some of them may wait without
     * keeping the others away. */
    size_t waiting = jobs_in_state (node->jobs, JOB_WAITING);
    size_t free_waiting = 2 * (size_t) node->options.slots;
    if (free_waiting < WAITING_MIN)
        free_waiting = WAITING_MIN;
    uint64_t held = self->given_credit + jobs_in_state (node->jobs, JOB_READY) +
                    jobs_in_state (node->jobs, JOB_GIVEN) +
                    (waiting > free_waiting ? waiting - free_waiting : 0);
    uint64_t wanted = s_wanted (self);
    if (held >= wanted)
        return 0;
    self->given_credit += wanted - held;
    return wanted - held;
}

void slots_spend_credit (slots_t *self, size_t jobs)
{
    self->given_credit -= jobs < self->given_credit ? jobs : self->given_credit;
}

void slots_forget_credit (slots_t *self)
{
    self->given_credit = 0;
}

/* --- giving ----------------------------------------------------------------------- */

static bool s_waits (const pool_t *pool)
{
    return pool->state == POOL_READY && pool->queue.first;
}

/* The pool whose first job waits for the longest time, of those that this pass has not
 * looked at. */
static pool_t *s_oldest (const slots_t *self)
{
    pool_t *oldest = NULL;
    for (pool_t *pool = self->node->pools; pool; pool = pool->next)
        if (s_waits (pool) && pool->served != self->pass &&
            (!oldest ||
             job_at (pool->queue.first)->order < job_at (oldest->queue.first)->order))
            oldest = pool;
    return oldest;
}

/* Jobs of another program wait for a slot. */
static bool s_others_wait (const slots_t *self, const program_t *program)
{
    if (self->taken < self->node->options.slots)
        return false;
    for (const pool_t *pool = self->node->pools; pool; pool = pool->next)
        if (pool->program != program && s_waits (pool))
            return true;
    return false;
}

/* Whether a worker may have one job more. An idle one needs a slot; one that has had its
 * turn lets others have theirs. */
static bool s_may_have (const slots_t *self, const worker_t *worker, bool others)
{
    if (worker_has_slot (worker))
        return !others || self->now_us - worker->turn_since_us < TURN_US;
    return self->taken < self->node->options.slots;
}

/* One job to each worker before any gets a second: a job never waits in a queue while
 * a worker is idle. */
static void s_feed (slots_t *self, pool_t *pool)
{
    bool fresh = pool->program->fresh;
    unsigned depth = pool_depth (pool);
    bool others = s_others_wait (self, pool->program);
    for (unsigned level = 0; level < depth && s_waits (pool); level++)
        for (worker_t *worker = self->workers; worker && s_waits (pool);
             worker = worker->next) {
            bool had = worker_has_slot (worker);
            if (worker->program == pool->program && worker->jobs.len <= level &&
                worker_can_take (worker) && s_may_have (self, worker, others))
                worker_give (worker, job_at (pool->queue.first));
            self->taken += worker_has_slot (worker) && !had;
        }
    if (fresh) /* its worker is used up: the next one is prepared */
        self->spares_due_us = self->now_us + SPARE_US;
}

/* --- workers ---------------------------------------------------------------------- */

static void s_watch_clock (void *arg, int64_t ms);

static void s_on_measured (void *arg, int64_t took_us)
{
    pool_measure (&((slots_t *) arg)->ewma_us, took_us);
}

static void s_on_gone (void *arg, worker_t *worker)
{
    slots_t *self = arg;
    for (worker_t **at = &self->workers; *at; at = &(*at)->next) {
        if (*at == worker) {
            *at = worker->next;
            break;
        }
    }
    loop_touch (self->node->loop);
}

static worker_t *s_fork (slots_t *self, env_t *env)
{
    const worker_events_t events = {.watch = s_watch_clock,
                                    .measured = s_on_measured,
                                    .gone = s_on_gone,
                                    .arg = self};
    worker_t *worker = worker_start (self->node, env, ++self->next_slot, &events);
    if (worker) {
        worker->next = self->workers;
        self->workers = worker;
    }
    return worker;
}

static bool s_is_spare (const worker_t *worker, const env_t *env)
{
    return !worker->program && worker->env == env &&
           (worker->state == WORKER_LIVE || worker->state == WORKER_STARTING);
}

static worker_t *s_spare (const slots_t *self, const env_t *env)
{
    worker_t *found = NULL;
    for (worker_t *worker = self->workers; worker; worker = worker->next)
        if (s_is_spare (worker, env) && (!found || worker->state == WORKER_LIVE))
            found = worker;
    return found;
}

static worker_t *s_spare_or_new (slots_t *self, env_t *env)
{
    worker_t *worker = s_spare (self, env);
    return worker ? worker : s_fork (self, env);
}

/* A worker more for the program of this pool: the spare one, or a new one. */
static bool s_add (slots_t *self, pool_t *pool)
{
    program_t *program = pool->program;
    if (self->now_us < program->retry_at_us || !pool_has_bundles (pool))
        return false;
    worker_t *worker = s_spare_or_new (self, program->env);
    if (!worker) {
        program->retry_at_us = self->now_us + SLOW_TICK_MS * 1000;
        s_watch_clock (self, SLOW_TICK_MS);
        return false;
    }
    worker_join (worker, program);
    self->taken += worker_has_slot (worker);
    self->spares_due_us = self->now_us + SPARE_US;
    s_feed (self, pool);
    return worker->jobs.len > 0;
}

static bool s_fork_spare (slots_t *self, const program_t *program)
{
    return program->workers == 0 || program->env->state != ENV_READY ||
           s_spare_or_new (self, program->env);
}

static bool s_has_free_worker (const slots_t *self, const program_t *program)
{
    for (const worker_t *worker = self->workers; worker; worker = worker->next)
        if (worker->program == program && worker->jobs.len == 0 &&
            worker_can_take (worker))
            return true;
    return false;
}

/* One worker that waits for the next job of a program whose jobs get a process each. It
 * knows what the last one needed. */
static bool s_prepare (slots_t *self, program_t *program)
{
    pool_t *pool = program->fresh ? pool_latest_of (program) : NULL;
    if (!pool || s_has_free_worker (self, program) ||
        program->env->state != ENV_READY ||
        self->now_us / 1000 - pool->used_ms > PREPARE_MS)
        return true;
    worker_t *worker = s_spare_or_new (self, program->env);
    if (!worker)
        return false;
    worker_join (worker, program);
    worker_tell (worker, pool);
    return true;
}

/* One for each environment in use, forked ahead, so that the next program finds it, and
 * one for each program whose jobs have to have a process of their own. To fork takes the
 * processor from the job that has taken the last one and from those that hear of its end,
 * which are given a moment. */
static void s_fork_spares (slots_t *self)
{
    if (self->now_us < self->spares_due_us) {
        s_watch_clock (self, SLOW_TICK_MS);
        return;
    }
    self->spares_due_us = 0;
    if (self->node->draining || self->node->options.idle_memory == 0)
        return;
    for (program_t *program = self->node->programs; program; program = program->next)
        if (!s_prepare (self, program) || !s_fork_spare (self, program))
            self->spares_due_us = self->now_us + RETRY_US;
}

/* The end of a worker that had its only job takes the processor from those who hear of the
 * job's end, which are given a moment. */
static bool s_has_to_go (slots_t *self, const worker_t *worker)
{
    if (worker->replace)
        return true;
    if (!worker_is_spent (worker))
        return false;
    if (self->now_us - worker->turn_since_us >= SPENT_US)
        return true;
    self->spent_wait = true;
    s_watch_clock (self, SLOW_TICK_MS);
    return false;
}

static void s_retire_replaced (slots_t *self)
{
    self->spent_wait = false;
    for (worker_t *worker = self->workers, *next; worker; worker = next) {
        next = worker->next;
        if (worker_is_idle (worker) && s_has_to_go (self, worker))
            worker_retire (worker);
    }
}

/* --- a turn ----------------------------------------------------------------------- */

static unsigned s_count_taken (const slots_t *self)
{
    unsigned count = 0;
    for (const worker_t *worker = self->workers; worker; worker = worker->next)
        count += worker_has_slot (worker);
    return count;
}

void slots_schedule (slots_t *self)
{
    node_t *node = self->node;
    self->now_us = usi_now_us ();
    self->pass++;
    s_retire_replaced (self);
    self->taken = s_count_taken (self);
    for (pool_t *pool; (pool = s_oldest (self)); pool->served = self->pass) {
        s_feed (self, pool);
        while (s_waits (pool) && !node->draining && self->taken < node->options.slots)
            if (!s_add (self, pool))
                break;
    }
    if (self->spares_due_us) {
        kept_bound (self->workers, node->options.slots);
        s_fork_spares (self);
    }
    if (jobs_in_state (node->jobs, JOB_READY) > 0)
        s_watch_clock (self, SLOW_TICK_MS);
}

/* --- the clock -------------------------------------------------------------------- */

static int64_t s_sooner (int64_t a, int64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* Looks at the job that runs: announces its start once it has run for some time, and
 * takes back what waits behind it once it is a long one. */
static int64_t s_check_head (worker_t *worker, int64_t now_us)
{
    job_t *job = worker_head (worker);
    if (!job || worker->state == WORKER_STARTING)
        return 0;
    int64_t ran_us = now_us - worker->head_since_us;
    if (ran_us < STARTED_US)
        return FAST_TICK_MS;
    if (!job->announced)
        job_announce_start (worker->node, job);
    if (!worker->throttled)
        worker_watch_pipe (worker, true);
    if (worker->long_head)
        return 0;
    if (ran_us < LONG_HEAD_US)
        return FAST_TICK_MS;
    worker->long_head = true;
    if (worker->jobs.len > 1)
        worker_take_back (worker);
    loop_touch (worker->node->loop);
    return 0;
}

/* Hands jobs back that have waited for long while all slots are busy: another node may
 * have a free one. */
static void s_hand_back_waiting (slots_t *self, int64_t now_us)
{
    node_t *node = self->node;
    unsigned busy = 0;
    for (const worker_t *worker = self->workers; worker; worker = worker->next)
        busy += worker->jobs.len > 0 && worker->state != WORKER_STARTING &&
                now_us - worker->head_since_us > HAND_BACK_US;
    if (busy < node->options.slots)
        return;
    for (pool_t *pool = node->pools; pool; pool = pool->next)
        LIST_EACH (&pool->queue, job_t, job, place)
            if (job->state == JOB_READY && now_us - job->since_us > HAND_BACK_US)
                job_hand_back (node, job);
}

static int s_on_tick (zloop_t *loop, int timer, void *arg)
{
    slots_t *self = arg;
    int64_t now_us = usi_now_us (), next_ms = 0;
    (void) loop, (void) timer;
    self->tick_timer = 0;
    for (worker_t *worker = self->workers; worker; worker = worker->next) {
        next_ms = s_sooner (next_ms, worker_check (worker, now_us));
        next_ms = s_sooner (next_ms, s_check_head (worker, now_us));
    }
    if (jobs_in_state (self->node->jobs, JOB_READY) > 0) {
        s_hand_back_waiting (self, now_us);
        next_ms = s_sooner (next_ms, SLOW_TICK_MS);
        loop_touch (self->node->loop);
    }
    if (self->spares_due_us || self->spent_wait) {
        next_ms = s_sooner (next_ms, SLOW_TICK_MS);
        loop_touch (self->node->loop);
    }
    if (next_ms > 0)
        s_watch_clock (self, next_ms);
    return 0;
}

static void s_watch_clock (void *arg, int64_t ms)
{
    slots_t *self = arg;
    if (self->tick_timer && self->tick_within_ms <= ms)
        return;
    loop_cancel (self->node->loop, &self->tick_timer);
    self->tick_within_ms = ms;
    self->tick_timer = loop_after (self->node->loop, ms, s_on_tick, self);
}

/* --- ends ------------------------------------------------------------------------- */

bool slots_are_quiet (const slots_t *self)
{
    for (const worker_t *worker = self->workers; worker; worker = worker->next)
        if (worker->jobs.len > 0 || worker->pid == 0)
            return false;
    return true;
}

bool slots_has_pid (const slots_t *self, pid_t pid)
{
    for (const worker_t *worker = self->workers; worker; worker = worker->next)
        if (worker->pid == pid)
            return true;
    return false;
}

void slots_reaped (slots_t *self, pid_t pid, int status)
{
    bool expected = false;
    for (worker_t *worker = self->workers; worker; worker = worker->next) {
        if (worker->pid == pid) {
            worker_ended (worker, status);
            return;
        }
        expected |= worker->pid == 0;
    }
    if (expected)
        children_note_early (&self->node->children, pid, status);
}

/* Takes back the job, or those that wait behind it. Where its pool cannot run jobs any
 * more, what comes back ends at once: a forgotten one would be freed by that, and the
 * caller still needs it. */
static void s_take_back_with (worker_t *worker, job_t *job)
{
    bool forgotten = job->forgotten;
    job->forgotten = false;
    worker_take_back (worker);
    job->forgotten = forgotten;
}

void slots_cancel (slots_t *self, job_t *job, bool at_once)
{
    node_t *node = self->node;
    if (job->state >= JOB_ENDED)
        return;
    job->cancelled = true;
    worker_t *worker = job->worker;
    if (worker)
        s_take_back_with (worker, job);
    if (job->state != JOB_GIVEN || !worker)
        job_end (node, job, USI_STOPPED, US_ERR_CANCELLED, NULL);
    else if (worker_head (worker) == job)
        worker_begin_stop (worker, at_once ? STOP_DROP : STOP_CANCEL, at_once);
    /* Otherwise it is taken but not begun: it is stopped when it comes first. */
    loop_touch (node->loop);
}

void slots_stop_all (slots_t *self)
{
    for (worker_t *worker = self->workers; worker; worker = worker->next) {
        worker_take_back (worker);
        if (worker->jobs.first)
            worker_begin_stop (worker, STOP_DRAIN, false);
    }
}

void slots_resume_log (slots_t *self, job_t *job)
{
    worker_t *worker = job->worker;
    if (!worker || !worker->throttled || job_log_is_full (self->node, job))
        return;
    worker->throttled = false;
    worker_watch_pipe (worker, true);
}

void slots_resume_all (slots_t *self)
{
    for (worker_t *worker = self->workers; worker; worker = worker->next)
        if (worker->jobs.first)
            slots_resume_log (self, worker_head (worker));
}

void slots_retire_spares (slots_t *self, const env_t *env)
{
    for (worker_t *worker = self->workers; worker; worker = worker->next)
        if (s_is_spare (worker, env))
            worker_retire (worker);
}

void slots_retire_idle (slots_t *self)
{
    for (worker_t *worker = self->workers; worker; worker = worker->next)
        if (worker_is_idle (worker))
            worker_retire (worker);
}

void slots_tidy (slots_t *self)
{
    kept_tidy (self->workers, self->node->options.idle_memory);
}

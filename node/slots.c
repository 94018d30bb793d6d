/* SPDX-License-Identifier: MIT
 *
 * Which worker runs which job: see slots.h. */
#include "slots.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "worker.h"
#include "worker_io.h"

#define STARTED_US   2000 /* a job that runs longer is announced, and its log watched */
#define LONG_HEAD_US 5000 /* nothing waits behind a job that runs longer */
#define HAND_BACK_US                                                                   \
    100000 /* all slots are busy for longer: others may have a free one */
#define STARVED_US   20000 /* a pool without worker waits longer: one makes room */
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
        busy += worker->occupies && worker->jobs.len > 0 &&
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

/* One job to each worker before any gets a second: a job never waits in a queue while
 * a worker is idle. */
static void s_feed (slots_t *self, pool_t *pool)
{
    unsigned depth = pool_depth (pool);
    for (unsigned level = 0; level < depth && pool->queue.first; level++)
        for (worker_t *worker = self->workers; worker && pool->queue.first;
             worker = worker->next)
            if (worker->pool == pool && worker->jobs.len <= level &&
                worker_can_take (worker))
                worker_give (worker, job_at (pool->queue.first));
}

/* The pool whose first job waits for the longest time. */
static pool_t *s_oldest (const slots_t *self, int64_t now_us)
{
    pool_t *oldest = NULL;
    for (pool_t *pool = self->node->pools; pool; pool = pool->next)
        if (pool->state == POOL_READY && pool->queue.first &&
            now_us >= pool->retry_at_us &&
            (!oldest ||
             job_at (pool->queue.first)->order < job_at (oldest->queue.first)->order))
            oldest = pool;
    return oldest;
}

static worker_t *s_idle (const slots_t *self)
{
    /* All pools have been fed: an idle worker is one whose pool has nothing for it. */
    for (worker_t *worker = self->workers; worker; worker = worker->next)
        if (worker_is_idle (worker))
            return worker;
    return NULL;
}

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

static bool s_start_one (slots_t *self, pool_t *pool)
{
    const worker_events_t events = {.watch = s_watch_clock,
                                    .measured = s_on_measured,
                                    .gone = s_on_gone,
                                    .arg = self};
    worker_t *worker = worker_start (pool, ++self->next_slot, &events);
    if (!worker) {
        pool->retry_at_us = usi_now_us () + SLOW_TICK_MS * 1000;
        s_watch_clock (self, SLOW_TICK_MS);
        return false;
    }
    worker->next = self->workers;
    self->workers = worker;
    s_feed (self, pool);
    return true;
}

static void s_retire_replaced (slots_t *self)
{
    for (worker_t *worker = self->workers, *next; worker; worker = next) {
        next = worker->next;
        bool spent = worker->replace || worker->yielding ||
                     (worker->pool->fresh && worker->done > 0);
        if (spent && worker_is_idle (worker))
            worker_retire (worker);
    }
}

static unsigned s_occupied (const slots_t *self)
{
    unsigned count = 0;
    for (const worker_t *worker = self->workers; worker; worker = worker->next)
        count += worker->occupies;
    return count;
}

void slots_schedule (slots_t *self)
{
    node_t *node = self->node;
    s_retire_replaced (self);
    for (pool_t *pool = node->pools; pool; pool = pool->next)
        if (pool->state == POOL_READY && pool->queue.first)
            s_feed (self, pool);
    int64_t now_us = usi_now_us ();
    for (pool_t *pool; !node->draining && (pool = s_oldest (self, now_us));) {
        if (s_occupied (self) >= node->options.slots) {
            worker_t *idle = s_idle (self);
            if (!idle || idle->pool == pool)
                break;
            worker_retire (idle);
        } else if (!s_start_one (self, pool)) {
            break;
        }
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
        busy += worker->occupies && worker->jobs.len > 0 &&
                worker->state != WORKER_STARTING &&
                now_us - worker->head_since_us > HAND_BACK_US;
    if (busy < node->options.slots)
        return;
    for (pool_t *pool = node->pools; pool; pool = pool->next)
        LIST_EACH (&pool->queue, job_t, job, place)
            if (job->state == JOB_READY && now_us - job->since_us > HAND_BACK_US)
                job_hand_back (node, job);
}

static bool s_is_starved (const pool_t *pool, int64_t now_us)
{
    const job_t *job = job_at (pool->queue.first);
    return pool->state == POOL_READY && job && pool->workers == 0 &&
           now_us - job->since_us > STARVED_US;
}

/* Each pool without a worker gets the next slot of one that has been served. */
static void s_make_room (slots_t *self, int64_t now_us)
{
    int starved = 0;
    for (const pool_t *pool = self->node->pools; pool; pool = pool->next)
        starved += s_is_starved (pool, now_us);
    if (starved == 0 || s_occupied (self) < self->node->options.slots)
        return;
    for (const worker_t *worker = self->workers; worker; worker = worker->next)
        starved -= worker->yielding && worker->occupies;
    for (worker_t *worker = self->workers; worker && starved > 0;
         worker = worker->next) {
        if (worker->state != WORKER_LIVE || worker->yielding)
            continue;
        worker->yielding = true;
        worker_take_back (worker);
        loop_touch (self->node->loop);
        starved--;
    }
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
        s_make_room (self, now_us);
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

void slots_retire_idle (slots_t *self)
{
    for (worker_t *worker = self->workers; worker; worker = worker->next)
        if (worker_is_idle (worker))
            worker_retire (worker);
}

void slots_tidy (slots_t *self)
{
    for (worker_t *worker = self->workers; worker; worker = worker->next)
        if (worker_is_idle (worker) && pool_is_unused (worker->pool))
            worker_retire (worker);
}

/* SPDX-License-Identifier: MIT
 *
 * A worker's life and its stops: see worker.h. Its job socket is in worker_io.c. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "blobs.h"
#include "failure.h"
#include "process.h"
#include "slots.h"
#include "worker_internal.h"
#include "zygote.h"

#define SOCKET_BUFFER (1024 * 1024)
#define PIPE_SIZE     (256 * 1024)
#define STEP_MS       2000 /* between the steps of a stop */
#define DRAIN_STEP_MS 500
#define WATCH_MS      20
#define START_MS      60000 /* a zygote may have to load a slow disk */
#define MAX_FAILURES  3
#define LOG_LINES     20
#define LOG_BYTES     8192

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

/* --- start ------------------------------------------------------------------------ */

static void s_close (int *fd)
{
    if (*fd >= 0)
        close (*fd);
    *fd = -1;
}

static bool s_bundles_are_here (const pool_t *pool)
{
    for (size_t i = 0; i < pool->blobs_len; i++) {
        int fd = blobs_open (pool->node->blobs, pool->blobs[i]);
        if (fd < 0)
            return false;
        close (fd);
    }
    return true;
}

static bool s_open (worker_t *self, int *log_end)
{
    int pair[2], ends[2], size = SOCKET_BUFFER;
    if (socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return false;
    self->sock = pair[0];
    self->peer = pair[1];
    if (pipe2 (ends, O_CLOEXEC) != 0)
        return false;
    self->pipe = ends[0];
    *log_end = ends[1];
    fcntl (self->pipe, F_SETFL, O_NONBLOCK);
    fcntl (self->pipe, F_SETPIPE_SZ, PIPE_SIZE);
    for (int i = 0; i < 2; i++)
        setsockopt (pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return true;
}

static bool s_ask_zygote (worker_t *self, int log_end)
{
    zygote_fork_t request = {.slot = self->slot,
                             .job_socket = self->peer,
                             .log_pipe = log_end,
                             .bundles =
                                 (const uint8_t (*)[USI_DIGEST_LEN]) self->pool->blobs,
                             .bundles_len = self->pool->blobs_len};
    log_pipe_token (request.token);
    log_pipe_init (&self->log, request.token);
    return zygote_fork (self->pool->env, &request) == 0;
}

worker_t *worker_start (pool_t *pool, unsigned slot)
{
    if (!s_bundles_are_here (pool)) {
        pool_cool (pool);
        return NULL;
    }
    int log_end = -1;
    worker_t *self = usi_new (worker_t);
    *self = (worker_t){.node = pool->node,
                       .pool = pool,
                       .slot = slot,
                       .occupies = true,
                       .sock = -1,
                       .peer = -1,
                       .pipe = -1,
                       .born_us = usi_now_us ()};
    job_list_init (&self->jobs, JOB_LINK_PLACE);
    pool->refs++;
    if (!s_open (self, &log_end) || !s_ask_zygote (self, log_end)) {
        usi_warning ("worker.start", "a worker cannot be started: %s",
                     strerror (errno));
        s_close (&log_end);
        worker_destroy (&self);
        return NULL;
    }
    s_close (&log_end); /* so that the pipe ends when the last of theirs does */
    pool->workers++;
    node_watch (pool->node, self->sock, worker_on_socket, self);
    worker_watch_pipe (self, true);
    return self;
}

void worker_destroy (worker_t **self_p)
{
    worker_t *self = *self_p;
    if (!self)
        return;
    worker_watch_pipe (self, false);
    if (self->sock >= 0)
        node_unwatch (self->node, self->sock);
    s_close (&self->sock);
    s_close (&self->peer);
    s_close (&self->pipe);
    usi_buf_free (&self->refusal);
    usi_buf_free (&self->loose);
    free (self->fault);
    self->pool->refs--;
    free (self);
    *self_p = NULL;
}

/* --- leaving ---------------------------------------------------------------------- */

bool worker_can_take (const worker_t *self)
{
    if (self->yielding || self->replace || self->full || self->long_head)
        return false;
    return self->state == WORKER_LIVE ||
           (self->state == WORKER_STARTING && self->jobs.count == 0);
}

/* It takes no more jobs: neither pool nor slot count on it. */
static void s_leave_slot (worker_t *self, bool slot_too)
{
    if (!self->left_pool)
        self->pool->workers--;
    self->left_pool = true;
    if (slot_too && self->occupies) {
        self->occupies = false;
        self->node->slots->count--;
    }
    node_touch (self->node);
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
    s_leave_slot (self, true);
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
    usi_put_be (message + 1, self->jobs.first->seq, 4);
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
    s_leave_slot (self, false);
    s_step (self, usi_now_us ());
    slots_watch_clock (self->node->slots, WATCH_MS);
}

static int64_t s_check_limits (worker_t *self, int64_t now_us)
{
    const job_t *job = self->jobs.first;
    int64_t ran_ms = (now_us - self->head_since_us) / 1000;
    if (!job || self->state != WORKER_LIVE)
        return 0;
    const recipe_t *recipe = job->recipe;
    if (recipe->hard_ms && ran_ms >= (int64_t) recipe->hard_ms) {
        worker_begin_stop (self, STOP_TIME_LIMIT, false);
    } else if (recipe->soft_ms && !self->soft_sent &&
               ran_ms >= (int64_t) recipe->soft_ms) {
        self->soft_sent = true;
        s_interrupt (self, 2);
    }
    return recipe->hard_ms || (recipe->soft_ms && !self->soft_sent) ? WATCH_MS : 0;
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
        return self->stop_done ? 0 : WATCH_MS;
    }
    return s_check_limits (self, now_us);
}

/* --- the end ---------------------------------------------------------------------- */

static char *s_describe (int status)
{
    if (WIFSIGNALED (status))
        return usi_sprintf ("the worker died of signal %d (%s)", WTERMSIG (status),
                            strsignal (WTERMSIG (status)));
    return usi_sprintf ("the worker ended with exit code %d in the middle of the job",
                        WEXITSTATUS (status));
}

static void s_crashed (worker_t *self, job_t *job, int status)
{
    failure_t failure = FAILURE_INIT;
    usi_buf_t envelope = {0}, log = {0};
    char *words = self->fault ? usi_strdup (self->fault) : s_describe (status);
    job_log_last (&job->logs[0], LOG_BYTES, LOG_LINES, &log);
    failure.code = US_ERR_WORKER_DIED;
    failure.message = words;
    failure.node = self->node->options.name;
    failure.log = usi_buf_bytes (&log);
    failure.signal = WIFSIGNALED (status) ? WTERMSIG (status) : 0;
    failure.exit_code = WIFEXITED (status) ? WEXITSTATUS (status) : -1;
    failure_pack (&envelope, &failure);
    usi_info ("worker.died", "%s slot=%u pid=%d", words, self->slot, (int) self->pid);
    job_end (self->node, job, USI_CRASHED, US_ERR_WORKER_DIED, &envelope);
    usi_buf_free (&log);
    free (words);
}

static void s_over_time (worker_t *self, job_t *job)
{
    char *why = usi_sprintf ("the job ran over its limit of %u ms and was killed",
                             job->recipe->hard_ms);
    job_fail (self->node, job, USI_FAILED, US_ERR_TIME_LIMIT, why);
    free (why);
}

/* The job that was running when the process ended. */
static void s_settle_victim (worker_t *self, job_t *job, int status)
{
    node_t *node = self->node;
    if (job->forgotten || job->cancelled)
        job_end (node, job, USI_STOPPED, US_ERR_CANCELLED, NULL);
    else if (self->stop == STOP_TIME_LIMIT)
        s_over_time (self, job);
    else if (self->stop == STOP_DRAIN)
        job_hand_back (node, job);
    else
        s_crashed (self, job, status);
}

/* It could not load its bundles, and nobody will: those that wait fail likewise. */
static void s_refuse_jobs (worker_t *self)
{
    usi_bytes_t envelope = usi_buf_bytes (&self->refusal);
    int code = worker_envelope_code (envelope);
    worker_take_back (self);
    while (self->jobs.last)
        pool_return (self->pool, self->jobs.last);
    pool_fail (self->pool, code, envelope);
}

static void s_settle_jobs (worker_t *self, int status)
{
    if (self->refusal.len > 0)
        s_refuse_jobs (self);
    if (self->jobs.first)
        s_settle_victim (self, self->jobs.first, status);
    while (self->jobs.last)
        pool_return (self->pool, self->jobs.last);
}

/* It never came up. Three in a row: the first job that waits is told so. */
static void s_count_failure (worker_t *self, const char *why)
{
    pool_t *pool = self->pool;
    unsigned failures = ++pool->start_failures;
    pool->retry_at_us = usi_now_us () + (50000LL << (failures < 6 ? failures : 6));
    slots_watch_clock (self->node->slots, WATCH_MS);
    usi_warning ("worker.start", "a worker did not start: %s slot=%u", why, self->slot);
    if (failures >= MAX_FAILURES && pool->queue.first) {
        char *text = usi_sprintf ("no worker could be started: %s", why);
        job_fail (self->node, pool->queue.first, USI_CRASHED, US_ERR_WORKER_DIED, text);
        free (text);
    }
}

static void s_end (worker_t *self, int status)
{
    bool began = self->state != WORKER_STARTING;
    worker_apply (self, WORKER_DIED);
    worker_drain (self);
    if (self->pid > 0)
        kill (-self->pid, SIGKILL); /* what it left behind in its group */
    worker_take_back (self);
    began = began || self->jobs.count > 0 || self->refusal.len > 0 || self->done > 0;
    s_settle_jobs (self, status);
    s_leave_slot (self, true);
    if (began)
        self->pool->start_failures = 0;
    else
        s_count_failure (self, self->fault ? self->fault : "it ended at once");
    slots_remove (self->node->slots, self);
    worker_destroy (&self);
}

void worker_gone (worker_t *self, int status)
{
    s_end (self, status);
}

void worker_lost (worker_t *self, const char *why)
{
    if (!self->fault)
        self->fault = usi_strdup (why);
    s_end (self, 0);
}

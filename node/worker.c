/* SPDX-License-Identifier: MIT
 *
 * The start and the end of a worker: see worker.h. */
#include "worker.h"

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
#include "host/failure.h"
#include "host/process.h"
#include "worker_io.h"
#include "zygote.h"

#define SOCKET_BUFFER (1024 * 1024)
#define PIPE_SIZE     (256 * 1024)
#define MAX_FAILURES  3
#define LOG_LINES     20
#define LOG_BYTES     8192

/* --- start ------------------------------------------------------------------------ */

static void s_close (int *fd)
{
    if (*fd >= 0)
        close (*fd);
    *fd = -1;
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
                             .log_pipe = log_end};
    log_pipe_token (request.token);
    log_pipe_init (&self->log, request.token);
    return zygote_fork (self->node, self->env, &request) == 0;
}

worker_t *worker_start (node_t *node, env_t *env, unsigned slot,
                        const worker_events_t *events)
{
    int log_end = -1;
    worker_t *self = usi_new (worker_t);
    *self = (worker_t){.node = node,
                       .events = *events,
                       .end = worker_ended,
                       .env = env,
                       .slot = slot,
                       .sock = -1,
                       .peer = -1,
                       .pipe = -1,
                       .born_us = usi_now_us ()};
    self->turn_since_us = self->born_us;
    if (!s_open (self, &log_end) || !s_ask_zygote (self, log_end)) {
        usi_warning ("worker.start", "a worker cannot be started: %s",
                     strerror (errno));
        s_close (&log_end);
        worker_destroy (&self);
        return NULL;
    }
    s_close (&log_end); /* so that the pipe ends when the last of theirs does */
    worker_listen (self);
    return self;
}

void worker_join (worker_t *self, program_t *program)
{
    self->program = program;
    program->refs++;
    program->workers++;
    self->turn_since_us = usi_now_us ();
}

static void s_forget_sets (worker_t *self)
{
    for (size_t i = 0; i < self->sets_len; i++)
        if (self->sets[i])
            self->sets[i]->refs--;
    free (self->sets);
}

void worker_destroy (worker_t **self_p)
{
    worker_t *self = *self_p;
    if (!self)
        return;
    worker_watch_pipe (self, false);
    if (self->sock >= 0)
        loop_unwatch (self->node->loop, self->sock);
    s_close (&self->sock);
    s_close (&self->peer);
    s_close (&self->pipe);
    usi_buf_free (&self->loose);
    free (self->fault);
    s_forget_sets (self);
    if (self->program)
        program_drop (self->program);
    free (self);
    *self_p = NULL;
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
                             job->spec->hard_ms);
    job_fail (self->node, job, USI_FAILED, US_ERR_TIME_LIMIT, why);
    free (why);
}

/* Settles the job that was running when the process ended. */
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

static void s_settle_jobs (worker_t *self, int status)
{
    if (self->jobs.first)
        s_settle_victim (self, worker_head (self), status);
    while (self->jobs.last)
        pool_take_back (job_at (self->jobs.last));
}

/* The worker never came up. After three of these in a row the first job that waits
 * fails. */
static void s_count_failure (worker_t *self, const char *why)
{
    program_t *program = self->program;
    usi_warning ("worker.start", "a worker did not start: %s slot=%u", why, self->slot);
    if (!program)
        return;
    unsigned failures = ++program->start_failures;
    program->retry_at_us = usi_now_us () + (50000LL << (failures < 6 ? failures : 6));
    self->events.watch (self->events.arg, WORKER_WATCH_MS);
    pool_t *pool = failures >= MAX_FAILURES ? pool_oldest_of (program) : NULL;
    if (pool) {
        char *text = usi_sprintf ("no worker could be started: %s", why);
        job_fail (self->node, job_at (pool->queue.first), USI_CRASHED,
                  US_ERR_WORKER_DIED, text);
        free (text);
    }
}

void worker_ended (worker_t *self, int status)
{
    bool began = self->state != WORKER_STARTING;
    worker_apply (self, WORKER_DIED);
    worker_drain (self);
    if (self->pid > 0)
        process_kill_group (self->pid); /* what it left behind */
    worker_take_back (self);
    began = began || self->jobs.len > 0 || self->done > 0;
    s_settle_jobs (self, status);
    worker_leave (self);
    if (!began)
        s_count_failure (self, self->fault ? self->fault : "it ended at once");
    self->events.gone (self->events.arg, self);
    worker_destroy (&self);
}

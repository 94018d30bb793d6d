/* SPDX-License-Identifier: MIT
 *
 * The loop of the daemon: signals, the end of a turn, housekeeping, draining. */
#include "daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef US_HAS_SYSTEMD
#    include <systemd/sd-daemon.h>
#endif

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "blobs.h"
#include "jobs.h"
#include "link.h"
#include "pool.h"
#include "process.h"
#include "recipe.h"
#include "slots.h"
#include "venv/cache.h"
#include "venv/evict.h"
#include "zygote.h"

#define TIDY_MS     1000
#define RENEW_MS    200 /* looks so often: a lease may be as short as a second */
#define STATUS_MS   2000
#define LEAVE_MS    5000 /* for the broker to answer COMMITTED at the end */
#define END_MS      1000 /* for workers and zygotes to end by themselves */
#define ORPHANS_MAX 256

typedef struct daemon_state {
    node_t node;
    int signals, parent;
    int64_t status_ms, renew_ms;
    bool was_ready;
    usi_msg_t msg;
} daemon_state_t;

/* --- the loop, shortened ---------------------------------------------------------- */

int node_after (node_t *node, int64_t ms, zloop_timer_fn *fn, void *arg)
{
    return zloop_timer (node->loop, (size_t) ms, 1, fn, arg);
}

void node_watch (node_t *node, int fd, zloop_fn *fn, void *arg)
{
    zmq_pollitem_t item = {.fd = fd, .events = ZMQ_POLLIN};
    zloop_poller (node->loop, &item, fn, arg);
    zloop_poller_set_tolerant (node->loop, &item);
}

void node_unwatch (node_t *node, int fd)
{
    zmq_pollitem_t item = {.fd = fd};
    zloop_poller_end (node->loop, &item);
}

/* --- the end of a turn ------------------------------------------------------------ */

static int s_on_turn (zloop_t *loop, int timer, void *arg);

void node_touch (node_t *node)
{
    if (node->turn_asked)
        return;
    node->turn_asked = true;
    node_after (node, 0, s_on_turn, node);
}

static void s_leave (node_t *node, const char *why)
{
    if (!node->leaving)
        link_bye (node->link, why);
    node->leaving = true;
}

static void s_send_status (daemon_state_t *self)
{
    node_t *node = &self->node;
    if (!link_is_up (node->link))
        return;
    self->status_ms = usi_now_ms ();
    node->status_changed = false;
    usi_msg_begin (&self->msg, USI_STATUS);
    USI_SET (&self->msg.head, BUSY, busy, slots_busy (node->slots));
    USI_SET (&self->msg.head, SLOTS, slots, node->options.slots);
    envs_report (node->envs, &self->msg);
    link_send (node->link, &self->msg);
}

/* Nothing runs and nothing is owed, or nobody takes it. */
static bool s_is_drained (const node_t *node)
{
    size_t unfinished = slots_busy (node->slots);
    return unfinished == 0 &&
           (jobs_count (node->jobs) == 0 || usi_now_ms () >= node->drain_leave_ms);
}

static int s_on_turn (zloop_t *loop, int timer, void *arg)
{
    node_t *node = arg;
    (void) loop, (void) timer;
    node->turn_asked = false;
    slots_schedule (node->slots);
    jobs_flush (node->jobs);
    if (node->status_changed)
        s_send_status ((daemon_state_t *) node);
    if (node->draining && s_is_drained (node))
        s_leave (node, "the node ends");
    return node->leaving ? -1 : 0;
}

/* --- messages --------------------------------------------------------------------- */

void node_receive (node_t *node, const usi_msg_t *msg)
{
    switch (msg->type) {
    case USI_JOBS:
        jobs_receive (node->jobs, msg);
        slots_schedule (
            node->slots); /* at once: somebody waits for the first of them */
        break;
    case USI_COMMITTED: jobs_committed (node->jobs, msg); break;
    case USI_LOG_KEPT: jobs_log_kept (node->jobs, msg); break;
    case USI_RENEWED: jobs_renewed (node->jobs, msg); break;
    case USI_STOP: jobs_stop (node->jobs, msg); break;
    case USI_BLOB_DATA: blobs_data (node->blobs, msg); break;
    case USI_BLOB_KEPT: blobs_kept (node->blobs, msg); break;
    case USI_WAKE: link_ask_work (node->link); break;
    case USI_DRAIN: node_drain (node, -1, "the broker asks for it"); break;
    default:
        usi_notice ("message.unexpected", "a message that is not for nodes type=%s",
                    usi_type_name (msg->type));
    }
}

static void s_say_ready (daemon_state_t *self)
{
    if (self->was_ready)
        return;
    self->was_ready = true;
    int fd = self->node.options.ready_fd;
    if (fd >= 0) {
        if (write (fd, "ready\n", 6) != 6)
            usi_warning ("ready", "cannot write to the descriptor: %s",
                         strerror (errno));
        close (fd);
    }
#ifdef US_HAS_SYSTEMD
    sd_notify (0, "READY=1");
#endif
}

void node_welcome (node_t *node)
{
    s_say_ready ((daemon_state_t *) node);
    slots_forget_credit (node->slots);
    jobs_announce (node->jobs);
    blobs_announce (node->blobs);
    node->status_changed = true;
    node_touch (node);
}

void node_lost (node_t *node)
{
    slots_forget_credit (node->slots);
    slots_resume_all (node->slots);
    if (node->draining)
        node_touch (node);
}

/* --- draining --------------------------------------------------------------------- */

static void s_hand_back_waiting (node_t *node)
{
    for (worker_t *worker = node->slots->workers; worker; worker = worker->next)
        worker_take_back (worker);
    for (job_t *job = jobs_first (node->jobs), *next; job; job = next) {
        next = job_next (job, JOB_LINK_ALL);
        if (job->state == JOB_WAITING || job->state == JOB_READY)
            job_hand_back (node, job);
    }
}

void node_drain (node_t *node, int64_t grace_ms, const char *why)
{
    int64_t now_ms = usi_now_ms ();
    if (!node->draining)
        usi_notice ("drain", "takes no more jobs: %s running=%zu", why,
                    jobs_in_state (node->jobs, JOB_GIVEN));
    node->draining = true;
    if (grace_ms >= 0 && !node->drain_stop_ms)
        node->drain_stop_ms = now_ms + grace_ms;
    s_hand_back_waiting (node);
    node->drain_leave_ms = now_ms + LEAVE_MS;
    node->status_changed = true;
    node_touch (node);
}

static void s_check_drain (node_t *node)
{
    int64_t now_ms = usi_now_ms ();
    size_t running = jobs_in_state (node->jobs, JOB_GIVEN);
    s_hand_back_waiting (node); /* what came meanwhile */
    if (running > 0)
        node->drain_leave_ms = now_ms + LEAVE_MS;
    if (running > 0 && node->drain_stop_ms && now_ms >= node->drain_stop_ms)
        slots_stop_all (node->slots);
    node_touch (node);
}

/* --- children --------------------------------------------------------------------- */

static void s_reap (node_t *node)
{
    int status;
    for (pid_t pid; (pid = waitpid (-1, &status, WNOHANG)) > 0;)
        if (!zygotes_reaped (node, pid, status) &&
            !envs_reaped (node->envs, pid, status))
            slots_reaped (node->slots, pid, status);
}

static bool s_is_ours (const node_t *node, pid_t pid)
{
    return slots_has_pid (node->slots, pid) || zygotes_have (node, pid) ||
           envs_have (node->envs, pid) || evict_owns (pid);
}

/* Processes that jobs have left behind are ours now. They are ended when no job runs
 * that they might belong to. */
static void s_end_orphans (node_t *node)
{
    static pid_t pids[ORPHANS_MAX];
    if (!slots_are_quiet (node->slots) || envs_are_busy (node->envs))
        return;
    size_t count = process_children (pids, ORPHANS_MAX);
    for (size_t i = 0; i < count; i++)
        if (!s_is_ours (node, pids[i]))
            process_kill_tree (pids[i]);
}

static int s_on_signal (zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    daemon_state_t *self = arg;
    node_t *node = &self->node;
    struct signalfd_siginfo info;
    (void) loop, (void) item;
    while (read (self->signals, &info, sizeof info) == (ssize_t) sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            continue;
        if (node->signals++ > 0) {
            usi_notice ("signal", "a second signal: ends now");
            s_leave (node, "the node was told to end at once");
            return -1;
        }
        node_drain (node, node->options.grace_ms, strsignal ((int) info.ssi_signo));
    }
    s_reap (node);
    return 0;
}

static int s_on_parent (zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    daemon_state_t *self = arg;
    (void) loop, (void) item;
    node_unwatch (&self->node, self->parent);
    node_drain (&self->node, self->node.options.grace_ms,
                "the parent process has ended");
    return 0;
}

/* --- housekeeping ----------------------------------------------------------------- */

static int s_on_renew (zloop_t *loop, int timer, void *arg)
{
    daemon_state_t *self = arg;
    node_t *node = &self->node;
    int64_t now_ms = usi_now_ms ();
    (void) loop, (void) timer;
    if (now_ms - self->renew_ms >= node->limits.lease_ms / 3) {
        self->renew_ms = now_ms;
        jobs_renew (node->jobs);
    }
    return 0;
}

static int s_on_tidy (zloop_t *loop, int timer, void *arg)
{
    daemon_state_t *self = arg;
    node_t *node = &self->node;
    int64_t now_ms = usi_now_ms ();
    (void) loop, (void) timer;
    jobs_repeat (node->jobs);
    blobs_tidy (node->blobs);
    envs_tidy (node->envs);
    pools_tidy (node);
    s_end_orphans (node);
    if (now_ms - self->status_ms >= STATUS_MS)
        s_send_status (self);
    if (node->draining)
        s_check_drain (node);
    return 0;
}

/* --- life ------------------------------------------------------------------------- */

static int s_open_signals (void)
{
    sigset_t set;
    sigemptyset (&set);
    sigaddset (&set, SIGCHLD);
    sigaddset (&set, SIGTERM);
    sigaddset (&set, SIGINT);
    sigprocmask (SIG_BLOCK, &set, NULL);
    signal (SIGPIPE, SIG_IGN);
    return signalfd (-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void s_watch_parent (daemon_state_t *self, pid_t pid)
{
    self->parent = -1;
    if (pid <= 0)
        return;
    self->parent = (int) syscall (SYS_pidfd_open, pid, 0);
    if (self->parent >= 0)
        node_watch (&self->node, self->parent, s_on_parent, self);
    else
        node_drain (&self->node, 0, "the parent process has ended");
}

static void s_open (daemon_state_t *self, const node_options_t *options)
{
    node_t *node = &self->node;
    node->options = *options;
    node->id = usi_random64 ();
    node->boot = usi_random32 ();
    node->limits = (node_limits_t){.max_body = USI_MAX_BODY,
                                   .max_payload = USI_MAX_PAYLOAD,
                                   .lease_ms = USI_DEFAULT_LEASE_MS,
                                   .heartbeat_ms = USI_HEARTBEAT_MS};
    node->loop = zloop_new ();
    zloop_set_nonstop (node->loop, true);
    node->jobs = jobs_new (node);
    node->slots = slots_new (node);
    node->blobs = blobs_new (node);
    node->envs = envs_new (node);
    node->link = link_new (node);
}

/* The bare environment of the first Python is what most jobs need: it is made, and its
 * interpreter loaded, before the first job asks. */
static void s_prepare (node_t *node)
{
    env_request_t request;
    usi_list_t none = {0};
    char *why = NULL;
    if (env_request_make (&request, &none, &none, &node->options.pythons[0],
                          node->options.index_url, &why) == US_OK)
        env_want (envs_get (node->envs, &request));
    free (why);
}

static void s_close (daemon_state_t *self)
{
    node_t *node = &self->node;
    /* Workers that have nothing to do run what their jobs have registered for the
     * end. */
    slots_retire (node->slots, NULL);
    zygotes_end (node);
    process_end_all (node->signals > 1 ? 0 : END_MS);
    slots_destroy (&node->slots);
    zygotes_clear (node);
    jobs_destroy (&node->jobs);
    recipes_clear (node);
    pools_clear (node);
    link_destroy (&node->link);
    envs_destroy (&node->envs);
    blobs_destroy (&node->blobs);
    zloop_destroy (&node->loop);
    usi_msg_free (&self->msg);
    if (self->parent >= 0)
        close (self->parent);
    close (self->signals);
}

int daemon_run (const node_options_t *options, pid_t parent)
{
    daemon_state_t self = {.signals = s_open_signals (), .parent = -1};
    node_t *node = &self.node;
    prctl (PR_SET_CHILD_SUBREAPER, 1);
    s_open (&self, options);
    node_watch (node, self.signals, s_on_signal, &self);
    s_watch_parent (&self, parent);
    zloop_timer (node->loop, RENEW_MS, 0, s_on_renew, &self);
    zloop_timer (node->loop, TIDY_MS, 0, s_on_tidy, &self);
    if (!node->draining)
        s_prepare (node);
    link_start (node->link);
    zloop_start (node->loop);
    s_close (&self);
    usi_notice ("end", "the node has ended");
    return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * The daemon: makes all parts of the node and wires them together; signals, the end of a
 * turn, housekeeping, draining. The only file that knows all the others. */
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
#include "blob_cache.h"
#include "conn.h"
#include "host/process.h"
#include "intake.h"
#include "job_sender.h"
#include "jobs.h"
#include "pool.h"
#include "slots.h"
#include "wake.h"
#include "worker_io.h"
#include "zygote.h"

#define TIDY_MS   1000
#define RENEW_MS  200 /* looks so often: a lease may be as short as a second */
#define STATUS_MS 2000
#define LEAVE_MS  5000 /* for the broker to answer COMMITTED at the end */
#define END_MS    1000 /* for workers and zygotes to end by themselves */

typedef struct daemon_state {
    node_t node;
    job_sender_t sender;
    int signals, parent;    /* descriptors */
    unsigned signals_heard; /* that ask for the end */
    bool leaving;           /* BYE is said: the loop ends */
    int64_t drain_stop_ms;  /* when running jobs are stopped; 0: never */
    int64_t drain_leave_ms; /* when nothing is waited for any more; 0: never */
    int64_t status_ms, renew_ms;
    bool was_ready;
    usi_msg_t msg;
} daemon_state_t;

/* --- the end of a turn ------------------------------------------------------------ */

static void s_leave (daemon_state_t *self, const char *why)
{
    if (!self->leaving)
        node_conn_bye (self->node.conn, why);
    self->leaving = true;
}

static void s_send_status (daemon_state_t *self)
{
    node_t *node = &self->node;
    if (!node_conn_is_up (node->conn))
        return;
    self->status_ms = usi_now_ms ();
    node->status_changed = false;
    usi_msg_begin (&self->msg, USI_STATUS);
    USI_SET (&self->msg.head, BUSY, busy, slots_busy (node->slots));
    USI_SET (&self->msg.head, SLOTS, slots, node->options.slots);
    envs_report (node->envs, &self->msg);
    node_conn_send (node->conn, &self->msg);
}

/* No job runs, and the broker has every result, or has had time enough to take it. */
static bool s_is_drained (const daemon_state_t *self)
{
    const node_t *node = &self->node;
    size_t unfinished = slots_busy (node->slots);
    return unfinished == 0 &&
           (jobs_count (node->jobs) == 0 || usi_now_ms () >= self->drain_leave_ms);
}

static int s_on_turn (void *arg)
{
    daemon_state_t *self = arg;
    node_t *node = &self->node;
    slots_schedule (node->slots);
    if (node_conn_is_up (node->conn)) /* the next connection announces everything */
        job_sender_flush (&self->sender, slots_credit (node->slots));
    if (node->status_changed)
        s_send_status (self);
    if (node->draining && s_is_drained (self))
        s_leave (self, "the node ends");
    return self->leaving ? -1 : 0;
}

/* --- draining --------------------------------------------------------------------- */

static void s_hand_back_waiting (node_t *node)
{
    for (worker_t *worker = node->slots->workers; worker; worker = worker->next)
        worker_take_back (worker);
    LIST_EACH (&node->jobs->all, job_t, job, all)
        if (job->state == JOB_WAITING || job->state == JOB_READY)
            job_hand_back (node, job);
}

/* Takes no more jobs; hands back what has not started; ends once the rest is done.
 * grace_ms: how long running jobs go on; -1: as long as they take. */
static void s_drain (daemon_state_t *self, int64_t grace_ms, const char *why)
{
    node_t *node = &self->node;
    int64_t now_ms = usi_now_ms ();
    if (!node->draining)
        usi_notice ("drain", "takes no more jobs: %s running=%zu", why,
                    jobs_in_state (node->jobs, JOB_GIVEN));
    node->draining = true;
    if (grace_ms >= 0 && !self->drain_stop_ms)
        self->drain_stop_ms = now_ms + grace_ms;
    s_hand_back_waiting (node);
    self->drain_leave_ms = now_ms + LEAVE_MS;
    node->status_changed = true;
    loop_touch (node->loop);
}

static void s_check_drain (daemon_state_t *self)
{
    node_t *node = &self->node;
    int64_t now_ms = usi_now_ms ();
    size_t running = jobs_in_state (node->jobs, JOB_GIVEN);
    s_hand_back_waiting (node); /* what came meanwhile */
    if (running > 0)
        self->drain_leave_ms = now_ms + LEAVE_MS;
    if (running > 0 && self->drain_stop_ms && now_ms >= self->drain_stop_ms)
        slots_stop_all (node->slots);
    loop_touch (node->loop);
}

/* --- the connection --------------------------------------------------------------- */

static void s_on_message (void *arg, const usi_msg_t *msg)
{
    daemon_state_t *self = arg;
    node_t *node = &self->node;
    switch (msg->type) {
    case USI_JOBS:
        intake_jobs (node, msg);
        /* At once, for somebody waits for the first of them. */
        slots_schedule (node->slots);
        break;
    case USI_COMMITTED: intake_committed (node, msg); break;
    case USI_LOG_KEPT: intake_log_kept (node, msg); break;
    case USI_RENEWED: intake_renewed (node, msg); break;
    case USI_STOP: intake_stop (node, msg); break;
    case USI_BLOB_DATA: blob_cache_data (node->blobs, msg); break;
    case USI_BLOB_KEPT: blob_cache_kept (node->blobs, msg); break;
    case USI_WAKE: wake_heard (node->wake); break;
    case USI_DRAIN: s_drain (self, -1, "the broker asks for it"); break;
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

static void s_on_up (void *arg, const usi_fields_t *welcome)
{
    daemon_state_t *self = arg;
    node_t *node = &self->node;
    wake_set (node->wake, welcome->redis, welcome->topic);
    s_say_ready (self);
    slots_forget_credit (node->slots);
    job_sender_announce (&self->sender);
    blob_cache_announce (node->blobs);
    node->status_changed = true;
    loop_touch (node->loop);
}

static void s_on_down (void *arg)
{
    daemon_state_t *self = arg;
    node_t *node = &self->node;
    slots_forget_credit (node->slots);
    slots_resume_all (node->slots);
    if (node->draining)
        loop_touch (node->loop);
}

/* --- environments ----------------------------------------------------------------- */

static void s_on_env_changed (void *arg, env_t *env)
{
    node_t *node = arg;
    if (env->state == ENV_READY) /* it loads while the jobs are being looked at */
        zygote_prepare (node, env);
    else if (env->state == ENV_STORED) {
        slots_retire_spares (node->slots, env);
        zygote_end (node, env);
    }
    pools_env_changed (node, env);
    node->status_changed = true;
}

static void s_on_env_output (void *arg, env_t *env, usi_bytes_t bytes)
{
    pools_env_output (arg, env, bytes);
}

static bool s_env_in_use (void *arg, const env_t *env)
{
    return pools_use_env (arg, env);
}

static unsigned s_env_workers (void *arg, const env_t *env)
{
    return programs_env_workers (arg, env);
}

/* --- children --------------------------------------------------------------------- */

static void s_on_child (void *arg, pid_t pid, int status)
{
    node_t *node = arg;
    if (!zygotes_reaped (node, pid, status) && !envs_reaped (node->envs, pid, status))
        slots_reaped (node->slots, pid, status);
}

static bool s_is_ours (void *arg, pid_t pid)
{
    const node_t *node = arg;
    return slots_has_pid (node->slots, pid) || zygotes_have (node, pid) ||
           envs_have (node->envs, pid);
}

/* Processes that jobs have left behind are ours now. They are ended when no job runs
 * that they might belong to. */
static void s_end_orphans (node_t *node)
{
    if (slots_are_quiet (node->slots) && !envs_are_busy (node->envs))
        children_end_orphans (&node->children, s_is_ours, node);
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
        if (self->signals_heard++ > 0) {
            usi_notice ("signal", "a second signal: ends now");
            s_leave (self, "the node was told to end at once");
            return -1;
        }
        s_drain (self, node->options.grace_ms, strsignal ((int) info.ssi_signo));
    }
    children_reap (s_on_child, node);
    return 0;
}

static int s_on_parent (zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    daemon_state_t *self = arg;
    (void) loop, (void) item;
    loop_unwatch (self->node.loop, self->parent);
    s_drain (self, self->node.options.grace_ms, "the parent process has ended");
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
        job_sender_renew (&self->sender);
    }
    wake_check (node->wake);
    return 0;
}

static int s_on_tidy (zloop_t *loop, int timer, void *arg)
{
    daemon_state_t *self = arg;
    node_t *node = &self->node;
    int64_t now_ms = usi_now_ms ();
    (void) loop, (void) timer;
    job_sender_repeat (&self->sender);
    blob_cache_tidy (node->blobs);
    envs_tidy (node->envs);
    pools_tidy (node);
    slots_tidy (node->slots);
    s_end_orphans (node);
    if (now_ms - self->status_ms >= STATUS_MS)
        s_send_status (self);
    if (node->draining)
        s_check_drain (self);
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
        loop_watch (self->node.loop, self->parent, s_on_parent, self);
    else
        s_drain (self, 0, "the parent process has ended");
}

static void s_open (daemon_state_t *self, const node_options_t *options)
{
    node_t *node = &self->node;
    node->options = *options;
    node->id = usi_random64 ();
    /* A node id belongs to the key that it is used with (docs/protocol.md): nobody else can
     * take the place of this node. */
    if (options->identity)
        node->id = usi_certificate_node (options->identity->certificate.name, node->id);
    node->boot = usi_random32 ();
    node->limits = (node_limits_t){.max_body = USI_MAX_BODY,
                                   .max_payload = USI_MAX_PAYLOAD,
                                   .lease_ms = USI_DEFAULT_LEASE_MS};
    node->loop = loop_new (s_on_turn, self);
    node->envs =
        envs_new (node->loop, &(envs_setup_t){.cache = options->cache,
                                              .limit = options->cache_limit,
                                              .env_limit = options->env_limit,
                                              .node = options->name,
                                              .events = {.changed = s_on_env_changed,
                                                         .output = s_on_env_output,
                                                         .in_use = s_env_in_use,
                                                         .workers = s_env_workers,
                                                         .arg = node}});
    node->conn = node_conn_new (node, &(node_conn_events_t){.up = s_on_up,
                                                            .down = s_on_down,
                                                            .message = s_on_message,
                                                            .arg = self});
    if (scratch_open (&node->scratch) != 0)
        usi_warning ("scratch",
                     "no scratch directories: jobs run where the node does: %s",
                     strerror (errno));
    node->wake = wake_new (node);
    node->blobs = blob_cache_new (node, pools_use_blob);
    node->specs = intake_specs_new (node);
    node->jobs = jobs_new (node);
    node->slots = slots_new (node);
    job_sender_init (&self->sender, node);
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
    slots_retire_idle (node->slots);
    zygotes_end (node);
    process_end_all (self->signals_heard > 1 ? 0 : END_MS);
    slots_destroy (&node->slots);
    zygotes_clear (node);
    jobs_destroy (&node->jobs);
    job_specs_destroy (&node->specs);
    pools_clear (node);
    wake_destroy (&node->wake);
    node_conn_destroy (&node->conn);
    envs_destroy (&node->envs);
    blob_cache_destroy (&node->blobs);
    loop_destroy (&node->loop);
    scratch_close (&node->scratch);
    job_sender_free (&self->sender);
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
    loop_watch (node->loop, self.signals, s_on_signal, &self);
    s_watch_parent (&self, parent);
    loop_every (node->loop, RENEW_MS, s_on_renew, &self);
    loop_every (node->loop, TIDY_MS, s_on_tidy, &self);
    if (!node->draining)
        s_prepare (node);
    node_conn_start (node->conn);
    loop_run (node->loop);
    s_close (&self);
    usi_notice ("end", "the node has ended");
    return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * A node without its daemon: see stage.h. */
#include "stage.h"

#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "blob_cache.h"
#include "host/process.h"
#include "temp.h"

#define STAGE_WAIT_MS 20000

/* --- events ----------------------------------------------------------------------- */

static int s_on_turn (void *arg)
{
    stage_t *stage = arg;
    stage->turns++;
    slots_schedule (stage->node.slots);
    if (node_conn_is_up (stage->node.conn))
        job_sender_flush (&stage->sender, slots_credit (stage->node.slots));
    return 0;
}

static void s_on_up (void *arg, const usi_fields_t *welcome)
{
    stage_t *stage = arg;
    (void) welcome;
    stage->up = true;
    job_sender_announce (&stage->sender);
}

static void s_on_down (void *arg)
{
    ((stage_t *) arg)->up = false;
}

static void s_on_message (void *arg, const usi_msg_t *msg)
{
    stage_t *stage = arg;
    stage->messages++;
    stage->type = msg->type;
    if (msg->type == USI_BLOB_KEPT)
        blob_cache_kept (stage->node.blobs, msg);
}

static void s_on_env (void *arg, env_t *env)
{
    stage_t *stage = arg;
    if (env->state == ENV_READY)
        zygote_prepare (&stage->node, env);
    else if (env->state == ENV_STORED) {
        slots_retire_spares (stage->node.slots, env);
        zygote_end (&stage->node, env);
    }
    pools_env_changed (&stage->node, env);
}

static void s_on_output (void *arg, env_t *env, usi_bytes_t bytes)
{
    pools_env_output (&((stage_t *) arg)->node, env, bytes);
}

static bool s_in_use (void *arg, const env_t *env)
{
    return pools_use_env (&((stage_t *) arg)->node, env);
}

static unsigned s_workers (void *arg, const env_t *env)
{
    return programs_env_workers (&((stage_t *) arg)->node, env);
}

static void s_on_child (void *arg, pid_t pid, int status)
{
    node_t *node = arg;
    if (!zygotes_reaped (node, pid, status) && !envs_reaped (node->envs, pid, status))
        slots_reaped (node->slots, pid, status);
}

static int s_on_signal (zloop_t *zloop, zmq_pollitem_t *item, void *arg)
{
    stage_t *stage = arg;
    struct signalfd_siginfo info;
    (void) zloop, (void) item;
    while (read (stage->signals, &info, sizeof info) == (ssize_t) sizeof info)
        ;
    children_reap (s_on_child, &stage->node);
    return 0;
}

/* --- files ------------------------------------------------------------------------ */

void stage_touch (const stage_t *stage, const char *name)
{
    char path[600];
    snprintf (path, sizeof path, "%s/%s", stage->folder, name);
    FILE *file = fopen (path, "we");
    assert_non_null (file);
    fclose (file);
}

void stage_remove (const stage_t *stage, const char *name)
{
    char path[600];
    snprintf (path, sizeof path, "%s/%s", stage->folder, name);
    unlink (path);
}

static int s_unlink (const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void) st, (void) type, (void) ftw;
    return remove (path);
}

/* What a build would leave: .ready, and bin/python, which is this program. */
static void s_make_env (stage_t *stage)
{
    char *exe = realpath ("/proc/self/exe", NULL);
    env_request_t request;
    usi_list_t none = {0};
    char *why = NULL;
    assert_int_equal (env_request_make (&request, &none, &none, &stage->python, NULL,
                                        &why),
                      US_OK);
    char *envs = usi_sprintf ("%s/envs", stage->folder);
    char *env = usi_sprintf ("%s/%s", envs, request.key);
    char *bin = usi_sprintf ("%s/bin", env);
    char *python = usi_sprintf ("%s/python", bin);
    char *ready = usi_sprintf ("envs/%s/.ready", request.key);
    mkdir (envs, 0700);
    mkdir (env, 0700);
    mkdir (bin, 0700);
    assert_int_equal (symlink (exe, python), 0);
    stage_touch (stage, ready);
    free (exe);
    free (envs);
    free (env);
    free (bin);
    free (python);
    free (ready);
    env_request_clear (&request);
}

/* --- life ------------------------------------------------------------------------- */

static void s_make_parts (stage_t *stage)
{
    node_t *node = &stage->node;
    node->loop = loop_new (s_on_turn, stage);
    node->envs = envs_new (node->loop, &(envs_setup_t){.cache = stage->folder,
                                                       .limit = 1 << 30,
                                                       .node = "tester",
                                                       .events = {.changed = s_on_env,
                                                                  .output = s_on_output,
                                                                  .in_use = s_in_use,
                                                                  .workers = s_workers,
                                                                  .arg = stage}});
    node->conn = node_conn_new (node, &(node_conn_events_t){.up = s_on_up,
                                                            .down = s_on_down,
                                                            .message = s_on_message,
                                                            .arg = stage});
    node->blobs = blob_cache_new (node, pools_use_blob);
    node->specs = intake_specs_new (node);
    node->jobs = jobs_new (node);
    node->slots = slots_new (node);
    job_sender_init (&stage->sender, node);
    loop_watch (node->loop, stage->signals, s_on_signal, stage);
}

static void s_make_pair (stage_t *stage)
{
    stage->context = zmq_ctx_new ();
    for (int i = 0; i < 2; i++)
        stage->pair[i] = zmq_socket (stage->context, ZMQ_PAIR);
    assert_int_equal (zmq_bind (stage->pair[0], "inproc://stage"), 0);
    assert_int_equal (zmq_connect (stage->pair[1], "inproc://stage"), 0);
}

/* endpoint: of a broker to connect to; NULL: there is none. */
stage_t *stage_new_at (unsigned slots, const char *const *endpoint)
{
    stage_t *stage = usi_new (stage_t);
    sigset_t set;
    setenv ("ZSYS_SIGHANDLER", "false", 1);
    usi_log_set_level (US_LOG_ERROR);
    prctl (PR_SET_CHILD_SUBREAPER, 1);
    sigemptyset (&set);
    sigaddset (&set, SIGCHLD);
    sigprocmask (SIG_BLOCK, &set, NULL);
    stage->signals = signalfd (-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    temp_template (stage->folder, sizeof stage->folder);
    assert_non_null (mkdtemp (stage->folder));
    stage->python = (python_t){.path = "/usr/bin/python3",
                               .executable = "/usr/bin/python3",
                               .version = "3.11.2",
                               .minor = "3.11",
                               .platform = "test"};
    stage->node.options = (node_options_t){.name = "tester",
                                           .brokers = endpoint,
                                           .brokers_len = endpoint ? 1 : 0,
                                           .slots = slots,
                                           .pythons = &stage->python,
                                           .pythons_len = 1,
                                           .cache = stage->folder,
                                           .cache_limit = 1 << 30,
                                           .runtime = stage->folder,
                                           .ready_fd = -1};
    stage->node.limits = (node_limits_t){.max_body = USI_MAX_BODY,
                                         .max_payload = USI_MAX_PAYLOAD,
                                         .lease_ms = USI_DEFAULT_LEASE_MS};
    s_make_env (stage);
    s_make_pair (stage);
    s_make_parts (stage);
    return stage;
}

stage_t *stage_new (unsigned slots)
{
    return stage_new_at (slots, NULL);
}

void stage_destroy (stage_t *stage)
{
    node_t *node = &stage->node;
    zygotes_end (node);
    process_end_all (0);
    slots_destroy (&node->slots);
    zygotes_clear (node);
    jobs_destroy (&node->jobs);
    job_specs_destroy (&node->specs);
    pools_clear (node);
    node_conn_destroy (&node->conn);
    envs_destroy (&node->envs);
    blob_cache_destroy (&node->blobs);
    loop_destroy (&node->loop);
    job_sender_free (&stage->sender);
    usi_msg_free (&stage->msg);
    for (int i = 0; i < 2; i++)
        zmq_close (stage->pair[i]);
    zmq_ctx_term (stage->context);
    close (stage->signals);
    nftw (stage->folder, s_unlink, 16, FTW_DEPTH | FTW_PHYS);
    free (stage);
}

/* --- running ---------------------------------------------------------------------- */

static int s_on_end (zloop_t *zloop, int timer, void *arg)
{
    (void) zloop, (void) timer, (void) arg;
    return -1;
}

/* Runs the loop in small pieces until it is so. */
void stage_until (stage_t *stage, stage_fn *is_so, const void *arg)
{
    int64_t end_ms = usi_now_ms () + STAGE_WAIT_MS;
    while (!is_so (stage, arg)) {
        assert_true (usi_now_ms () < end_ms);
        loop_after (stage->node.loop, 5, s_on_end, NULL);
        loop_run (stage->node.loop);
    }
}

/* Through a socket, so that it is one that was received. */
void stage_hear (stage_t *stage, usi_msg_t *msg)
{
    node_t *node = &stage->node;
    usi_msg_t in = USI_MSG_INIT;
    assert_int_equal (usi_msg_send (msg, stage->pair[0], usi_bytes (NULL, 0)), 0);
    assert_int_equal (usi_msg_recv (&in, stage->pair[1], NULL, NULL), 0);
    switch (in.type) {
    case USI_JOBS: intake_jobs (node, &in); break;
    case USI_COMMITTED: intake_committed (node, &in); break;
    case USI_LOG_KEPT: intake_log_kept (node, &in); break;
    case USI_RENEWED: intake_renewed (node, &in); break;
    case USI_STOP: intake_stop (node, &in); break;
    case USI_BLOB_DATA: blob_cache_data (node->blobs, &in); break;
    default: fail ();
    }
    usi_msg_free (&in);
}

usi_id_t stage_id (unsigned number)
{
    usi_id_t id = {{0}};
    id.bytes[15] = (uint8_t) number;
    return id;
}

job_t *stage_attempt (stage_t *stage, unsigned number, unsigned attempt,
                      const usi_fields_t *fields, const char *body)
{
    usi_buf_t spec = {0};
    usi_fields_t item = {0};
    usi_fields_encode (fields, &spec);
    USI_SET (&item, ID, id, stage_id (number));
    USI_SET (&item, ATTEMPT, attempt, attempt);
    USI_SET (&item, CHANNEL, channel, usi_bytes_of ("default"));
    USI_SET (&item, NONCE, nonce, 7);
    USI_SET (&item, SPEC, spec, usi_buf_bytes (&spec));
    usi_id_t id = item.id;
    usi_msg_begin (&stage->msg, USI_JOBS);
    *usi_msg_add (&stage->msg) = item;
    usi_msg_body (&stage->msg, body, strlen (body));
    stage_hear (stage, &stage->msg);
    usi_buf_free (&spec);
    return jobs_find (stage->node.jobs, &id, attempt);
}

job_t *stage_job_of (stage_t *stage, unsigned number, const usi_fields_t *fields,
                     const char *body)
{
    return stage_attempt (stage, number, 1, fields, body);
}

job_t *stage_job (stage_t *stage, unsigned number, const char *body)
{
    usi_fields_t fields = {0};
    USI_SET (&fields, KIND, kind, usi_bytes_of ("call"));
    return stage_job_of (stage, number, &fields, body);
}

static bool s_has_ended (stage_t *stage, const void *arg)
{
    (void) stage;
    return ((const job_t *) arg)->state == JOB_ENDED;
}

void stage_until_ended (stage_t *stage, const job_t *job)
{
    stage_until (stage, s_has_ended, job);
}

static bool s_has_begun (stage_t *stage, const void *arg)
{
    (void) stage;
    return ((const job_t *) arg)->logs[0].end > 0;
}

void stage_until_begun (stage_t *stage, const job_t *job)
{
    stage_until (stage, s_has_begun, job);
}

static bool s_is_quiet (stage_t *stage, const void *arg)
{
    (void) arg;
    return stage->node.slots->workers == NULL;
}

/* Every worker has ended. */
void stage_until_quiet (stage_t *stage)
{
    stage_until (stage, s_is_quiet, NULL);
}

/* --- looking ---------------------------------------------------------------------- */

void stage_check_end (const job_t *job, int outcome, int code)
{
    assert_int_equal (job->state, JOB_ENDED);
    assert_int_equal (job->outcome, outcome);
    assert_int_equal (job->code, code);
}

void stage_check_result (const job_t *job, const char *text)
{
    stage_check_end (job, USI_SUCCEEDED, US_OK);
    assert_int_equal (job->result.len, strlen (text));
    assert_memory_equal (job->result.data, text, strlen (text));
}

/* The failure envelope holds this text. */
void stage_check_says (const job_t *job, const char *text)
{
    if (!memmem (job->result.data, job->result.len, text, strlen (text)))
        print_error ("'%s' is not in: %.*s\n", text, (int) job->result.len,
                     (const char *) job->result.data);
    assert_non_null (memmem (job->result.data, job->result.len, text, strlen (text)));
}

void stage_check_log (job_t *job, const char *text)
{
    usi_bytes_t bytes = job_log_next (&job->logs[0]);
    assert_int_equal (bytes.len, strlen (text));
    assert_memory_equal (bytes.data, text, strlen (text));
}

unsigned stage_count_workers (const stage_t *stage)
{
    unsigned count = 0;
    for (const worker_t *at = stage->node.slots->workers; at; at = at->next)
        count++;
    return count;
}

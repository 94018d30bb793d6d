/* SPDX-License-Identifier: MIT
 *
 * Environments on disk: see cache.h. */
#include "venv/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/failure.h"
#include "host/process.h"
#include "proto/pack.h"

#define LOCK_AGAIN_MS  100
#define SILENCE_MS     (10 * 60 * 1000)
#define BUILD_MS       (30 * 60 * 1000)
#define BACKOFF_MS     30000
#define BACKOFF_MAX_MS (10 * 60 * 1000)
#define IDLE_MS        (5 * 60 * 1000)
#define EVICT_MS       (10 * 60 * 1000)
#define OUTPUT_KEPT    ((size_t) 4 * 1024 * 1024)
#define OUTPUT_SHOWN   ((size_t) 16 * 1024)
#define MESSAGE_SHOWN  ((size_t) 2 * 1024)

struct envs {
    loop_t *loop;
    envs_setup_t setup;
    env_t *first;
    char *dir, *trash, *uv_cache;
    unsigned names;
    evict_t evict;
    int64_t evicted_ms;
};

static void s_take_lock (env_t *env);

/* --- the table -------------------------------------------------------------------- */

static env_t *s_add (envs_t *self, const char *key)
{
    env_t *env = usi_new (env_t);
    env->envs = self;
    env->path = usi_sprintf ("%s/%s", self->dir, key);
    memcpy (env->request.key, key, ENV_KEY_LEN + 1);
    env->lock = -1;
    env->build = (build_t){.pid = -1, .out = -1, .status = -1};
    env->next = self->first;
    self->first = env;
    return env;
}

static env_t *s_find (envs_t *self, const char *key)
{
    env_t *env = self->first;
    while (env && strcmp (env->request.key, key) != 0)
        env = env->next;
    return env;
}

static bool s_is_key (const char *name)
{
    return strlen (name) == ENV_KEY_LEN &&
           strspn (name, "0123456789abcdef") == ENV_KEY_LEN;
}

/* Takes up what earlier daemons left, so that STATUS shows it. */
static void s_scan (envs_t *self)
{
    DIR *dir = opendir (self->dir);
    for (struct dirent *entry; dir && (entry = readdir (dir));) {
        env_facts_t facts;
        if (!s_is_key (entry->d_name) || s_find (self, entry->d_name))
            continue;
        char *path = usi_sprintf ("%s/%s", self->dir, entry->d_name);
        if (build_read_facts (path, &facts)) {
            env_t *env = s_add (self, entry->d_name);
            env->facts = facts;
            env->used_wall_ms = evict_last_used (path);
        }
        free (path);
    }
    if (dir)
        closedir (dir);
}

envs_t *envs_new (loop_t *loop, const envs_setup_t *setup)
{
    envs_t *self = usi_new (envs_t);
    const char *cache = setup->cache;
    self->loop = loop;
    self->setup = *setup;
    self->dir = usi_sprintf ("%s/envs", cache);
    self->trash = usi_sprintf ("%s/tmp", cache);
    self->uv_cache = usi_sprintf ("%s/uv", cache);
    mkdir (self->dir, 0700);
    mkdir (self->trash, 0700);
    evict_init (&self->evict, cache, self->dir, self->trash);
    evict_empty (&self->evict);
    s_scan (self);
    return self;
}

void envs_destroy (envs_t **self_p)
{
    envs_t *self = *self_p;
    if (!self)
        return;
    while (self->first) {
        env_t *env = self->first;
        self->first = env->next;
        if (env->lock >= 0)
            close (env->lock);
        if (env->build.out >= 0)
            close (env->build.out);
        if (env->build.status >= 0)
            close (env->build.status);
        env_request_clear (&env->request);
        env_facts_clear (&env->facts);
        usi_buf_free (&env->output);
        usi_buf_free (&env->failure);
        free (env->stopped);
        free (env->path);
        free (env);
    }
    free (self->dir);
    free (self->trash);
    free (self->uv_cache);
    free (self);
    *self_p = NULL;
}

env_t *envs_get (envs_t *self, env_request_t *request)
{
    env_t *env = s_find (self, request->key);
    if (!env)
        env = s_add (self, request->key);
    if (env->request.python)
        env_request_clear (request);
    else
        env->request = *request;
    return env;
}

/* --- states ----------------------------------------------------------------------- */

static void s_tell_output (env_t *env, usi_bytes_t bytes)
{
    const env_events_t *events = &env->envs->setup.events;
    events->output (events->arg, env, bytes);
}

static void s_set_state (env_t *env, env_state_t state)
{
    const env_events_t *events = &env->envs->setup.events;
    env->state = state;
    env->used_ms = usi_now_ms ();
    env->used_wall_ms = usi_wall_ms ();
    events->changed (events->arg, env);
}

static void s_unlock (env_t *env)
{
    if (env->lock >= 0)
        close (env->lock);
    env->lock = -1;
}

static void s_fail (env_t *env, const char *command, const char *reason)
{
    usi_bytes_t output = usi_buf_bytes (&env->output);
    usi_buf_t message = {0}, shown = {0};
    failure_t failure = FAILURE_INIT;
    usi_buf_printf (&message, "%s: %s\n", command, reason);
    failure_tail (&message, output, MESSAGE_SHOWN);
    usi_buf_append (&message, "", 1);
    failure_tail (&shown, output, OUTPUT_SHOWN);
    failure.code = US_ERR_ENV_BUILD;
    failure.message = (const char *) message.data;
    failure.node = env->envs->setup.node;
    failure.command = command;
    failure.output = usi_buf_bytes (&shown);
    usi_buf_free (&env->failure);
    failure_pack (&env->failure, &failure);
    env->backoff_ms = env->backoff_ms ? env->backoff_ms * 2 : BACKOFF_MS;
    if (env->backoff_ms > BACKOFF_MAX_MS)
        env->backoff_ms = BACKOFF_MAX_MS;
    env->retry_at_ms = usi_now_ms () + env->backoff_ms;
    usi_warning ("env.failed", "an environment cannot be built: %s: %s env=%.12s",
                 command, reason, env->request.key);
    usi_buf_free (&message);
    usi_buf_free (&shown);
    usi_buf_free (&env->output);
    s_unlock (env);
    s_set_state (env, ENV_FAILED);
}

static void s_ready (env_t *env)
{
    env_facts_clear (&env->facts);
    build_read_facts (env->path, &env->facts);
    env->backoff_ms = 0;
    usi_buf_free (&env->output);
    evict_touch (env->path);
    s_set_state (env, ENV_READY);
}

/* --- building --------------------------------------------------------------------- */

static void s_take_output (env_t *env, const uint8_t *data, size_t len)
{
    usi_buf_t *output = &env->output;
    env->build_heard_ms = usi_now_ms ();
    if (output->len + len > OUTPUT_KEPT)
        usi_buf_consume (output, output->len / 2);
    usi_buf_append (output, data, len);
    s_tell_output (env, usi_bytes (data, len));
}

static bool s_read_output (env_t *env)
{
    uint8_t data[16384];
    ssize_t got = env->build.out >= 0 ? read (env->build.out, data, sizeof data) : 0;
    if (got > 0)
        s_take_output (env, data, (size_t) got);
    return got > 0;
}

static int s_on_output (zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    env_t *env = arg;
    (void) loop, (void) item;
    if (!s_read_output (env) && errno != EAGAIN && errno != EINTR)
        loop_unwatch (env->envs->loop, env->build.out); /* SIGCHLD tells the rest */
    return 0;
}

static void s_build (env_t *env)
{
    envs_t *envs = env->envs;
    char *trash = usi_sprintf ("%s/%d-%u", envs->trash, (int) getpid (), ++envs->names);
    build_paths_t paths = {.env = env->path,
                           .trash = trash,
                           .uv_cache = envs->uv_cache,
                           .limit = envs->setup.env_limit,
                           .lock = env->lock};
    usi_buf_free (&env->output);
    if (build_start (&env->build, &env->request, &paths) != 0) {
        s_fail (env, "fork", strerror (errno));
    } else {
        env->build_began_ms = env->build_heard_ms = usi_now_ms ();
        usi_info ("env.building", "building an environment env=%.12s python=%s",
                  env->request.key, env->request.python->version);
        loop_watch (env->envs->loop, env->build.out, s_on_output, env);
        s_set_state (env, ENV_BUILDING);
    }
    free (trash);
}

/* The lock: shared where the environment is there, exclusive to build it. */

static int s_on_lock_again (zloop_t *loop, int timer, void *arg)
{
    env_t *env = arg;
    (void) loop, (void) timer;
    if (env->state == ENV_WAITING)
        s_take_lock (env);
    return 0;
}

static bool s_is_ready (const env_t *env)
{
    char *ready = usi_sprintf ("%s/.ready", env->path);
    char *python = usi_sprintf ("%s/bin/python", env->path);
    bool is = access (ready, F_OK) == 0 && access (python, X_OK) == 0;
    free (ready);
    free (python);
    return is;
}

static void s_take_lock (env_t *env)
{
    static const char waits[] = "understudy: another daemon is building it\n";
    if (env->lock < 0) {
        char *path = usi_sprintf ("%s.lock", env->path);
        env->lock = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        free (path);
    }
    if (env->lock < 0) {
        s_fail (env, env->path, strerror (errno));
    } else if (flock (env->lock, LOCK_SH | LOCK_NB) == 0 && s_is_ready (env)) {
        s_ready (env);
    } else if (flock (env->lock, LOCK_EX | LOCK_NB) == 0) {
        if (s_is_ready (env))
            flock (env->lock, LOCK_SH); /* built in between; it stays ours */
        if (s_is_ready (env))
            s_ready (env);
        else
            s_build (env);
    } else {
        flock (env->lock, LOCK_UN);
        if (env->state != ENV_WAITING) {
            s_set_state (env, ENV_WAITING);
            s_tell_output (env, usi_bytes_of (waits));
        }
        loop_after (env->envs->loop, LOCK_AGAIN_MS, s_on_lock_again, env);
    }
}

void env_want (env_t *env)
{
    env->used_ms = usi_now_ms ();
    if (env->state == ENV_STORED ||
        (env->state == ENV_FAILED && env->used_ms >= env->retry_at_ms))
        s_take_lock (env);
}

void env_broken (env_t *env, const char *why)
{
    char *ready = usi_sprintf ("%s/.ready", env->path);
    if (env->state != ENV_READY) {
        free (ready);
        return;
    }
    /* Where nobody else uses it, it is removed, and the next job has it built again. */
    if (env->lock >= 0 && flock (env->lock, LOCK_EX | LOCK_NB) == 0)
        unlink (ready);
    free (ready);
    usi_buf_free (&env->output);
    s_fail (env, "bin/python", why);
}

/* --- the end of a build ----------------------------------------------------------- */

static void s_close_build (env_t *env)
{
    loop_unwatch (env->envs->loop, env->build.out);
    close (env->build.out);
    close (env->build.status);
    env->build = (build_t){.pid = -1, .out = -1, .status = -1};
}

static void s_built (env_t *env, int status)
{
    char text[2048];
    kill (-env->build.pid, SIGKILL); /* what a tool may have left behind */
    while (s_read_output (env))
        ;
    ssize_t len = read (env->build.status, text, sizeof text - 1);
    text[len > 0 ? len : 0] = 0;
    s_close_build (env);
    char *reason = text, *command = strsep (&reason, "\n");
    if (reason)
        reason[strcspn (reason, "\n")] = 0;
    if (WIFEXITED (status) && WEXITSTATUS (status) == 0 && s_is_ready (env)) {
        flock (env->lock, LOCK_SH);
        usi_info ("env.built", "an environment is built env=%.12s ms=%lld",
                  env->request.key, (long long) (usi_now_ms () - env->build_began_ms));
        env->envs->evicted_ms = 0; /* there is one more: look at the limit */
        s_ready (env);
    } else if (env->stopped) {
        s_fail (env, "build", env->stopped);
    } else {
        s_fail (env, *command ? command : "build",
                reason && *reason ? reason : "the build was killed");
    }
    free (env->stopped);
    env->stopped = NULL;
}

bool envs_reaped (envs_t *self, pid_t pid, int status)
{
    if (evict_reaped (&self->evict, pid))
        return true;
    for (env_t *env = self->first; env; env = env->next) {
        if (env->build.pid == pid) {
            s_built (env, status);
            return true;
        }
    }
    return false;
}

bool envs_have (const envs_t *self, pid_t pid)
{
    if (self->evict.cleaner == pid)
        return true;
    for (const env_t *env = self->first; env; env = env->next)
        if (env->build.pid == pid)
            return true;
    return false;
}

bool envs_are_busy (const envs_t *self)
{
    for (const env_t *env = self->first; env; env = env->next)
        if (env->state == ENV_BUILDING)
            return true;
    return false;
}

static void s_check_build (env_t *env, int64_t now_ms)
{
    const char *why = NULL;
    if (now_ms - env->build_heard_ms > SILENCE_MS)
        why = "stopped after ten minutes without output";
    else if (now_ms - env->build_began_ms > BUILD_MS)
        why = "stopped after thirty minutes";
    if (!why || env->stopped)
        return;
    env->stopped = usi_strdup (why);
    process_kill_tree (env->build.pid);
}

/* --- housekeeping ----------------------------------------------------------------- */

static void s_check_idle (env_t *env, int64_t now_ms)
{
    const env_events_t *events = &env->envs->setup.events;
    if (events->in_use (events->arg, env)) {
        env->used_ms = now_ms;
        return;
    }
    if (now_ms - env->used_ms < IDLE_MS)
        return;
    evict_touch (env->path);
    s_unlock (env);
    s_set_state (env, ENV_STORED);
}

void envs_tidy (envs_t *self)
{
    int64_t now_ms = usi_now_ms ();
    for (env_t *env = self->first; env; env = env->next) {
        if (env->state == ENV_BUILDING)
            s_check_build (env, now_ms);
        else if (env->state == ENV_READY)
            s_check_idle (env, now_ms);
    }
    if (self->evicted_ms > 0 && now_ms - self->evicted_ms < EVICT_MS)
        return;
    self->evicted_ms = now_ms;
    bool removed = evict_run (&self->evict, self->setup.limit);
    if (evict_bundles (&self->evict) || removed)
        evict_empty (&self->evict);
}

/* --- STATUS ----------------------------------------------------------------------- */

static const char *s_state_name (const env_t *env)
{
    switch (env->state) {
    case ENV_WAITING:
    case ENV_BUILDING: return "building";
    case ENV_FAILED: return "failed";
    case ENV_STORED:
    case ENV_READY: break;
    }
    return "ready";
}

static void s_pack_text (usi_buf_t *out, const char *key, const char *text)
{
    usi_pack_str (out, key, strlen (key));
    usi_pack_str (out, text ? text : "", text ? strlen (text) : 0);
}

static void s_pack_packages (usi_buf_t *out, const char *packages)
{
    uint32_t count = 0;
    for (const char *at = packages; *at; at += strcspn (at, "\n"), at += *at == '\n')
        count++;
    usi_pack_str (out, "packages", 8);
    usi_pack_array (out, count);
    for (const char *at = packages; *at; at += *at == '\n') {
        size_t len = strcspn (at, "\n");
        usi_pack_str (out, at, len);
        at += len;
    }
}

static void s_pack_env (usi_buf_t *out, const env_t *env)
{
    const env_events_t *events = &env->envs->setup.events;
    const char *version =
        env->request.python ? env->request.python->version : env->facts.python;
    const char *packages =
        env->request.packages ? env->request.packages : env->facts.packages;
    usi_pack_map (out, 7);
    s_pack_text (out, "key", env->request.key);
    s_pack_packages (out, packages ? packages : "");
    s_pack_text (out, "python", version);
    usi_pack_str (out, "size", 4);
    usi_pack_uint (out, env->facts.size);
    usi_pack_str (out, "used_ms", 7);
    usi_pack_uint (out, (uint64_t) env->used_wall_ms);
    s_pack_text (out, "state", s_state_name (env));
    usi_pack_str (out, "in_use", 6);
    usi_pack_uint (out, events->workers (events->arg, env));
}

void envs_report (const envs_t *self, usi_msg_t *msg)
{
    usi_buf_t row = {0};
    for (const env_t *env = self->first; env; env = env->next) {
        bool gone = env->state == ENV_STORED && !s_is_ready (env);
        row.len = 0;
        if (!gone)
            s_pack_env (&row, env);
        if (gone || usi_msg_is_full (msg, row.len))
            continue;
        usi_msg_add (msg);
        usi_msg_body (msg, row.data, row.len);
    }
    usi_buf_free (&row);
}

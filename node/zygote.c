/* SPDX-License-Identifier: MIT
 *
 * Zygotes: see zygote.h. */
#include "zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/process.h"
#include "proto/pack.h"

#define FAILURES_MAX 3 /* ends before it was ready, in a row */
#define MAX_WORDS    4096

/* Of one environment, from its first use until the daemon ends. */
struct zygote {
    zygote_t *next;
    node_t *node;
    env_t *env;
    pid_t pid; /* 0: there is no process */
    int sock;  /* -1: closed */
    bool ready;
    bool ending;
    unsigned failures; /* ends before it was ready, in a row */
    char why[256];     /* what it said went wrong */
};

static zygote_t *s_find (const node_t *node, const env_t *env)
{
    zygote_t *self = node->zygotes;
    while (self && self->env != env)
        self = self->next;
    return self;
}

static zygote_t *s_get (node_t *node, env_t *env)
{
    zygote_t *self = s_find (node, env);
    if (self)
        return self;
    self = usi_new (zygote_t);
    *self = (zygote_t){.node = node, .env = env, .sock = -1, .next = node->zygotes};
    node->zygotes = self;
    return self;
}

static void s_close (zygote_t *self)
{
    if (self->sock < 0)
        return;
    loop_unwatch (self->node->loop, self->sock);
    close (self->sock);
    self->sock = -1;
}

static void s_hear (zygote_t *self, const uint8_t *data, size_t len)
{
    if (len > 0 && data[0] == 'R') {
        self->ready = true;
        self->failures = 0;
    } else if (len > 0 && data[0] == 'E') {
        snprintf (self->why, sizeof self->why, "%.*s", (int) len - 1, data + 1);
        usi_warning ("zygote.error", "%s env=%.12s", self->why, self->env->request.key);
    }
}

/* false: there is nothing to read now; at the end of the socket it is closed. */
static bool s_read (zygote_t *self)
{
    uint8_t data[MAX_WORDS];
    ssize_t got;
    /* Where it ended before it took a request the kernel says so first, once, and then
     * gives what it had sent. */
    do
        got = recv (self->sock, data, sizeof data, MSG_DONTWAIT);
    while (got < 0 && errno == ECONNRESET);
    if (got > 0)
        s_hear (self, data, (size_t) got);
    else if (got == 0 || errno != EAGAIN)
        s_close (self); /* it has ended, or will: SIGCHLD tells */
    return got > 0;
}

static int s_on_socket (zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    (void) loop, (void) item;
    s_read (arg);
    return 0;
}

/* The daemon's variables are not the job's business: only these
 * (worker-protocol.md). */
static char **s_environment (const env_t *env)
{
    static const char *const kept[] = {"HOME", "LANG", "TMPDIR", NULL};
    const char *path = getenv ("PATH");
    char **list = usi_alloc ((sizeof kept / sizeof *kept + 4) * sizeof *list);
    size_t count = 0;
    list[count++] = usi_sprintf ("PATH=%s/bin:%s", env->path,
                                 path ? path : "/usr/local/bin:/usr/bin:/bin");
    list[count++] = usi_sprintf ("VIRTUAL_ENV=%s", env->path);
    /* By this the zygote finds what jobs have started, should the daemon be killed. */
    list[count++] =
        usi_sprintf ("UNDERSTUDY_ZYGOTE=%016llx", (unsigned long long) usi_random64 ());
    for (size_t i = 0; kept[i]; i++)
        if (getenv (kept[i]))
            list[count++] = usi_sprintf ("%s=%s", kept[i], getenv (kept[i]));
    return list;
}

static void s_free_list (char **list)
{
    for (size_t i = 0; list[i]; i++)
        free (list[i]);
    free (list);
}

static pid_t s_exec (const zygote_t *self, int sock)
{
    const env_t *env = self->env;
    const char *runtime = self->node->options.runtime;
    char number[16];
    snprintf (number, sizeof number, "%d", sock);
    char *python = usi_sprintf ("%s/bin/python", env->path);
    char *script = usi_sprintf ("%s/understudy/_worker/main.py", runtime);
    char **variables = s_environment (env);
    char *argv[] = {python, "-I", "-u", script, "understudy-zygote", number, NULL};
    process_t process = {.argv = argv, .env = variables, .keep = {sock}};
    pid_t pid = process_start (&process);
    s_free_list (variables);
    free (script);
    free (python);
    return pid;
}

/* false: it cannot, errno says why. */
static bool s_start (zygote_t *self)
{
    int pair[2];
    if (socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return false;
    pid_t pid = s_exec (self, pair[1]);
    close (pair[1]);
    if (pid < 0) {
        close (pair[0]);
        return false;
    }
    self->pid = pid;
    self->sock = pair[0];
    self->ready = self->ending = false;
    self->why[0] = 0;
    fcntl (self->sock, F_SETFL, O_NONBLOCK);
    loop_watch (self->node->loop, self->sock, s_on_socket, self);
    usi_debug ("zygote.started", "a zygote is started env=%.12s pid=%d",
               self->env->request.key, (int) pid);
    return true;
}

static void s_pack_text (usi_buf_t *out, const char *key, const char *text)
{
    usi_pack_str (out, key, strlen (key));
    usi_pack_str (out, text ? text : "", text ? strlen (text) : 0);
}

static void s_pack (usi_buf_t *out, const node_t *node, const zygote_fork_t *request)
{
    char *bundles = usi_sprintf ("%s/bundles", node->options.cache);
    usi_buf_append (out, "F", 1);
    usi_pack_map (out, 5);
    usi_pack_str (out, "token", 5);
    usi_pack_bin (out, request->token, sizeof request->token);
    s_pack_text (out, "cache", bundles);
    usi_pack_str (out, "slot", 4);
    usi_pack_uint (out, request->slot);
    s_pack_text (out, "scratch", node->scratch.path);
    s_pack_text (out, "directory", node->options.directory);
    free (bundles);
}

static int s_send_two (int sock, const usi_buf_t *bytes, const int fds[2])
{
    struct iovec part = {.iov_base = bytes->data, .iov_len = bytes->len};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE (2 * sizeof (int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *head = CMSG_FIRSTHDR (&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN (2 * sizeof (int));
    memcpy (CMSG_DATA (head), fds, 2 * sizeof (int));
    return sendmsg (sock, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 0;
}

int zygote_fork (node_t *node, env_t *env, const zygote_fork_t *request)
{
    zygote_t *self = s_get (node, env);
    if (!self->pid && !s_start (self))
        return -1;
    if (self->sock < 0) { /* it is ending */
        errno = EPIPE;
        return -1;
    }
    usi_buf_t bytes = {0};
    s_pack (&bytes, node, request);
    int fds[2] = {request->job_socket, request->log_pipe};
    int rc = s_send_two (self->sock, &bytes, fds);
    usi_buf_free (&bytes);
    return rc;
}

void zygote_prepare (node_t *node, env_t *env)
{
    zygote_t *self = s_get (node, env);
    self->failures = 0;
    if (!self->pid)
        s_start (self);
}

static void s_end (zygote_t *self)
{
    self->ending = true;
    s_close (self); /* which it takes as the end */
}

void zygote_end (node_t *node, const env_t *env)
{
    zygote_t *self = s_find (node, env);
    if (self && self->pid)
        s_end (self);
}

static zygote_t *s_of_pid (const node_t *node, pid_t pid)
{
    zygote_t *self = node->zygotes;
    while (self && self->pid != pid)
        self = self->next;
    return self;
}

static void s_failed (zygote_t *self, int status)
{
    char why[384];
    snprintf (why, sizeof why, "the interpreter of the environment does not start: %s",
              self->why[0]           ? self->why
              : WIFSIGNALED (status) ? strsignal (WTERMSIG (status))
                                     : "it ended by itself");
    if (++self->failures < FAILURES_MAX)
        return;
    self->failures = 0;
    env_broken (self->env, why);
}

bool zygotes_reaped (node_t *node, pid_t pid, int status)
{
    zygote_t *self = s_of_pid (node, pid);
    if (!self)
        return false;
    if (!self->ending)
        usi_warning ("zygote.ended", "a zygote has ended env=%.12s status=0x%x",
                     self->env->request.key, (unsigned) status);
    while (self->sock >= 0 && s_read (self))
        ; /* it may have said what is wrong */
    s_close (self);
    self->pid = 0;
    if (!self->ready && !self->ending)
        s_failed (self, status);
    loop_touch (node->loop);
    return true;
}

void zygotes_end (node_t *node)
{
    for (zygote_t *self = node->zygotes; self; self = self->next)
        if (self->pid)
            s_end (self);
}

bool zygotes_have (const node_t *node, pid_t pid)
{
    return s_of_pid (node, pid) != NULL;
}

void zygotes_clear (node_t *node)
{
    while (node->zygotes) {
        zygote_t *self = node->zygotes;
        s_close (self);
        node->zygotes = self->next;
        free (self);
    }
}

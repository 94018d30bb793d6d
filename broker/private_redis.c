/* SPDX-License-Identifier: MIT
 *
 * See private_redis.h. */
#include "private_redis.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/keys.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/place.h"
#include "redis/acl.h"
#include "redis/url.h"

#define LOCK_WAIT_MS   10000 /* for a server that is just ending */
#define START_WAIT_MS  20000
#define END_WAIT_MS    200 /* a server that closed its socket is as good as gone */
#define STOP_WAIT_MS   10000
#define STEADY_MS      10000 /* it ran so long: the next failure is a new one */
#define BACKOFF_MAX_MS 5000
#define DISK_FULL      (1024 * 1024) /* bytes left */
#define LEAST_MAJOR    7
#define SOCKET_NAME    "redis.sock"
#define LOG_NAME       "redis.log"
#define ACL_NAME       "redis.acl"
#define ADMIN_NAME     "redis-admin.auth"

struct private_redis {
    char *dir; /* absolute */
    char *durability;
    char *socket_path;
    char *url, *nodes_url;
    usi_acl_t acl; /* who may use the server; made anew for each broker */
    const char *program;
    int dir_fd, broker_fd, lock_fd;
    pid_t pid;          /* 0: not running */
    int64_t started_ms; /* of this process */
    int64_t backoff_ms;
    zloop_t *loop;
};

/* --- the directory ------------------------------------------------------------------ */

static int s_open_file (const private_redis_t *self, const char *name)
{
    return openat (self->dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
}

/* What is wrong with the directory itself: who may write to it can make this broker
 * overwrite any file of its user, who may read it has everybody's jobs. NULL: nothing. */
static char *s_wrong_dir (const private_redis_t *self)
{
    struct stat st;
    if (fstat (self->dir_fd, &st) != 0)
        return usi_strdup (strerror (errno));
    if (st.st_uid != geteuid ())
        return usi_sprintf ("it belongs to user %u", (unsigned) st.st_uid);
    if (st.st_mode & 077)
        return usi_sprintf ("others may enter it (mode %04o); chmod 700 closes it",
                            (unsigned) st.st_mode & 07777);
    return NULL;
}

/* Redis follows links when it writes: none may stand in its directory. */
static char *s_wrong_entry (const private_redis_t *self)
{
    int fd = openat (self->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir (fd);
    char *wrong = NULL;
    const struct dirent *entry;
    struct stat st;
    if (!dir)
        wrong = usi_strdup (strerror (errno));
    while (dir && !wrong && (entry = readdir (dir))) {
        if (strcmp (entry->d_name, "..") == 0 ||
            fstatat (self->dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (S_ISLNK (st.st_mode) || (S_ISREG (st.st_mode) && st.st_nlink > 1))
            wrong = usi_sprintf ("%s in it is a link", entry->d_name);
        else if (st.st_uid != geteuid ())
            wrong = usi_sprintf ("%s in it belongs to user %u", entry->d_name,
                                 (unsigned) st.st_uid);
    }
    if (dir)
        closedir (dir);
    else if (fd >= 0)
        close (fd);
    return wrong;
}

static int s_refuse_dir (const char *dir, char *why, char **text)
{
    *text = usi_sprintf (
        "the data directory %s cannot be used: %s; name another with --data,"
        " or a Redis of yours with --redis",
        dir, why);
    free (why);
    return EXIT_DATA;
}

static int s_open_dir (private_redis_t *self, const char *dir, char **text)
{
    int rc = usi_place_make (dir);
    if (rc == 0) {
        self->dir = realpath (dir, NULL);
        self->dir_fd = open (dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        rc = !self->dir || self->dir_fd < 0 ? errno : 0;
    }
    if (rc != 0)
        return s_refuse_dir (dir, usi_strdup (strerror (rc)), text);
    char *wrong = s_wrong_dir (self);
    if (!wrong)
        wrong = s_wrong_entry (self);
    if (wrong)
        return s_refuse_dir (dir, wrong, text);
    self->broker_fd = s_open_file (self, "broker");
    self->lock_fd = self->broker_fd < 0 ? -1 : s_open_file (self, "lock");
    if (self->lock_fd < 0)
        return s_refuse_dir (dir, usi_strdup (strerror (errno)), text);
    return 0;
}

static long s_broker_pid (const private_redis_t *self)
{
    char words[32] = "";
    if (pread (self->broker_fd, words, sizeof words - 1, 0) < 0)
        return 0;
    return strtol (words, NULL, 10);
}

static void s_write_pid (const private_redis_t *self)
{
    char words[32];
    int len = snprintf (words, sizeof words, "%ld\n", (long) getpid ());
    if (ftruncate (self->broker_fd, 0) < 0 ||
        pwrite (self->broker_fd, words, len, 0) < 0)
        usi_warning ("data.pid", "cannot write the pid file dir=%s", self->dir);
}

static bool s_lock_within (int fd, int64_t ms)
{
    int64_t until = usi_now_ms () + ms;
    while (flock (fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK || usi_now_ms () >= until)
            return false;
        zclock_sleep (20);
    }
    return true;
}

static int s_lock (private_redis_t *self, char **text)
{
    if (flock (self->broker_fd, LOCK_EX | LOCK_NB) < 0) {
        *text = usi_sprintf (
            "the data directory %s is in use by understudy-broker, pid %ld;"
            " stop that one or name another directory with --data",
            self->dir, s_broker_pid (self));
        return EXIT_DATA;
    }
    if (!s_lock_within (self->lock_fd, LOCK_WAIT_MS)) {
        *text =
            usi_sprintf ("the data directory %s is still locked by a %s that"
                         " does not end; stop it or name another directory with --data",
                         self->dir, self->program);
        return EXIT_DATA;
    }
    s_write_pid (self);
    return 0;
}

/* --- the program -------------------------------------------------------------------- */

int private_redis_major (const char *words)
{
    const char *at = strstr (words, " v=");
    return at ? atoi (at + 3) : 0;
}

static void s_child_signals (void)
{
    sigset_t none;
    sigemptyset (&none);
    sigprocmask (SIG_SETMASK, &none, NULL);
    signal (SIGPIPE, SIG_DFL);
}

/* The first words that `program --version` prints; empty where it cannot be run. */
static void s_version_words (const char *program, char *words, size_t size)
{
    int fds[2];
    words[0] = '\0';
    if (pipe2 (fds, O_CLOEXEC) < 0)
        return;
    pid_t pid = fork ();
    if (pid == 0) {
        s_child_signals ();
        dup2 (fds[1], STDOUT_FILENO);
        execlp (program, program, "--version", (char *) NULL);
        _exit (127);
    }
    close (fds[1]);
    size_t len = 0;
    ssize_t got = 0;
    while (pid > 0 && len < size - 1 &&
           (got = read (fds[0], words + len, size - 1 - len)) != 0) {
        if (got > 0)
            len += (size_t) got;
        else if (errno != EINTR)
            break;
    }
    words[len] = '\0';
    close (fds[0]);
    if (pid > 0)
        waitpid (pid, NULL, 0);
}

/* The first of the two that is new enough. */
static int s_find_program (private_redis_t *self, char **text)
{
    static const char *const programs[] = {"redis-server", "valkey-server"};
    const char *old = NULL;
    int old_major = 0;
    for (size_t i = 0; i < 2; i++) {
        char words[256];
        s_version_words (programs[i], words, sizeof words);
        int major = private_redis_major (words);
        if (major >= LEAST_MAJOR) {
            self->program = programs[i];
            return 0;
        }
        if (major > 0) {
            old = programs[i];
            old_major = major;
        }
    }
    if (old)
        *text = usi_sprintf ("%s is of version %d, but Understudy needs %d or newer;"
                             " install a newer one or name another Redis with --redis",
                             old, old_major, LEAST_MAJOR);
    else
        *text = usi_strdup ("neither redis-server nor valkey-server is installed;"
                            " install one of them (Debian: apt install redis-server)"
                            " or name a running Redis with --redis");
    return EXIT_REDIS;
}

/* Descriptors that stay open: the log as output, and the lock. */
static void s_child_files (const private_redis_t *self)
{
    umask (077);
    int null = open ("/dev/null", O_RDONLY);
    int log = openat (self->dir_fd, LOG_NAME, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fchdir (self->dir_fd) < 0 || null < 0 || log < 0)
        _exit (127);
    dup2 (null, STDIN_FILENO);
    dup2 (log, STDOUT_FILENO);
    dup2 (log, STDERR_FILENO);
    fcntl (self->lock_fd, F_SETFD, 0);
}

static void s_exec (const private_redis_t *self)
{
    bool memory = strcmp (self->durability, "memory") == 0;
    const char *sync = memory ? "no" : self->durability;
    execlp (self->program, self->program, "--port", "0", "--unixsocket", SOCKET_NAME,
            "--unixsocketperm", "700", "--dir", ".", "--daemonize", "no", "--logfile",
            LOG_NAME, "--aclfile", ACL_NAME, "--save", "", "--appendonly",
            memory ? "no" : "yes", "--appendfsync", sync, "--maxmemory", "0",
            "--maxmemory-policy", "noeviction", "--proc-title-template",
            "understudy-redis {title} {listen-addr}", (char *) NULL);
}

/* The server gets a process group of its own, so that it writes on after a Ctrl-C that is
 * meant for the broker, until the broker has ended. */
static int s_spawn (private_redis_t *self)
{
    pid_t parent = getpid ();
    unlinkat (self->dir_fd, SOCKET_NAME, 0);
    pid_t pid = fork ();
    if (pid < 0)
        return errno;
    if (pid == 0) {
        setpgid (0, 0);
        prctl (PR_SET_PDEATHSIG, SIGTERM);
        if (getppid () != parent)
            _exit (127);
        s_child_signals ();
        s_child_files (self);
        s_exec (self);
        _exit (127);
    }
    setpgid (pid, pid);
    self->pid = pid;
    self->started_ms = usi_now_ms ();
    return 0;
}

/* --- its users ---------------------------------------------------------------------- */

static int s_write (const private_redis_t *self, const char *name, usi_buf_t *lines)
{
    char *path = usi_sprintf ("%s/%s", self->dir, name);
    int error =
        lines->failed ? ENOMEM : usi_file_write (path, usi_buf_bytes (lines), 0600);
    usi_buf_free (lines);
    free (path);
    return error;
}

static int s_write_users (private_redis_t *self, char **text)
{
    usi_buf_t users = {0}, admin = {0};
    usi_acl_fill (&self->acl);
    usi_acl_lines (&self->acl, true, &users);
    usi_acl_auth (&self->acl, USI_ACL_ADMIN, &admin);
    int error = s_write (self, ACL_NAME, &users);
    int second = s_write (self, ADMIN_NAME, &admin);
    if (error || second)
        return s_refuse_dir (self->dir, usi_strdup (strerror (error ? error : second)),
                             text);
    return 0;
}

/* --- starting ----------------------------------------------------------------------- */

/* A path in sockaddr_un is limited to 107 bytes; the descriptor of the directory makes a
 * short one, good for this process only. */
static void s_make_url (private_redis_t *self)
{
    struct sockaddr_un address;
    char *path = usi_sprintf ("%s/%s", self->dir, SOCKET_NAME);
    if (strlen (path) >= sizeof address.sun_path) {
        free (path);
        path = usi_sprintf ("/proc/self/fd/%d/%s", self->dir_fd, SOCKET_NAME);
    }
    self->socket_path = path;
    const usi_redis_url_t url = {.path = path};
    self->url = usi_redis_url_for (&url, usi_acl_name (USI_ACL_BROKER),
                                   self->acl.passwords[USI_ACL_BROKER]);
    self->nodes_url = usi_redis_url_for (&url, usi_acl_name (USI_ACL_NODE),
                                         self->acl.passwords[USI_ACL_NODE]);
}

static bool s_answers (const private_redis_t *self)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf (address.sun_path, sizeof address.sun_path, "%s", self->socket_path);
    bool good = fd >= 0 &&
                connect (fd, (const struct sockaddr *) &address, sizeof address) == 0;
    if (fd >= 0)
        close (fd);
    return good;
}

/* The last line of the log, which says why the server does not start. */
static char *s_last_words (const private_redis_t *self)
{
    char tail[512];
    int fd = openat (self->dir_fd, LOG_NAME, O_RDONLY | O_CLOEXEC);
    off_t end = fd >= 0 ? lseek (fd, 0, SEEK_END) : 0;
    off_t from = end > (off_t) sizeof tail - 1 ? end - (off_t) sizeof tail + 1 : 0;
    ssize_t len = fd >= 0 ? pread (fd, tail, sizeof tail - 1, from) : 0;
    if (fd >= 0)
        close (fd);
    while (len > 0 && tail[len - 1] == '\n')
        len--;
    tail[len > 0 ? len : 0] = '\0';
    const char *line = strrchr (tail, '\n');
    return usi_strdup (line ? line + 1 : tail);
}

/* Why the server ended. On a full disk it cannot write its last words to the log either. */
static char *s_reason (const private_redis_t *self)
{
    struct statvfs disk;
    if (fstatvfs (self->dir_fd, &disk) == 0 &&
        (uint64_t) disk.f_bavail * disk.f_frsize < DISK_FULL)
        return usi_sprintf ("no space left in %s", self->dir);
    return s_last_words (self);
}

static char *s_say_why (const private_redis_t *self)
{
    char *words = s_reason (self);
    char *text =
        usi_sprintf ("%s does not start in %s: %s", self->program, self->dir, words);
    free (words);
    return text;
}

void private_redis_explain (private_redis_t *self, char **text)
{
    int64_t until = usi_now_ms () + END_WAIT_MS;
    while (waitpid (self->pid, NULL, WNOHANG) != self->pid) {
        if (usi_now_ms () > until)
            return;
        zclock_sleep (2);
    }
    self->pid = 0;
    free (*text);
    *text = s_say_why (self);
}

static int s_wait_for_socket (private_redis_t *self, char **text)
{
    int64_t until = usi_now_ms () + START_WAIT_MS;
    bool died = false;
    while (!s_answers (self)) {
        died = waitpid (self->pid, NULL, WNOHANG) == self->pid;
        if (died || usi_now_ms () > until) {
            *text = s_say_why (self);
            self->pid = died ? 0 : self->pid;
            return EXIT_REDIS;
        }
        zclock_sleep (2);
    }
    return 0;
}

static int s_start (private_redis_t *self, const char *dir, char **text)
{
    int rc = s_open_dir (self, dir, text);
    if (rc == 0)
        rc = s_find_program (self, text);
    if (rc == 0)
        rc = s_lock (self, text);
    if (rc == 0)
        rc = s_write_users (self, text);
    if (rc)
        return rc;
    s_make_url (self);
    rc = s_spawn (self);
    if (rc) {
        *text = usi_sprintf ("cannot start %s: %s", self->program, strerror (rc));
        return EXIT_REDIS;
    }
    return s_wait_for_socket (self, text);
}

int private_redis_start (private_redis_t **self_p, const char *dir,
                         const char *durability, char **text)
{
    private_redis_t *self = usi_new (private_redis_t);
    self->durability = usi_strdup (durability);
    self->dir_fd = self->broker_fd = self->lock_fd = -1;
    int rc = s_start (self, dir, text);
    if (rc)
        private_redis_destroy (&self);
    *self_p = self;
    return rc;
}

const char *private_redis_url (const private_redis_t *self)
{
    return self->url;
}

const char *private_redis_nodes_url (const private_redis_t *self)
{
    return self->nodes_url;
}

/* --- living and dying ----------------------------------------------------------------- */

void private_redis_attach (private_redis_t *self, zloop_t *loop)
{
    self->loop = loop;
}

static int s_on_respawn (zloop_t *loop, int timer, void *arg)
{
    private_redis_t *self = arg;
    (void) loop;
    (void) timer;
    int rc = s_spawn (self);
    if (rc)
        usi_error ("redis.start", "cannot start again error=%s", strerror (rc));
    else
        usi_notice ("redis.start", "started again pid=%ld", (long) self->pid);
    if (rc)
        zloop_timer (self->loop, BACKOFF_MAX_MS, 1, s_on_respawn, self);
    return 0;
}

static void s_respawn_later (private_redis_t *self)
{
    bool steady = usi_now_ms () - self->started_ms > STEADY_MS;
    int64_t delay = steady || !self->backoff_ms ? 50 : self->backoff_ms * 2;
    self->backoff_ms = delay > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : delay;
    zloop_timer (self->loop, (size_t) self->backoff_ms, 1, s_on_respawn, self);
}

void private_redis_reap (private_redis_t *self)
{
    int status = 0;
    if (!self->pid || waitpid (self->pid, &status, WNOHANG) != self->pid)
        return;
    char *words = s_reason (self);
    usi_error ("redis.died", "the private Redis ended %s=%d why=\"%s\"",
               WIFSIGNALED (status) ? "signal" : "code",
               WIFSIGNALED (status) ? WTERMSIG (status) : WEXITSTATUS (status), words);
    free (words);
    self->pid = 0;
    if (self->loop)
        s_respawn_later (self);
}

void private_redis_ending (private_redis_t *self)
{
    if (self->broker_fd >= 0)
        flock (self->broker_fd, LOCK_UN);
}

static bool s_ends_within (pid_t pid, int64_t ms)
{
    int64_t until = usi_now_ms () + ms;
    while (waitpid (pid, NULL, WNOHANG) == 0) {
        if (usi_now_ms () >= until)
            return false;
        zclock_sleep (5);
    }
    return true;
}

static void s_stop (private_redis_t *self)
{
    if (!self->pid)
        return;
    kill (self->pid, SIGTERM);
    if (!s_ends_within (self->pid, STOP_WAIT_MS)) {
        kill (self->pid, SIGKILL);
        waitpid (self->pid, NULL, 0);
    }
    self->pid = 0;
}

void private_redis_destroy (private_redis_t **self_p)
{
    private_redis_t *self = *self_p;
    if (!self)
        return;
    s_stop (self);
    for (int i = 0; i < 3; i++) {
        int fd = i == 0 ? self->dir_fd : i == 1 ? self->broker_fd : self->lock_fd;
        if (fd >= 0)
            close (fd);
    }
    free (self->dir);
    free (self->durability);
    free (self->socket_path);
    free (self->url);
    free (self->nodes_url);
    usi_wipe (&self->acl, sizeof self->acl);
    free (self);
    *self_p = NULL;
}

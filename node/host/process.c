/* SPDX-License-Identifier: MIT
 *
 * Starting and ending processes: see process.h. */
#include "host/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define MAX_CHILDREN 4096
#define END_MS       5000
#define KILL_MS      20
#define TRACKER      "resource_tracker import main" /* how Python starts one */

static void s_default_signals (void)
{
    sigset_t none;
    sigemptyset (&none);
    sigprocmask (SIG_SETMASK, &none, NULL);
    for (int number = 1; number < NSIG; number++)
        signal (number, SIG_DFL);
}

static void s_die_with (pid_t parent)
{
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    if (getppid () != parent)
        _exit (127); /* it died before we asked */
}

/* The child's side of process_start. It makes async-signal-safe calls only, for the
 * daemon has threads (those of libzmq). */
static _Noreturn void s_child (const process_t *process, pid_t parent)
{
    s_default_signals ();
    s_die_with (parent);
    setpgid (0, 0);
    int null = open ("/dev/null", O_RDWR);
    dup2 (null, STDIN_FILENO);
    if (process->err > 0)
        dup2 (process->err, STDERR_FILENO);
    dup2 (process->out > 0 ? process->out : STDERR_FILENO, STDOUT_FILENO);
    for (int i = 0; i < 2; i++)
        if (process->keep[i] > 0)
            fcntl (process->keep[i], F_SETFD, 0);
    if (process->cwd && chdir (process->cwd) != 0)
        _exit (126);
    execve (process->argv[0], process->argv, process->env ? process->env : environ);
    _exit (127);
}

pid_t process_start (const process_t *process)
{
    pid_t parent = getpid ();
    pid_t pid = fork ();
    if (pid == 0)
        s_child (process, parent);
    if (pid > 0)
        setpgid (pid, pid); /* whoever comes first; the other call fails harmlessly */
    return pid;
}

void process_become_child (pid_t parent, const int *keep)
{
    s_default_signals ();
    s_die_with (parent);
    setpgid (0, 0);
    int from = 3;
    for (; *keep >= 0; from = *keep++ + 1)
        if (*keep > from)
            close_range ((unsigned) from, (unsigned) *keep - 1, 0);
    close_range ((unsigned) from, ~0U, 0);
}

static size_t s_children_of (pid_t pid, pid_t *pids, size_t max)
{
    char path[64];
    snprintf (path, sizeof path, "/proc/%d/task/%d/children", (int) pid, (int) pid);
    FILE *file = fopen (path, "re");
    if (!file)
        return 0;
    size_t count = 0;
    int child;
    while (count < max && fscanf (file, "%d", &child) == 1)
        pids[count++] = (pid_t) child;
    fclose (file);
    return count;
}

bool process_is_tracker (pid_t pid)
{
    char path[64], text[8192];
    snprintf (path, sizeof path, "/proc/%d/cmdline", (int) pid);
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read (fd, text, sizeof text);
    if (fd >= 0)
        close (fd);
    return len == 0 ||
           (len > 0 && memmem (text, (size_t) len, TRACKER, strlen (TRACKER)));
}

/* true: it is a tracker, and goes on. */
static bool s_kill (pid_t pid)
{
    bool is_tracker = process_is_tracker (pid);
    kill (pid, is_tracker ? SIGCONT : SIGKILL);
    return is_tracker;
}

/* One by one, for there is a tracker among them. */
static void s_kill_members (pid_t group)
{
    DIR *dir = opendir ("/proc");
    for (struct dirent *entry; dir && (entry = readdir (dir));) {
        pid_t pid = (pid_t) atoi (entry->d_name);
        if (pid > 0 && getpgid (pid) == group)
            s_kill (pid);
    }
    if (dir)
        closedir (dir);
}

void process_kill_group (pid_t group)
{
    if (kill (-group, SIGSTOP) == 0) /* none of them forks while we look */
        s_kill_members (group);
}

void process_kill_tree (pid_t pid)
{
    pid_t pids[MAX_CHILDREN];
    size_t count = 1;
    bool spared = false;
    pids[0] = pid;
    /* Stops the processes first, so that none of them forks while we look. */
    kill (-pid, SIGSTOP);
    for (size_t i = 0; i < count; i++) {
        kill (pids[i], SIGSTOP);
        count += s_children_of (pids[i], pids + count, MAX_CHILDREN - count);
    }
    while (count-- > 0)
        spared |= s_kill (pids[count]);
    if (spared)
        s_kill_members (pid);
    else
        kill (-pid, SIGKILL);
}

size_t process_children (pid_t *pids, size_t max)
{
    return s_children_of (getpid (), pids, max);
}

/* true: there is no child any more. */
static bool s_wait_for_all (int64_t until_ms)
{
    for (;;) {
        pid_t pid = waitpid (-1, NULL, WNOHANG);
        if (pid < 0 && errno == ECHILD)
            return true;
        if (pid == 0 && usi_now_ms () >= until_ms)
            return false;
        if (pid == 0)
            poll (NULL, 0, 1);
    }
}

void process_end_all (int64_t grace_ms)
{
    static pid_t pids[MAX_CHILDREN];
    int64_t now_ms = usi_now_ms (), deadline = now_ms + grace_ms + END_MS;
    if (s_wait_for_all (now_ms + grace_ms))
        return;
    /* Killing a parent hands its children to us: look again until there are none. */
    int64_t spare_until_ms = usi_now_ms () + PROCESS_TIDY_MS;
    do {
        size_t count = process_children (pids, MAX_CHILDREN);
        for (size_t i = 0; i < count; i++) {
            process_kill_tree (pids[i]);
            if (usi_now_ms () >= spare_until_ms)
                kill (pids[i], SIGKILL);
        }
    } while (!s_wait_for_all (usi_now_ms () + KILL_MS) && usi_now_ms () < deadline);
}

size_t process_rss (pid_t pid)
{
    char path[64];
    unsigned long pages = 0, resident = 0;
    snprintf (path, sizeof path, "/proc/%d/statm", (int) pid);
    FILE *file = fopen (path, "re");
    if (!file)
        return 0;
    int got = fscanf (file, "%lu %lu", &pages, &resident);
    fclose (file);
    return got == 2 ? resident * (size_t) sysconf (_SC_PAGESIZE) : 0;
}

size_t process_own_memory (pid_t pid)
{
    char path[64], line[256];
    unsigned long kib = 0;
    snprintf (path, sizeof path, "/proc/%d/smaps_rollup", (int) pid);
    FILE *file = fopen (path, "re");
    while (file && kib == 0 && fgets (line, sizeof line, file))
        sscanf (line, "Pss: %lu", &kib);
    if (file)
        fclose (file);
    return kib ? kib * 1024 : process_rss (pid);
}

/* The control group of this process may be below others that are tighter; the file in
 * the root of what a container sees is its own. */
static uint64_t s_cgroup_limit (void)
{
    unsigned long long bytes = 0;
    FILE *file = fopen ("/sys/fs/cgroup/memory.max", "re");
    int got = file ? fscanf (file, "%llu", &bytes) : 0;
    if (file)
        fclose (file);
    return got == 1 ? bytes : UINT64_MAX;
}

uint64_t process_memory_limit (void)
{
    uint64_t pages = (uint64_t) sysconf (_SC_PHYS_PAGES);
    uint64_t machine = pages * (uint64_t) sysconf (_SC_PAGESIZE);
    uint64_t group = s_cgroup_limit ();
    return group < machine ? group : machine;
}

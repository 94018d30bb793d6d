/* SPDX-License-Identifier: MIT
 *
 * The end of child processes: see children.h. */
#include "host/children.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "host/process.h"

#define ORPHANS_MAX 256
#define EARLY_US    5000000

void children_reap (children_ended_fn *ended, void *arg)
{
    int status;
    for (pid_t pid; (pid = waitpid (-1, &status, WNOHANG)) > 0;)
        ended (arg, pid, status);
}

/* Whether it is a tracker that has not had its time yet. Where there are too many, or the
 * process id is that of an earlier one, it has. */
static bool s_tidies (children_t *self, pid_t pid)
{
    int64_t now_us = usi_now_us ();
    unsigned at = (unsigned) pid % TRACKERS;
    if (!process_is_tracker (pid))
        return false;
    if (self->trackers[at].pid != pid &&
        now_us - self->trackers[at].since_us >= PROCESS_TIDY_MS * 1000) {
        self->trackers[at].pid = pid;
        self->trackers[at].since_us = now_us;
    }
    return self->trackers[at].pid == pid &&
           now_us - self->trackers[at].since_us < PROCESS_TIDY_MS * 1000;
}

void children_end_orphans (children_t *self, children_ours_fn *is_ours, void *arg)
{
    static pid_t pids[ORPHANS_MAX];
    size_t count = process_children (pids, ORPHANS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (is_ours (arg, pids[i]) || s_tidies (self, pids[i]))
            continue;
        process_kill_tree (pids[i]);
        kill (pids[i], SIGKILL);
    }
}

void children_note_early (children_t *self, pid_t pid, int status)
{
    unsigned at = self->next_early++ % EARLY_EXITS;
    self->early[at].pid = pid;
    self->early[at].status = status;
    self->early[at].at_us = usi_now_us ();
}

bool children_take_early (children_t *self, pid_t pid, int *status)
{
    int64_t now_us = usi_now_us ();
    for (unsigned i = 0; i < EARLY_EXITS; i++) {
        /* Ignores old entries: the kernel reuses process ids. */
        if (self->early[i].pid == pid && now_us - self->early[i].at_us < EARLY_US) {
            *status = self->early[i].status;
            self->early[i].pid = 0;
            return true;
        }
    }
    return false;
}

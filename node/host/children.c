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

/* Forgets the trackers that are no children any more: the kernel reuses process ids. */
static void s_forget_trackers (children_t *self, const pid_t *pids, size_t count)
{
    for (unsigned i = 0; i < TRACKERS; i++) {
        bool is_there = false;
        for (size_t j = 0; j < count && !is_there; j++)
            is_there = pids[j] == self->trackers[i].pid;
        if (!is_there)
            self->trackers[i].pid = 0;
    }
}

/* Its place among the trackers, a new one if need be; -1: there are too many. */
static int s_place_of_tracker (children_t *self, pid_t pid)
{
    int free_at = -1;
    for (int i = 0; i < TRACKERS; i++) {
        if (self->trackers[i].pid == pid)
            return i;
        if (self->trackers[i].pid == 0)
            free_at = i;
    }
    if (free_at >= 0) {
        self->trackers[free_at].pid = pid;
        self->trackers[free_at].since_us = usi_now_us ();
    }
    return free_at;
}

/* Whether it is a tracker that has not had its time yet. */
static bool s_tidies (children_t *self, pid_t pid)
{
    if (!process_is_tracker (pid))
        return false;
    int at = s_place_of_tracker (self, pid);
    return at >= 0 &&
           usi_now_us () - self->trackers[at].since_us < PROCESS_TIDY_MS * 1000;
}

void children_end_orphans (children_t *self, children_ours_fn *is_ours, void *arg)
{
    static pid_t pids[ORPHANS_MAX];
    size_t count = process_children (pids, ORPHANS_MAX);
    s_forget_trackers (self, pids, count);
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

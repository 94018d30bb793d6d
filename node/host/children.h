/* SPDX-License-Identifier: MIT
 *
 * The end of child processes. The daemon adopts what its children leave behind (it is a
 * subreaper), and reaps all of them here. A worker may end before the daemon knows its
 * process id: such an early exit is kept until READY names the process. Stands on
 * process.h. */
#ifndef NODE_HOST_CHILDREN_H
#define NODE_HOST_CHILDREN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define EARLY_EXITS 16
#define TRACKERS    64

/* Zero-initialise. */
typedef struct children {
    struct {
        pid_t pid;
        int64_t since_us; /* it has been an orphan */
    } trackers[TRACKERS]; /* pid 0: free */
    struct {
        pid_t pid;
        int status;
        int64_t at_us;
    } early[EARLY_EXITS];
    unsigned next_early;
} children_t;

typedef void children_ended_fn (void *arg, pid_t pid, int status);
typedef bool children_ours_fn (void *arg, pid_t pid);

/* Reaps every child that has ended. */
void children_reap (children_ended_fn *ended, void *arg);
/* Kills the children that are not ours with all they started: jobs left them behind. A
 * resource tracker gets a moment to tidy up. */
void children_end_orphans (children_t *self, children_ours_fn *is_ours, void *arg);

/* Keeps the end of a process that nobody knows yet. */
void children_note_early (children_t *self, pid_t pid, int status);
/* Takes out the status of a process that has ended already; false: it has not. */
bool children_take_early (children_t *self, pid_t pid, int *status);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Child processes of the daemon: each in a process group of its own, ended with the
 * daemon, with no signal blocked and no descriptor but those it is given. */
#ifndef NODE_HOST_PROCESS_H
#define NODE_HOST_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_TIDY_MS 3000 /* what a resource tracker gets to tidy up */

typedef struct process {
    char *const *argv; /* argv[0] is the file; no PATH search */
    char *const *env;  /* NULL: the daemon's own */
    const char *cwd;   /* NULL: the daemon's own */
    int out;           /* becomes stdout; 0: stderr's */
    int err;           /* becomes stderr; 0: the daemon's own */
    int keep[2]; /* more descriptors that it inherits under their number; 0: none */
} process_t;

/* -1 with errno. */
pid_t process_start (const process_t *process);
/* Makes a forked child, which goes on in this program, what process_start makes one
 * before exec. keep: ascending list of descriptors that stay open beside 0 to 2, closed
 * by -1. */
void process_become_child (pid_t parent, const int *keep);
/* Kills the group of pid and all descendants that can still be found, but for resource
 * trackers (of Python's multiprocessing, and of loky): these end by themselves once the
 * others are gone, and first remove what those have left in /dev/shm. */
void process_kill_tree (pid_t pid);
/* The same for what is left of a group whose leader has ended. */
void process_kill_group (pid_t group);
/* A resource tracker, or what says of itself that it is one. So does what shows no command
 * line: a process does so for a moment while it becomes another program. */
bool process_is_tracker (pid_t pid);
/* Children of this process now, at most max. */
size_t process_children (pid_t *pids, size_t max);
/* Waits for all children, at most so long; then kills and reaps every child there is,
 * adopted ones included. */
void process_end_all (int64_t grace_ms);
/* Resident memory in bytes; 0 where unknown. */
size_t process_rss (pid_t pid);
/* Memory that this process and its children may use, in bytes: of the machine, or as
 * the control group says. */
uint64_t process_memory_limit (void);
/* What would be free without it, in bytes: pages that it shares count in part. Where the
 * kernel does not tell, all that is resident. */
size_t process_own_memory (pid_t pid);

#endif

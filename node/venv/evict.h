/* SPDX-License-Identifier: MIT
 *
 * Keeps the environments of a cache within their limit on disk: least recently used
 * first, never one that anybody has locked. Also removes what killed builds left. */
#ifndef NODE_VENV_EVICT_H
#define NODE_VENV_EVICT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Notes that the environment is used now. */
void evict_touch (const char *env);
/* Wall clock in ms; 0 where unknown. */
int64_t evict_last_used (const char *env);
/* Moves what has to go from dir to trash, whose content a child process removes. */
void evict_run (const char *dir, const char *trash, uint64_t limit);
/* Starts that child; also for what earlier daemons left there. */
void evict_empty (const char *trash);
/* This child is that one. */
bool evict_owns (pid_t pid);

#endif

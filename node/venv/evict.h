/* SPDX-License-Identifier: MIT
 *
 * Keeps the environments of a cache within their limit on disk: least recently used
 * first, never one that anybody has locked. Also removes what killed builds left, and
 * bundles that nobody will want. */
#ifndef NODE_VENV_EVICT_H
#define NODE_VENV_EVICT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Notes that the environment is used now. */
void evict_touch (const char *env);
/* Wall clock in ms; 0 where unknown. */
int64_t evict_last_used (const char *env);
/* Moves what has to go from dir to trash; true: evict_empty is due. */
bool evict_run (const char *dir, const char *trash, uint64_t limit);
/* The same for unpacked bundles, which go after their blob: so the limit of the blobs, least
 * recently used first, is theirs too. Workers hold locks of those they use. */
bool evict_bundles (const char *cache, const char *trash);
/* Starts a child that empties the trash; also of what earlier daemons left there. */
void evict_empty (const char *trash);
/* This child is that one. */
bool evict_owns (pid_t pid);

#endif

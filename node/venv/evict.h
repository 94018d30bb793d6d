/* SPDX-License-Identifier: MIT
 *
 * Keeps the environments of a cache within their limit on disk: least recently used
 * first, never one that anybody has locked. Also removes what killed builds left, and
 * bundles that nobody will want. What has to go is first moved to the trash, by a rename
 * that takes no time, and deleted there by a child. Stands on build.h. */
#ifndef NODE_VENV_EVICT_H
#define NODE_VENV_EVICT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct evict {
    const char *cache, *dir, *trash; /* of all; of environments; of what has to go */
    unsigned names;                  /* given in the trash */
    pid_t cleaner;                   /* the child that empties it; 0: none */
} evict_t;

/* The texts are borrowed. */
void evict_init (evict_t *self, const char *cache, const char *dir, const char *trash);
/* Moves environments that have to go to the trash; true: evict_empty is due. */
bool evict_run (evict_t *self, uint64_t limit);
/* The same for unpacked bundles, which go after their blob: so the limit of the blobs, least
 * recently used first, is theirs too. Workers hold locks of those they use. */
bool evict_bundles (evict_t *self);
/* Starts a child that empties the trash; also of what earlier daemons left there. */
void evict_empty (evict_t *self);
/* A child has ended; false: it is not the one that empties the trash. */
bool evict_reaped (evict_t *self, pid_t pid);

/* Notes that the environment is used now. */
void evict_touch (const char *env);
/* Wall clock in ms; 0 where unknown. */
int64_t evict_last_used (const char *env);

#endif

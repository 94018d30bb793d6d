/* SPDX-License-Identifier: MIT
 *
 * Which broker to try next: in turn out of those that were listed, or out of those that
 * the registry in Redis shows now. Redis is asked in a thread of its own, so that the
 * loop goes on with what runs. */
#ifndef NODE_FINDER_H
#define NODE_FINDER_H

#include "node.h"

typedef struct finder finder_t;

/* endpoint NULL: there is none now, why says so. */
typedef void finder_fn (void *arg, const char *endpoint, const char *why);

finder_t *finder_new (node_t *node);
void finder_destroy (finder_t **self_p);
/* fn is called once, perhaps before this returns. One question at a time. */
void finder_next (finder_t *self, finder_fn *fn, void *arg);
/* How many were known at the last look. */
size_t finder_count (const finder_t *self);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Workers that have no job: how many are kept, for how long, and in how much memory. The
 * one that was used least goes first. Stands on worker_life.h. */
#ifndef NODE_KEPT_H
#define NODE_KEPT_H

#include "worker_life.h"

/* Lets the oldest go where there are too many, which is some beside one for each slot. */
void kept_bound (worker_t *workers, unsigned slots);
/* Lets those go that were not used for long, or are over this memory, in bytes. */
void kept_tidy (worker_t *workers, uint64_t memory);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Bringing jobs and credit together. Three things make a claim: new credit or a wake (a
 * pass over all channels of the node), jobs that just came in (a claim by nodes with
 * credit, in the same call of the store), and once a second a look at each channel for
 * which credit lies idle. No claim asks for more jobs than there is credit. Stands on the
 * table of nodes, the outbox and the store. */
#ifndef BROKER_SCHEDULE_H
#define BROKER_SCHEDULE_H

#include "core/broker.h"

/* The node has new credit, or there may be new work for it. */
void schedule_node (broker_t *self, node_t *node);
/* So many jobs of a class were just submitted to the channel of this name. */
void schedule_jobs (broker_t *self, usi_bytes_t name, uint32_t class_id,
                    uint32_t count);
/* Once a second: claims for credit that lies idle, in case a wake was lost. */
void schedule_look (broker_t *self);
/* This JOBS message did not reach the node: hands its jobs back. */
void schedule_undelivered (broker_t *self, node_t *node, const usi_msg_t *jobs);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Telling all peers of this broker that want to know what became of a job. The store names
 * them by index; those that have left are passed over, since they ask again from where they
 * are now. A peer that follows the log of the job hears of its end after the last byte.
 * Stands on notify.h (what one peer is told) and follows.h. */
#ifndef BROKER_FANOUT_H
#define BROKER_FANOUT_H

#include "core/notify.h"

/* The job has ended and its end is at hand: it has just been stored. */
void fanout_result (broker_t *self, const ended_t *ended, const uint32_t *peers,
                    size_t count);
/* The job has ended; the store is asked how. */
void fanout_ended (broker_t *self, const usi_id_t *id, const uint32_t *peers,
                   size_t count);
void fanout_started (broker_t *self, const usi_id_t *id, const uint32_t *peers,
                     size_t count);
/* A chunk of the log was just stored, and is at hand. */
void fanout_chunk (broker_t *self, const usi_id_t *id, const uint32_t *peers,
                   size_t count, int stream, uint64_t offset, usi_bytes_t bytes);
/* The log grew; the store is asked what there is. */
void fanout_logged (broker_t *self, const usi_id_t *id, const uint32_t *peers,
                    size_t count);

#endif

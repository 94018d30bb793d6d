/* SPDX-License-Identifier: MIT
 *
 * Telling clients what became of their jobs. Peers are named by index, as the store names
 * them; those that have left are passed over: they ask again from where they are now. */
#ifndef BROKER_DELIVER_H
#define BROKER_DELIVER_H

#include "core/broker.h"

/* How a job ended; views borrow for the call. */
typedef struct ended {
    usi_id_t id;
    int state;
    int32_t code;
    uint32_t attempt;
    uint64_t log_end, build_end, dropped;
    uint8_t crashes, losses;
    int64_t started_ms, ended_ms;
    usi_bytes_t blob; /* empty: the body holds the result */
    uint64_t size;
    usi_bytes_t body;
} ended_t;

/* The end is in hand (it has just been stored). */
void fanout_result (broker_t *self, const ended_t *ended, const uint32_t *peers,
                    size_t count);
/* Reads it from the store first. */
void fanout_ended (broker_t *self, const usi_id_t *id, const uint32_t *peers,
                   size_t count);
void notify_job (broker_t *self, peer_t *peer, const store_job_t *job);
void notify_state (broker_t *self, peer_t *peer, const usi_id_t *id, us_err_t code,
                   int state, uint32_t attempt);
void fanout_started (broker_t *self, const usi_id_t *id, const uint32_t *peers,
                     size_t count);
/* Its log grew, elsewhere. */
void fanout_logged (broker_t *self, const usi_id_t *id, const uint32_t *peers,
                    size_t count);

#endif

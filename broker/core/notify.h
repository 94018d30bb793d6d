/* SPDX-License-Identifier: MIT
 *
 * What one peer is told of a job or of a blob: ENDED, STATE, BLOB_DATA. Uses the outbox
 * and the store, and knows nothing of followers of logs: whether an ENDED has to wait for
 * the last byte of a log is decided in fanout.h and follows.h. */
#ifndef BROKER_NOTIFY_H
#define BROKER_NOTIFY_H

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
    usi_bytes_t buffers; /* digests of those that belong to the body */
    usi_bytes_t blob;    /* empty: the body holds the result */
    uint64_t size;
    usi_bytes_t body;
} ended_t;

void notify_ended (broker_t *self, peer_t *peer, const ended_t *ended);
/* The job has ended, and its record says how. */
void notify_job (broker_t *self, peer_t *peer, const store_job_t *job);
/* Reads the end from the store, once, and sends it to these peers, of whom none is named
 * twice. Peers that have left meanwhile are passed over. */
void notify_stored_end (broker_t *self, const usi_id_t *id, const uint32_t *peers,
                        size_t count);
/* code: why there is no state to tell, US_OK: there is one. attempt 0 is not told. */
void notify_state (broker_t *self, peer_t *peer, const usi_id_t *id, us_err_t code,
                   int state, uint32_t attempt);
/* Reads a chunk of a blob from the store and sends it. */
void notify_blob (broker_t *self, peer_t *peer, const uint8_t digest[USI_DIGEST_LEN],
                  uint32_t index);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Packed job records and results as they stand in Redis (docs/redis-keys.md): reading
 * them in C. They are written by the functions alone. Views borrow from the bytes. */
#ifndef BROKER_STORE_RECORD_H
#define BROKER_STORE_RECORD_H

#include "base/bytes.h"
#include "base/id.h"
#include "understudy/error.h"

#define RECORD_FLAG_CANCEL   1
#define RECORD_FLAG_WATCHERS 2
#define RECORD_FLAG_DETACHED 4

typedef struct store_record {
    usi_id_t id;
    uint8_t state, flags;
    uint32_t attempt;
    uint8_t crashes, losses, failures, retries;
    uint32_t class_id;
    uint32_t expire_ms;
    int64_t submitted_ms, started_ms, ended_ms;
    uint32_t origin_broker, origin_peer, holder;
    uint64_t node;
    uint32_t boot;
    uint64_t nonce;
    uint64_t log_base, build_base;
    usi_bytes_t channel; /* not NUL terminated */
    usi_bytes_t blobs;
    usi_bytes_t spec;
    usi_bytes_t body; /* may be cut off: then empty, with body_len set */
    uint32_t body_len;
} store_record_t;

typedef struct store_result {
    uint8_t state;
    int32_t code;
    uint64_t log_end, build_end, dropped;
    int64_t ended_ms;
    usi_bytes_t blob; /* 32 bytes, or empty */
    uint64_t size;
    usi_bytes_t body;
} store_result_t;

/* US_ERR_STORE: not a record of a schema that we know. */
us_err_t record_parse (store_record_t *record, const usi_id_t *id, usi_bytes_t bytes);
/* What an end means for which no result gives a code. */
us_err_t record_end_code (int state, unsigned crashes);
us_err_t record_parse_result (store_result_t *result, usi_bytes_t bytes);

#define RECORD_MAX_PEERS 256

/* Unpacks a list of peers, I4 each; returns how many, at most RECORD_MAX_PEERS. */
size_t record_peers (usi_bytes_t packed, uint32_t peers[RECORD_MAX_PEERS]);

#endif

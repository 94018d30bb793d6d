/* SPDX-License-Identifier: MIT
 *
 * The packed layouts of docs/redis-keys.md, read and written in one place: records of
 * jobs, results, fences, lists of peers, and rows of records as the store gathers them.
 * The functions in Redis fill in what only they know (state and times). Pure: views
 * borrow from the bytes. */
#ifndef BROKER_STORE_RECORD_H
#define BROKER_STORE_RECORD_H

#include "base/bytes.h"
#include "base/id.h"
#include "understudy/error.h"

#define RECORD_FLAG_CANCEL   1
#define RECORD_FLAG_WATCHERS 2
#define RECORD_FLAG_DETACHED 4
#define RECORD_FLAG_OWNED    32
#define RECORD_FLAG_COUNTED  64

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
    uint64_t owner; /* 0: the broker's own user */
    usi_bytes_t spec;
    usi_bytes_t body; /* may be cut off: then empty, with body_len set */
    uint32_t body_len;
} store_record_t;

typedef struct store_result {
    uint8_t state;
    int32_t code;
    uint64_t log_end, build_end, dropped;
    int64_t ended_ms;
    usi_bytes_t buffers; /* digests */
    usi_bytes_t blob;    /* 32 bytes, or empty */
    uint64_t size;
    usi_bytes_t body;
} store_result_t;

/* A job that is handed in. */
typedef struct store_submit {
    usi_id_t id;
    uint32_t class_id;
    const char *needs; /* "python=3.11", "" for class 0 */
    uint8_t retries;
    bool detached;
    uint32_t expire_ms;
    uint32_t peer;  /* origin: who is told */
    uint64_t owner; /* 0: the broker's own user */
    uint32_t most;  /* jobs of this owner in this channel that have not ended; 0: any */
    const char *channel;
    usi_bytes_t blobs; /* 32 bytes each */
    usi_bytes_t spec;
    usi_bytes_t body;
} store_submit_t;

/* Names one attempt at a job. */
typedef struct store_fence {
    usi_id_t id;
    uint64_t node;
    uint32_t boot;
    uint32_t attempt;
    uint64_t nonce;
} store_fence_t;

/* The end of an attempt, as its node reports it. */
typedef struct store_done {
    store_fence_t fence;
    uint8_t outcome; /* protocol.md section 5 */
    int32_t code;
    uint64_t log_end, build_end, dropped;
    usi_bytes_t
        blobs; /* named by the result: buffers, and last its blob if it has one */
    usi_bytes_t blob; /* 32 bytes where the result is a blob, else empty */
    uint64_t size;    /* of that blob */
    usi_bytes_t body;
} store_done_t;

/* Of the blobs that a result names those that are its buffers: all but the last, where that
 * is the result itself. */
usi_bytes_t record_buffers (usi_bytes_t blobs, usi_bytes_t blob);

#define RECORD_FENCE_LEN 40
#define RECORD_MAX_PEERS 256

/* US_ERR_STORE: not a record of a schema that we know. */
us_err_t record_parse (store_record_t *record, const usi_id_t *id, usi_bytes_t bytes);
/* The code of a job that has ended without a result that gives one. */
us_err_t record_end_code (int state, unsigned crashes);
us_err_t record_parse_result (store_result_t *result, usi_bytes_t bytes);

/* How long the record of a new job is, and the record, but for state and time. */
size_t record_len (const store_submit_t *job);
void record_write (uint8_t *at, const store_submit_t *job, uint32_t broker);

/* The same for a result, which names these blobs. */
size_t record_result_len (const store_done_t *done, usi_bytes_t blobs);
void record_write_result (uint8_t *at, const store_done_t *done, usi_bytes_t blobs);

/* RECORD_FENCE_LEN bytes. */
void record_write_fence (uint8_t *at, const store_fence_t *fence);

/* Unpacks a list of peers, I4 each; returns how many, at most RECORD_MAX_PEERS. */
size_t record_peers (usi_bytes_t packed, uint32_t peers[RECORD_MAX_PEERS]);

/* Ids and records that come in parts are gathered as rows. What has no id is left out. */
void record_add_row (usi_buf_t *rows, usi_bytes_t id, usi_bytes_t record);
/* The next row at *at that can be read; false behind the last. */
bool record_next_row (usi_bytes_t rows, size_t *at, store_record_t *record);

#endif

/* SPDX-License-Identifier: MIT
 *
 * A store on a redis-server of its own, driven until the answer is there: each call of
 * the store as one that waits. */
#ifndef TESTS_STORE_HARNESS_H
#define TESTS_STORE_HARNESS_H

#include "unit.h"

#include "../redis/redis_server.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/job_state.h"
#include "proto/message.h"
#include "store/library.h"
#include "store/store.h"

#define CHANNEL  "default"
#define WAIT_MS  20000
#define BROKER   0x11u
#define LEASE_MS 60000

typedef struct got {
    unsigned calls;
    us_err_t code;
    int state;
    uint64_t number, length;
    uint32_t holder, attempt;
    uint64_t node;
    uint32_t peers[16];
    size_t peers_len;
    char text[4096];
    size_t text_len;
    store_fence_t fences[1024];
    size_t count;
    store_record_t record;
    store_result_t result;
    uint64_t log_len, build_len;
    char cursor[256];
    store_channel_t channel;
} got_t;

/* What the store told unasked. */
typedef struct told {
    unsigned ready, lost, ended, started, logged, stops, wakes;
    usi_id_t id;
    uint32_t peers[16];
    size_t peers_len;
    uint64_t node;
    uint32_t attempt;
} told_t;

typedef struct harness {
    redis_server_t server;
    zloop_t *loop;
    store_t *store;
    usi_ask_t *ask;
    told_t told;
    got_t got;
    bool (*until) (struct harness *h);
    int64_t deadline_ms;
} harness_t;

typedef struct key {
    uint8_t data[64];
    size_t len;
} rkey_t;

/* --- the loop --------------------------------------------------------------------- */

bool pump_for (harness_t *h, bool (*until) (harness_t *h), int64_t ms);
void pump (harness_t *h, bool (*until) (harness_t *h));
bool got_answer (harness_t *h);
bool harness_is_ready (harness_t *h);

/* --- life ------------------------------------------------------------------------- */

store_t *harness_store (harness_t *h, uint32_t broker, int64_t lease_ms, told_t *told);
/* Of a group of tests: a server of its own, and the store on it. */
/* Another broker's store on the same Redis, ready; the caller destroys it. */
store_t *harness_other (harness_t *h, uint32_t broker, told_t *told);
int harness_begin (void **state, void (*start) (redis_server_t *server));
int harness_end (void **state);

/* --- answers ---------------------------------------------------------------------- */

got_t *got_begin (harness_t *h);
void got_submit (us_err_t code, int state, void *arg);
void got_code (us_err_t code, void *arg);
void got_claim (us_err_t code, const store_claimed_t *jobs, size_t count, void *arg);
void got_cancel (us_err_t code, const store_cancelled_t *reply, void *arg);
void got_keep_text (got_t *got, usi_bytes_t bytes);
void got_job (us_err_t code, const store_job_t *job, void *arg);
void got_read (us_err_t code, usi_bytes_t bytes, uint64_t length, void *arg);
void got_rows (us_err_t code, const store_record_t *records, size_t count,
               const char *cursor, void *arg);
void got_number (us_err_t code, uint64_t number, void *arg);

/* --- calls that wait -------------------------------------------------------------- */

usi_id_t new_id (void);
store_submit_t a_job (const usi_id_t *id);
got_t *do_submit (harness_t *h, const store_submit_t *job);
usi_id_t submit_one (harness_t *h);
store_claim_t a_claim (uint32_t count);
got_t *do_claim (harness_t *h, const store_claim_t *claim);
/* Claims one job, which must be this one. */
store_fence_t claim_one (harness_t *h, const usi_id_t *id);
us_err_t do_started (harness_t *h, const store_fence_t *fence);
us_err_t do_renew (harness_t *h, const store_fence_t *fence, bool started);
us_err_t do_hand_back (harness_t *h, const store_fence_t *fence);
store_done_t a_result (const store_fence_t *fence, uint8_t outcome, int32_t code,
                       const char *body);
got_t *do_done (harness_t *h, const store_done_t *done);
got_t *finish_one (harness_t *h, const store_fence_t *fence, uint8_t outcome,
                   int32_t code);
/* Submits, claims and finishes one job. */
void end_one (harness_t *h, uint8_t outcome);
got_t *do_log (harness_t *h, const store_fence_t *fence, int stream, uint64_t offset,
               const char *text);
got_t *do_read (harness_t *h, const usi_id_t *id, int stream, uint64_t offset,
                uint32_t size);
got_t *do_cancel (harness_t *h, const usi_id_t *id, int mode);
got_t *do_get (harness_t *h, const usi_id_t *id);
int state_of (harness_t *h, const usi_id_t *id);
got_t *do_watch (harness_t *h, const usi_id_t *id, uint32_t peer, unsigned flags);
got_t *do_list (harness_t *h, int state, unsigned limit, const char *cursor);
store_channel_t counters (harness_t *h);

/* --- Redis itself ----------------------------------------------------------------- */

/* us:{pp}:KIND:ID */
usi_bytes_t key_of (rkey_t *key, const char *kind, const usi_id_t *id);
void poke (harness_t *h, const usi_id_t *id, unsigned offset, uint64_t value,
           unsigned size);
int64_t redis_now_ms (harness_t *h);
/* When the job falls due; ms from now may be negative. */
void set_due (harness_t *h, const usi_id_t *id, int64_t ms);
const usi_reply_t *sweep_with (harness_t *h, int64_t step_ms, int64_t lease_ms,
                               const char *keep_jobs);
/* As if the answer to the claim that gave this job had been lost. */
const usi_reply_t *recover_claim (harness_t *h, const store_fence_t *fence);
const usi_reply_t *sweep_now (harness_t *h);
/* Every test begins with empty partitions that have been swept a moment ago. */
int harness_empty (void **state);
/* The job's record and result as they stand; the caller frees it. */
usi_buf_t dump (harness_t *h, const usi_id_t *id);

#endif

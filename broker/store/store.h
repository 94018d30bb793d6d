/* SPDX-License-Identifier: MIT
 *
 * The broker's only way to Redis. Each call adds one operation to the batch of its
 * partition; batches leave at the end of the loop turn, as one function call a
 * partition (docs/redis-keys.md). The callback runs exactly once, also when the
 * connection is lost: then with US_ERR_STORE, which means "not known", and the caller
 * repeats or tells its peer. Everything handed to a callback is borrowed for the call.
 * Arguments are copied. Stands on common/redis; the files of this folder know nothing of
 * the rest of the broker. */
#ifndef BROKER_STORE_STORE_H
#define BROKER_STORE_STORE_H

#include <czmq.h>

#include "base/bytes.h"
#include "base/id.h"
#include "proto/limits.h"
#include "store/record.h"

typedef struct store store_t;

typedef struct store_options {
    const char *url;        /* redis://… or unix://… */
    const char *nodes_url;  /* where nodes subscribe; NULL: the store makes a user */
    const char *durability; /* told in WELCOME; checked against what Redis says */
    uint32_t broker;        /* own id, not zero */
    int64_t lease_ms;
    int64_t keep_ms;   /* how long ended jobs stay */
    int64_t keep_jobs; /* and how many, in a channel */
} store_options_t;

/* What the store tells unasked. */
typedef struct store_events {
    /* Connected and functions loaded; again after each reconnect. */
    void (*ready) (void *arg);
    /* The connection is lost; the store reconnects by itself. */
    void (*lost) (void *arg, const char *why);
    /* Ended through another broker, by a sweep (dead, expired, cancelled with its node), or
     * handed back although it was to be cancelled. */
    void (*ended) (void *arg, const usi_id_t *id, const uint32_t *peers, size_t count);
    /* Also for what our own nodes started (store_started, store_renew). */
    void (*started) (void *arg, const usi_id_t *id, const uint32_t *peers,
                     size_t count);
    void (*logged) (void *arg, const usi_id_t *id, const uint32_t *peers, size_t count);
    void (*stop) (void *arg, const usi_id_t *id, uint64_t node, uint32_t attempt);
    void (*drain) (void *arg, uint64_t node);
    /* Another broker has changed the keys (store_keys). */
    void (*keys) (void *arg);
    /* A wake for a node whose topic we receive (store_relay). */
    void (*wake) (void *arg, uint64_t node);
    void *arg;
} store_events_t;

/* Connects (in the background; NULL: not a URL). store_check looks at the server at
 * once, by a connection of its own, before the loop runs: US_OK or the reason, with a
 * line for the operator in *text (the caller frees it) that says what is wrong and how
 * to mend it; warnings go to the log. Version, eviction policy and role are looked at
 * again on each reconnect. */
store_t *store_new (zloop_t *loop, const store_options_t *options,
                    const store_events_t *events);
/* Pending callbacks run first. Not from within a callback or a timer's handler. */
void store_destroy (store_t **self_p);
us_err_t store_check (store_t *self, int64_t timeout_ms, char **text);
/* Loads the functions of this version into the Redis of url, for brokers that may not.
 * Blocks for as long as store_check. */
us_err_t store_load_functions (const char *url, int64_t timeout_ms, char **text);
bool store_is_ready (const store_t *self);
const char *store_cluster (const store_t *self);
/* Where a node may subscribe: URL with the wake-only user; "" where there is none. */
const char *store_wake_url (const store_t *self);
/* What an accepted job really survives, by the settings of this Redis. */
const char *store_durability (const store_t *self);
/* The memory that the store may have, in bytes; 0: not known. */
uint64_t store_memory (const store_t *self);
/* Operations not yet answered, and the bytes that wait for an answer: theirs, and those of
 * plain commands (chunks of blobs). */
size_t store_backlog (const store_t *self, size_t *bytes);
/* Sends what is gathered now, without waiting for the end of the turn. */
void store_flush (store_t *self);

/* state: 0 new, else the state of the same job submitted earlier. */
typedef void store_submit_fn (us_err_t code, int state, void *arg);
void store_submit (store_t *self, const store_submit_t *job, store_submit_fn *fn,
                   void *arg);

typedef struct store_claim {
    uint64_t node;
    uint32_t boot;
    uint32_t count;
    bool waiting; /* an earlier claim of this node on this channel was not satisfied */
    const char *channel;
    const uint32_t *classes;
    size_t classes_len;
} store_claim_t;

typedef struct store_claimed {
    store_record_t record; /* nonce and attempt are in its fence */
    uint64_t log_len;
    uint64_t build_len;
} store_claimed_t;

/* Makes the nonce itself. */
typedef void store_claim_fn (us_err_t code, const store_claimed_t *jobs, size_t count,
                             void *arg);
void store_claim (store_t *self, const store_claim_t *claim, store_claim_fn *fn,
                  void *arg);

typedef void store_code_fn (us_err_t code, void *arg);
void store_started (store_t *self, const store_fence_t *fence, store_code_fn *fn,
                    void *arg);
void store_renew (store_t *self, const store_fence_t *fence, bool started,
                  store_code_fn *fn, void *arg);
void store_hand_back (store_t *self, const store_fence_t *fence, store_code_fn *fn,
                      void *arg);

typedef struct store_finished {
    int state;                    /* of the job, now */
    int64_t started_ms, ended_ms; /* 0: it has not */
    const uint32_t *peers; /* ours, to be told; valid where state is an end state */
    size_t peers_len;
} store_finished_t;

/* code 0 (also for the same result again), or US_ERR_STALE and the like and no reply. */
typedef void store_done_fn (us_err_t code, const store_finished_t *reply, void *arg);
void store_done (store_t *self, const store_done_t *done, store_done_fn *fn, void *arg);

typedef void store_log_fn (us_err_t code, uint64_t kept, const uint32_t *peers,
                           size_t count, void *arg);
void store_log (store_t *self, const store_fence_t *fence, int stream, uint64_t offset,
                usi_bytes_t bytes, store_log_fn *fn, void *arg);

typedef struct store_cancelled {
    int state;       /* now */
    uint32_t holder; /* broker to which its node is connected, 0 = none */
    uint64_t node;
    uint32_t attempt;
    const uint32_t *peers; /* ours, to be told of the end, where it ended now */
    size_t peers_len;
} store_cancelled_t;

typedef void store_cancel_fn (us_err_t code, const store_cancelled_t *reply, void *arg);
/* Tells another broker by itself where that one holds the node. */
void store_cancel (store_t *self, const usi_id_t *id, int mode, store_cancel_fn *fn,
                   void *arg);

typedef struct store_job {
    store_record_t record; /* body only where asked for */
    bool has_result; /* it has ended; code and state are set, a body may not be there */
    store_result_t result;
    uint64_t log_len, build_len;
} store_job_t;

typedef void store_job_fn (us_err_t code, const store_job_t *job, void *arg);
/* flags: USI_WATCH_LOG, USI_WATCH_BUILD: the peer watches this stream from now on;
 * USI_WATCH_ORIGIN: it becomes the origin. */
void store_watch (store_t *self, const usi_id_t *id, uint32_t peer, unsigned flags,
                  store_job_fn *fn, void *arg);
void store_unwatch (store_t *self, const usi_id_t *id, uint32_t peer, store_code_fn *fn,
                    void *arg);
void store_get (store_t *self, const usi_id_t *id, bool with_body, store_job_fn *fn,
                void *arg);

typedef void store_read_fn (us_err_t code, usi_bytes_t bytes, uint64_t length,
                            void *arg);
void store_log_from (store_t *self, const usi_id_t *id, int stream, uint64_t offset,
                     uint32_t size, store_read_fn *fn, void *arg);

/* Sweeps every partition of the known channels each min(1 s, lease/4) from now on, and
 * tells what ended by it (events). */
void store_sweep_start (store_t *self);

typedef void store_purge_fn (us_err_t code, uint64_t removed, void *arg);
/* channel NULL = all; state 0 = all end states. */
void store_purge (store_t *self, const char *channel, int state, uint64_t older_ms,
                  store_purge_fn *fn, void *arg);

/* Rows of jobs, newest first; cursor "" at the start and, in the reply, at the end. */
typedef void store_list_fn (us_err_t code, const store_record_t *records, size_t count,
                            const char *cursor, void *arg);
void store_list (store_t *self, const char *channel, int state, uint64_t older_ms,
                 unsigned limit, const char *cursor, store_list_fn *fn, void *arg);
/* Jobs whose id begins with prefix, at most limit. Looks at keys, in windows. */
void store_find (store_t *self, const uint8_t *prefix, size_t prefix_len,
                 unsigned limit, store_list_fn *fn, void *arg);

/* A queue that is not empty. Jobs that were cancelled in it may still be counted. */
typedef struct store_queue {
    char needs[USI_NEEDS_SIZE]; /* "python=3.11"; empty: any node serves it */
    uint64_t queued;
} store_queue_t;

typedef struct store_channel {
    const char *name;
    uint64_t queued, leased, running, backoff;
    uint64_t submitted, succeeded, failed, cancelled, dead, expired;
    uint64_t waiting; /* nodes with unused credit */
    store_queue_t *queues;
    size_t queues_len;
} store_channel_t;

typedef void store_channels_fn (us_err_t code, const store_channel_t *channels,
                                size_t count, void *arg);
/* The names of all channels (or of this one, if it is there), in order; counted are most
 * of them, beginning with number from. */
void store_channels (store_t *self, const char *channel, size_t from, size_t most,
                     store_channels_fn *fn, void *arg);

/* --- blobs ---------------------------------------------------------------------- */
typedef void store_size_fn (us_err_t code, uint64_t size, void *arg);
/* Also says that it will be named soon, which keeps it. size 0: not there. */
void store_blob_find (store_t *self, const uint8_t digest[USI_DIGEST_LEN],
                      store_size_fn *fn, void *arg);
void store_blob_put (store_t *self, const uint8_t digest[USI_DIGEST_LEN],
                     uint32_t index, uint64_t size, usi_bytes_t chunk,
                     store_code_fn *fn, void *arg);
void store_blob_get (store_t *self, const uint8_t digest[USI_DIGEST_LEN],
                     uint32_t index, store_read_fn *fn, void *arg);

/* --- registry ------------------------------------------------------------------- */
/* value: a msgpack map as in docs/redis-keys.md without seen_ms, which is added. */
void store_register_broker (store_t *self, usi_bytes_t value);
void store_unregister_broker (store_t *self);
void store_register_node (store_t *self, uint64_t node, usi_bytes_t value);
void store_unregister_node (store_t *self, uint64_t node);
/* Live entries only. */
typedef void store_registry_fn (us_err_t code, const usi_bytes_t *values, size_t count,
                                void *arg);
void store_brokers (store_t *self, store_registry_fn *fn, void *arg);
void store_nodes (store_t *self, store_registry_fn *fn, void *arg);

/* --- keys --------------------------------------------------------------------------- */
#define STORE_KEY_LEN 32

/* All certificates and the list of revoked keys, where something has changed since this was
 * last asked; otherwise fn is not called. Nothing that stands in the store is checked. */
typedef void store_keys_fn (us_err_t code, const usi_bytes_t *certificates,
                            size_t count, usi_bytes_t revoked, void *arg);
void store_keys (store_t *self, store_keys_fn *fn, void *arg);
void store_put_certificate (store_t *self, const uint8_t key[STORE_KEY_LEN],
                            usi_bytes_t certificate, store_code_fn *fn, void *arg);
void store_put_revoked (store_t *self, usi_bytes_t list, store_code_fn *fn, void *arg);

/* Another broker is told that its node is to be drained. */
void store_tell_drain (store_t *self, uint32_t broker, uint64_t node);

/* Receive wakes for this node from now on (or no longer). */
void store_relay (store_t *self, uint64_t node, bool on);
void store_wake_topic (const store_t *self, uint64_t node,
                       char topic[USI_MAX_TOPIC + 1]);

/* What doctor shows: pairs of setting and verdict. */
typedef void store_doctor_fn (us_err_t code, const char *const *findings, size_t count,
                              void *arg);
void store_doctor (store_t *self, store_doctor_fn *fn, void *arg);

#endif

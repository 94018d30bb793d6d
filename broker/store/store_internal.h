/* SPDX-License-Identifier: MIT
 *
 * What the sources of the store share: the object, operations and their batches. */
#ifndef BROKER_STORE_STORE_INTERNAL_H
#define BROKER_STORE_STORE_INTERNAL_H

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "redis/connection.h"
#include "redis/subscriber.h"
#include "store/blob_memory.h"
#include "store/health.h"
#include "store/store.h"

#define PARTITIONS      256
#define BATCH_ITEMS     512
#define BATCH_BYTES     (1024 * 1024)
#define CALLS_IN_FLIGHT 2
#define OP_MAX_ARGS     4
#define SWEEP_ITEMS     512

/* --- operations (batch.c) --------------------------------------------------------- */

typedef struct op op_t;

/* The answer to one operation; NULL where err says why there is none. */
typedef void op_done_fn (store_t *self, op_t *op, us_err_t err,
                         const usi_reply_t *answer);

typedef union op_fn {
    store_submit_fn *submit;
    store_claim_fn *claim;
    store_code_fn *code;
    store_done_fn *done;
    store_log_fn *log;
    store_cancel_fn *cancel;
    store_job_fn *job;
    store_read_fn *read;
} op_fn_t;

struct op {
    op_t *next;
    char letter;
    uint8_t partition;
    uint8_t tries;
    uint8_t argc;
    op_done_fn *done;
    op_fn_t fn;
    void *arg;
    usi_id_t id;
    uint32_t remaining;  /* claim: jobs still wanted after a cut answer */
    usi_buf_t *gathered; /* claim: what came before it */
    size_t len;          /* bytes of arguments so far */
    usi_bytes_t args[OP_MAX_ARGS];
    uint8_t data[];
};

/* room: for the bytes of all arguments, which op_arg then hands out. */
op_t *op_new (char letter, uint8_t partition, size_t room, op_done_fn *done, void *arg);
uint8_t *op_arg (op_t *op, size_t len);
void op_arg_copy (op_t *op, const void *data, size_t len);
/* Consumes the operation; its done runs exactly once, never within this call. Operations
 * of a partition are applied in the order of these calls. */
void op_queue (store_t *self, op_t *op);
/* What waits elsewhere counts as backlog from then on, and leaves by one of these:
 * op_queue_now, or op_finish, which runs done and frees it. */
void op_count (store_t *self, const op_t *op);
void op_queue_now (store_t *self, op_t *op);
void op_finish (store_t *self, op_t *op, us_err_t err, const usi_reply_t *answer);
/* 0, a negative number or the first element: the code of an answer. */
us_err_t op_code (const usi_reply_t *answer);
/* Everything waiting and every later answer fails with US_ERR_STORE. */
void batch_fail_waiting (store_t *self);
/* The end of the store: nothing waits any more. */
void batch_stop (store_t *self);
/* Something has become possible again: send. */
void batch_wake (store_t *self);

typedef struct partition {
    op_t *head, **tail;
    size_t count; /* waiting */
    unsigned in_flight;
    bool listed; /* in store_t.dirty */
    bool full;   /* submits were refused: they go apart */
    bool sweeping;
    int care; /* timer: something falls due before the next round, 0 = none */
    int64_t care_at_ms;
    /* store_t.clock_offset_ms as the last sweep was told it, and as the one under way is:
     * a step is told until a sweep has answered */
    int64_t clock_offset_ms, told_offset_ms;
    usi_buf_t channels; /* names by comma */
    usi_buf_t lost;     /* lost.c: claims by node, boot and nonce */
} partition_t;

/* --- the store -------------------------------------------------------------------- */

typedef struct deferred deferred_t;
typedef struct get get_t;

struct store {
    zloop_t *loop;
    store_events_t events;
    char *durability;
    usi_redis_url_t url;
    uint32_t broker;
    int64_t lease_ms, keep_ms, keep_jobs;
    usi_redis_t *redis;
    usi_subscriber_t *subscriber;
    bool ready;
    bool said_lost; /* the log has it already */
    /* constant arguments of every call */
    char admit[24], apply[24], library[24], hash[9];
    char broker_text[9], lease_text[24], keep_text[24], keep_jobs_text[24];
    char cluster[33];
    char wake_password[65];
    char *wake_url;
    health_t health;
    char run_id[41];
    bool loading_library;
    /* setup.c: somebody found the function library gone */
    void (*library_gone) (store_t *self);
    /* batches */
    partition_t partitions[PARTITIONS];
    uint8_t dirty[PARTITIONS];
    size_t dirty_count;
    int flush_timer;
    usi_bytes_t *args;
    size_t args_cap;
    deferred_t *deferred, **deferred_tail; /* plain commands that could not be sent */
    size_t backlog_ops, backlog_bytes;
    /* names in us:channels: all that are known, those added on this connection */
    zhash_t *channels;
    zhash_t *announced;
    /* time of Redis less our monotonic time, as of the last round; valid once ready */
    int64_t clock_offset_ms;
    int64_t clock_asked_ms;
    bool clock_known;
    /* sweeping */
    store_swept_fn *swept;
    void *swept_arg;
    int sweep_timer;
    int64_t sweep_every_ms;
    unsigned sweep_round;
    /* blobs */
    blob_memory_t *known;
    zhashx_t *guards;         /* guard.c: job id -> the last operation that waits */
    list_t checks;            /* blob_check.c: blobs whose sum is being made */
    bool is_checking;         /* a chunk of the first of them is under way */
    get_t *gets, **gets_tail; /* reads of chunks that wait for their turn */
    unsigned gets_in_flight;
    int64_t collected_ms; /* last round of the collector */
};

static inline int64_t store_now_ms (const store_t *self)
{
    return usi_now_ms () + self->clock_offset_ms;
}

/* A plain command outside of batches; fn runs exactly once, later, with NULL where
 * there is no connection. */
void store_command (store_t *self, const usi_bytes_t *args, size_t count,
                    usi_reply_fn *fn, void *arg);
void store_text (store_t *self, usi_reply_fn *fn, void *arg, const char *command, ...)
    __attribute__ ((sentinel));
/* Calls one of our functions outside of batches, by its name behind us_HASH_. */
void store_call (store_t *self, const char *name, const char *key,
                 const usi_bytes_t *args, size_t count, usi_reply_fn *fn, void *arg);
static inline usi_bytes_t text_of (const char *text)
{
    return usi_bytes_of (text);
}

/* A channel is in use: it is known to all before its first job is. */
void store_announce (store_t *self, const char *channel);
void store_learn_channel (store_t *self, const char *channel);
/* Those in us:channels; they are anybody's. */
void store_learn_channels (store_t *self, const usi_reply_t *names);
uint8_t store_partition_of (const char *channel);

/* setup.c */
void setup_start (store_t *self);
void setup_load_library (store_t *self);
/* topics.c */
void topics_start (store_t *self);
/* sweep.c */
void sweep_after (store_t *self, uint8_t number, int64_t wait_ms);
/* list: id, state and peers of each job that ended unasked. */
void sweep_tell_ended (store_t *self, const usi_reply_t *list);
void sweep_stop (store_t *self);
/* lost.c */
/* These left, and the connection went before the answer came. */
void lost_note (store_t *self, const op_t *ops);
/* Connected again: what they claimed goes back. */
void lost_take_back (store_t *self);
/* operations.c */
void job_from_answer (store_t *self, const usi_id_t *id, const usi_reply_t *answer,
                      store_job_fn *fn, void *arg);
size_t peers_from (usi_bytes_t packed, uint32_t *peers, size_t max);
/* blobs.c: this broker has seen it lately, and would have been told if it was lost. */
bool blob_is_known (const store_t *self, const uint8_t digest[USI_DIGEST_LEN]);
/* collector.c */
void collector_round (store_t *self);
/* What was touched before the clock stepped cannot be told from what is old. */
void collector_stepped (store_t *self);

#endif

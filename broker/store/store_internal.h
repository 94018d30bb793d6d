/* SPDX-License-Identifier: MIT
 *
 * The object that all sources of the store share: what each of them keeps in it stands
 * together. It declares no function: those stand in the header of their source. */
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

#define PARTITIONS 256

typedef struct op op_t;

typedef struct partition {
    op_t *head, **tail;
    size_t count; /* operations that wait */
    unsigned in_flight;
    bool listed; /* in store_t.dirty */
    bool full;   /* Redis refused submits: they are sent in calls of their own */
    bool sweeping;
    int due_timer; /* something falls due before the next round; 0 = nothing */
    int64_t due_at_ms;
    /* store_t.clock_offset_ms as the last sweep was told it, and as the one under way is:
     * a step is told until a sweep has answered */
    int64_t clock_offset_ms, told_offset_ms;
    usi_buf_t channels; /* names by comma */
    usi_buf_t lost;     /* claim_recovery.c: claims by node, boot and nonce */
} partition_t;

/* --- the store -------------------------------------------------------------------- */

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
    bool said_lost; /* the loss of the connection is in the log */
    /* constant arguments of all calls */
    char admit[24], apply[24], library[24], hash[9];
    char broker_text[9], lease_text[24], keep_text[24], keep_jobs_text[24];
    char cluster[33];
    int64_t keys_changes; /* as last looked at; keys.c */
    char wake_password[65];
    char *wake_url;
    bool wake_given; /* by the operator: no user is made */
    health_t health;
    char run_id[41];
    bool loading_library;
    /* loads the function library again, where a call has found it gone (setup.c) */
    void (*library_gone) (store_t *self);
    /* command.c: commands that could not be sent */
    list_t deferred;
    int deferred_timer;
    /* batches */
    partition_t partitions[PARTITIONS];
    uint8_t dirty[PARTITIONS];
    size_t dirty_count;
    int flush_timer;
    usi_bytes_t *args;
    size_t args_cap;
    size_t backlog_ops, backlog_bytes;
    /* names in us:channels: all that are known, those added on this connection */
    zhash_t *channels;
    zhash_t *announced;
    /* time of Redis less our monotonic time, as of the last round; valid once ready */
    int64_t clock_offset_ms;
    int64_t clock_asked_ms;
    bool clock_known;
    /* sweeping */
    int sweep_timer; /* 0: nobody has asked for sweeps */
    int64_t sweep_every_ms;
    unsigned sweep_round;
    /* blobs */
    blob_memory_t *known;
    zhashx_t *guards; /* guard.c: job id -> the last operation that waits */
    list_t checks;    /* blob_check.c: blobs whose sum is being made */
    bool is_checking; /* a chunk of the first of them is under way */
    list_t gets;      /* blobs.c: reads of chunks that wait for their turn */
    unsigned gets_in_flight;
    int64_t collected_ms; /* last round of the collector */
};

static inline int64_t store_now_ms (const store_t *self)
{
    return usi_now_ms () + self->clock_offset_ms;
}

#endif

/* SPDX-License-Identifier: MIT
 *
 * The collector: once a minute it looks for blobs that nobody has touched for an hour and
 * no job names, and removes them.
 *
 * Others may put such a blob again at the same moment. They touch it first and delete its
 * key g then; the collector writes g first, takes the blob out of us:blobs if it is still
 * old, and removes it only if g is still what it has written. So either it sees the touch
 * or it does not find its g: whatever is put stays. */
#include "store/collector.h"

#include <stdlib.h>

#include "store/blob_keys.h"
#include "store/command.h"

#define UNNAMED_MS    3600000
#define COLLECT_MS    60000
#define FIRST_MS      5000 /* a broker may not live for longer than a minute */
#define COLLECT_COUNT "16"
#define CLAIM_S       "60" /* how long g stays where its writer died */

typedef struct collect {
    store_t *self;
    uint8_t digest[USI_DIGEST_LEN];
    uint8_t token[8]; /* what g holds while this one is at work */
    unsigned waiting;
    bool keep; /* a job names it, or Redis does not answer */
} collect_t;

/* Where somebody has put the blob meanwhile, or Redis has refused, it stays in the list. */
static void s_on_collected (const usi_reply_t *reply, void *arg)
{
    collect_t *collect = arg;
    if (usi_reply_int (reply) != 1)
        blob_touch (collect->self, collect->digest, false, NULL, NULL);
    free (collect);
}

static void s_on_taken_out (const usi_reply_t *reply, void *arg)
{
    collect_t *collect = arg;
    store_t *self = collect->self;
    if (usi_reply_int (reply) != 1) { /* somebody touched it meanwhile */
        command_text (self, NULL, NULL, "DEL", blob_key (collect->digest, "g").text,
                      NULL);
        free (collect);
        return;
    }
    const usi_bytes_t token = usi_bytes (collect->token, sizeof collect->token);
    blob_memory_forget (self->known, collect->digest);
    blob_call (self, collect->digest, "blob_collect", &token, 1, s_on_collected,
               collect);
}

static void s_on_claimed (const usi_reply_t *reply, void *arg)
{
    collect_t *collect = arg;
    char before[24];
    if (!usi_reply_is (reply, USI_REPLY_BYTES)) { /* not "OK": another broker does it */
        free (collect);
        return;
    }
    snprintf (before, sizeof before, "%lld",
              (long long) (store_now_ms (collect->self) - UNNAMED_MS));
    const usi_bytes_t args[] = {usi_bytes (collect->digest, USI_DIGEST_LEN),
                                usi_bytes_of (before)};
    command_call (collect->self, "blob_take_out", "us:blobs", args, 2, s_on_taken_out,
                  collect);
}

static void s_claim (collect_t *collect)
{
    usi_put_be (collect->token, usi_random64 (), sizeof collect->token);
    const usi_bytes_t args[] = {usi_bytes_of ("SET"),
                                usi_bytes_of (blob_key (collect->digest, "g").text),
                                usi_bytes (collect->token, sizeof collect->token),
                                usi_bytes_of ("NX"),
                                usi_bytes_of ("EX"),
                                usi_bytes_of (CLAIM_S)};
    command_send (collect->self, args, 6, s_on_claimed, collect);
}

static void s_on_named_in (const usi_reply_t *reply, void *arg)
{
    collect_t *collect = arg;
    if (!usi_reply_is (reply, USI_REPLY_INT) || usi_reply_int (reply) != 0)
        collect->keep = true;
    if (--collect->waiting)
        return;
    if (!collect->keep) {
        s_claim (collect);
        return;
    }
    blob_touch (collect->self, collect->digest, true, NULL, NULL);
    free (collect);
}

/* Some partition has a channel, so that one question at least is asked. */
static void s_collect (store_t *self, const uint8_t *digest)
{
    collect_t *collect = usi_new (collect_t);
    collect->self = self;
    memcpy (collect->digest, digest, USI_DIGEST_LEN);
    for (unsigned i = 0; i < PARTITIONS; i++) {
        char key[24];
        if (!self->partitions[i].channels.len)
            continue;
        snprintf (key, sizeof key, "us:{%02x}:blobs", i);
        const usi_bytes_t args[] = {usi_bytes_of ("HEXISTS"), usi_bytes_of (key),
                                    usi_bytes (collect->digest, USI_DIGEST_LEN)};
        collect->waiting++;
        command_send (self, args, 3, s_on_named_in, collect);
    }
}

static void s_on_old (const usi_reply_t *reply, void *arg)
{
    store_t *self = arg;
    for (size_t i = 0; i < usi_reply_count (reply); i++) {
        usi_bytes_t digest = usi_reply_bytes (usi_reply_at (reply, i));
        if (digest.len == USI_DIGEST_LEN)
            s_collect (self, digest.data);
    }
}

void collector_stepped (store_t *self)
{
    self->collected_ms = usi_now_ms () + UNNAMED_MS;
}

void collector_round (store_t *self)
{
    char before[24];
    int64_t now_ms = usi_now_ms ();
    if (zhash_size (self->channels) == 0)
        return; /* which jobs there are is not known yet */
    if (self->collected_ms && now_ms - self->collected_ms < COLLECT_MS)
        return;
    if (!self->collected_ms) { /* channels are being learnt */
        self->collected_ms = now_ms - COLLECT_MS + FIRST_MS;
        return;
    }
    self->collected_ms = now_ms;
    snprintf (before, sizeof before, "%lld",
              (long long) (store_now_ms (self) - UNNAMED_MS));
    command_text (self, s_on_old, self, "ZRANGEBYSCORE", "us:blobs", "-inf", before,
                  "LIMIT", "0", COLLECT_COUNT, NULL);
}

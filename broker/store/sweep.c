/* SPDX-License-Identifier: MIT
 *
 * See sweep.h. A round compares the time of Redis with ours, makes sure that this is still
 * the same Redis, and sweeps every partition that has a channel: leases, waits, expiries
 * and retention. Between rounds a partition is swept when something in it falls due (a
 * retry, the end of a lease). */
#include "store/sweep.h"

#include "base/log.h"
#include "store/batch.h"
#include "store/channels.h"
#include "store/collector.h"
#include "store/command.h"
#include "store/events.h"

#define SWEEP_ITEMS     512 /* handled by one call */
#define RETAIN_EVERY_MS 5000
#define LEAST_WAIT_MS   5
#define JUMP_MS         1000 /* as STEP_MS of the functions */
#define SLOW_REPLY_MS   500

static void s_sweep (store_t *self, uint8_t number, bool retain);

static bool s_is_step (int64_t ms)
{
    return ms > JUMP_MS || ms < -JUMP_MS;
}

/* --- one partition ---------------------------------------------------------------- */

static void s_on_swept (store_t *self, op_t *op, us_err_t err,
                        const usi_reply_t *answer)
{
    partition_t *partition = &self->partitions[op->partition];
    partition->sweeping = false;
    if (err || !usi_reply_is (answer, USI_REPLY_ARRAY))
        return;
    partition->clock_offset_ms = partition->told_offset_ms;
    if (!self->sweep_timer)
        return;
    events_tell_ended (self, usi_reply_at (answer, 1));
    if (usi_reply_int (usi_reply_at (answer, 0)) >= SWEEP_ITEMS) {
        s_sweep (self, op->partition, true); /* there is more */
        return;
    }
    int64_t wait_ms = usi_reply_int (usi_reply_at (answer, 2));
    if (wait_ms >= 0)
        sweep_after (self, op->partition, wait_ms);
}

static void s_sweep (store_t *self, uint8_t number, bool retain)
{
    partition_t *partition = &self->partitions[number];
    if (partition->sweeping || !self->ready)
        return;
    partition->told_offset_ms = self->clock_offset_ms;
    int64_t step_ms = self->clock_offset_ms - partition->clock_offset_ms;
    if (!s_is_step (step_ms))
        step_ms = 0;
    usi_bytes_t names =
        retain ? usi_buf_bytes (&partition->channels) : usi_bytes ("", 0);
    op_t *op = op_new (OP_SWEEP, number, 12 + names.len, s_on_swept, NULL);
    uint8_t *at = op_arg (op, 12);
    usi_put_be (at, SWEEP_ITEMS, 4);
    usi_put_be (at + 4, (uint64_t) step_ms, 8);
    op_arg_copy (op, names.data, names.len);
    partition->sweeping = true;
    op_queue (self, op);
}

static int s_on_due (zloop_t *loop, int timer, void *arg)
{
    (void) loop;
    store_t *self = arg;
    for (unsigned i = 0; i < PARTITIONS; i++)
        if (self->partitions[i].due_timer == timer) {
            self->partitions[i].due_timer = 0;
            s_sweep (self, (uint8_t) i, false);
        }
    return 0;
}

void sweep_after (store_t *self, uint8_t number, int64_t wait_ms)
{
    partition_t *partition = &self->partitions[number];
    if (!self->sweep_timer || wait_ms >= self->sweep_every_ms)
        return; /* the next round comes before */
    if (wait_ms < LEAST_WAIT_MS)
        wait_ms = LEAST_WAIT_MS;
    int64_t at_ms = usi_now_ms () + wait_ms;
    if (partition->due_timer && partition->due_at_ms <= at_ms)
        return;
    if (partition->due_timer)
        zloop_timer_end (self->loop, partition->due_timer);
    partition->due_at_ms = at_ms;
    partition->due_timer =
        zloop_timer (self->loop, (size_t) wait_ms, 1, s_on_due, self);
}

/* --- rounds ----------------------------------------------------------------------- */

static void s_round (store_t *self)
{
    unsigned every = (unsigned) (RETAIN_EVERY_MS / self->sweep_every_ms) + 1;
    bool retain = self->sweep_round++ % every == 0;
    for (unsigned i = 0; i < PARTITIONS; i++)
        if (self->partitions[i].channels.len)
            s_sweep (self, (uint8_t) i, retain);
        else
            self->partitions[i].clock_offset_ms = self->clock_offset_ms;
    if (retain)
        collector_round (self);
}

/* Where the time of Redis and ours have moved apart, one of the clocks has stepped. */
static void s_on_time (const usi_reply_t *reply, void *arg)
{
    store_t *self = arg;
    int64_t now_ms = usi_now_ms (), time_ms = usi_reply_time_ms (reply);
    if (time_ms < 0 || !self->ready)
        return;
    int64_t offset_ms = time_ms - now_ms;
    int64_t step_ms = offset_ms - self->clock_offset_ms;
    if (now_ms - self->clock_asked_ms < SLOW_REPLY_MS) {
        if (s_is_step (step_ms)) {
            usi_warning ("store.clock_step", "the clock of Redis stepped by_ms=%lld",
                         (long long) step_ms);
            collector_stepped (self);
        }
        self->clock_offset_ms = offset_ms;
    }
    s_round (self);
}

static void s_on_cluster (const usi_reply_t *reply, void *arg)
{
    store_t *self = arg;
    if (!reply || !self->ready || usi_reply_is (reply, USI_REPLY_ERROR))
        return;
    if (!usi_bytes_equal (usi_reply_bytes (reply), usi_bytes_of (self->cluster)))
        usi_redis_drop (self->redis, "the store was emptied");
}

static void s_on_channels (const usi_reply_t *reply, void *arg)
{
    channels_learn (arg, reply);
}

static int s_on_round (zloop_t *loop, int timer, void *arg)
{
    (void) loop;
    (void) timer;
    store_t *self = arg;
    if (!self->ready)
        return 0;
    self->clock_asked_ms = usi_now_ms ();
    command_text (self, s_on_cluster, self, "GET", "us:cluster", NULL);
    if (self->sweep_round % 4 == 0)
        command_text (self, s_on_channels, self, "SMEMBERS", "us:channels", NULL);
    command_text (self, s_on_time, self, "TIME", NULL);
    return 0;
}

void store_sweep_start (store_t *self)
{
    if (!self->sweep_timer)
        self->sweep_timer = zloop_timer (self->loop, (size_t) self->sweep_every_ms, 0,
                                         s_on_round, self);
}

void sweep_stop (store_t *self)
{
    if (self->sweep_timer)
        zloop_timer_end (self->loop, self->sweep_timer);
    self->sweep_timer = 0;
    for (unsigned i = 0; i < PARTITIONS; i++) {
        if (self->partitions[i].due_timer)
            zloop_timer_end (self->loop, self->partitions[i].due_timer);
        self->partitions[i].due_timer = 0;
    }
}

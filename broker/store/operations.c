/* SPDX-License-Identifier: MIT
 *
 * Packs each operation on a job for the function library, and unpacks its answer
 * (docs/redis-keys.md, Functions). Everything goes through guard_queue, so that operations
 * on one job keep their order where one of them waits for blobs. Stands on guard.h. */
#include <stdlib.h>

#include "store/batch.h"
#include "store/channels.h"
#include "store/claim_recovery.h"
#include "store/events.h"
#include "store/guard.h"
#include "store/sweep.h"

#define DONE_LEN    15  /* of its answer, before the peers */
#define DONE_ANYHOW 128 /* with the outcome: even where log is missing */
#define NO_BLOBS    usi_bytes (NULL, 0)

/* --- packing ---------------------------------------------------------------------- */

static void s_put_int (op_t *op, uint64_t value, unsigned size)
{
    usi_put_be (op_arg (op, size), value, size);
}

static void s_put_id (op_t *op, const usi_id_t *id)
{
    op_arg_copy (op, id->bytes, US_ID_LEN);
    op->id = *id;
}

static size_t s_peers_at (const usi_reply_t *answer, size_t index,
                          uint32_t peers[RECORD_MAX_PEERS])
{
    return record_peers (usi_reply_bytes (usi_reply_at (answer, index)), peers);
}

/* err where there is one, else the code of the answer */
static us_err_t s_code (us_err_t err, const usi_reply_t *answer)
{
    return err ? err : op_code (answer);
}

/* --- submit ----------------------------------------------------------------------- */

static void s_submit_done (store_t *self, op_t *op, us_err_t err,
                           const usi_reply_t *answer)
{
    (void) self;
    err = s_code (err, answer);
    op->fn.submit (err, err ? 0 : (int) usi_reply_int (answer), op->arg);
}

void store_submit (store_t *self, const store_submit_t *job, store_submit_fn *fn,
                   void *arg)
{
    usi_bytes_t needs = usi_bytes_of (job->needs ? job->needs : "");
    size_t len = record_len (job);
    op_t *op = op_new (OP_SUBMIT, usi_id_partition (&job->id),
                       US_ID_LEN + len + needs.len, s_submit_done, arg);
    op->fn.submit = fn;
    s_put_id (op, &job->id);
    record_write (op_arg (op, len), job, self->broker);
    op_arg_copy (op, needs.data, needs.len);
    channel_announce (self, job->channel);
    guard_queue (self, op, job->blobs);
}

/* --- claim ------------------------------------------------------------------------ */

/* Keeps the jobs of an answer that was cut, until the rest has come. */
static void s_gather_claimed (usi_buf_t *rows, const usi_reply_t *answer)
{
    for (size_t i = 1; i + 1 < usi_reply_count (answer); i += 2)
        record_add_row (rows, usi_reply_bytes (usi_reply_at (answer, i)),
                        usi_reply_bytes (usi_reply_at (answer, i + 1)));
}

static void s_add_claimed (store_claimed_t *job, const store_record_t *record)
{
    *job = (store_claimed_t){.record = *record,
                             .log_len = record->log_base,
                             .build_len = record->build_base};
}

static void s_give_claimed (op_t *op, us_err_t err, const usi_reply_t *answer)
{
    usi_bytes_t rows =
        op->gathered ? usi_buf_bytes (op->gathered) : usi_bytes (NULL, 0);
    size_t more = usi_reply_count (answer), count = 0, at = 0;
    size_t max = more / 2 + rows.len / (US_ID_LEN + 4);
    store_claimed_t *jobs = usi_alloc ((max + 1) * sizeof *jobs);
    store_record_t record;
    while (record_next_row (rows, &at, &record))
        s_add_claimed (&jobs[count++], &record);
    for (size_t i = 1; i + 1 < more; i += 2) {
        usi_id_t id;
        usi_bytes_t name = usi_reply_bytes (usi_reply_at (answer, i));
        if (name.len != US_ID_LEN)
            continue;
        memcpy (id.bytes, name.data, US_ID_LEN);
        if (record_parse (&record, &id,
                          usi_reply_bytes (usi_reply_at (answer, i + 1))) == US_OK)
            s_add_claimed (&jobs[count++], &record);
    }
    op->fn.claim (count ? US_OK : err, jobs, count, op->arg);
    free (jobs);
}

/* Odd: zero stands for no nonce, and record.c needs one that no claim has. */
static uint64_t s_nonce (void)
{
    return usi_random64 () | 1;
}

/* The answer was cut because it grew large: keep this part and ask for the rest. */
static void s_claim_on (store_t *self, op_t *op, const usi_reply_t *answer);

static void s_claim_done (store_t *self, op_t *op, us_err_t err,
                          const usi_reply_t *answer)
{
    if (op->is_unknown)
        claim_recovery_note (self, op);
    err = s_code (err, answer);
    if (!err && usi_reply_int (usi_reply_at (answer, 0)) == 1)
        s_claim_on (self, op, answer);
    else
        s_give_claimed (op, err, err ? NULL : answer);
}

static void s_claim_on (store_t *self, op_t *op, const usi_reply_t *answer)
{
    uint32_t got = (uint32_t) (usi_reply_count (answer) - 1) / 2;
    op_t *next = op_copy (op);
    next->remaining = op->remaining - got;
    /* The rest has a nonce of its own: where its answer is lost, only the rest is handed
     * back. */
    usi_put_be (next->data + 12, s_nonce (), 8);
    usi_put_be (next->data + 20, next->remaining, 4);
    next->gathered = op->gathered ? op->gathered : usi_new (usi_buf_t);
    op->gathered = NULL;
    s_gather_claimed (next->gathered, answer);
    guard_queue (self, next, NO_BLOBS);
}

void store_claim (store_t *self, const store_claim_t *claim, store_claim_fn *fn,
                  void *arg)
{
    char topic[USI_MAX_TOPIC + 1] = "";
    store_wake_topic (self, claim->node, topic);
    size_t name_len = strlen (claim->channel), topic_len = strlen (topic);
    size_t room = 25 + name_len + 4 * claim->classes_len + topic_len;
    op_t *op =
        op_new (OP_CLAIM, channel_partition (claim->channel), room, s_claim_done, arg);
    op->fn.claim = fn;
    op->remaining = claim->count;
    uint8_t *at = op_arg (op, 25);
    usi_put_be (at, claim->node, 8);
    usi_put_be (at + 8, claim->boot, 4);
    usi_put_be (at + 12, s_nonce (), 8);
    usi_put_be (at + 20, claim->count, 4);
    at[24] = claim->waiting;
    op_arg_copy (op, claim->channel, name_len);
    at = op_arg (op, 4 * claim->classes_len);
    for (size_t i = 0; i < claim->classes_len; i++)
        usi_put_be (at + 4 * i, claim->classes[i], 4);
    op_arg_copy (op, topic, topic_len);
    channel_learn (self, claim->channel);
    guard_queue (self, op, NO_BLOBS);
}

/* --- while it is held ------------------------------------------------------------- */

static void s_code_done (store_t *self, op_t *op, us_err_t err,
                         const usi_reply_t *answer)
{
    (void) self;
    op->fn.code (s_code (err, answer), op->arg);
}

/* The answer to started and renew: a code, and our own peers where it has started
 * now. */
static void s_started_done (store_t *self, op_t *op, us_err_t err,
                            const usi_reply_t *answer)
{
    usi_bytes_t peers = usi_reply_bytes (usi_reply_at (answer, 1));
    if (peers.len)
        events_tell (self, self->events.started, &op->id, peers);
    s_code_done (self, op, err, answer);
}

static op_t *s_fenced (opcode_t opcode, const store_fence_t *fence, size_t room,
                       op_done_fn *done, void *arg)
{
    op_t *op = op_new (opcode, usi_id_partition (&fence->id), RECORD_FENCE_LEN + room,
                       done, arg);
    record_write_fence (op_arg (op, RECORD_FENCE_LEN), fence);
    op->id = fence->id;
    return op;
}

void store_started (store_t *self, const store_fence_t *fence, store_code_fn *fn,
                    void *arg)
{
    op_t *op = s_fenced (OP_STARTED, fence, 0, s_started_done, arg);
    op->fn.code = fn;
    guard_queue (self, op, NO_BLOBS);
}

void store_renew (store_t *self, const store_fence_t *fence, bool started,
                  store_code_fn *fn, void *arg)
{
    op_t *op = s_fenced (OP_RENEW, fence, 1, s_started_done, arg);
    s_put_int (op, started, 1);
    op->fn.code = fn;
    guard_queue (self, op, NO_BLOBS);
}

/* A cancelled job ends when it is handed back. */
static void s_hand_back_done (store_t *self, op_t *op, us_err_t err,
                              const usi_reply_t *answer)
{
    int state = (int) usi_reply_int (usi_reply_at (answer, 1));
    if (us_state_is_end (state))
        events_tell (self, self->events.ended, &op->id,
                     usi_reply_bytes (usi_reply_at (answer, 2)));
    s_code_done (self, op, err, answer);
}

void store_hand_back (store_t *self, const store_fence_t *fence, store_code_fn *fn,
                      void *arg)
{
    op_t *op = s_fenced (OP_HAND_BACK, fence, 0, s_hand_back_done, arg);
    op->fn.code = fn;
    guard_queue (self, op, NO_BLOBS);
}

/* --- done ------------------------------------------------------------------------- */

/* The end of the attempt came before log that Redis has refused for the moment: it is sent
 * once more, behind that log. */
static void s_done_again (store_t *self, const op_t *op)
{
    op_t *next = op_copy (op);
    next->data[RECORD_FENCE_LEN] |= DONE_ANYHOW;
    guard_queue (self, next, NO_BLOBS);
}

static void s_done_done (store_t *self, op_t *op, us_err_t err,
                         const usi_reply_t *answer)
{
    uint32_t peers[RECORD_MAX_PEERS];
    usi_bytes_t packed = usi_reply_bytes (answer);
    if (!err && (!usi_reply_is (answer, USI_REPLY_BYTES) || packed.len < DONE_LEN))
        err = op_code (answer) ? op_code (answer) : US_ERR_STORE;
    if (err == US_ERR_BUSY && !(op->data[RECORD_FENCE_LEN] & DONE_ANYHOW)) {
        s_done_again (self, op);
        return;
    }
    if (err) {
        op->fn.done (err, NULL, op->arg);
        return;
    }
    int64_t wait_ms = (int64_t) usi_get_be (packed.data + 1, 2);
    if (wait_ms)
        sweep_after (self, op->partition, wait_ms);
    usi_bytes_t rest = usi_bytes (packed.data + DONE_LEN, packed.len - DONE_LEN);
    const store_finished_t reply = {.state = packed.data[0],
                                    .started_ms =
                                        (int64_t) usi_get_be (packed.data + 3, 6),
                                    .ended_ms =
                                        (int64_t) usi_get_be (packed.data + 9, 6),
                                    .peers = peers,
                                    .peers_len = record_peers (rest, peers)};
    op->fn.done (US_OK, &reply, op->arg);
}

/* The blobs that the result names, with the one that is the result itself as the last. */
static usi_bytes_t s_result_blobs (const store_done_t *done, usi_buf_t *buf)
{
    if (record_buffers (done->blobs, done->blob).len + done->blob.len ==
        done->blobs.len)
        return done->blobs;
    usi_buf_append (buf, done->blobs.data, done->blobs.len);
    usi_buf_append (buf, done->blob.data, done->blob.len);
    return usi_buf_bytes (buf);
}

void store_done (store_t *self, const store_done_t *done, store_done_fn *fn, void *arg)
{
    usi_buf_t buf = {0};
    usi_bytes_t blobs = s_result_blobs (done, &buf);
    size_t len = record_result_len (done, blobs);
    op_t *op = s_fenced (OP_DONE, &done->fence, 1 + len, s_done_done, arg);
    op->fn.done = fn;
    s_put_int (op, done->outcome, 1);
    record_write_result (op_arg (op, len), done, blobs);
    guard_queue (self, op, blobs);
    usi_buf_free (&buf);
}

/* --- logs ------------------------------------------------------------------------- */

static void s_log_done (store_t *self, op_t *op, us_err_t err,
                        const usi_reply_t *answer)
{
    (void) self;
    uint32_t peers[RECORD_MAX_PEERS];
    size_t count = s_peers_at (answer, 2, peers);
    op->fn.log (s_code (err, answer),
                (uint64_t) usi_reply_int (usi_reply_at (answer, 1)), peers, count,
                op->arg);
}

void store_log (store_t *self, const store_fence_t *fence, int stream, uint64_t offset,
                usi_bytes_t bytes, store_log_fn *fn, void *arg)
{
    op_t *op = s_fenced (OP_LOG, fence, 7 + bytes.len, s_log_done, arg);
    op->fn.log = fn;
    s_put_int (op, (uint64_t) stream, 1);
    s_put_int (op, offset, 6);
    op_arg_copy (op, bytes.data, bytes.len);
    guard_queue (self, op, NO_BLOBS);
}

static void s_read_done (store_t *self, op_t *op, us_err_t err,
                         const usi_reply_t *answer)
{
    (void) self;
    op->fn.read (s_code (err, answer), usi_reply_bytes (usi_reply_at (answer, 1)),
                 (uint64_t) usi_reply_int (usi_reply_at (answer, 2)), op->arg);
}

void store_log_from (store_t *self, const usi_id_t *id, int stream, uint64_t offset,
                     uint32_t size, store_read_fn *fn, void *arg)
{
    op_t *op =
        op_new (OP_LOG_FROM, usi_id_partition (id), US_ID_LEN + 11, s_read_done, arg);
    op->fn.read = fn;
    s_put_id (op, id);
    s_put_int (op, (uint64_t) stream, 1);
    s_put_int (op, offset, 6);
    s_put_int (op, size, 4);
    guard_queue (self, op, NO_BLOBS);
}

/* --- cancel ----------------------------------------------------------------------- */

static void s_cancel_done (store_t *self, op_t *op, us_err_t err,
                           const usi_reply_t *answer)
{
    (void) self;
    uint32_t peers[RECORD_MAX_PEERS];
    store_cancelled_t reply = {0};
    err = s_code (err, answer);
    usi_bytes_t node = usi_reply_bytes (usi_reply_at (answer, 3));
    reply.state = (int) usi_reply_int (usi_reply_at (answer, 1));
    reply.holder = (uint32_t) usi_reply_int (usi_reply_at (answer, 2));
    reply.node = node.len == 8 ? usi_get_be (node.data, 8) : 0;
    reply.attempt = (uint32_t) usi_reply_int (usi_reply_at (answer, 4));
    reply.peers = peers;
    reply.peers_len = s_peers_at (answer, 5, peers);
    op->fn.cancel (err, &reply, op->arg);
}

void store_cancel (store_t *self, const usi_id_t *id, int mode, store_cancel_fn *fn,
                   void *arg)
{
    op_t *op =
        op_new (OP_CANCEL, usi_id_partition (id), US_ID_LEN + 1, s_cancel_done, arg);
    op->fn.cancel = fn;
    s_put_id (op, id);
    s_put_int (op, mode != 0, 1);
    guard_queue (self, op, NO_BLOBS);
}

/* --- watch and get ---------------------------------------------------------------- */

/* A job that ended without a node has no result. One that ran to its end has a result;
 * where that cannot be read, the code says so. */
static void s_fill_result (store_job_t *job, usi_bytes_t stored)
{
    const store_record_t *record = &job->record;
    bool ran = record->state == US_STATE_SUCCEEDED || record->state == US_STATE_FAILED;
    bool known = record_parse_result (&job->result, stored) == US_OK;
    if (!known)
        job->result = (store_result_t){.state = record->state,
                                       .code = ran ? US_ERR_STORE : US_OK,
                                       .log_end = job->log_len,
                                       .build_end = job->build_len,
                                       .ended_ms = record->ended_ms};
    if (!job->result.code)
        job->result.code = record_end_code (record->state, record->crashes);
}

static void s_give_job (const usi_id_t *id, const usi_reply_t *answer, store_job_fn *fn,
                        void *arg)
{
    store_job_t job = {0};
    us_err_t err =
        record_parse (&job.record, id, usi_reply_bytes (usi_reply_at (answer, 1)));
    if (err) {
        fn (err, NULL, arg);
        return;
    }
    job.log_len = (uint64_t) usi_reply_int (usi_reply_at (answer, 3));
    job.build_len = (uint64_t) usi_reply_int (usi_reply_at (answer, 4));
    job.has_result = us_state_is_end (job.record.state);
    if (job.has_result)
        s_fill_result (&job, usi_reply_bytes (usi_reply_at (answer, 2)));
    fn (US_OK, &job, arg);
}

static void s_job_done (store_t *self, op_t *op, us_err_t err,
                        const usi_reply_t *answer)
{
    (void) self;
    err = s_code (err, answer);
    if (err)
        op->fn.job (err, NULL, op->arg);
    else
        s_give_job (&op->id, answer, op->fn.job, op->arg);
}

void store_watch (store_t *self, const usi_id_t *id, uint32_t peer, unsigned flags,
                  store_job_fn *fn, void *arg)
{
    op_t *op = op_new (OP_WATCH, usi_id_partition (id), US_ID_LEN + 5, s_job_done, arg);
    op->fn.job = fn;
    s_put_id (op, id);
    s_put_int (op, peer, 4);
    s_put_int (op, flags & 0xff, 1);
    guard_queue (self, op, NO_BLOBS);
}

void store_unwatch (store_t *self, const usi_id_t *id, uint32_t peer, store_code_fn *fn,
                    void *arg)
{
    op_t *op =
        op_new (OP_UNWATCH, usi_id_partition (id), US_ID_LEN + 4, s_code_done, arg);
    op->fn.code = fn;
    s_put_id (op, id);
    s_put_int (op, peer, 4);
    guard_queue (self, op, NO_BLOBS);
}

void store_get (store_t *self, const usi_id_t *id, bool with_body, store_job_fn *fn,
                void *arg)
{
    op_t *op = op_new (OP_GET, usi_id_partition (id), US_ID_LEN + 1, s_job_done, arg);
    op->fn.job = fn;
    s_put_id (op, id);
    s_put_int (op, with_body, 1);
    guard_queue (self, op, NO_BLOBS);
}

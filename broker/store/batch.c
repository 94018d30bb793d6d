/* SPDX-License-Identifier: MIT
 *
 * See batch.h. At most two calls of a partition are under way; operations that come
 * meanwhile wait, and so batches grow with the load and never by a timer. */
#include "store/batch.h"

#include <stdlib.h>

#include "base/log.h"

#define CONSTANT_ARGS   10 /* FCALL name 1 key cluster broker lease keep keep-jobs time */
#define BATCH_ITEMS     512
#define BATCH_BYTES     (1024 * 1024)
#define CALLS_IN_FLIGHT 2 /* of a partition */
#define MAX_TRIES       3

typedef struct batch {
    store_t *self;
    uint8_t partition;
    bool admit;
    op_t *ops;
    size_t count;
} batch_t;

static void s_flush_later (store_t *self);

/* --- operations ------------------------------------------------------------------- */

op_t *op_new (opcode_t opcode, uint8_t partition, size_t room, op_done_fn *done,
              void *arg)
{
    op_t *op = usi_alloc (sizeof *op + room);
    op->opcode = (char) opcode;
    op->partition = partition;
    op->done = done;
    op->arg = arg;
    return op;
}

uint8_t *op_arg (op_t *op, size_t len)
{
    US_ASSERT (op->argc < OP_MAX_ARGS);
    uint8_t *at = op->data + op->len;
    op->args[op->argc++] = usi_bytes (at, len);
    op->len += len;
    return at;
}

void op_arg_copy (op_t *op, const void *data, size_t len)
{
    uint8_t *at = op_arg (op, len);
    if (len)
        memcpy (at, data, len);
}

op_t *op_copy (const op_t *op)
{
    op_t *copy =
        op_new ((opcode_t) op->opcode, op->partition, op->len, op->done, op->arg);
    for (unsigned i = 0; i < op->argc; i++)
        op_arg_copy (copy, op->args[i].data, op->args[i].len);
    copy->fn = op->fn;
    copy->id = op->id;
    return copy;
}

us_err_t op_code (const usi_reply_t *answer)
{
    if (usi_reply_is (answer, USI_REPLY_ARRAY))
        answer = usi_reply_at (answer, 0);
    if (!usi_reply_is (answer, USI_REPLY_INT))
        return US_ERR_STORE;
    int64_t code = usi_reply_int (answer);
    return code < 0 ? (us_err_t) code : US_OK;
}

void op_count (store_t *self, const op_t *op)
{
    self->backlog_ops++;
    self->backlog_bytes += op->len;
}

void op_finish (store_t *self, op_t *op, us_err_t err, const usi_reply_t *answer)
{
    self->backlog_ops--;
    self->backlog_bytes -= op->len;
    op->done (self, op, err, answer);
    if (op->gathered) {
        usi_buf_free (op->gathered);
        free (op->gathered);
    }
    free (op);
}

static void s_list (store_t *self, uint8_t number)
{
    partition_t *partition = &self->partitions[number];
    if (!partition->listed)
        self->dirty[self->dirty_count++] = number;
    partition->listed = true;
}

void op_queue (store_t *self, op_t *op)
{
    op_count (self, op);
    op_queue_now (self, op);
}

void op_queue_now (store_t *self, op_t *op)
{
    partition_t *partition = &self->partitions[op->partition];
    if (!partition->head)
        partition->tail = &partition->head;
    op->next = NULL;
    *partition->tail = op;
    partition->tail = &op->next;
    partition->count++;
    s_list (self, op->partition);
    s_flush_later (self);
}

/* Puts operations back to the front of their partition, in their old order. */
static void s_put_back (store_t *self, uint8_t number, op_t *ops, size_t count)
{
    partition_t *partition = &self->partitions[number];
    if (!ops)
        return;
    op_t **tail = &ops;
    while (*tail)
        tail = &(*tail)->next;
    *tail = partition->head;
    if (!partition->head)
        partition->tail = tail;
    partition->head = ops;
    partition->count += count;
    s_list (self, number);
    s_flush_later (self);
}

/* --- replies ---------------------------------------------------------------------- */

static void s_fail_all (store_t *self, op_t *ops, us_err_t err)
{
    while (ops) {
        op_t *op = ops;
        ops = op->next;
        op_finish (self, op, err, NULL);
    }
}

static void s_answer_all (store_t *self, op_t *ops, const usi_reply_t *reply)
{
    for (size_t i = 0; ops; i++) {
        op_t *op = ops;
        ops = op->next;
        op_finish (self, op, US_OK, usi_reply_at (reply, i));
    }
}

/* Redis is full: the submits are refused, everything else still works. */
static void s_refuse_submits (store_t *self, batch_t *batch)
{
    op_t *rest = NULL, **tail = &rest;
    size_t count = 0;
    self->partitions[batch->partition].full = true;
    for (op_t *op = batch->ops; op;) {
        op_t *next = op->next;
        if (op->opcode == OP_SUBMIT) {
            op_finish (self, op, US_ERR_BUSY, NULL);
        } else {
            op->next = NULL;
            *tail = op;
            tail = &op->next;
            count++;
        }
        op = next;
    }
    s_put_back (self, batch->partition, rest, count);
}

static void s_again (store_t *self, batch_t *batch)
{
    if (batch->ops->tries++ >= MAX_TRIES)
        s_fail_all (self, batch->ops, US_ERR_STORE);
    else
        s_put_back (self, batch->partition, batch->ops, batch->count);
}

static void s_on_error (store_t *self, batch_t *batch, const usi_reply_t *reply)
{
    const char *text = (const char *) usi_reply_bytes (reply).data;
    if (usi_reply_is_error (reply, "OOM")) {
        s_refuse_submits (self, batch);
        return;
    }
    if (usi_reply_is_error (reply, "ERR Function not found")) {
        self->library_gone (self);
        s_again (self, batch);
        return;
    }
    usi_warning ("store.refused", "Redis refuses a call text=\"%s\"", text);
    s_fail_all (self, batch->ops, US_ERR_STORE);
    if (usi_reply_is_error (reply, "LOADING") ||
        usi_reply_is_error (reply, "READONLY") ||
        usi_reply_is_error (reply, "MASTERDOWN") ||
        usi_reply_is_error (reply, "NOAUTH"))
        usi_redis_drop (self->redis, text);
}

static void s_on_reply (const usi_reply_t *reply, void *arg)
{
    batch_t *batch = arg;
    store_t *self = batch->self;
    partition_t *partition = &self->partitions[batch->partition];
    partition->in_flight--;
    if (!reply) {
        for (op_t *op = batch->ops; op; op = op->next)
            op->is_unknown = true;
        s_fail_all (self, batch->ops, US_ERR_STORE);
    } else if (usi_reply_is (reply, USI_REPLY_ERROR))
        s_on_error (self, batch, reply);
    else
        s_answer_all (self, batch->ops, reply);
    if (batch->admit && usi_reply_is (reply, USI_REPLY_ARRAY))
        partition->full = false;
    if (partition->head) {
        s_list (self, batch->partition);
        s_flush_later (self);
    }
    free (batch);
}

/* --- sending ---------------------------------------------------------------------- */

static batch_t *s_take_batch (store_t *self, uint8_t number)
{
    partition_t *partition = &self->partitions[number];
    batch_t *batch = usi_new (batch_t);
    *batch = (batch_t){.self = self, .partition = number, .ops = partition->head};
    size_t bytes = 0;
    op_t **end = &partition->head;
    while (*end && batch->count < BATCH_ITEMS &&
           (batch->count == 0 || bytes + (*end)->len <= BATCH_BYTES)) {
        bool submits = (*end)->opcode == OP_SUBMIT;
        if (partition->full && batch->count > 0 && submits != batch->admit)
            break; /* operations that are not refused must not wait for submits */
        bytes += (*end)->len;
        batch->admit = batch->admit || submits;
        batch->count++;
        end = &(*end)->next;
    }
    partition->head = *end;
    *end = NULL;
    partition->count -= batch->count;
    return batch;
}

static size_t s_constant_args (store_t *self, const batch_t *batch, char key[20],
                               char time[24])
{
    usi_bytes_t *args = self->args;
    int64_t time_ms =
        usi_now_ms () + self->partitions[batch->partition].clock_offset_ms;
    snprintf (key, 20, "us:{%02x}:clock", batch->partition);
    snprintf (time, 24, "%lld", (long long) time_ms);
    args[0] = usi_bytes_of ("FCALL");
    args[1] = usi_bytes_of (batch->admit ? self->admit : self->apply);
    args[2] = usi_bytes_of ("1");
    args[3] = usi_bytes_of (key);
    args[4] = usi_bytes_of (self->cluster);
    args[5] = usi_bytes_of (self->broker_text);
    args[6] = usi_bytes_of (self->lease_text);
    args[7] = usi_bytes_of (self->keep_text);
    args[8] = usi_bytes_of (self->keep_jobs_text);
    args[9] = usi_bytes_of (time);
    return CONSTANT_ARGS;
}

static void s_send_batch (store_t *self, batch_t *batch)
{
    char key[20], time[24];
    size_t most = CONSTANT_ARGS + batch->count * (OP_MAX_ARGS + 1);
    if (most > self->args_cap) {
        self->args_cap = most;
        self->args = usi_realloc (self->args, most * sizeof *self->args);
    }
    size_t count = s_constant_args (self, batch, key, time);
    for (op_t *op = batch->ops; op; op = op->next) {
        self->args[count++] = usi_bytes (&op->opcode, 1);
        for (unsigned i = 0; i < op->argc; i++)
            self->args[count++] = op->args[i];
    }
    self->partitions[batch->partition].in_flight++;
    if (usi_redis_send (self->redis, self->args, count, s_on_reply, batch) != 0)
        s_on_reply (NULL, batch);
}

static void s_fail_partition (store_t *self, partition_t *partition)
{
    op_t *ops = partition->head;
    partition->head = NULL;
    partition->count = 0;
    s_fail_all (self, ops, US_ERR_STORE);
}

/* Operations that callbacks add during this call go into the next flush. */
void store_flush (store_t *self)
{
    uint8_t dirty[PARTITIONS];
    size_t count = self->dirty_count;
    memcpy (dirty, self->dirty, count);
    self->dirty_count = 0;
    if (self->flush_timer)
        zloop_timer_end (self->loop, self->flush_timer);
    self->flush_timer = 0;
    for (size_t i = 0; i < count; i++) {
        partition_t *partition = &self->partitions[dirty[i]];
        partition->listed = false;
        if (!self->ready && !self->loading_library)
            s_fail_partition (self, partition);
        while (self->ready && partition->head && partition->in_flight < CALLS_IN_FLIGHT)
            s_send_batch (self, s_take_batch (self, dirty[i]));
    }
    usi_redis_flush (self->redis);
}

static int s_on_flush (zloop_t *loop, int timer, void *arg)
{
    (void) loop;
    (void) timer;
    store_t *self = arg;
    self->flush_timer = 0;
    store_flush (self);
    return 0;
}

static void s_flush_later (store_t *self)
{
    if (!self->flush_timer)
        self->flush_timer = zloop_timer (self->loop, 0, 1, s_on_flush, self);
}

void batch_wake (store_t *self)
{
    for (unsigned i = 0; i < PARTITIONS; i++)
        if (self->partitions[i].head)
            s_list (self, (uint8_t) i);
    s_flush_later (self);
}

void batch_fail_waiting (store_t *self)
{
    for (unsigned i = 0; i < PARTITIONS; i++)
        s_fail_partition (self, &self->partitions[i]);
}

void batch_stop (store_t *self)
{
    if (self->flush_timer)
        zloop_timer_end (self->loop, self->flush_timer);
    free (self->args);
}

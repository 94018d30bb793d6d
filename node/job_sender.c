/* SPDX-License-Identifier: MIT
 *
 * What the broker is told about jobs: see job_sender.h. */
#include "job_sender.h"

#include "base/clock.h"
#include "conn.h"

void job_sender_init (job_sender_t *self, node_t *node)
{
    *self = (job_sender_t){.node = node};
}

void job_sender_free (job_sender_t *self)
{
    usi_msg_free (&self->msg);
}

static job_t *s_pop (list_t *list)
{
    job_t *job = LIST_ELEMENT (list->first, job_t, out);
    if (job)
        list_remove (&job->out);
    return job;
}

static usi_fields_t *s_fenced_item (job_sender_t *self, const job_t *job)
{
    usi_fields_t *item = usi_msg_add (&self->msg);
    USI_SET (item, ID, id, job->id);
    USI_SET (item, ATTEMPT, attempt, job->attempt);
    USI_SET (item, NONCE, nonce, job->nonce);
    return item;
}

/* --- logs ------------------------------------------------------------------------- */

static void s_send_stream (job_sender_t *self, job_t *job, int stream)
{
    job_log_t *log = &job->logs[stream];
    for (usi_bytes_t piece; (piece = job_log_next (log)).len > 0;) {
        if (usi_msg_is_full (&self->msg, piece.len)) {
            node_conn_send (self->node->conn, &self->msg);
            usi_msg_begin (&self->msg, USI_LOG);
        }
        usi_fields_t *item = s_fenced_item (self, job);
        USI_SET (item, STREAM, stream, (uint64_t) stream);
        USI_SET (item, OFFSET, offset, job->bases[stream] + log->sent);
        usi_msg_body (&self->msg, piece.data, piece.len);
        job_log_advance (log, piece.len);
    }
}

static void s_send_logs (job_sender_t *self)
{
    list_t *logs = &self->node->jobs->logs;
    if (!logs->first)
        return;
    usi_msg_begin (&self->msg, USI_LOG);
    while (logs->first) {
        job_t *job = LIST_ELEMENT (logs->first, job_t, log);
        list_remove (&job->log);
        s_send_stream (self, job, 1);
        s_send_stream (self, job, 0);
    }
    if (!usi_msg_is_empty (&self->msg))
        node_conn_send (self->node->conn, &self->msg);
}

/* --- starts and ends -------------------------------------------------------------- */

static void s_fill_blobs (usi_fields_t *item, const job_t *job, usi_buf_t *list)
{
    const job_buffers_t *buffers = &job->buffers;
    usi_bytes_t body = usi_bytes (job->blob, USI_DIGEST_LEN);
    for (size_t i = 0; i < buffers->len; i++)
        usi_list_add_bin (list, usi_bytes (buffers->all[i].digest, USI_DIGEST_LEN));
    if (job->has_blob) {
        usi_list_add_bin (list, body);
        USI_SET (item, BLOB, blob, body);
        USI_SET (item, SIZE, size, job->blob_size);
    }
    USI_SET (item, BLOBS, blobs,
             usi_list_of (list, (uint32_t) (buffers->len + job->has_blob)));
}

static void s_fill_result (usi_fields_t *item, job_t *job, usi_buf_t *list)
{
    USI_SET (item, OUTCOME, outcome, job->outcome);
    USI_SET (item, CODE, code, job->code);
    USI_SET (item, LOG_END, log_end, job->bases[0] + job->logs[0].end);
    USI_SET (item, BUILD_END, build_end, job->bases[1] + job->logs[1].end);
    uint64_t dropped = job->logs[0].dropped + job->logs[1].dropped;
    if (dropped > 0)
        USI_SET (item, DROPPED, dropped, dropped);
    if (job_has_blobs (job))
        s_fill_blobs (item, job, list);
}

/* Sends one message of results, and the credit with it. */
static void s_send_some_results (job_sender_t *self, uint64_t credit)
{
    list_t *results = &self->node->jobs->results;
    int64_t now_ms = usi_now_ms ();
    usi_buf_t list = {0}; /* a list in an item borrows: only one of them a message */
    usi_msg_begin (&self->msg, USI_RESULT);
    while (results->first && list.len == 0) {
        job_t *job = LIST_ELEMENT (results->first, job_t, out);
        size_t body_len = job->has_blob ? 0 : job->result.len;
        if (usi_msg_is_full (&self->msg, body_len))
            break;
        list_remove (&job->out);
        s_fill_result (s_fenced_item (self, job), job, &list);
        usi_msg_body (&self->msg, job->result.data, body_len);
        job->sent_ms = now_ms;
    }
    if (credit > 0)
        USI_SET (&self->msg.head, CREDIT, credit, credit);
    node_conn_send (self->node->conn, &self->msg);
    usi_buf_free (&list);
}

/* Sends STARTED or HAND_BACK, whose items are fences alone. */
static void s_send_fences (job_sender_t *self, list_t *list, usi_type_t type)
{
    int64_t now_ms = usi_now_ms ();
    usi_msg_begin (&self->msg, type);
    for (job_t *job; !usi_msg_is_full (&self->msg, 0) && (job = s_pop (list));) {
        s_fenced_item (self, job);
        job->sent_ms = now_ms;
    }
    node_conn_send (self->node->conn, &self->msg);
}

void job_sender_flush (job_sender_t *self, uint64_t credit)
{
    jobs_t *jobs = self->node->jobs;
    s_send_logs (self);
    while (jobs->starts.first)
        s_send_fences (self, &jobs->starts, USI_STARTED);
    for (; jobs->results.first; credit = 0)
        s_send_some_results (self, credit);
    while (jobs->returns.first)
        s_send_fences (self, &jobs->returns, USI_HAND_BACK);
    if (credit > 0) {
        usi_msg_begin (&self->msg, USI_CREDIT);
        USI_SET (&self->msg.head, CREDIT, credit, credit);
        node_conn_send (self->node->conn, &self->msg);
    }
}

/* --- again ------------------------------------------------------------------------ */

/* Puts it into the list that will send it, unless its blob is still on its way. */
static void s_send_again (job_sender_t *self, job_t *job)
{
    jobs_t *jobs = self->node->jobs;
    if (job->out.list)
        return;
    if (job->state == JOB_RETURNED)
        list_append (&jobs->returns, &job->out);
    else if (job_is_put (job))
        list_append (&jobs->results, &job->out);
}

static void s_log_again (job_sender_t *self, job_t *job)
{
    job_log_rewind (&job->logs[0]);
    job_log_rewind (&job->logs[1]);
    job->log_again = false;
    if (!job->log.list &&
        (job_log_unkept (&job->logs[0]) > 0 || job_log_unkept (&job->logs[1]) > 0))
        list_append (&self->node->jobs->logs, &job->log);
}

void job_sender_renew (job_sender_t *self)
{
    const list_t *all = &self->node->jobs->all;
    if (!node_conn_is_up (self->node->conn) || !all->first)
        return;
    usi_msg_begin (&self->msg, USI_RENEW);
    LIST_EACH (all, job_t, job, all) {
        if (usi_msg_is_full (&self->msg, 0)) {
            node_conn_send (self->node->conn, &self->msg);
            usi_msg_begin (&self->msg, USI_RENEW);
        }
        usi_fields_t *item = s_fenced_item (self, job);
        if (job->started)
            USI_SET (item, FLAGS, flags, USI_RENEW_STARTED);
    }
    node_conn_send (self->node->conn, &self->msg);
}

void job_sender_announce (job_sender_t *self)
{
    job_sender_renew (self);
    LIST_EACH (&self->node->jobs->all, job_t, job, all) {
        s_log_again (self, job);
        if (job->state >= JOB_ENDED)
            s_send_again (self, job);
    }
    loop_touch (self->node->loop);
}

void job_sender_repeat (job_sender_t *self)
{
    if (!node_conn_is_up (self->node->conn))
        return;
    int64_t overdue_ms = usi_now_ms () - self->node->limits.lease_ms;
    LIST_EACH (&self->node->jobs->all, job_t, job, all) {
        if (job->log_again)
            s_log_again (self, job);
        if (job->state >= JOB_ENDED && job->sent_ms < overdue_ms)
            s_send_again (self, job);
    }
    loop_touch (self->node->loop);
}

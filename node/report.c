/* SPDX-License-Identifier: MIT
 *
 * What the broker is told about jobs: see jobs.h. Everything that one turn of the loop
 * brought leaves in as few messages as it fits in: first the bytes of logs, then the
 * results they belong to. */
#include "base/clock.h"
#include "jobs_internal.h"
#include "link.h"
#include "slots.h"

static usi_fields_t *s_fenced_item (jobs_t *self, const job_t *job)
{
    usi_fields_t *item = usi_msg_add (&self->msg);
    USI_SET (item, ID, id, job->id);
    USI_SET (item, ATTEMPT, attempt, job->attempt);
    USI_SET (item, NONCE, nonce, job->nonce);
    return item;
}

/* --- logs ------------------------------------------------------------------------- */

static void s_send_stream (jobs_t *self, job_t *job, int stream)
{
    job_log_t *log = &job->logs[stream];
    for (usi_bytes_t piece; (piece = job_log_next (log)).len > 0;) {
        if (usi_msg_is_full (&self->msg, piece.len)) {
            link_send (self->node->link, &self->msg);
            usi_msg_begin (&self->msg, USI_LOG);
        }
        usi_fields_t *item = s_fenced_item (self, job);
        USI_SET (item, STREAM, stream, (uint64_t) stream);
        USI_SET (item, OFFSET, offset, job->bases[stream] + log->sent);
        usi_msg_body (&self->msg, piece.data, piece.len);
        job_log_advance (log, piece.len);
    }
}

static void s_send_logs (jobs_t *self)
{
    if (!self->logs.first)
        return;
    usi_msg_begin (&self->msg, USI_LOG);
    for (job_t *job; (job = job_list_pop (&self->logs));) {
        s_send_stream (self, job, 1);
        s_send_stream (self, job, 0);
    }
    if (!usi_msg_is_empty (&self->msg))
        link_send (self->node->link, &self->msg);
}

/* --- starts and ends -------------------------------------------------------------- */

static void s_fill_result (usi_fields_t *item, job_t *job, usi_buf_t *list)
{
    USI_SET (item, OUTCOME, outcome, job->outcome);
    USI_SET (item, CODE, code, job->code);
    USI_SET (item, LOG_END, log_end, job->bases[0] + job->logs[0].end);
    USI_SET (item, BUILD_END, build_end, job->bases[1] + job->logs[1].end);
    uint64_t dropped = job->logs[0].dropped + job->logs[1].dropped;
    if (dropped > 0)
        USI_SET (item, DROPPED, dropped, dropped);
    if (!job->has_blob)
        return;
    usi_bytes_t digest = usi_bytes (job->blob, USI_DIGEST_LEN);
    list->len = 0;
    usi_list_add_bin (list, digest);
    USI_SET (item, BLOBS, blobs, usi_list_of (list, 1));
    USI_SET (item, BLOB, blob, digest);
    USI_SET (item, SIZE, size, job->blob_size);
}

/* One message of results; the credit goes with it. */
static void s_send_some_results (jobs_t *self)
{
    int64_t now_ms = usi_now_ms ();
    usi_buf_t list = {0}; /* a list in an item borrows: only one blob a message */
    usi_msg_begin (&self->msg, USI_RESULT);
    while (self->results.first && list.len == 0) {
        job_t *job = self->results.first;
        size_t body_len = job->has_blob ? 0 : job->result.len;
        if (usi_msg_is_full (&self->msg, body_len))
            break;
        job_list_remove (job, JOB_LINK_OUT);
        s_fill_result (s_fenced_item (self, job), job, &list);
        usi_msg_body (&self->msg, job->result.data, body_len);
        job->sent_ms = now_ms;
    }
    uint64_t credit = slots_credit (self->node->slots);
    if (credit > 0)
        USI_SET (&self->msg.head, CREDIT, credit, credit);
    link_send (self->node->link, &self->msg);
    usi_buf_free (&list);
}

/* STARTED or HAND_BACK: fences alone. */
static void s_send_fences (jobs_t *self, job_list_t *list, usi_type_t type)
{
    int64_t now_ms = usi_now_ms ();
    usi_msg_begin (&self->msg, type);
    for (job_t *job; !usi_msg_is_full (&self->msg, 0) && (job = job_list_pop (list));) {
        s_fenced_item (self, job);
        job->sent_ms = now_ms;
    }
    link_send (self->node->link, &self->msg);
}

void jobs_flush (jobs_t *self)
{
    link_t *link = self->node->link;
    if (!link_is_up (link))
        return; /* jobs_announce comes with the next connection */
    s_send_logs (self);
    while (self->starts.first)
        s_send_fences (self, &self->starts, USI_STARTED);
    while (self->results.first)
        s_send_some_results (self);
    while (self->returns.first)
        s_send_fences (self, &self->returns, USI_HAND_BACK);
    uint64_t credit = slots_credit (self->node->slots);
    if (credit > 0) {
        usi_msg_begin (&self->msg, USI_CREDIT);
        USI_SET (&self->msg.head, CREDIT, credit, credit);
        link_send (link, &self->msg);
    }
}

/* --- again ------------------------------------------------------------------------ */

/* Into the list that will send it, unless its blob is still on its way. */
static void s_send_again (jobs_t *self, job_t *job)
{
    if (job->links[JOB_LINK_OUT].list)
        return;
    if (job->state == JOB_RETURNED)
        job_list_push (&self->returns, job);
    else if (job->has_blob || job->result.len <= self->node->limits.max_body)
        job_list_push (&self->results, job);
}

static void s_log_again (jobs_t *self, job_t *job)
{
    job_log_rewind (&job->logs[0]);
    job_log_rewind (&job->logs[1]);
    job->log_again = false;
    if (!job->links[JOB_LINK_LOG].list &&
        (job_log_unkept (&job->logs[0]) > 0 || job_log_unkept (&job->logs[1]) > 0))
        job_list_push (&self->logs, job);
}

void jobs_renew (jobs_t *self)
{
    if (!link_is_up (self->node->link) || !self->all.first)
        return;
    usi_msg_begin (&self->msg, USI_RENEW);
    for (job_t *job = self->all.first; job; job = job_next (job, JOB_LINK_ALL)) {
        if (usi_msg_is_full (&self->msg, 0)) {
            link_send (self->node->link, &self->msg);
            usi_msg_begin (&self->msg, USI_RENEW);
        }
        usi_fields_t *item = s_fenced_item (self, job);
        if (job->started)
            USI_SET (item, FLAGS, flags, USI_RENEW_STARTED);
    }
    link_send (self->node->link, &self->msg);
}

void jobs_announce (jobs_t *self)
{
    jobs_renew (self);
    for (job_t *job = self->all.first; job; job = job_next (job, JOB_LINK_ALL)) {
        s_log_again (self, job);
        if (job->state >= JOB_ENDED)
            s_send_again (self, job);
    }
    node_touch (self->node);
}

void jobs_repeat (jobs_t *self)
{
    if (!link_is_up (self->node->link))
        return;
    int64_t overdue_ms = usi_now_ms () - self->node->limits.lease_ms;
    for (job_t *job = self->all.first; job; job = job_next (job, JOB_LINK_ALL)) {
        if (job->log_again)
            s_log_again (self, job);
        if (job->state >= JOB_ENDED && job->sent_ms < overdue_ms)
            s_send_again (self, job);
    }
    node_touch (self->node);
}

/* --- what jobs do ----------------------------------------------------------------- */

void job_announce_start (node_t *node, job_t *job)
{
    job->started = true;
    if (job->announced || job->forgotten)
        return;
    job->announced = true;
    job_list_push (&node->jobs->starts, job);
    node_touch (node);
}

void job_write_log (node_t *node, job_t *job, int stream, const void *data, size_t len)
{
    if (job->forgotten || len == 0)
        return;
    /* A pipe that is not read stops its job; what is in it already, up to its size, is
     * taken without a limit, and so is everything while the broker answers. */
    uint64_t limit = link_is_up (node->link) ? UINT64_MAX : JOB_LOG_ALONE;
    job_log_append (&job->logs[stream], data, len, limit);
    if (!job->links[JOB_LINK_LOG].list)
        job_list_push (&node->jobs->logs, job);
    node_touch (node);
}

bool job_log_is_full (const node_t *node, const job_t *job)
{
    return link_is_up (node->link) && job_log_unkept (&job->logs[0]) >= JOB_LOG_WINDOW;
}

/* SPDX-License-Identifier: MIT
 *
 * The table of jobs and their ends: see jobs.h. What is sent about them is in
 * report.c. */
#include "jobs_internal.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "blobs.h"
#include "failure.h"
#include "slots.h"

/* --- lists ------------------------------------------------------------------------ */

void job_list_init (job_list_t *list, int link)
{
    *list = (job_list_t){.link = link};
}

static void s_insert (job_list_t *list, job_t *job, job_t *before)
{
    int link = list->link;
    US_ASSERT (!job->links[link].list);
    job_t *prev = before ? before->links[link].prev : list->last;
    job->links[link].prev = prev;
    job->links[link].next = before;
    job->links[link].list = list;
    if (prev)
        prev->links[link].next = job;
    else
        list->first = job;
    if (before)
        before->links[link].prev = job;
    else
        list->last = job;
    list->count++;
}

void job_list_push (job_list_t *list, job_t *job)
{
    s_insert (list, job, NULL);
}

void job_list_push_front (job_list_t *list, job_t *job)
{
    s_insert (list, job, list->first);
}

void job_list_remove (job_t *job, int link)
{
    job_list_t *list = job->links[link].list;
    if (!list)
        return;
    job_t *prev = job->links[link].prev, *next = job->links[link].next;
    if (prev)
        prev->links[link].next = next;
    else
        list->first = next;
    if (next)
        next->links[link].prev = prev;
    else
        list->last = prev;
    list->count--;
    memset (&job->links[link], 0, sizeof job->links[link]);
}

job_t *job_list_pop (job_list_t *list)
{
    job_t *job = list->first;
    if (job)
        job_list_remove (job, list->link);
    return job;
}

/* --- the table -------------------------------------------------------------------- */

static size_t s_hash (const void *key)
{
    size_t parts[2];
    memcpy (parts, ((const usi_id_t *) key)->bytes, sizeof parts);
    return parts[0] ^ parts[1];
}

static int s_compare (const void *a, const void *b)
{
    return memcmp (a, b, sizeof (usi_id_t));
}

jobs_t *jobs_new (node_t *node)
{
    jobs_t *self = usi_new (jobs_t);
    self->node = node;
    self->table = zhashx_new ();
    zhashx_set_key_hasher (self->table, s_hash);
    zhashx_set_key_comparator (self->table, s_compare);
    zhashx_set_key_duplicator (self->table, NULL);
    zhashx_set_key_destructor (self->table, NULL);
    job_list_init (&self->all, JOB_LINK_ALL);
    job_list_init (&self->starts, JOB_LINK_OUT);
    job_list_init (&self->results, JOB_LINK_OUT);
    job_list_init (&self->returns, JOB_LINK_OUT);
    job_list_init (&self->logs, JOB_LINK_LOG);
    return self;
}

job_t *jobs_find (jobs_t *self, const usi_id_t *id, uint64_t attempt)
{
    job_t *job = zhashx_lookup (self->table, id);
    return job && job->attempt == attempt ? job : NULL;
}

/* Out of the table: another attempt of the same job may come. */
static void s_unlist (jobs_t *self, job_t *job)
{
    if (!job->links[JOB_LINK_ALL].list)
        return;
    zhashx_delete (self->table, &job->id);
    self->counts[job->state]--;
    job_list_remove (job, JOB_LINK_ALL);
    job_list_remove (job, JOB_LINK_OUT);
    job_list_remove (job, JOB_LINK_LOG);
}

static void s_destroy (jobs_t *self, job_t *job)
{
    s_unlist (self, job);
    job_list_remove (job, JOB_LINK_PLACE);
    blobs_forget (self->node->blobs, job);
    recipe_drop (job->recipe);
    job_log_free (&job->logs[0]);
    job_log_free (&job->logs[1]);
    usi_buf_free (&job->body);
    usi_buf_free (&job->result);
    free (job);
}

void jobs_destroy (jobs_t **self_p)
{
    jobs_t *self = *self_p;
    if (!self)
        return;
    while (self->all.first)
        s_destroy (self, self->all.first);
    zhashx_destroy (&self->table);
    usi_msg_free (&self->msg);
    free (self);
    *self_p = NULL;
}

size_t jobs_count (const jobs_t *self)
{
    return self->all.count;
}

size_t jobs_in_state (const jobs_t *self, job_state_t state)
{
    return self->counts[state];
}

job_t *jobs_first (jobs_t *self)
{
    return self->all.first;
}

void job_set_state (node_t *node, job_t *job, job_state_t state)
{
    if (job->links[JOB_LINK_ALL].list) {
        node->jobs->counts[job->state]--;
        node->jobs->counts[state]++;
    }
    job->state = state;
    job->since_us = usi_now_us ();
}

/* --- arrival ---------------------------------------------------------------------- */

static job_t *s_new (jobs_t *self, const usi_fields_t *item, usi_bytes_t body)
{
    job_t *job = usi_new (job_t);
    job->id = item->id;
    job->attempt = (uint32_t) item->attempt;
    job->nonce = item->nonce;
    job->bases[0] = item->log_end;
    job->bases[1] = item->build_end;
    job->order = ++self->order;
    job->since_us = usi_now_us ();
    job->recipe = recipe_get (self->node, item->spec);
    if (!job->recipe->has_blob)
        usi_buf_append (&job->body, body.data, body.len);
    zhashx_insert (self->table, &job->id, job);
    job_list_push (&self->all, job);
    self->counts[job->state]++;
    return job;
}

void jobs_receive (jobs_t *self, const usi_msg_t *msg)
{
    node_t *node = self->node;
    slots_spend_credit (node->slots, msg->items_len);
    for (size_t i = 0; i < msg->items_len; i++) {
        const usi_fields_t *item = &msg->items[i];
        job_t *old = zhashx_lookup (self->table, &item->id);
        if (old && old->attempt >= item->attempt)
            continue; /* told twice */
        if (old)
            job_forget (node, old); /* our lease of it was lost */
        job_t *job = s_new (self, item, usi_msg_item_body (msg, i));
        if (job->recipe->error != US_OK)
            job_fail (node, job, USI_FAILED, job->recipe->error, job->recipe->why);
        else if (node->draining)
            job_hand_back (node, job);
        else
            pool_add (job->recipe->pool, job);
    }
    node_touch (node);
}

/* --- ends ------------------------------------------------------------------------- */

/* Out of pool and worker. */
static void s_leave (node_t *node, job_t *job)
{
    job_list_remove (job, JOB_LINK_PLACE);
    job_list_remove (job, JOB_LINK_OUT);
    blobs_forget (node->blobs, job);
    job->pool = NULL;
    job->worker = NULL;
    usi_buf_free (&job->body);
    node_touch (node);
}

static void s_is_put (node_t *node, void *arg, us_err_t err,
                      const uint8_t digest[USI_DIGEST_LEN])
{
    job_t *job = arg;
    if (err != US_OK) {
        usi_buf_free (&job->result);
        job_fail (node, job, USI_FAILED, err, "the result cannot be stored");
        return;
    }
    job->has_blob = true;
    job->blob_size = job->result.len;
    memcpy (job->blob, digest, USI_DIGEST_LEN);
    job_list_push (&node->jobs->results, job);
    node_touch (node);
}

void job_put_result (node_t *node, job_t *job)
{
    job_list_remove (job, JOB_LINK_OUT);
    blobs_put (node->blobs, usi_buf_bytes (&job->result), s_is_put, job);
}

void job_end (node_t *node, job_t *job, int outcome, int code, usi_buf_t *result)
{
    s_leave (node, job);
    job->outcome = (uint8_t) outcome;
    job->code = code;
    usi_buf_free (&job->result);
    if (result)
        job->result = *result;
    if (job->forgotten) {
        s_destroy (node->jobs, job);
        return;
    }
    job_log_finish (&job->logs[0]);
    job_log_finish (&job->logs[1]);
    if (!job->links[JOB_LINK_LOG].list &&
        (job->logs[0].sent < job->logs[0].end || job->logs[1].sent < job->logs[1].end))
        job_list_push (&node->jobs->logs, job);
    job->started = true;
    job->sent_ms = 0;
    job->has_blob = false;
    job_set_state (node, job, JOB_ENDED);
    if (job->result.len > node->limits.max_payload) {
        char *why =
            usi_sprintf ("the result has %zu bytes, the limit is %llu", job->result.len,
                         (unsigned long long) node->limits.max_payload);
        job_fail (node, job, USI_FAILED, US_ERR_TOO_LARGE, why);
        free (why);
    } else if (job->result.len > node->limits.max_body) {
        job_put_result (node, job);
    } else {
        job_list_push (&node->jobs->results, job);
    }
}

void job_fail (node_t *node, job_t *job, int outcome, us_err_t code,
               const char *message)
{
    usi_buf_t envelope = {0};
    failure_t failure = FAILURE_INIT;
    failure.code = code;
    failure.message = message;
    failure.node = node->options.name;
    failure_pack (&envelope, &failure);
    job_end (node, job, outcome, code, &envelope);
}

void job_hand_back (node_t *node, job_t *job)
{
    s_leave (node, job);
    if (job->forgotten) {
        s_destroy (node->jobs, job);
        return;
    }
    job->sent_ms = 0;
    job_set_state (node, job, JOB_RETURNED);
    job_list_push (&node->jobs->returns, job);
}

void job_forget (node_t *node, job_t *job)
{
    bool held = job->state == JOB_GIVEN;
    job->forgotten = true;
    s_unlist (node->jobs, job);
    /* Where a worker has it, it is freed when the worker lets go of it. */
    if (held)
        slots_cancel (node->slots, job, true);
    else
        s_destroy (node->jobs, job);
    node_touch (node);
}

/* --- what the broker says --------------------------------------------------------- */

static void s_not_committed (node_t *node, job_t *job, us_err_t code)
{
    if (code == US_ERR_MISSING_BLOB && job->has_blob) {
        job_put_result (node, job);
    } else if (code == US_ERR_STORE || code == US_ERR_BUSY || code == US_ERR_TIMEOUT) {
        job->sent_ms = 0; /* jobs_repeat sends it again */
    } else if (job->state == JOB_ENDED && job->outcome == USI_SUCCEEDED) {
        usi_notice ("result.refused", "a broker refused a result code=%d", code);
        job_fail (node, job, USI_FAILED, code, "the broker refused the result");
    } else {
        usi_notice ("result.refused", "a broker refused the end of a job code=%d",
                    code);
        s_destroy (node->jobs, job);
    }
}

void jobs_committed (jobs_t *self, const usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++) {
        const usi_fields_t *item = &msg->items[i];
        job_t *job = jobs_find (self, &item->id, item->attempt);
        if (!job || job->state < JOB_ENDED)
            continue;
        us_err_t code = (us_err_t) item->code;
        if (code == US_OK || code == US_ERR_STALE || code == US_ERR_UNKNOWN_JOB ||
            code == US_ERR_ENDED)
            s_destroy (self, job);
        else
            s_not_committed (self->node, job, code);
    }
    if (self->node->draining)
        node_touch (self->node);
}

void jobs_log_kept (jobs_t *self, const usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++) {
        const usi_fields_t *item = &msg->items[i];
        job_t *job = jobs_find (self, &item->id, item->attempt);
        if (!job || item->stream > 1)
            continue;
        job_log_t *log = &job->logs[item->stream];
        uint64_t base = job->bases[item->stream];
        uint64_t kept = item->offset > base ? item->offset - base : 0;
        if (item->code == US_ERR_STALE)
            kept = log->end; /* nobody wants it; RENEWED will say so too */
        else if (item->code != US_OK || kept <= log->kept)
            job->log_again = true; /* trouble, or a gap: jobs_repeat sends it again */
        job_log_keep (log, kept);
        slots_resume_log (self->node->slots, job);
    }
}

void jobs_renewed (jobs_t *self, const usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++) {
        const usi_fields_t *item = &msg->items[i];
        job_t *job = jobs_find (self, &item->id, item->attempt);
        if (job && item->code == US_ERR_STALE)
            job_forget (self->node, job);
        else if (job && item->code == US_ERR_CANCELLED)
            slots_cancel (self->node->slots, job, false);
    }
}

void jobs_stop (jobs_t *self, const usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++) {
        job_t *job = jobs_find (self, &msg->items[i].id, msg->items[i].attempt);
        if (job)
            slots_cancel (self->node->slots, job, false);
    }
}

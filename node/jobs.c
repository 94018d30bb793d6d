/* SPDX-License-Identifier: MIT
 *
 * The table of jobs and their ends: see jobs.h. */
#include "jobs.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "blob_cache.h"
#include "conn.h"
#include "host/failure.h"

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
    return self;
}

job_t *jobs_find_any (jobs_t *self, const usi_id_t *id)
{
    return zhashx_lookup (self->table, id);
}

job_t *jobs_find (jobs_t *self, const usi_id_t *id, uint64_t attempt)
{
    job_t *job = jobs_find_any (self, id);
    return job && job->attempt == attempt ? job : NULL;
}

/* Takes it out of the table: another attempt of the same job may come. */
static void s_unlist (jobs_t *self, job_t *job)
{
    if (!job->all.list)
        return;
    zhashx_delete (self->table, &job->id);
    self->counts[job->state]--;
    list_remove (&job->all);
    list_remove (&job->out);
    list_remove (&job->log);
}

void job_destroy (node_t *node, job_t *job)
{
    s_unlist (node->jobs, job);
    list_remove (&job->place);
    blob_cache_forget (node->blobs, job);
    job_spec_drop (job->spec);
    job_log_free (&job->logs[0]);
    job_log_free (&job->logs[1]);
    usi_buf_free (&job->body);
    usi_buf_free (&job->result);
    job_buffers_free (&job->buffers);
    free (job);
}

void jobs_destroy (jobs_t **self_p)
{
    jobs_t *self = *self_p;
    if (!self)
        return;
    LIST_EACH (&self->all, job_t, job, all)
        job_destroy (self->node, job);
    zhashx_destroy (&self->table);
    free (self);
    *self_p = NULL;
}

size_t jobs_count (const jobs_t *self)
{
    return self->all.len;
}

size_t jobs_in_state (const jobs_t *self, job_state_t state)
{
    return self->counts[state];
}

void job_set_state (node_t *node, job_t *job, job_state_t state)
{
    if (job->all.list) {
        node->jobs->counts[job->state]--;
        node->jobs->counts[state]++;
    }
    job->state = state;
    job->since_us = usi_now_us ();
}

job_t *jobs_add (jobs_t *self, const usi_fields_t *item, usi_bytes_t body)
{
    job_t *job = usi_new (job_t);
    job->id = item->id;
    job->attempt = (uint32_t) item->attempt;
    job->nonce = item->nonce;
    job->bases[0] = item->log_end;
    job->bases[1] = item->build_end;
    job->order = ++self->order;
    job->since_us = usi_now_us ();
    job->spec = job_specs_get (self->node->specs, item->spec, item->owner);
    if (!job->spec->has_blob)
        usi_buf_append (&job->body, body.data, body.len);
    zhashx_insert (self->table, &job->id, job);
    list_append (&self->all, &job->all);
    self->counts[job->state]++;
    return job;
}

/* --- what jobs do ----------------------------------------------------------------- */

void job_announce_start (node_t *node, job_t *job)
{
    job->started = true;
    if (job->announced || job->forgotten)
        return;
    job->announced = true;
    list_append (&node->jobs->starts, &job->out);
    loop_touch (node->loop);
}

static void s_log_is_due (node_t *node, job_t *job)
{
    if (!job->log.list)
        list_append (&node->jobs->logs, &job->log);
}

void job_write_log (node_t *node, job_t *job, int stream, const void *data, size_t len)
{
    if (job->forgotten || len == 0)
        return;
    /* A pipe that is not read stops its job; what is in it already, up to its size, is
     * taken without a limit, and so is everything while the broker answers. */
    uint64_t limit = node_conn_is_up (node->conn) ? UINT64_MAX : JOB_LOG_ALONE;
    job_log_append (&job->logs[stream], data, len, limit);
    s_log_is_due (node, job);
    loop_touch (node->loop);
}

bool job_log_is_full (const node_t *node, const job_t *job)
{
    return node_conn_is_up (node->conn) &&
           job_log_unkept (&job->logs[0]) >= JOB_LOG_WINDOW;
}

/* --- ends ------------------------------------------------------------------------- */

/* Takes it out of its pool or worker. */
static void s_leave (node_t *node, job_t *job)
{
    list_remove (&job->place);
    list_remove (&job->out);
    blob_cache_forget (node->blobs, job);
    job->pool = NULL;
    job->worker = NULL;
    usi_buf_free (&job->body);
    loop_touch (node->loop);
}

static void s_put_next (node_t *node, job_t *job);

static void s_is_put (node_t *node, void *arg, us_err_t err,
                      const uint8_t digest[USI_DIGEST_LEN])
{
    job_t *job = arg;
    if (err != US_OK) {
        usi_buf_free (&job->result);
        job_fail (node, job, USI_FAILED, err, "the result cannot be stored");
        return;
    }
    memcpy (job->put < job->buffers.len ? job->buffers.all[job->put].digest : job->blob,
            digest, USI_DIGEST_LEN);
    job->put++;
    s_put_next (node, job);
}

static void s_put_next (node_t *node, job_t *job)
{
    if (job->put < job->buffers.len) {
        blob_cache_put (node->blobs, job->buffers.all[job->put].bytes, s_is_put, job);
    } else if (!job_is_put (job)) {
        blob_cache_put (node->blobs, usi_buf_bytes (&job->result), s_is_put, job);
    } else {
        list_append (&node->jobs->results, &job->out);
        loop_touch (node->loop);
    }
}

void job_put_result (node_t *node, job_t *job)
{
    list_remove (&job->out);
    job->put = 0;
    s_put_next (node, job);
}

static void s_end (node_t *node, job_t *job, int outcome, int code, usi_buf_t *result)
{
    s_leave (node, job);
    job->outcome = (uint8_t) outcome;
    job->code = code;
    usi_buf_free (&job->result);
    if (result)
        job->result = *result;
    if (job->forgotten) {
        job_destroy (node, job);
        return;
    }
    job_log_finish (&job->logs[0]);
    job_log_finish (&job->logs[1]);
    if (job->logs[0].sent < job->logs[0].end || job->logs[1].sent < job->logs[1].end)
        s_log_is_due (node, job);
    job->started = true;
    job->sent_ms = 0;
    job->has_blob = job->result.len > node->limits.max_body;
    job->blob_size = job->result.len;
    job_set_state (node, job, JOB_ENDED);
    if (job->result.len > node->limits.max_payload)
        job_too_large (node, job, job->result.len, node->limits.max_payload);
    else
        job_put_result (node, job);
}

void job_end (node_t *node, job_t *job, int outcome, int code, usi_buf_t *result)
{
    job_buffers_free (&job->buffers);
    s_end (node, job, outcome, code, result);
}

void job_end_with (node_t *node, job_t *job, usi_buf_t *result, job_buffers_t *buffers)
{
    uint64_t limit, excess = job_buffers_excess (buffers, &node->limits, &limit);
    job_buffers_free (&job->buffers);
    if (excess > 0) {
        usi_buf_free (result);
        job_buffers_free (buffers);
        job_too_large (node, job, excess, limit);
        return;
    }
    job->buffers = *buffers;
    *buffers = (job_buffers_t){0};
    s_end (node, job, USI_SUCCEEDED, US_OK, result);
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

void job_too_large (node_t *node, job_t *job, uint64_t size, uint64_t limit)
{
    char *why = usi_sprintf ("the result has %llu bytes, the limit is %llu",
                             (unsigned long long) size, (unsigned long long) limit);
    job_fail (node, job, USI_FAILED, US_ERR_TOO_LARGE, why);
    free (why);
}

void job_hand_back (node_t *node, job_t *job)
{
    s_leave (node, job);
    if (job->forgotten) {
        job_destroy (node, job);
        return;
    }
    job->sent_ms = 0;
    job_set_state (node, job, JOB_RETURNED);
    list_append (&node->jobs->returns, &job->out);
}

bool job_forget (node_t *node, job_t *job)
{
    job->forgotten = true;
    s_unlist (node->jobs, job);
    loop_touch (node->loop);
    if (job->state == JOB_GIVEN)
        return false;
    job_destroy (node, job);
    return true;
}

/* SPDX-License-Identifier: MIT
 *
 * What the broker says about jobs: see intake.h. */
#include "intake.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "jobs.h"
#include "pool.h"
#include "slots.h"

/* --- the choice of the pool ------------------------------------------------------- */

static void s_choose_pool (void *arg, job_spec_t *spec, const usi_fields_t *fields)
{
    node_t *node = arg;
    const node_options_t *options = &node->options;
    const python_t *python =
        python_choose (options->pythons, options->pythons_len, fields->python);
    if (!python) {
        job_spec_refuse (spec, US_ERR_PYTHON_VERSION,
                         usi_sprintf ("this node has no Python %.*s",
                                      (int) fields->python.len,
                                      (const char *) fields->python.data));
        return;
    }
    env_request_t request;
    char *why = NULL;
    us_err_t err = env_request_make (&request, &fields->packages, &fields->constraints,
                                     python, options->index_url, &why);
    if (err != US_OK) {
        job_spec_refuse (spec, err, why);
        return;
    }
    program_t *program =
        program_get (node, envs_get (node->envs, &request), fields, spec->fresh);
    spec->pool = pool_get (node, program, &fields->blobs);
    spec->pool->refs++;
}

static void s_leave_pool (void *arg, job_spec_t *spec)
{
    (void) arg;
    if (spec->pool)
        spec->pool->refs--;
}

job_specs_t *intake_specs_new (node_t *node)
{
    return job_specs_new (&(job_spec_events_t){.decoded = s_choose_pool,
                                               .freed = s_leave_pool,
                                               .arg = node});
}

/* --- arrival ---------------------------------------------------------------------- */

static void s_forget (node_t *node, job_t *job)
{
    if (!job_forget (node, job))
        slots_cancel (node->slots, job, true);
}

static void s_arrive (node_t *node, const usi_fields_t *item, usi_bytes_t body)
{
    job_t *old = jobs_find_any (node->jobs, &item->id);
    if (old && old->attempt >= item->attempt)
        return; /* told twice */
    if (old)
        s_forget (node, old); /* our lease of it was lost */
    job_t *job = jobs_add (node->jobs, item, body);
    if (job->spec->error != US_OK)
        job_fail (node, job, USI_FAILED, job->spec->error, job->spec->why);
    else if (node->draining)
        job_hand_back (node, job);
    else
        pool_add (job->spec->pool, job);
}

void intake_jobs (node_t *node, const usi_msg_t *msg)
{
    slots_spend_credit (node->slots, msg->items_len);
    for (size_t i = 0; i < msg->items_len; i++)
        s_arrive (node, &msg->items[i], usi_msg_item_body (msg, i));
    loop_touch (node->loop);
}

/* --- ends ------------------------------------------------------------------------- */

static void s_not_committed (node_t *node, job_t *job, us_err_t code)
{
    if (code == US_ERR_MISSING_BLOB && job_has_blobs (job)) {
        job_put_result (node, job);
    } else if (code == US_ERR_STORE || code == US_ERR_BUSY || code == US_ERR_TIMEOUT) {
        job->sent_ms = 0; /* job_sender_repeat sends it again */
    } else if (job->state == JOB_ENDED && job->outcome == USI_SUCCEEDED) {
        usi_notice ("result.refused", "a broker refused a result code=%d", code);
        job_fail (node, job, USI_FAILED, code, "the broker refused the result");
    } else {
        usi_notice ("result.refused", "a broker refused the end of a job code=%d",
                    code);
        job_destroy (node, job);
    }
}

void intake_committed (node_t *node, const usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++) {
        const usi_fields_t *item = &msg->items[i];
        job_t *job = jobs_find (node->jobs, &item->id, item->attempt);
        if (!job || job->state < JOB_ENDED)
            continue;
        us_err_t code = (us_err_t) item->code;
        if (code == US_OK || code == US_ERR_STALE || code == US_ERR_UNKNOWN_JOB ||
            code == US_ERR_ENDED)
            job_destroy (node, job);
        else
            s_not_committed (node, job, code);
    }
    if (node->draining)
        loop_touch (node->loop);
}

void intake_renewed (node_t *node, const usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++) {
        const usi_fields_t *item = &msg->items[i];
        job_t *job = jobs_find (node->jobs, &item->id, item->attempt);
        if (job && item->code == US_ERR_STALE)
            s_forget (node, job);
        else if (job && item->code == US_ERR_CANCELLED)
            slots_cancel (node->slots, job, false);
    }
}

void intake_stop (node_t *node, const usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++) {
        const usi_fields_t *item = &msg->items[i];
        job_t *job = jobs_find (node->jobs, &item->id, item->attempt);
        if (job)
            slots_cancel (node->slots, job, false);
    }
}

/* --- logs ------------------------------------------------------------------------- */

void intake_log_kept (node_t *node, const usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++) {
        const usi_fields_t *item = &msg->items[i];
        job_t *job = jobs_find (node->jobs, &item->id, item->attempt);
        if (!job || item->stream > 1)
            continue;
        job_log_t *log = &job->logs[item->stream];
        uint64_t base = job->bases[item->stream];
        uint64_t kept = item->offset > base ? item->offset - base : 0;
        if (item->code == US_ERR_STALE)
            kept = log->end; /* nobody wants it; RENEWED will say so too */
        else if (item->code != US_OK || kept <= log->kept)
            job->log_again = true; /* trouble, or a gap: job_sender_repeat sends it */
        job_log_keep (log, kept);
        slots_resume_log (node->slots, job);
    }
}

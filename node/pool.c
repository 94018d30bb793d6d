/* SPDX-License-Identifier: MIT
 *
 * Pools: see pool.h. */
#include "pool.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "blob_cache.h"

#define QUEUE_US  5000  /* of work that one worker may hold */
#define LONG_US   10000 /* jobs of this length never queue behind each other */
#define DEPTH_MAX 128
#define IDLE_MS   (10 * 60 * 1000)

/* --- depth ------------------------------------------------------------------------ */

unsigned pool_depth_for (uint64_t ewma_us)
{
    if (ewma_us == 0 || ewma_us > LONG_US)
        return 1;
    uint64_t depth = 1 + QUEUE_US / ewma_us;
    return depth < DEPTH_MAX ? (unsigned) depth : DEPTH_MAX;
}

unsigned pool_depth (const pool_t *pool)
{
    return pool->program->fresh ? 1 : pool_depth_for (pool->ewma_us);
}

void pool_measure (uint64_t *ewma_us, int64_t sample_us)
{
    int64_t old = (int64_t) *ewma_us;
    int64_t next = old ? old + (sample_us - old) / 8 : sample_us;
    *ewma_us = next > 0 ? (uint64_t) next : 1;
}

/* --- finding ---------------------------------------------------------------------- */

static bool s_same_blobs (const pool_t *pool, const usi_list_t *blobs)
{
    size_t position = 0;
    usi_bytes_t digest;
    if (pool->blobs_len != blobs->count)
        return false;
    for (size_t i = 0; i < pool->blobs_len && usi_list_next (blobs, &position, &digest);
         i++)
        if (memcmp (pool->blobs[i], digest.data, USI_DIGEST_LEN) != 0)
            return false;
    return true;
}

static pool_t *s_new (node_t *node, program_t *program, const usi_list_t *blobs)
{
    pool_t *pool = usi_new (pool_t);
    size_t position = 0;
    usi_bytes_t digest;
    pool->node = node;
    pool->program = program;
    pool->used_ms = usi_now_ms ();
    pool->blobs = usi_alloc ((blobs->count + 1) * sizeof *pool->blobs);
    while (pool->blobs_len < blobs->count && usi_list_next (blobs, &position, &digest))
        memcpy (pool->blobs[pool->blobs_len++], digest.data, USI_DIGEST_LEN);
    pool->next = node->pools;
    node->pools = pool;
    return pool;
}

pool_t *pool_get (node_t *node, program_t *program, const usi_list_t *blobs)
{
    for (pool_t *pool = node->pools; pool; pool = pool->next) {
        if (pool->program != program || !s_same_blobs (pool, blobs))
            continue;
        program_drop (program); /* the pool has one already */
        return pool;
    }
    return s_new (node, program, blobs);
}

pool_t *pool_oldest_of (const program_t *program)
{
    pool_t *oldest = NULL;
    for (pool_t *pool = program->node->pools; pool; pool = pool->next)
        if (pool->program == program && pool->queue.first &&
            (!oldest ||
             job_at (pool->queue.first)->order < job_at (oldest->queue.first)->order))
            oldest = pool;
    return oldest;
}

pool_t *pool_latest_of (const program_t *program)
{
    pool_t *latest = NULL;
    for (pool_t *pool = program->node->pools; pool; pool = pool->next)
        if (pool->program == program && (!latest || pool->used_ms > latest->used_ms))
            latest = pool;
    return latest;
}

static void s_free (pool_t *pool)
{
    blob_cache_forget (pool->node->blobs, pool);
    program_drop (pool->program);
    free (pool->blobs);
    free (pool);
}

void pools_tidy (node_t *node)
{
    int64_t now_ms = usi_now_ms ();
    for (pool_t **at = &node->pools; *at;) {
        pool_t *pool = *at;
        if (pool->queue.len > 0)
            pool->used_ms = now_ms;
        if (pool->refs > 0 || now_ms - pool->used_ms < IDLE_MS) {
            at = &pool->next;
            continue;
        }
        *at = pool->next;
        s_free (pool);
    }
}

void pools_clear (node_t *node)
{
    while (node->pools) {
        pool_t *pool = node->pools;
        node->pools = pool->next;
        s_free (pool);
    }
}

/* --- what it needs ---------------------------------------------------------------- */

static job_t *s_first (const pool_t *pool)
{
    return job_at (pool->queue.first);
}

/* The only writer of a pool's state. false: the event means nothing now. */
static bool s_apply (pool_t *pool, pool_event_t event)
{
    int next = pool_next (pool->state, event);
    if (next < 0)
        return false;
    pool->state = (pool_state_t) next;
    return true;
}

static job_state_t s_waiting_state (const pool_t *pool)
{
    return pool->state == POOL_READY ? JOB_READY : JOB_WAITING;
}

static void s_set_states (pool_t *pool)
{
    LIST_EACH (&pool->queue, job_t, job, place)
        job_set_state (pool->node, job, s_waiting_state (pool));
}

static void s_fail (pool_t *pool, int code, usi_bytes_t envelope)
{
    while (pool->queue.first) {
        usi_buf_t body = {0};
        usi_buf_append (&body, envelope.data, envelope.len);
        job_end (pool->node, s_first (pool), USI_FAILED, code, &body);
    }
}

static void s_fail_with (pool_t *pool, us_err_t code, const char *why)
{
    while (pool->queue.first)
        job_fail (pool->node, s_first (pool), USI_FAILED, code, why);
}

/* Looks whether environment and bundles are there now, or cannot be had. */
static void s_check (pool_t *pool)
{
    env_t *env = pool->program->env;
    if (env->state == ENV_FAILED && s_apply (pool, POOL_FAILED)) {
        s_fail (pool, US_ERR_ENV_BUILD, usi_buf_bytes (&env->failure));
    } else if (env->state == ENV_READY && pool->missing == 0 &&
               s_apply (pool, POOL_FILLED)) {
        s_set_states (pool);
        loop_touch (pool->node->loop);
    }
}

static void s_on_bundle (node_t *node, void *arg, us_err_t err, const char *why)
{
    pool_t *pool = arg;
    if (pool->missing > 0)
        pool->missing--;
    if (err == US_OK) {
        s_check (pool);
        return;
    }
    s_apply (pool, POOL_FAILED);
    pool->missing = 0;
    blob_cache_forget (node->blobs, pool);
    s_fail_with (pool, err, why);
}

/* A job waits: asks for what the pool lacks, unless it has been asked for. */
static void s_want (pool_t *pool)
{
    if (!s_apply (pool, POOL_WANTED))
        return;
    pool->missing = 0;
    for (size_t i = 0; i < pool->blobs_len; i++)
        if (!blob_cache_need (pool->node->blobs, pool->blobs[i], s_on_bundle, pool))
            pool->missing++;
    env_want (pool->program->env);
    s_check (pool);
}

/* Bundles or environment are not there any more: its jobs wait for them again. */
static void s_cool (pool_t *pool)
{
    if (!s_apply (pool, POOL_COOLED))
        return;
    s_set_states (pool);
    if (pool->queue.first)
        s_want (pool);
}

bool pool_has_bundles (pool_t *pool)
{
    for (size_t i = 0; i < pool->blobs_len; i++) {
        int fd = blob_cache_open (pool->node->blobs, pool->blobs[i]);
        if (fd < 0) {
            s_cool (pool);
            return false;
        }
        close (fd);
    }
    return true;
}

/* --- jobs ------------------------------------------------------------------------- */

static void s_enqueue (pool_t *pool, job_t *job)
{
    list_append (&pool->queue, &job->place);
    pool->used_ms = job->since_us / 1000;
    job_set_state (pool->node, job, s_waiting_state (pool));
    const env_t *env = pool->program->env;
    const usi_buf_t *output = &env->output;
    if (pool->state != POOL_READY && env->state == ENV_BUILDING)
        job_write_log (pool->node, job, 1, output->data, output->len);
    s_want (pool);
    loop_touch (pool->node->loop);
}

static void s_on_blob (node_t *node, void *arg, us_err_t err, const char *why)
{
    job_t *job = arg;
    if (err != US_OK)
        job_fail (node, job, USI_FAILED, err, why);
    else if (--job->missing == 0)
        s_enqueue (job->pool, job);
}

/* Asks for the blobs that are the job's own: its body and its buffers. */
static void s_need_blobs (const pool_t *pool, job_t *job)
{
    blob_cache_t *blobs = pool->node->blobs;
    const job_spec_t *spec = job->spec;
    job->missing = 0;
    if (spec->has_blob && !blob_cache_need (blobs, spec->blob, s_on_blob, job))
        job->missing++;
    for (size_t i = 0; i < spec->buffers_len; i++)
        if (!blob_cache_need (blobs, job_spec_buffer (spec, i), s_on_blob, job))
            job->missing++;
}

void pool_add (pool_t *pool, job_t *job)
{
    job->pool = pool;
    s_need_blobs (pool, job);
    if (job->missing > 0)
        job_set_state (pool->node, job, JOB_WAITING);
    else
        s_enqueue (pool, job);
}

void pool_take_back (job_t *job)
{
    pool_t *pool = job->pool;
    job->worker = NULL;
    job->marked = false;
    list_prepend (&pool->queue, &job->place);
    job_set_state (pool->node, job, s_waiting_state (pool));
    s_want (pool);
    loop_touch (pool->node->loop);
}

/* --- environments ----------------------------------------------------------------- */

void pools_env_changed (node_t *node, env_t *env)
{
    for (pool_t *pool = node->pools; pool; pool = pool->next) {
        if (pool->program->env != env)
            continue;
        if (env->state == ENV_READY || env->state == ENV_FAILED)
            s_check (pool);
        else
            s_cool (pool);
    }
    loop_touch (node->loop);
}

void pools_env_output (node_t *node, env_t *env, usi_bytes_t bytes)
{
    for (pool_t *pool = node->pools; pool; pool = pool->next)
        if (pool->program->env == env)
            LIST_EACH (&pool->queue, job_t, job, place)
                job_write_log (node, job, 1, bytes.data, bytes.len);
}

bool pools_use_env (const node_t *node, const env_t *env)
{
    for (const pool_t *pool = node->pools; pool; pool = pool->next)
        if (pool->program->env == env && pool->queue.len > 0)
            return true;
    return programs_env_workers (node, env) > 0;
}

static bool s_is_of_job (const job_t *job, const uint8_t *digest)
{
    const job_spec_t *spec = job->spec;
    if (spec->has_blob && memcmp (spec->blob, digest, USI_DIGEST_LEN) == 0)
        return true;
    for (size_t i = 0; i < spec->buffers_len; i++)
        if (memcmp (job_spec_buffer (spec, i), digest, USI_DIGEST_LEN) == 0)
            return true;
    return false;
}

bool pools_use_blob (const node_t *node, const uint8_t digest[USI_DIGEST_LEN])
{
    LIST_EACH (&node->jobs->all, job_t, job, all)
        if (job->state < JOB_ENDED && s_is_of_job (job, digest))
            return true;
    for (const pool_t *pool = node->pools; pool; pool = pool->next)
        for (size_t i = 0; i < pool->blobs_len; i++)
            if (memcmp (pool->blobs[i], digest, USI_DIGEST_LEN) == 0)
                return true;
    return false;
}

/* SPDX-License-Identifier: MIT
 *
 * A pool: the jobs and workers of one environment and one ordered set of bundles.
 * Its jobs wait in it until environment and bundles are there, and then for a
 * worker. A pool lives as long as the daemon or until nobody used it for long. Stands on
 * jobs.h, blob_cache.h and venv/; pool_state.h says what may follow what. */
#ifndef NODE_POOL_H
#define NODE_POOL_H

#include "jobs.h"
#include "pool_state.h"

struct pool {
    node_t *node;
    pool_t *next;
    unsigned refs; /* specifications and workers */
    env_t *env;
    uint8_t (*blobs)[USI_DIGEST_LEN];
    size_t blobs_len;
    bool fresh; /* each job gets a process of its own */
    pool_state_t state;
    size_t missing;          /* bundles that are being fetched */
    list_t queue;            /* jobs, by their place */
    unsigned workers;        /* that can still take jobs */
    unsigned start_failures; /* in a row */
    int64_t retry_at_us;     /* no new worker before */
    uint64_t ewma_us;        /* of a job's time; 0: none measured */
    int64_t used_ms;
};

pool_t *pool_get (node_t *node, env_t *env, const usi_list_t *blobs, bool fresh);
/* A job arrives: it waits here until it can be given to a worker. */
void pool_add (pool_t *pool, job_t *job);
/* A worker hands back a job that it did not begin with; it goes first. */
void pool_take_back (pool_t *pool, job_t *job);
/* Fails all jobs that wait here, with this envelope. */
void pool_fail (pool_t *pool, int code, usi_bytes_t envelope);
/* An environment has another state: its pools become ready, fail, or wait. */
void pools_env_changed (node_t *node, env_t *env);
/* Output of its build goes into the logs of all jobs that wait for it. */
void pools_env_output (node_t *node, env_t *env, usi_bytes_t bytes);
/* Bundles or environment are not there any more: its jobs wait for them again. */
void pool_cool (pool_t *pool);
/* A pool of this environment has jobs or workers. */
bool pools_use_env (const node_t *node, const env_t *env);
unsigned pools_env_workers (const node_t *node, const env_t *env);
bool pools_use_blob (const node_t *node, const uint8_t digest[USI_DIGEST_LEN]);
/* Drops pools that were not used for long. */
void pools_tidy (node_t *node);
/* Nobody used it for some time: its idle workers may go. */
bool pool_is_unused (const pool_t *pool);
void pools_clear (node_t *node);
/* How many jobs one worker may hold. */
unsigned pool_depth (const pool_t *pool);
/* The same for any measured time: 1 for jobs over 10 ms or unknown, up to 128. */
unsigned pool_depth_for (uint64_t ewma_us);
void pool_measure (uint64_t *ewma_us, int64_t sample_us);

#endif

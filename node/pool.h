/* SPDX-License-Identifier: MIT
 *
 * A pool: the jobs and workers of one environment and one ordered set of bundles.
 * Its jobs wait in it until environment and bundles are there, and then for a
 * worker. A pool lives as long as the daemon or until nobody used it for long. */
#ifndef NODE_POOL_H
#define NODE_POOL_H

#include "jobs.h"
#include "venv/cache.h"

typedef enum pool_state {
    POOL_COLD,      /* nothing was asked for yet */
    POOL_PREPARING, /* environment or bundles are on their way */
    POOL_READY
} pool_state_t;

struct pool {
    node_t *node;
    pool_t *next;
    unsigned refs; /* recipes and workers */
    env_t *env;
    uint8_t (*blobs)[USI_DIGEST_LEN];
    size_t blobs_len;
    bool fresh; /* each job gets a process of its own */
    pool_state_t state;
    size_t missing; /* bundles that are being fetched */
    job_list_t queue;
    unsigned workers;        /* that can still take jobs */
    unsigned start_failures; /* in a row */
    int64_t retry_at_us;     /* no new worker before */
    uint64_t ewma_us;        /* of a job's time; 0: none measured */
    int64_t used_ms;
};

pool_t *pool_get (node_t *node, env_t *env, const usi_list_t *blobs, bool fresh);
/* A job arrives: it waits here until it can be given to a worker. */
void pool_add (pool_t *pool, job_t *job);
/* Back from a worker that did not begin with it; goes first. */
void pool_return (pool_t *pool, job_t *job);
/* All that wait here fail with this envelope. */
void pool_fail (pool_t *pool, int code, usi_bytes_t envelope);
/* One of the environments changed: it is ready, or it failed. */
void pools_env_changed (node_t *node, env_t *env);
/* Output of its build, for all that wait for it. */
void pools_env_output (node_t *node, env_t *env, usi_bytes_t bytes);
/* Its jobs wait again: bundles or environment are not there any more. */
void pool_cool (pool_t *pool);
/* A pool of this environment has jobs or workers. */
bool pools_use_env (const node_t *node, const env_t *env);
unsigned pools_env_workers (const node_t *node, const env_t *env);
bool pools_use_blob (const node_t *node, const uint8_t digest[USI_DIGEST_LEN]);
/* Drops pools that were not used for long. */
void pools_tidy (node_t *node);
void pools_clear (node_t *node);
/* How many jobs one worker may hold. */
unsigned pool_depth (const pool_t *pool);
/* The same for any measured time: 1 for jobs over 10 ms or unknown, up to 64. */
unsigned pool_depth_for (uint64_t ewma_us);
void pool_measure (uint64_t *ewma_us, int64_t sample_us);

#endif

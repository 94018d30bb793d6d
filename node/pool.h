/* SPDX-License-Identifier: MIT
 *
 * A pool: the jobs of one program with one ordered set of bundles. They wait in it until
 * environment and bundles are there, and then for a worker of the program. A pool lives
 * as long as the daemon or until nobody used it for long. Stands on program.h, jobs.h,
 * blob_cache.h and venv/; pool_state.h says what may follow what. */
#ifndef NODE_POOL_H
#define NODE_POOL_H

#include "jobs.h"
#include "pool_state.h"
#include "program.h"

struct pool {
    node_t *node;
    pool_t *next;
    unsigned refs; /* specifications, and workers that have its bundles */
    program_t *program;
    uint8_t (*blobs)[USI_DIGEST_LEN];
    size_t blobs_len;
    pool_state_t state;
    size_t missing;   /* bundles that are being fetched */
    list_t queue;     /* jobs, by their place */
    unsigned served;  /* the pass of slots.c that has looked at it last */
    uint64_t ewma_us; /* of a job's time; 0: none measured */
    int64_t used_ms;
};

/* Takes over the caller's reference to the program. */
pool_t *pool_get (node_t *node, program_t *program, const usi_list_t *blobs);
/* Whether all its bundles are in their files now; where not, its jobs wait again. */
bool pool_has_bundles (pool_t *pool);
/* The pool of this program whose first job waits for the longest time; NULL: none
 * waits. */
pool_t *pool_oldest_of (const program_t *program);
/* The pool of this program that had a job last; NULL: none had. */
pool_t *pool_latest_of (const program_t *program);
/* A job arrives: it waits here until it can be given to a worker. */
void pool_add (pool_t *pool, job_t *job);
/* A worker hands back a job that it did not begin with; it goes first. */
void pool_take_back (job_t *job);
/* An environment has another state: its pools become ready, fail, or wait. */
void pools_env_changed (node_t *node, env_t *env);
/* Output of its build goes into the logs of all jobs that wait for it. */
void pools_env_output (node_t *node, env_t *env, usi_bytes_t bytes);
/* A pool of this environment has jobs or workers. */
bool pools_use_env (const node_t *node, const env_t *env);
/* Of a pool, or of a job that has not ended. */
bool pools_use_blob (const node_t *node, const uint8_t digest[USI_DIGEST_LEN]);
/* Drops pools that were not used for long. */
void pools_tidy (node_t *node);
void pools_clear (node_t *node);
/* How many jobs one worker may hold. */
unsigned pool_depth (const pool_t *pool);
/* The same for any measured time: 1 for jobs over 10 ms or unknown, up to 128. */
unsigned pool_depth_for (uint64_t ewma_us);
void pool_measure (uint64_t *ewma_us, int64_t sample_us);

#endif

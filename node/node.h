/* SPDX-License-Identifier: MIT
 *
 * One node: what its parts share. One thread, one loop, one node_t. This header holds
 * data alone and declares no function. The parts, each above those it uses:
 *
 *   host/        the loop, child processes, interpreters, scratch directories
 *   venv/        environments on disk
 *   conn         the connection to a broker; wake: hints that there is work
 *   blob_cache   big bytes, on disk, from and to the broker
 *   job_spec     what a job asks for, decoded once
 *   jobs         what the node holds, until a broker has answered COMMITTED
 *   job_sender   what the broker is told about jobs
 *   zygote       the process of an environment that forks workers
 *   program      what the jobs of one program share in one environment: its workers
 *   pool         jobs of one program with one set of bundles
 *   worker       one process: worker_life, worker_io, worker
 *   kept         workers that have no job
 *   slots        which worker takes which job; credit; the clock of limits
 *   intake       what the broker says about jobs
 *   daemon       wires all of them together
 *
 * Handlers only change memory and note that something is to be sent; loop_touch asks
 * for the end of the turn, where what came together leaves together. */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "auth/trust.h"
#include "base/bytes.h"
#include "host/children.h"
#include "host/loop.h"
#include "host/python.h"
#include "host/scratch.h"
#include "proto/message.h"
#include "venv/cache.h"

typedef struct node node_t;
typedef struct node_conn node_conn_t;
typedef struct wake wake_t;
typedef struct blob_cache blob_cache_t;
typedef struct job_specs job_specs_t;
typedef struct job_spec job_spec_t;
typedef struct jobs jobs_t;
typedef struct job job_t;
typedef struct zygote zygote_t;
typedef struct program program_t;
typedef struct pool pool_t;
typedef struct worker worker_t;
typedef struct slots slots_t;

typedef struct node_options {
    const usi_identity_t *identity; /* NULL: without keys */
    const char *no_key;             /* then why, in words; NULL: nothing to say */
    const char *name;
    const char *const *brokers; /* endpoints */
    size_t brokers_len;
    const char *redis; /* NULL: the brokers are listed */
    const char *const *channels;
    size_t channels_len;
    unsigned slots;
    const python_t *pythons;
    size_t pythons_len;
    const char *cache;
    uint64_t cache_limit, env_limit;
    const char *index_url; /* NULL: what the machine is configured for */
    const char
        *directory;       /* in which jobs run; NULL: each worker's scratch directory */
    const char *runtime;  /* directory that holds the package understudy */
    uint64_t idle_memory; /* that workers without a job may keep, in bytes */
    int64_t grace_ms;
    int ready_fd; /* -1: none */
} node_options_t;

typedef struct node_limits {
    uint64_t max_body;
    uint64_t max_payload;
    uint64_t max_buffer, max_buffers; /* 0: the broker takes none */
    int64_t lease_ms;
} node_limits_t;

struct node {
    loop_t *loop;
    node_options_t options;
    uint64_t id;
    uint32_t boot;
    node_limits_t limits; /* as the broker told */
    children_t children;
    scratch_t scratch;
    envs_t *envs;
    node_conn_t *conn;
    wake_t *wake;
    blob_cache_t *blobs;
    job_specs_t *specs;
    jobs_t *jobs;
    zygote_t *zygotes;
    program_t *programs;
    pool_t *pools;
    slots_t *slots;
    bool status_changed; /* STATUS is due at the end of the turn */
    bool draining;       /* takes no more jobs */
};

#endif

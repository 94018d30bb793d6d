/* SPDX-License-Identifier: MIT
 *
 * What the parts of the daemon know of each other. One thread, one loop, one node_t:
 *
 *   link    the broker: HELLO, heartbeats, the next broker when one is gone
 *   jobs    what the node holds, until a broker has answered COMMITTED
 *   pools   jobs and workers of one environment and one set of bundles
 *   slots   which worker takes which job; credit; the clock of limits
 *   worker  one process: its job socket and its log pipe
 *   zygotes the process of an environment that forks workers
 *   envs    environments on disk (venv/)
 *   blobs   big bytes, on disk, from and to the broker
 *
 * Handlers only change memory and note that something is to be sent; node_touch asks
 * for the end of the turn, where what came together leaves together. */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include <czmq.h>

#include "base/bytes.h"
#include "proto/message.h"
#include "python.h"

typedef struct node node_t;
typedef struct link link_t;
typedef struct jobs jobs_t;
typedef struct job job_t;
typedef struct recipe recipe_t;
typedef struct pool pool_t;
typedef struct slots slots_t;
typedef struct worker worker_t;
typedef struct zygote zygote_t;
typedef struct envs envs_t;
typedef struct env env_t;
typedef struct blobs blobs_t;

typedef struct node_options {
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
    uint64_t cache_limit;
    const char *index_url; /* NULL: what the machine is configured for */
    const char *runtime;   /* directory that holds the package understudy */
    int64_t grace_ms;
    int ready_fd; /* -1: none */
} node_options_t;

typedef struct node_limits {
    uint64_t max_body;
    uint64_t max_payload;
    int64_t lease_ms;
    int64_t heartbeat_ms;
} node_limits_t;

struct node {
    zloop_t *loop;
    node_options_t options;
    uint64_t id;
    uint32_t boot;
    node_limits_t limits; /* as the broker told */
    link_t *link;
    jobs_t *jobs;
    slots_t *slots;
    pool_t *pools;
    recipe_t *recipes;
    zygote_t *zygotes;
    envs_t *envs;
    blobs_t *blobs;
    bool turn_asked;
    bool status_changed;
    bool draining;
    bool leaving;           /* BYE is said: the loop ends */
    int64_t drain_stop_ms;  /* when running jobs are stopped; 0: never */
    int64_t drain_leave_ms; /* when nothing is waited for any more; 0: never */
    unsigned signals;
};

/* The end of this turn has something to do. */
void node_touch (node_t *node);
/* Takes no more jobs; hands back what has not started; ends once the rest is done.
 * grace_ms: how long running jobs go on; -1: as long as they take. */
void node_drain (node_t *node, int64_t grace_ms, const char *why);
/* One message of the broker; its views are valid for the call. */
void node_receive (node_t *node, const usi_msg_t *msg);
/* The broker said WELCOME; it is gone. */
void node_welcome (node_t *node);
void node_lost (node_t *node);

/* Timers and descriptors of the loop, shortened. */
int node_after (node_t *node, int64_t ms, zloop_timer_fn *fn, void *arg);
void node_watch (node_t *node, int fd, zloop_fn *fn, void *arg);
void node_unwatch (node_t *node, int fd);

#endif

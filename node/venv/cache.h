/* SPDX-License-Identifier: MIT
 *
 * The environments on this machine: CACHE/envs/KEY, shared by all daemons that use
 * the cache. KEY.lock guards each: shared by whoever uses it, exclusive for whoever
 * builds or removes it. Nothing is removed while anybody uses it. A failed build is
 * remembered, and for some time fails those who ask again with the same words. */
#ifndef NODE_VENV_CACHE_H
#define NODE_VENV_CACHE_H

#include "node.h"
#include "venv/build.h"
#include "venv/key.h"

typedef enum env_state {
    ENV_STORED,  /* known, perhaps on disk; not used */
    ENV_WAITING, /* another daemon has the lock */
    ENV_BUILDING,
    ENV_READY, /* on disk, and locked by us */
    ENV_FAILED
} env_state_t;

struct env {
    node_t *node;
    env_t *next;
    env_state_t state;
    env_request_t request; /* python NULL: only known from the disk */
    char *path;
    env_facts_t facts;
    int lock; /* -1: not held */
    build_t build;
    int64_t build_began_ms, build_heard_ms;
    char *stopped;     /* why the daemon ended the build; NULL: it did not */
    usi_buf_t output;  /* of the last build */
    usi_buf_t failure; /* envelope */
    int64_t backoff_ms, retry_at_ms;
    int64_t used_ms; /* monotonic */
    int64_t used_wall_ms;
    unsigned zygote_failures; /* in a row, before it was ready */
    zygote_t *zygote;
};

envs_t *envs_new (node_t *node);
void envs_destroy (envs_t **self_p);
/* Takes over the request's content. */
env_t *envs_get (envs_t *self, env_request_t *request);
/* Makes it ready: pools_env_changed tells when it is, or when it failed. Where it
 * is, or failed a short time ago, nothing happens and its state says so. */
void env_want (env_t *env);
/* It cannot be used though it is on disk: built anew, or failed with this text. */
void env_broken (env_t *env, const char *why);
/* A child has ended; false: it is no builder. */
bool envs_reaped (envs_t *self, pid_t pid, int status);
bool envs_have (const envs_t *self, pid_t pid);
/* Builds go on. */
bool envs_are_busy (const envs_t *self);
/* Time limits of builds; unused environments are let go; the limit of the disk. */
void envs_tidy (envs_t *self);
/* The items of STATUS. */
void envs_report (const envs_t *self, usi_msg_t *msg);

#endif

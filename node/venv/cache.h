/* SPDX-License-Identifier: MIT
 *
 * The environments on this machine: CACHE/envs/KEY, shared by all daemons that use
 * the cache. KEY.lock guards each: shared by whoever uses it, exclusive for whoever
 * builds or removes it. Nothing is removed while anybody uses it. A failed build is
 * remembered, and for some time fails those who ask again with the same words.
 *
 * The owner is told by env_events_t what happens to an environment, and is asked whether
 * it is in use. Stands on host/ and the other files of this folder. */
#ifndef NODE_VENV_CACHE_H
#define NODE_VENV_CACHE_H

#include "host/loop.h"
#include "venv/build.h"
#include "venv/evict.h"
#include "venv/key.h"

typedef struct envs envs_t;
typedef struct env env_t;

typedef enum env_state {
    ENV_STORED,  /* known, perhaps on disk; not used */
    ENV_WAITING, /* another daemon has the lock */
    ENV_BUILDING,
    ENV_READY, /* on disk, and locked by us */
    ENV_FAILED
} env_state_t;

struct env {
    envs_t *envs;
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
};

typedef struct env_events {
    void (*changed) (void *arg, env_t *env); /* it has another state */
    void (*output) (void *arg, env_t *env, usi_bytes_t bytes); /* of its build */
    bool (*in_use) (void *arg, const env_t *env);
    unsigned (*workers) (void *arg, const env_t *env); /* for STATUS */
    void *arg;
} env_events_t;

typedef struct envs_setup {
    const char *cache;  /* directory */
    uint64_t limit;     /* of all environments, in bytes */
    uint64_t env_limit; /* of one */
    const char *node;   /* its name, for failures */
    env_events_t events;
} envs_setup_t;

/* What setup points to has to live as long as the environments. */
envs_t *envs_new (loop_t *loop, const envs_setup_t *setup);
void envs_destroy (envs_t **self_p);
/* Takes over the request's content. */
env_t *envs_get (envs_t *self, env_request_t *request);
/* Makes it ready: the event changed tells when it is, or when it failed. Where it is
 * ready, or failed a short time ago, nothing happens and its state says so. */
void env_want (env_t *env);
/* The environment cannot be used though it is on disk: it fails with this text, and is
 * built anew for a later job. */
void env_broken (env_t *env, const char *why);
/* A child has ended; false: it is none of ours. */
bool envs_reaped (envs_t *self, pid_t pid, int status);
bool envs_have (const envs_t *self, pid_t pid);
/* Some environment is being built. */
bool envs_are_busy (const envs_t *self);
/* Stops builds that take too long, lets go of unused environments, and keeps all of
 * them within the limit of the disk. */
void envs_tidy (envs_t *self);
/* The items of STATUS. */
void envs_report (const envs_t *self, usi_msg_t *msg);

#endif

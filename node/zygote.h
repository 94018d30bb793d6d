/* SPDX-License-Identifier: MIT
 *
 * One small process for each environment in use: the environment's interpreter with the
 * worker runtime loaded, forking workers on request (docs/worker-protocol.md). An
 * environment whose interpreter ends several times before it is ready is broken, and
 * venv/cache.h is told so. Stands on venv/ and host/. */
#ifndef NODE_ZYGOTE_H
#define NODE_ZYGOTE_H

#include "node.h"

typedef struct zygote_fork {
    uint8_t token[16];
    unsigned slot;
    int job_socket; /* the worker's end */
    int log_pipe;   /* the write end */
} zygote_fork_t;

/* Starts the zygote where there is none. -1: it cannot be, errno says why. */
int zygote_fork (node_t *node, env_t *env, const zygote_fork_t *request);
/* The environment has just become ready: loads its interpreter, before a job asks. */
void zygote_prepare (node_t *node, env_t *env);
/* Tells the zygote of the environment, if there is one, to end. */
void zygote_end (node_t *node, const env_t *env);
/* A child has ended; false: it is no zygote. */
bool zygotes_reaped (node_t *node, pid_t pid, int status);
/* Tells all zygotes to end. */
void zygotes_end (node_t *node);
bool zygotes_have (const node_t *node, pid_t pid);
void zygotes_clear (node_t *node);

#endif

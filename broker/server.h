/* SPDX-License-Identifier: MIT
 *
 * The broker as a whole: two ROUTER sockets (one plain, for its own user's unix socket, and
 * one with keys, for TCP), one loop, one thread. It is made, bound, opened, run and destroyed,
 * in this order. Stands on all other parts of the broker. */
#ifndef BROKER_SERVER_H
#define BROKER_SERVER_H

#include "auth/keyfile.h"
#include "core/endpoints.h"
#include "private_redis.h"

typedef struct server server_t;

#define EXIT_OS     71 /* EX_OSERR: an address is in use, or the system refuses */
#define EXIT_CONFIG 78 /* EX_CONFIG */

typedef struct server_options {
    const char *redis_url;
    const char *nodes_url; /* that Redis for nodes that subscribe; NULL: make a user */
    const char *durability;
    int64_t lease_ms, keep_ms;
    int64_t keep_jobs;
    uint64_t max_payload, max_buffer, max_buffers;
    int64_t exit_when_idle_ms; /* -1: never */
    const char *state_dir;     /* of what is kept of keys; needed where there are any */
    /* Called once, when the store answers and peers are served. */
    void (*ready) (server_t *server, void *arg);
    void *arg;
} server_options_t;

/* identity: NULL without keys; borrowed. insecure: TCP without keys. */
server_t *server_new (const usi_identity_t *identity, bool insecure);
void server_destroy (server_t **self_p);

/* 0, or an exit code and a line for the operator in *text, which the caller frees. */
int server_bind (server_t *self, const char *endpoint, char **text);
/* Checks whether the store suits and connects to it. SIGTERM, SIGINT and SIGCHLD must be
 * blocked. redis may be NULL; it is borrowed. */
int server_open (server_t *self, const server_options_t *options,
                 private_redis_t *redis, char **text);
/* Runs until a signal, or until the broker was idle for long enough. */
void server_run (server_t *self);

/* What an accepted job survives; borrowed. */
const char *server_durability (const server_t *self);
/* What others connect to; borrowed. */
const endpoints_t *server_endpoints (const server_t *self);
uint32_t server_id (const server_t *self);

#endif

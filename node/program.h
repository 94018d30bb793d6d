/* SPDX-License-Identifier: MIT
 *
 * A program: what the jobs of one program of one owner share in one environment, above
 * all its workers. They may come with different bundles, each set of which is a pool
 * (pool.h). A program lives as long as a pool or a worker of it. Stands on venv/. */
#ifndef NODE_PROGRAM_H
#define NODE_PROGRAM_H

#include "node.h"

struct program {
    node_t *node;
    program_t *next;
    unsigned refs; /* pools and workers */
    env_t *env;
    bool fresh;        /* each job gets a process of its own */
    usi_bytes_t words; /* a map of what makes it another one: its worker gets it */
    unsigned workers;  /* that can still take jobs */
    unsigned start_failures; /* in a row */
    int64_t retry_at_us;     /* no new worker before */
};

/* Finds or makes the program of this specification; the caller is one more owner. */
program_t *program_get (node_t *node, env_t *env, const usi_fields_t *spec, bool fresh);
void program_drop (program_t *self);
/* Workers of all programs that run in this environment. */
unsigned programs_env_workers (const node_t *node, const env_t *env);

#endif

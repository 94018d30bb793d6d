/* SPDX-License-Identifier: MIT
 *
 * A node without its daemon: all parts that are below it, wired as the daemon wires them,
 * with no broker. Its one environment is ready at once, and its interpreter is this test
 * (fake_zygote.h). A test gives it JOBS messages, runs the loop until something has come
 * about, and looks. */
#ifndef TESTS_NODE_STAGE_H
#define TESTS_NODE_STAGE_H

#include "unit.h"

#include "conn.h"
#include "intake.h"
#include "job_sender.h"
#include "jobs.h"
#include "pool.h"
#include "slots.h"
#include "worker.h"
#include "worker_io.h"
#include "zygote.h"

typedef struct stage {
    node_t node;
    char folder[256];
    python_t python;
    int signals;
    unsigned turns;
    usi_msg_t msg;
    job_sender_t sender;
    bool up;                 /* the connection, as its events told */
    unsigned messages;       /* that it brought, */
    int type;                /* and the type of the last one */
    void *context, *pair[2]; /* through which stage_hear sends */
} stage_t;

typedef bool stage_fn (stage_t *stage, const void *arg);

/* Of so many slots. */
stage_t *stage_new (unsigned slots);
/* With a connection to this broker, to be started by the test. */
stage_t *stage_new_at (unsigned slots, const char *const *endpoint);
/* Kills what still runs. */
void stage_destroy (stage_t *stage);

/* Files in the cache's folder. */
void stage_touch (const stage_t *stage, const char *name);
void stage_remove (const stage_t *stage, const char *name);

/* Runs the loop until it is so. */
void stage_until (stage_t *stage, stage_fn *is_so, const void *arg);
void stage_until_ended (stage_t *stage, const job_t *job);
/* A job that says so ("wait", "deaf") has been taken by its worker. */
void stage_until_begun (stage_t *stage, const job_t *job);
/* Every worker has ended. */
void stage_until_quiet (stage_t *stage);

usi_id_t stage_id (unsigned number);
/* A message of the broker's about jobs; cleared. */
void stage_hear (stage_t *stage, usi_msg_t *msg);
/* A JOBS message with one job; its specification is a map of these fields. NULL: it is not
 * held any more. */
job_t *stage_attempt (stage_t *stage, unsigned number, unsigned attempt,
                      const usi_fields_t *fields, const char *body);
/* Its first attempt. */
job_t *stage_job_of (stage_t *stage, unsigned number, const usi_fields_t *fields,
                     const char *body);
/* The same with a specification that asks for nothing special. */
job_t *stage_job (stage_t *stage, unsigned number, const char *body);

void stage_check_end (const job_t *job, int outcome, int code);
void stage_check_result (const job_t *job, const char *text);
/* The failure envelope of the job holds this text. */
void stage_check_says (const job_t *job, const char *text);
/* What is to be sent of the job's log. */
void stage_check_log (job_t *job, const char *text);
unsigned stage_count_workers (const stage_t *stage);

#endif

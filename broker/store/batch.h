/* SPDX-License-Identifier: MIT
 *
 * Operations on jobs: they wait by partition until the end of the loop turn and leave as
 * one call of the function library. Stands on the connection alone. */
#ifndef BROKER_STORE_BATCH_H
#define BROKER_STORE_BATCH_H

#include "store/opcode.h"
#include "store/store_internal.h"

#define OP_MAX_ARGS 4

/* The answer to one operation; NULL where err says why there is none. */
typedef void op_done_fn (store_t *self, op_t *op, us_err_t err,
                         const usi_reply_t *answer);

typedef union op_fn {
    store_submit_fn *submit;
    store_claim_fn *claim;
    store_code_fn *code;
    store_done_fn *done;
    store_log_fn *log;
    store_cancel_fn *cancel;
    store_job_fn *job;
    store_read_fn *read;
} op_fn_t;

struct op {
    op_t *next;
    char opcode; /* opcode_t, in the byte that is sent */
    uint8_t partition;
    uint8_t tries;
    uint8_t argc;
    bool is_unknown; /* it was sent, and the connection went before the answer came */
    op_done_fn *done;
    op_fn_t fn;
    void *arg;
    usi_id_t id;
    uint32_t remaining;  /* claim: jobs still wanted after a cut answer */
    usi_buf_t *gathered; /* claim: what came before it */
    size_t len;          /* bytes of arguments so far */
    usi_bytes_t args[OP_MAX_ARGS];
    uint8_t data[];
};

/* room: for the bytes of all arguments, which op_arg then hands out. */
op_t *op_new (opcode_t opcode, uint8_t partition, size_t room, op_done_fn *done,
              void *arg);
uint8_t *op_arg (op_t *op, size_t len);
void op_arg_copy (op_t *op, const void *data, size_t len);
/* A new one with the same opcode, partition, arguments and callbacks. */
op_t *op_copy (const op_t *op);
/* Consumes the operation; its done runs exactly once, never within this call. Operations
 * of a partition are applied in the order of these calls. */
void op_queue (store_t *self, op_t *op);
/* What waits elsewhere counts as backlog from then on, and leaves by one of these:
 * op_queue_now, or op_finish, which runs done and frees it. */
void op_count (store_t *self, const op_t *op);
void op_queue_now (store_t *self, op_t *op);
void op_finish (store_t *self, op_t *op, us_err_t err, const usi_reply_t *answer);
/* 0, a negative number or the first element: the code of an answer. */
us_err_t op_code (const usi_reply_t *answer);
/* Everything that waits fails with US_ERR_STORE. */
void batch_fail_waiting (store_t *self);
void batch_stop (store_t *self);
/* Something has become possible again: send. */
void batch_wake (store_t *self);

#endif

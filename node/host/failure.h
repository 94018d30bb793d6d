/* SPDX-License-Identifier: MIT
 *
 * Failure envelopes (docs/protocol.md section 8): those that the daemon makes itself, and
 * the code of those that it passes on. Stands on nothing of the node's. */
#ifndef NODE_HOST_FAILURE_H
#define NODE_HOST_FAILURE_H

#include "base/bytes.h"
#include "understudy/error.h"

typedef struct failure {
    us_err_t code;
    const char *message;
    const char *node, *command; /* NULL: left out */
    usi_bytes_t output, log;    /* empty: left out */
    int signal;                 /* 0: left out */
    int exit_code;              /* -1: left out */
} failure_t;

#define FAILURE_INIT ((failure_t){.exit_code = -1})

/* Bytes that are no UTF-8 become U+FFFD. */
void failure_pack (usi_buf_t *out, const failure_t *failure);

/* The error code that an envelope holds, whoever made it. */
int failure_code (usi_bytes_t envelope);

/* Appends the end of what a tool printed, at most max bytes of it and whole lines. Where
 * that is not all, a line in front says so. */
void failure_tail (usi_buf_t *out, usi_bytes_t printed, size_t max);

#endif

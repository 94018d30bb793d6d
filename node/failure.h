/* SPDX-License-Identifier: MIT
 *
 * Failure envelopes made by the daemon itself (docs/protocol.md section 8). */
#ifndef NODE_FAILURE_H
#define NODE_FAILURE_H

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

#endif

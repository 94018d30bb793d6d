/* SPDX-License-Identifier: MIT
 *
 * A question that a caller waits for, CANCEL or QUERY: the record of it and of its
 * answer. The caller and the engine share it, since the caller may stop waiting first.
 * The caller hands it over with question_run (wait.h), the engine sends it and takes the
 * answer (questions.h). The client's lock guards it.
 *
 * A leaf: stands on waiters.h and common/base. */
#ifndef CLIENT_LIB_QUESTION_H
#define CLIENT_LIB_QUESTION_H

#include "base/bytes.h"
#include "base/id.h"
#include "base/list.h"
#include "waiters.h"

typedef struct question {
    list_node_t node; /* in the mailbox, then in the engine */
    unsigned refs;
    bool sent, done, abandoned;
    bool is_query;
    us_err_t code;
    char text[512];
    waiter_t *waiters;
    int64_t retry_at;
    /* CANCEL */
    us_id_t id;
    int mode;
    int state;
    /* QUERY */
    uint64_t ref;
    char what[33], channel[129], name[257], cursor[257];
    uint8_t prefix[US_ID_LEN];
    size_t prefix_len;
    usi_buf_t certificate, revoked; /* empty: none */
    bool has_id;
    unsigned query_state, limit;
    uint64_t older_ms, count;
    usi_buf_t rows; /* each: length of 8 bytes, then the row */
    size_t rows_len;
} question_t;

/* NULL: out of memory. */
question_t *question_new_cancel (const us_id_t *id, int mode);
question_t *question_new_query (void);
void question_unref (question_t *question);
/* Tells the answer to the caller, and gives back the engine's reference. */
void question_finish (question_t *question, us_err_t code, const char *text);

#endif

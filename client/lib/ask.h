/* SPDX-License-Identifier: MIT
 *
 * Questions that a caller waits for: CANCEL and QUERY. Shared by the caller and the
 * engine, since the caller may stop waiting first. All under the client's lock. */
#ifndef CLIENT_LIB_ASK_H
#define CLIENT_LIB_ASK_H

#include "client.h"
#include "proto/message.h"

struct ask {
    list_node_t link; /* in the mailbox, then in the engine */
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
    bool has_id;
    unsigned query_state, limit;
    uint64_t older_ms, count;
    usi_buf_t rows; /* each: length of 8 bytes, then the row */
    size_t rows_len;
};

ask_t *ask_new_cancel (const us_id_t *id, int mode);
ask_t *ask_new_query (void);
void ask_unref (ask_t *ask);
/* Hands it to the engine and waits: the answer's code, or why there is none. */
us_err_t ask_run (us_client_t *client, ask_t *ask, int64_t timeout_ms);
/* The engine has the answer. Gives back the engine's count. */
void ask_finish (ask_t *ask, us_err_t code, const char *text);

#endif

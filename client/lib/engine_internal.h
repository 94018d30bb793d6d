/* SPDX-License-Identifier: MIT
 *
 * The engine, for the sources that make it up. It owns the connection and everything
 * that is on its way, and works in turns (engine.h). Lists and messages are worked on
 * without the client's lock; it is taken for what callers see.
 *
 * Its parts, each with a header of its own: submit and watch (jobs before and after their
 * acceptance), upload and download (blobs), questions (CANCEL and QUERY), connect (what
 * follows from the connection's events). They work on the members named here; a part
 * calls only those below it: questions, download and upload know no other part, submit
 * uses upload, watch uses download, connect uses all.
 *
 * Only the struct: stands on track.h and the connection (common/net). */
#ifndef CLIENT_LIB_ENGINE_INTERNAL_H
#define CLIENT_LIB_ENGINE_INTERNAL_H

#include "net/connection.h"
#include "track.h"

#define TICK_MS       1000
#define UNANSWERED_MS 10000 /* without an answer a message is sent again */

#define UPLOAD_SLOTS 256

typedef struct upload upload_t;

struct engine {
    us_client_t *client;
    pthread_t thread;
    int back_fd;     /* the thread stands by here while others drive */
    unsigned drives; /* that it has seen */
    usi_conn_t *conn;
    usi_msg_t out;
    track_t track;
    int64_t tick_at;
    bool has_work; /* somebody waits for something */
    bool more;     /* messages are left for the next turn */

    list_t questions; /* without answer */
    bool questions_unsent;
    uint64_t last_ref;

    upload_t *uploads[UPLOAD_SLOTS]; /* by digest */
    list_t putting;       /* uploads with chunks to be sent or acknowledged */
    unsigned chunks_sent; /* of all uploads, unacknowledged */
    usi_buf_t finding;    /* digests to ask for */
    list_t downloads;     /* fetch_t */
};

static inline void engine_lock (engine_t *self)
{
    pthread_mutex_lock (&self->client->lock);
}

static inline void engine_unlock (engine_t *self)
{
    pthread_mutex_unlock (&self->client->lock);
}

#endif

/* SPDX-License-Identifier: MIT
 *
 * The engine owns the connection and everything that is on its way. It works in turns,
 * which its thread takes, or a caller that would only wait for that thread (drive.c).
 * A tracked result is in one list, which says what it waits for:
 *
 *   ready     to be sent                 held      waits for its blobs
 *   sent      SUBMITTED awaited          delayed   refused for now, to be sent again
 *   announce  WATCH to be sent           watched   accepted, its end awaited
 *   fetching  ended, its result is a blob on its way here
 *
 * After a new WELCOME everything moves back to where its message is sent again; the
 * same message twice does no harm (docs/protocol.md section 9). Lists and messages are
 * worked on without the client's lock; it is taken for what callers see. */
#ifndef CLIENT_LIB_ENGINE_H
#define CLIENT_LIB_ENGINE_H

#include <signal.h>

#include "net/connection.h"
#include "table.h"

/* drive.c: with the client's lock held, but for engine_join. */
/* Starts the thread. */
us_err_t engine_start (us_client_t *client);
/* Waits for the end of the thread, which client->stop asks for, and frees the
 * engine. */
void engine_join (engine_t **self_p);
/* Somebody is to look into the mailbox, and to watch the connection. */
void engine_wake (us_client_t *client);
/* Somebody waits for what only the thread will see. */
void engine_watch (us_client_t *client);
/* The caller becomes the driver, where the engine is at rest and not more results are
 * under way. It then takes turns (the lock is given back meanwhile), and ends it; where
 * more are under way at the end the thread takes over at once. */
bool engine_drive (us_client_t *client, size_t under_way);
void engine_drive_turn (us_client_t *client);
/* Sleeps, with this signal mask, until something comes, then takes a turn.
 * US_ERR_TIMEOUT after `end` (monotonic ms, -1: none), US_ERR_INTERRUPTED,
 * US_ERR_SYSTEM. Once the connection is gone only the thread may go on: to look for a
 * broker can take longer than the caller has. */
us_err_t engine_drive_sleep (us_client_t *client, int64_t end, const sigset_t *signals);
void engine_drive_end (us_client_t *client, size_t under_way);

#ifdef ENGINE_INTERNAL /* for the sources that make up the engine */

#    define TICK_MS 1000
#    define UNANSWERED_MS                                                              \
        10000 /* a message is sent again after so long without answer */
#    define RETRY_MIN_MS 200
#    define RETRY_MAX_MS 2000

#    define UPLOAD_SLOTS 256

typedef struct upload upload_t;

struct engine {
    us_client_t *client;
    pthread_t thread;
    int back_fd;     /* the thread stands by here while others drive */
    unsigned drives; /* that it has seen */
    usi_conn_t *conn;
    usi_msg_t out;
    table_t table;
    list_t ready, held, sent, delayed, announce, watched, fetching;
    size_t sent_bytes;
    int64_t delayed_until; /* the earliest of delayed; INT64_MAX: none */
    int64_t tick_at;
    bool has_work; /* somebody waits for something */
    bool more;     /* messages are left for the next turn */
    list_t asks;   /* CANCEL and QUERY without answer */
    bool asks_unsent;
    uint64_t last_ref;
    usi_buf_t unwatch; /* ids, one after the other */

    upload_t *uploads[UPLOAD_SLOTS]; /* by digest */
    list_t putting;       /* uploads with chunks to be sent or acknowledged */
    unsigned chunks_sent; /* of all uploads, unacknowledged */
    usi_buf_t finding;    /* digests to ask for */
    list_t downloads;
};

static inline void engine_lock (engine_t *self)
{
    pthread_mutex_lock (&self->client->lock);
}

static inline void engine_unlock (engine_t *self)
{
    pthread_mutex_unlock (&self->client->lock);
}

bool engine_open (engine_t *self);
/* Does what there is to do, but for messages beyond some hundreds: a caller that drives
 * may have what it waits for. Where no more are left the sockets' descriptors tell of
 * what comes. connect: looks for a broker where there is none, which may block. */
void engine_turn (engine_t *self, bool connect);
/* When there is something to do that nobody tells, monotonic ms; INT64_MAX: never. */
int64_t engine_due_ms (const engine_t *self);
/* Lets go of all but the connection. */
void engine_end (engine_t *self);

/* Lets go of a result: nothing more is to come. With the lock. */
void engine_untrack (engine_t *self, us_result_t *result);
void engine_move (list_t *list, us_result_t *result);
us_result_t *engine_first (const list_t *list);
us_result_t *engine_next (const us_result_t *result);
/* Ends it, with a text, unless it has ended; lets go of it. With the lock. */
void engine_refuse (engine_t *self, us_result_t *result, us_err_t code,
                    const char *text);

/* connect.c */
/* Makes the connection; false: no memory or no descriptor is left. */
bool connect_open (engine_t *self);

/* submit.c */
void submit_take (engine_t *self, us_result_t *result); /* to be sent */
void submit_delay (engine_t *self, us_result_t *result);
void submit_pump (engine_t *self);
void submit_up (engine_t *self);
void submit_tick (engine_t *self, int64_t now);
void submit_due (engine_t *self, int64_t now);
void submit_on_submitted (engine_t *self, const usi_msg_t *msg);

/* watch.c */
void watch_pump (engine_t *self);
void watch_up (engine_t *self);
void watch_down (engine_t *self);
void watch_tick (engine_t *self, int64_t now);
/* Takes an accepted result out of what it waited for; with the lock. False: nobody waits
 * for it any more, and it may be gone. */
bool watch_accepted (engine_t *self, us_result_t *result);
void watch_on_state (engine_t *self, const usi_msg_t *msg);
void watch_on_ended (engine_t *self, const usi_msg_t *msg);
void watch_on_logged (engine_t *self, const usi_msg_t *msg);
/* After the end: lets go of it as soon as its streams are complete; with the lock. */
void watch_settle (engine_t *self, us_result_t *result);

/* upload.c */
bool upload_ready (engine_t *self,
                   us_result_t *result); /* all blobs are at the broker */
void upload_forget (engine_t *self,
                    us_result_t *result); /* the broker says they are not */
void upload_pump (engine_t *self);
void upload_down (engine_t *self);
void upload_tick (engine_t *self, int64_t now);
void upload_on_found (engine_t *self, const usi_msg_t *msg);
void upload_on_kept (engine_t *self, const usi_msg_t *msg);
void upload_free (engine_t *self);

/* download.c */
typedef struct ending {
    us_state_t state;
    us_err_t code;
} ending_t;

/* Fetches the blob that is the result's body, then ends it. With the lock. */
void download_start (engine_t *self, us_result_t *result, usi_bytes_t digest,
                     uint64_t size, ending_t ending);
void download_drop (engine_t *self, us_result_t *result);
void download_pump (engine_t *self);
void download_down (engine_t *self);
void download_tick (engine_t *self, int64_t now);
void download_on_data (engine_t *self, const usi_msg_t *msg);
/* Ends it with this body, which becomes its own, and a text made from it. */
void ending_apply (engine_t *self, us_result_t *result, ending_t ending, uint8_t *body,
                   size_t body_len);

/* answer.c */
void answer_pump (engine_t *self);
void answer_down (engine_t *self);
void answer_tick (engine_t *self, int64_t now);
void answer_fail_all (engine_t *self, us_err_t code, const char *text);
void answer_on_cancelled (engine_t *self, const usi_msg_t *msg);
void answer_on_answer (engine_t *self, const usi_msg_t *msg);
void answer_on_error (engine_t *self, const usi_msg_t *msg);

#endif
#endif

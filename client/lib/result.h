/* SPDX-License-Identifier: MIT
 *
 * A result is one job as this client sees it: the handle of its callers and, at the
 * same time, the engine's record of what is to be sent and awaited. The engine holds a
 * count while it tracks the result, which it does from the first command until nothing
 * more is to come. Functions here are called with the client's lock held unless said
 * otherwise. */
#ifndef CLIENT_LIB_RESULT_H
#define CLIENT_LIB_RESULT_H

#include "client.h"
#include "job.h"

/* Commands to the engine. */
#define WANT_SUBMIT  1
#define WANT_WATCH   2
#define WANT_STREAM  4 /* one of its streams is wanted (again) */
#define WANT_RELEASE 8 /* nobody but the engine holds it */

#define STREAMS 2
/* Bytes of a stream kept for readers; when there are more the rest is asked for again
 * once they have been read. */
#define STREAM_KEEP ((size_t) 64 * 1024 * 1024)

typedef struct stream {
    usi_buf_t data; /* from base on */
    uint64_t base;
    bool asked; /* on this connection */
    bool asked_after_end;
    unsigned short_ends; /* times that ENDED came and the stream had not grown */
    bool grew;           /* since the last tick */
    bool full;           /* bytes were left out: the reader asks again */
    bool closed;         /* no more will come, whatever length was promised */
} stream_t;

typedef struct download download_t;

struct us_result {
    atomic_uint refs; /* handles, events, the mailbox, the engine while it tracks */
    atomic_int state; /* what follows up to info is fixed once this is an end */
    us_client_t *client;
    us_id_t id;
    us_err_t code;
    char *text;
    uint8_t *body;
    size_t body_len;
    us_result_info_t info;

    unsigned generation; /* of the process, see client_lock */
    bool accepted;
    bool detached;
    bool tracked;
    bool queued;  /* stands in the mailbox */
    bool counted; /* among the client's unaccepted */
    bool kept;    /* its job among the client's kept bytes */
    unsigned wants;
    us_result_t *next_command;
    waiter_t *waiters;
    stream_t *streams[STREAMS]; /* NULL: not wanted */
    us_job_t *job;              /* to be sent (again); NULL: only the id is known */
    unsigned event_types, event_pending;
    bool in_events;
    void *user;
    us_result_t *next_event;

    /* The engine's alone. */
    list_node_t link;
    us_result_t *next_in_table;
    bool origin;       /* this client submitted it */
    bool maybe_stored; /* a SUBMIT of it was answered with "not known", or not yet */
    unsigned attempts; /* SUBMITs refused for now */
    int64_t since_ms;  /* of its place in its list */
    download_t *download;
};

/* Without the lock. */
us_result_t *result_new (us_client_t *client, const us_id_t *id);
void result_ref (us_result_t *result);
void result_unref (us_result_t *result);

static inline us_state_t result_state (const us_result_t *result)
{
    return (us_state_t) atomic_load_explicit (&result->state, memory_order_acquire);
}

static inline bool result_ended (const us_result_t *result)
{
    return us_state_is_end (result_state (result));
}

static inline void result_set_tracked (us_result_t *result, bool tracked)
{
    if (result->tracked != tracked)
        result->client->tracked += tracked ? 1 : -1;
    result->tracked = tracked;
}

/* Locks the client, and after a fork makes the result this process's. */
us_client_t *result_enter (const us_result_t *result);
/* Makes sure that the engine tracks a result that has not ended. */
us_err_t result_follow (us_result_t *result);
/* Leaves a command in the mailbox. */
us_err_t result_want (us_result_t *result, unsigned wants);

/* What the engine has learnt. */
void result_accept (us_result_t *result);
void result_set_state (us_result_t *result, us_state_t state);
/* body: a copy that becomes the result's, or NULL. text: copied. */
void result_end (us_result_t *result, us_state_t state, us_err_t code, const char *text,
                 uint8_t *body, size_t body_len);
void result_drop_job (us_result_t *result);

/* Bytes of a stream that came from the broker. */
void stream_take (stream_t *stream, uint64_t offset, usi_bytes_t bytes);
static inline uint64_t stream_end (const stream_t *stream)
{
    return stream->base + stream->data.len;
}
/* Nothing more is to come for this stream of an ended job. */
bool stream_complete (const us_result_t *result, int stream);

/* events.c */
void event_post (us_result_t *result, unsigned types);
void events_clear (us_client_t *client);

#endif

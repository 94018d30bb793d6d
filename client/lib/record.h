/* SPDX-License-Identifier: MIT
 *
 * A result is one job as this client sees it: the handle of its callers and, at the
 * same time, the engine's record of what is to be sent and awaited. Here is the record,
 * and what the engine has learnt of the job; the callers' API is result.c. The engine
 * holds a count while it tracks the result, which it does from the first command until
 * nothing more is to come. Functions here are called with the client's lock held unless
 * said otherwise.
 *
 * Stands on client.h (the struct), and on the leaves job, stream, fetch, waiters. */
#ifndef CLIENT_LIB_RECORD_H
#define CLIENT_LIB_RECORD_H

#include "client.h"
#include "fetch.h"
#include "job.h"
#include "place.h"
#include "stream.h"

/* Commands to the engine. */
#define WANT_SUBMIT  1
#define WANT_WATCH   2
#define WANT_STREAM  4 /* a caller wants one of its streams, or wants it again */
#define WANT_RELEASE 8 /* nobody but the engine holds it */

struct us_result {
    atomic_uint refs; /* handles, events, the mailbox, the engine while it tracks */
    atomic_int state; /* what follows up to info is fixed once this is an end */
    us_client_t *client;
    us_id_t id;
    us_err_t code;
    char *text;
    uint8_t *body;
    size_t body_len;
    us_blob_t **buffers;
    size_t buffers_len;
    us_result_info_t info;

    unsigned generation; /* of the process, see client_lock */
    bool accepted;
    bool detached;
    bool tracked;
    bool queued;  /* stands in the mailbox */
    bool counted; /* counted in the client's unaccepted and unsent_bytes */
    bool kept;    /* its job is counted in the client's kept_bytes */
    unsigned wants;
    us_result_t *next_command;
    waiter_t *waiters;
    stream_t *streams[STREAMS]; /* NULL: not wanted */
    us_job_t *job;              /* to be sent (again); NULL: only the id is known */
    unsigned event_types, event_pending;
    bool in_events;
    void *user;
    us_result_t *next_event;

    /* The engine's alone: see track.h. */
    place_t place;
    list_node_t node; /* in the list of its place */
    int64_t since_ms; /* there since */
    int64_t due_ms;   /* PLACE_DELAYED: until then */
    us_result_t *next_in_table;
    bool origin; /* this client submitted it */
    /* The store may have it: a SUBMIT was not answered, or not surely. */
    bool maybe_stored;
    unsigned attempts; /* how often the broker could not take it */
    fetch_t *fetch;    /* PLACE_FETCHING */
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

void result_set_tracked (us_result_t *result, bool tracked);

/* --- what the engine has learnt --------------------------------------------------- */

void result_accept (us_result_t *result);
/* The store has lost a job that it had accepted: counts it as unaccepted again. */
void result_unaccept (us_result_t *result);
void result_set_state (us_result_t *result, us_state_t state);
/* body: a copy that becomes the result's, or NULL. text: copied. */
void result_end (us_result_t *result, us_state_t state, us_err_t code, const char *text,
                 uint8_t *body, size_t body_len);

/* Takes over these references, before result_end. */
void result_take_buffers (us_result_t *result, us_blob_t *const *buffers, size_t len);
/* Lets go of body and buffers. */
void result_drop_body (us_result_t *result);

/* Whether all is here of this stream of an ended job. */
bool result_stream_complete (const us_result_t *result, int stream);

/* --- events, see events.c ---------------------------------------------------------- */

/* Something of these types has happened: puts the result among those with events, where
 * a caller has subscribed to one of them. */
void event_post (us_result_t *result, unsigned types);
/* Drops all events: nobody will fetch them any more. */
void events_clear (us_client_t *client);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The jobs that the engine tracks: the table of them by id, and the list in which each
 * stands. Every move between the lists is made here, place.h says which may follow which.
 * Only the engine's driver uses it; what callers see of a job (record.h) changes with the
 * client's lock held, which the functions marked so need.
 *
 * Stands on place.h, table.h and record.h; knows nothing of messages. */
#ifndef CLIENT_LIB_TRACK_H
#define CLIENT_LIB_TRACK_H

#include "table.h"

/* The broker or its store cannot take something now: so long at least before it is sent
 * again. */
#define RETRY_MIN_MS 200

typedef struct track {
    table_t table;
    list_t lists[PLACE__COUNT];
    size_t sent_bytes;     /* of the jobs in PLACE_SENT */
    int64_t delayed_until; /* the earliest of PLACE_DELAYED; INT64_MAX: none */
    usi_buf_t unwatch; /* ids, one behind the other, that the broker need not watch */
} track_t;

void track_init (track_t *self);
/* Lets go of everything. With the lock. */
void track_clear (track_t *self);
void track_free (track_t *self);

static inline us_result_t *track_first (const track_t *self, place_t place)
{
    return LIST_ELEMENT (self->lists[place].first, us_result_t, node);
}

static inline us_result_t *track_last (const track_t *self, place_t place)
{
    return LIST_ELEMENT (self->lists[place].last, us_result_t, node);
}

static inline size_t track_len (const track_t *self, place_t place)
{
    return self->lists[place].len;
}

/* For each tracked job that stands in this place; the body may move it elsewhere. */
#define TRACK_EACH(track, result, where)                                               \
    LIST_EACH (&(track)->lists[where], us_result_t, result, node)

bool track_knows (const track_t *self, const us_result_t *result);
/* A job that was in no place goes behind the others of this one. False: out of memory. */
bool track_enter (track_t *self, us_result_t *result, place_t place);
/* Behind all others of the place, now. */
void track_move (track_t *self, us_result_t *result, place_t place);
/* To be sent again, before what was never sent. */
void track_again (track_t *self, us_result_t *result);
/* To be sent again after a while, which grows with each time. */
void track_delay (track_t *self, us_result_t *result);
/* Delayed jobs whose time has come are to be sent. */
void track_resume (track_t *self, int64_t now);

/* --- with the lock ---------------------------------------------------------------- */

/* The broker has it: to be watched. False: nobody waits for it any more, and it may be
 * gone. */
bool track_accept (track_t *self, us_result_t *result);
/* It has ended: lets go of it as soon as its streams are complete. */
void track_settle (track_t *self, us_result_t *result);
/* Its last handle is gone. What is not yet accepted still has to be. */
void track_release (track_t *self, us_result_t *result);
/* Ends it without a body, unless it has ended, and lets go of it. */
void track_end (track_t *self, us_result_t *result, us_state_t state, us_err_t code,
                const char *text);
/* The same as refused. */
void track_refuse (track_t *self, us_result_t *result, us_err_t code, const char *text);
void track_refuse_all (track_t *self, us_err_t code, const char *text);

#endif

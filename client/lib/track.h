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

/* What the broker or its store cannot take now is sent again after so long, at
 * least. */
#define RETRY_MIN_MS 200

typedef struct track {
    table_t table;
    list_t lists[PLACE__COUNT];
    size_t sent_bytes;     /* of the jobs in PLACE_SENT */
    int64_t delayed_until; /* the earliest of PLACE_DELAYED; INT64_MAX: none */
    usi_buf_t unwatch;     /* ids, packed, which the broker need not watch any more */
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

/* Goes through the jobs in this place. The body may move the job elsewhere, or let go
 * of it. */
#define TRACK_EACH(track, result, where)                                               \
    LIST_EACH (&(track)->lists[where], us_result_t, result, node)

bool track_knows (const track_t *self, const us_result_t *result);
/* Adds a job, behind all others of the place. False: out of memory. */
bool track_enter (track_t *self, us_result_t *result, place_t place);
/* Moves a job to another place, or to the end of its own. */
void track_move (track_t *self, us_result_t *result, place_t place);
/* Moves a job to PLACE_READY, before those that were never sent. */
void track_again (track_t *self, us_result_t *result);
/* Moves a job to PLACE_DELAYED for a time that grows with each attempt. */
void track_delay (track_t *self, us_result_t *result);
/* Moves delayed jobs whose time has come to PLACE_READY. */
void track_resume (track_t *self, int64_t now);

/* --- with the lock ---------------------------------------------------------------- */

/* The broker has the job: moves it to where it is watched. False: nobody waits for it
 * any more, so the engine has let go of it, and it may be gone. */
bool track_accept (track_t *self, us_result_t *result);
/* The job has ended: lets go of it as soon as its streams are complete. */
void track_settle (track_t *self, us_result_t *result);
/* Its last handle is gone: lets go of a job that is accepted. Another is still to be
 * submitted. */
void track_release (track_t *self, us_result_t *result);
/* Ends it without a body, unless it has ended, and lets go of it. */
void track_end (track_t *self, us_result_t *result, us_state_t state, us_err_t code,
                const char *text);
/* Ends it as refused, likewise. */
void track_refuse (track_t *self, us_result_t *result, us_err_t code, const char *text);
void track_refuse_all (track_t *self, us_err_t code, const char *text);

#endif

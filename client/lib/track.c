/* SPDX-License-Identifier: MIT
 *
 * Tracked jobs: see track.h. s_place is the only writer of a job's place. */
#include "track.h"

#include "base/clock.h"
#include "base/mem.h"

#define RETRY_MAX_MS 2000

/* --- places ----------------------------------------------------------------------- */

static void s_place (track_t *self, us_result_t *result, place_t place)
{
    US_ASSERT (place_may_follow (result->place, place));
    if (result->place == PLACE_SENT)
        self->sent_bytes -= result->job->cost;
    if (place == PLACE_SENT)
        self->sent_bytes += result->job->cost;
    result->place = place;
}

/* Takes it out of its list; the engine still tracks it. */
static void s_take_out (track_t *self, us_result_t *result)
{
    if (result->place == PLACE_NONE)
        return;
    s_place (self, result, PLACE_NONE);
    list_remove (&result->node);
}

/* Lets go of a result for which nothing more is to come. */
static void s_let_go (track_t *self, us_result_t *result)
{
    if (!result->tracked)
        return;
    s_take_out (self, result);
    table_remove (&self->table, result);
    fetch_free (result->fetch);
    result->fetch = NULL;
    result_set_tracked (result, false);
    result_unref (result);
}

bool track_knows (const track_t *self, const us_result_t *result)
{
    const us_result_t *other = table_find (&self->table, &result->id);
    while (other && other != result)
        other = table_next (other);
    return other != NULL;
}

bool track_enter (track_t *self, us_result_t *result, place_t place)
{
    if (!table_add (&self->table, result))
        return false;
    track_move (self, result, place);
    return true;
}

void track_move (track_t *self, us_result_t *result, place_t place)
{
    s_place (self, result, place);
    result->since_ms = usi_now_ms ();
    list_append (&self->lists[place], &result->node);
}

void track_again (track_t *self, us_result_t *result)
{
    s_place (self, result, PLACE_READY);
    list_prepend (&self->lists[PLACE_READY], &result->node);
}

void track_delay (track_t *self, us_result_t *result)
{
    int64_t wait_ms = (int64_t) RETRY_MIN_MS
                      << (result->attempts < 4 ? result->attempts : 4);
    if (wait_ms > RETRY_MAX_MS)
        wait_ms = RETRY_MAX_MS;
    result->attempts++;
    track_move (self, result, PLACE_DELAYED);
    result->due_ms = result->since_ms + usi_jitter_ms (wait_ms);
    if (result->due_ms < self->delayed_until)
        self->delayed_until = result->due_ms;
}

void track_resume (track_t *self, int64_t now)
{
    self->delayed_until = INT64_MAX;
    TRACK_EACH (self, result, PLACE_DELAYED) {
        if (result->due_ms <= now)
            track_move (self, result, PLACE_READY);
        else if (result->due_ms < self->delayed_until)
            self->delayed_until = result->due_ms;
    }
}

/* --- acceptance and end ----------------------------------------------------------- */

static void s_unwatch (track_t *self, us_result_t *result)
{
    usi_buf_append (&self->unwatch, result->id.bytes, sizeof result->id.bytes);
    s_let_go (self, result);
}

/* Only the engine holds it. */
static bool s_is_alone (const us_result_t *result)
{
    return atomic_load_explicit (&result->refs, memory_order_relaxed) == 1;
}

bool track_accept (track_t *self, us_result_t *result)
{
    const stream_t *log = result->streams[US_STREAM_LOG];
    const stream_t *build = result->streams[US_STREAM_BUILD];
    track_move (self, result, PLACE_WATCHED);
    result_accept (result);
    if (result->detached && !log && !build && !result->waiters) {
        s_let_go (self, result);
        return false;
    }
    if (s_is_alone (result)) {
        s_unwatch (self, result);
        return false;
    }
    if ((log && !log->asked) || build || result->detached)
        track_move (self, result, PLACE_ANNOUNCE); /* SUBMIT did not ask for it */
    return true;
}

void track_settle (track_t *self, us_result_t *result)
{
    bool complete = true, full = true, asked = true;
    /* They wait for bytes, or for word that none will come. */
    waiters_wake (result->waiters);
    for (int i = 0; i < STREAMS; i++)
        if (!result_stream_complete (result, i)) {
            complete = false;
            full &= result->streams[i]->full;
            asked &= result->streams[i]->asked_after_end;
        }
    /* Where a stream is full its reader has the engine ask again, once it has read. */
    if (complete || full)
        s_let_go (self, result);
    else
        track_move (self, result, asked ? PLACE_WATCHED : PLACE_ANNOUNCE);
}

void track_release (track_t *self, us_result_t *result)
{
    if (!s_is_alone (result))
        return; /* somebody took it up again: an event, another command */
    if (!result->accepted && result->job)
        return;
    if (result_ended (result))
        s_let_go (self, result);
    else
        s_unwatch (self, result);
}

void track_end (track_t *self, us_result_t *result, us_state_t state, us_err_t code,
                const char *text)
{
    s_take_out (self, result); /* before its job goes, whose bytes are counted */
    result_end (result, state, code, text, NULL, 0);
    s_let_go (self, result);
}

void track_refuse (track_t *self, us_result_t *result, us_err_t code, const char *text)
{
    track_end (self, result, US_STATE_REFUSED, code, text);
}

/* --- all of them ------------------------------------------------------------------ */

void track_refuse_all (track_t *self, us_err_t code, const char *text)
{
    us_result_t *result;
    while ((result = table_any (&self->table)))
        track_refuse (self, result, code, text);
}

void track_init (track_t *self)
{
    *self = (track_t){.delayed_until = INT64_MAX};
}

void track_clear (track_t *self)
{
    us_result_t *result;
    while ((result = table_any (&self->table))) {
        waiters_wake (result->waiters);
        s_let_go (self, result);
    }
}

void track_free (track_t *self)
{
    table_free (&self->table);
    usi_buf_free (&self->unwatch);
}

/* SPDX-License-Identifier: MIT
 *
 * The engine's turn: see engine.h. */
#include "engine.h"

#include "base/clock.h"
#include "connect.h"
#include "download.h"
#include "questions.h"
#include "submit.h"
#include "upload.h"
#include "watch.h"

/* --- mailbox ---------------------------------------------------------------------- */

/* Gives back the mailbox's reference, or makes it the engine's where the engine has let
 * go of the result meanwhile. False: there is nothing to do any more. */
static bool s_take_count (us_result_t *result, unsigned wants)
{
    bool again = !result->tracked && !result_ended (result) && wants != WANT_RELEASE;
    bool known = result->tracked;
    if (again)
        result_set_tracked (result, true);
    else
        result_unref (result);
    return known || again;
}

static void s_take_command (engine_t *self, us_result_t *result)
{
    unsigned wants = result->wants;
    result->wants = 0;
    result->queued = false;
    if (!s_take_count (result, wants))
        return;
    track_t *track = &self->track;
    if (!track_knows (track, result)) {
        place_t place = wants & WANT_SUBMIT ? PLACE_READY : PLACE_ANNOUNCE;
        if (!track_enter (track, result, place)) {
            track_refuse (track, result, US_ERR_NOMEM, NULL);
            return;
        }
    } else if ((wants & WANT_STREAM) && result->place == PLACE_WATCHED)
        track_move (track, result, PLACE_ANNOUNCE);
    if (wants & WANT_RELEASE)
        track_release (track, result);
}

/* With the lock. */
static void s_take_mailbox (engine_t *self)
{
    us_client_t *client = self->client;
    us_result_t *result = client->commands;
    client->commands = NULL;
    client->commands_end = &client->commands;
    while (result) {
        us_result_t *next = result->next_command;
        s_take_command (self, result);
        result = next;
    }
    while (client->questions.first) {
        list_append (&self->questions, client->questions.first);
        self->questions_unsent = true;
    }
}

/* With the lock. */
static bool s_has_work (const engine_t *self)
{
    return self->track.table.len > 0 || self->questions.len > 0 ||
           self->client->want_connect;
}

/* --- loop ------------------------------------------------------------------------- */

static void s_pump (engine_t *self)
{
    if (usi_conn_is_ready (self->conn))
        submit_pump (self);
    if (usi_conn_is_ready (self->conn))
        upload_pump (self);
    if (usi_conn_is_ready (self->conn))
        questions_pump (self); /* after SUBMIT: a CANCEL must not overtake it */
    if (usi_conn_is_ready (self->conn))
        watch_pump (self);
    if (usi_conn_is_ready (self->conn))
        download_pump (self);
}

static void s_tick (engine_t *self)
{
    int64_t now = usi_now_ms ();
    if (now >= self->track.delayed_until)
        track_resume (&self->track, now);
    if (now < self->tick_at)
        return;
    self->tick_at = now + TICK_MS;
    if (usi_conn_is_ready (self->conn)) {
        submit_tick (self, now);
        upload_tick (self, now);
        download_tick (self, now);
        watch_tick (self, now);
    }
    questions_tick (self, now);
}

void engine_turn (engine_t *self, bool connect)
{
    engine_lock (self);
    self->client->called = false;
    s_take_mailbox (self);
    self->has_work = s_has_work (self);
    engine_unlock (self);
    if (self->has_work)
        usi_conn_want (self->conn);
    usi_conn_receive (self->conn);
    if (connect || usi_conn_is_ready (self->conn))
        usi_conn_service (self->conn);
    s_tick (self);
    s_pump (self);
    self->more = usi_conn_is_readable (self->conn);
}

int64_t engine_due_ms (const engine_t *self)
{
    int64_t due = usi_conn_due_ms (self->conn);
    if (self->has_work && self->tick_at < due)
        due = self->tick_at;
    return self->track.delayed_until < due ? self->track.delayed_until : due;
}

bool engine_open (engine_t *self)
{
    track_init (&self->track);
    return connect_open (self);
}

void engine_end (engine_t *self)
{
    engine_lock (self);
    s_take_mailbox (self);
    questions_fail_all (self, US_ERR_CLOSED, NULL);
    track_clear (&self->track);
    engine_unlock (self);
    upload_free (self);
    track_free (&self->track);
    usi_msg_free (&self->out);
    usi_buf_free (&self->finding);
}

/* SPDX-License-Identifier: MIT
 *
 * Submitting: see submit.h. */
#include "submit.h"

#include <stdio.h>

#include "base/clock.h"
#include "items.h"
#include "upload.h"

#define WINDOW_JOBS  1024
#define WINDOW_BYTES ((size_t) 8 * 1024 * 1024)
#define BATCH_BODIES ((size_t) 1024 * 1024)
#define BATCH_SPECS  ((size_t) 512 * 1024)
/* Of an item in the header frame, beside its spec, at most. */
#define ITEM_BYTES 1024

/* Moves held jobs whose blobs have arrived back to PLACE_READY. */
static void s_release_held (engine_t *self)
{
    TRACK_EACH (&self->track, result, PLACE_HELD)
        if (upload_ready (self, result))
            track_move (&self->track, result, PLACE_READY);
}

static void s_add (engine_t *self, us_result_t *result)
{
    unsigned flags = result->streams[US_STREAM_LOG] ? USI_SUBMIT_STREAM_LOG : 0;
    if (flags)
        result->streams[US_STREAM_LOG]->asked = true;
    job_add_to (result->job, &self->out, flags);
    result->maybe_stored = true;
    track_move (&self->track, result, PLACE_SENT);
}

static bool s_window_open (const engine_t *self)
{
    size_t sent = track_len (&self->track, PLACE_SENT);
    return sent < WINDOW_JOBS && (sent == 0 || self->track.sent_bytes < WINDOW_BYTES);
}

/* Fills one message. It needs the lock because callers may add streams. */
static void s_fill (engine_t *self)
{
    size_t specs = 0;
    us_result_t *result;
    engine_lock (self);
    while (s_window_open (self) && (result = track_first (&self->track, PLACE_READY))) {
        const us_job_t *job = result->job;
        if (job->all_len > 0 && !upload_ready (self, result)) {
            track_move (&self->track, result, PLACE_HELD);
            continue;
        }
        specs += job->spec.len + ITEM_BYTES;
        bool full =
            !usi_msg_is_empty (&self->out) &&
            (specs > BATCH_SPECS || self->out.bytes + job->body_len > BATCH_BODIES ||
             usi_msg_is_full (&self->out, job->body_len));
        if (full)
            break;
        s_add (self, result);
    }
    engine_unlock (self);
}

void submit_pump (engine_t *self)
{
    s_release_held (self);
    while (usi_conn_is_ready (self->conn) && track_first (&self->track, PLACE_READY) &&
           s_window_open (self)) {
        usi_msg_begin (&self->out, USI_SUBMIT);
        s_fill (self);
        if (usi_msg_is_empty (&self->out))
            return;
        usi_conn_send (self->conn, &self->out);
    }
}

void submit_up (engine_t *self)
{
    us_result_t *result;
    while ((result = track_last (&self->track, PLACE_SENT)))
        track_again (&self->track, result);
}

/* Sends jobs again that have had no answer for long: it may have been lost. */
void submit_tick (engine_t *self, int64_t now)
{
    us_result_t *result = track_first (&self->track, PLACE_SENT);
    if (result && now - result->since_ms >= UNANSWERED_MS)
        submit_up (self);
}

static void s_on_code (engine_t *self, us_result_t *result, const usi_fields_t *item)
{
    char text[512];
    switch (item->code) {
    case US_ERR_STORE: track_delay (&self->track, result); return;
    case US_ERR_BUSY:
        result->maybe_stored = false;
        track_delay (&self->track, result);
        return;
    case US_ERR_MISSING_BLOB:
        result->maybe_stored = false;
        upload_forget (self, result);
        if (result->attempts == 0)
            track_again (&self->track, result);
        else
            track_delay (&self->track, result);
        result->attempts++;
        return;
    default:
        snprintf (text, sizeof text, "%.*s", (int) item->text.len,
                  item->text.data ? (const char *) item->text.data : "");
        track_refuse (&self->track, result, (us_err_t) item->code,
                      text[0] ? text : NULL);
    }
}

static void s_on_submitted (engine_t *self, us_result_t *result, const usi_msg_t *msg,
                            size_t i)
{
    const usi_fields_t *item = &msg->items[i];
    if (result->accepted || !result->job)
        return; /* it was sent twice, and this is the second answer */
    if (item->code != US_OK) {
        if (result->place == PLACE_SENT)
            s_on_code (self, result, item);
        return;
    }
    if (!track_accept (&self->track, result))
        return;
    /* The store had it already and has gone on with it: WATCH asks how far. */
    if (usi_has (item, USI_F_STATE) && item->state > US_STATE_QUEUED &&
        result->place == PLACE_WATCHED)
        track_move (&self->track, result, PLACE_ANNOUNCE);
}

void submit_on_submitted (engine_t *self, const usi_msg_t *msg)
{
    items_each (self, msg, s_on_submitted);
}

/* SPDX-License-Identifier: MIT
 *
 * Watching accepted jobs: see watch.h. */
#include "watch.h"

#include <stdlib.h>

#include "base/clock.h"
#include "download.h"
#include "ending.h"
#include "items.h"

#define POLL_JOBS      256 /* asked about in one tick */
#define SHORT_ENDS_MAX 8

/* --- asking ----------------------------------------------------------------------- */

/* The streams to ask for in this WATCH. A poll asks again only for a log that does not
 * grow: it may be whole, or the hint of its growth was lost. */
static unsigned s_stream_flags (us_result_t *result, bool poll)
{
    unsigned flags = 0;
    stream_t *log = result->streams[US_STREAM_LOG];
    stream_t *build = result->streams[US_STREAM_BUILD];
    bool ended = result_ended (result);
    if (log && !log->closed && !log->full && !(poll && log->grew)) {
        flags |= USI_WATCH_LOG;
        log->asked = true;
        log->asked_after_end = ended;
    }
    if (build && !build->closed && !build->full && (!poll || (ended && !build->grew))) {
        flags |= USI_WATCH_BUILD;
        build->asked = true;
        build->asked_after_end = ended;
    }
    return flags;
}

static void s_add_watch (engine_t *self, us_result_t *result, bool poll)
{
    usi_fields_t *item = usi_msg_add (&self->out);
    us_state_t state = result_state (result);
    unsigned flags = s_stream_flags (result, poll);
    if (result->origin)
        flags |= USI_WATCH_ORIGIN;
    if (poll && result->accepted && !us_state_is_end ((int) state)) {
        flags |= USI_WATCH_CHANGED;
        USI_SET (item, STATE, state, (uint64_t) state);
    }
    USI_SET (item, ID, id, result->id);
    if (flags & USI_WATCH_LOG)
        USI_SET (item, OFFSET, offset, stream_end (result->streams[US_STREAM_LOG]));
    if (flags)
        USI_SET (item, FLAGS, flags, flags);
}

static void s_send_announce (engine_t *self)
{
    us_result_t *result;
    usi_msg_begin (&self->out, USI_WATCH);
    engine_lock (self);
    while (!usi_msg_is_full (&self->out, 0) &&
           (result = track_first (&self->track, PLACE_ANNOUNCE))) {
        s_add_watch (self, result, false);
        track_move (&self->track, result, PLACE_WATCHED);
    }
    engine_unlock (self);
    usi_conn_send (self->conn, &self->out);
}

static void s_send_unwatch (engine_t *self)
{
    size_t at = 0;
    while (at < self->track.unwatch.len && usi_conn_is_ready (self->conn)) {
        usi_msg_begin (&self->out, USI_UNWATCH);
        for (; at < self->track.unwatch.len && !usi_msg_is_full (&self->out, 0);
             at += US_ID_LEN) {
            usi_fields_t *item = usi_msg_add (&self->out);
            memcpy (item->id.bytes, self->track.unwatch.data + at,
                    sizeof item->id.bytes);
            usi_mark (item, USI_F_ID);
        }
        usi_conn_send (self->conn, &self->out);
    }
    self->track.unwatch.len = 0;
}

void watch_pump (engine_t *self)
{
    while (track_first (&self->track, PLACE_ANNOUNCE) && usi_conn_is_ready (self->conn))
        s_send_announce (self);
    s_send_unwatch (self);
}

void watch_up (engine_t *self)
{
    TRACK_EACH (&self->track, result, PLACE_WATCHED)
        track_move (&self->track, result, PLACE_ANNOUNCE);
}

void watch_down (engine_t *self)
{
    self->track.unwatch.len = 0; /* a new connection watches nothing */
}

/* Asks about jobs that have been waited for longer than a tick: the hint of a change
 * may have been lost. */
void watch_tick (engine_t *self, int64_t now)
{
    usi_msg_begin (&self->out, USI_WATCH);
    engine_lock (self);
    for (size_t i = 0; i < POLL_JOBS; i++) {
        us_result_t *result = track_first (&self->track, PLACE_WATCHED);
        if (!result || now - result->since_ms < TICK_MS)
            break;
        s_add_watch (self, result, true);
        for (int stream = 0; stream < STREAMS; stream++)
            if (result->streams[stream])
                result->streams[stream]->grew = false;
        track_move (&self->track, result, PLACE_WATCHED);
    }
    engine_unlock (self);
    if (!usi_msg_is_empty (&self->out))
        usi_conn_send (self->conn, &self->out);
}

/* --- answers ---------------------------------------------------------------------- */

/* The broker does not know the job. One that was accepted, and that the store has lost
 * (as it may with less durability), is submitted again. */
static void s_on_unknown (engine_t *self, us_result_t *result, us_err_t code)
{
    if (code == US_ERR_STORE || code == US_ERR_BUSY)
        return;                  /* the next tick asks again */
    if (result_ended (result)) { /* purged meanwhile: its streams end here */
        for (int i = 0; i < STREAMS; i++)
            if (result->streams[i])
                result->streams[i]->closed = true;
        track_settle (&self->track, result);
        return;
    }
    if (code == US_ERR_UNKNOWN_JOB && result->job) {
        result_unaccept (result);
        track_move (&self->track, result, PLACE_READY);
        return;
    }
    track_refuse (&self->track, result, code, NULL);
}

static void s_on_state (engine_t *self, us_result_t *result, const usi_msg_t *msg,
                        size_t i)
{
    const usi_fields_t *item = &msg->items[i];
    bool is_watched = result->place == PLACE_WATCHED || result->place == PLACE_ANNOUNCE;
    if (item->code != US_OK) {
        if (is_watched)
            s_on_unknown (self, result, (us_err_t) item->code);
        return;
    }
    if (!is_watched && !result->accepted && result->place != PLACE_FETCHING &&
        !track_accept (&self->track, result))
        return;
    result_accept (result);
    if (usi_has (item, USI_F_ATTEMPT))
        result->info.attempt = (uint32_t) item->attempt;
    if (usi_has (item, USI_F_STATE) && item->state >= US_STATE_QUEUED &&
        item->state <= US_STATE_BACKOFF)
        result_set_state (result, (us_state_t) item->state);
}

void watch_on_state (engine_t *self, const usi_msg_t *msg)
{
    items_each (self, msg, s_on_state);
}

static void s_take_info (us_result_t *result, const usi_fields_t *item)
{
    us_result_info_t *info = &result->info;
    info->attempt = (uint32_t) item->attempt;
    info->crashes = (uint32_t) item->crashes;
    info->losses = (uint32_t) item->losses;
    info->started_ms = (int64_t) item->started_ms;
    info->ended_ms = (int64_t) item->ended_ms;
    info->log_len = item->log_end;
    info->build_len = item->build_end;
    info->dropped = item->dropped;
}

/* ENDED of a job that has ended answers a WATCH for its log, and all of the log has
 * come before it. But it may also answer an earlier WATCH, or come as hint and as
 * answer: then the log is still on its way. The store never says that it keeps more
 * than it does, so the smallest end is the true one; a log that does not come up to it
 * was lost with its Redis. */
static void s_on_ended_again (us_result_t *result, const usi_fields_t *item)
{
    us_result_info_t *info = &result->info;
    if (item->log_end < info->log_len)
        info->log_len = item->log_end;
    if (item->build_end < info->build_len)
        info->build_len = item->build_end;
    for (int i = 0; i < STREAMS; i++) {
        stream_t *stream = result->streams[i];
        if (stream && stream->asked_after_end && !stream->full && !stream->grew &&
            ++stream->short_ends == SHORT_ENDS_MAX)
            stream->closed = true;
    }
}

static void s_on_ended (engine_t *self, us_result_t *result, const usi_msg_t *msg,
                        size_t i)
{
    const usi_fields_t *item = &msg->items[i];
    us_state_t state = (us_state_t) item->state;
    if (!us_state_is_end ((int) state) || state == US_STATE_REFUSED ||
        result->place == PLACE_FETCHING)
        return;
    if (result_ended (result)) {
        s_on_ended_again (result, item);
        track_settle (&self->track, result);
        return;
    }
    if (!result->accepted && !track_accept (&self->track, result))
        return;
    s_take_info (result, item);
    us_err_t code = ending_code (state, item);
    if (usi_has (item, USI_F_BLOB)) {
        download_body (self, result, item, state, code);
        return;
    }
    if (item->buffers.count > 0) {
        download_buffers (self, result, item, state, code, usi_msg_item_body (msg, i));
        return;
    }
    usi_bytes_t body = usi_bytes_dup (usi_msg_item_body (msg, i));
    if (!body.data)
        code = US_ERR_NOMEM;
    ending_show (result, state, code, (uint8_t *) body.data, body.len);
    track_settle (&self->track, result);
}

void watch_on_ended (engine_t *self, const usi_msg_t *msg)
{
    items_each (self, msg, s_on_ended);
}

static void s_on_logged (engine_t *self, us_result_t *result, const usi_msg_t *msg,
                         size_t i)
{
    const usi_fields_t *item = &msg->items[i];
    stream_t *stream = item->stream < STREAMS ? result->streams[item->stream] : NULL;
    if (!stream)
        return;
    stream_take (stream, item->offset, usi_msg_item_body (msg, i));
    event_post (result, US_EVENT_LOG);
    if (result_ended (result))
        track_settle (&self->track, result);
    else
        waiters_wake (result->waiters);
}

void watch_on_logged (engine_t *self, const usi_msg_t *msg)
{
    items_each (self, msg, s_on_logged);
}

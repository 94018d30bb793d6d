/* SPDX-License-Identifier: MIT
 *
 * Submitting: jobs travel many in a message, as many as are there, within a window of
 * unacknowledged ones. */
#define ENGINE_INTERNAL
#include <stdio.h>

#include "base/clock.h"
#include "engine.h"

#define WINDOW_JOBS  1024
#define WINDOW_BYTES ((size_t) 8 * 1024 * 1024)
#define BATCH_BODIES ((size_t) 1024 * 1024)
#define BATCH_SPECS  ((size_t) 512 * 1024)
#define ITEM_BYTES   1024 /* of the header frame, at most, beside the spec */

void submit_take (engine_t *self, us_result_t *result)
{
    engine_move (&self->ready, result);
}

/* Back to the front, before what was never sent. */
static void s_again (engine_t *self, us_result_t *result)
{
    if (result->link.list == &self->sent)
        self->sent_bytes -= result->job->cost;
    list_prepend (&self->ready, &result->link);
}

void submit_delay (engine_t *self, us_result_t *result)
{
    int64_t wait_ms = (int64_t) RETRY_MIN_MS
                      << (result->attempts < 4 ? result->attempts : 4);
    if (wait_ms > RETRY_MAX_MS)
        wait_ms = RETRY_MAX_MS;
    result->attempts++;
    if (result->link.list == &self->sent)
        self->sent_bytes -= result->job->cost;
    list_append (&self->delayed, &result->link);
    result->since_ms = usi_now_ms () + usi_jitter_ms (wait_ms); /* here: until */
    if (result->since_ms < self->delayed_until)
        self->delayed_until = result->since_ms;
}

void submit_due (engine_t *self, int64_t now)
{
    us_result_t *next;
    self->delayed_until = INT64_MAX;
    for (us_result_t *result = engine_first (&self->delayed); result; result = next) {
        next = engine_next (result);
        if (result->since_ms <= now)
            submit_take (self, result);
        else if (result->since_ms < self->delayed_until)
            self->delayed_until = result->since_ms;
    }
}

/* Whoever was held looks again whether its blobs are there. */
static void s_release_held (engine_t *self)
{
    us_result_t *next;
    for (us_result_t *result = engine_first (&self->held); result; result = next) {
        next = engine_next (result);
        if (upload_ready (self, result))
            submit_take (self, result);
    }
}

static void s_add (engine_t *self, us_result_t *result)
{
    unsigned flags = result->streams[US_STREAM_LOG] ? USI_SUBMIT_STREAM_LOG : 0;
    if (flags)
        result->streams[US_STREAM_LOG]->asked = true;
    job_add_to (result->job, &self->out, flags);
    result->maybe_stored = true;
    self->sent_bytes += result->job->cost;
    engine_move (&self->sent, result);
}

static bool s_window_open (const engine_t *self)
{
    return self->sent.len < WINDOW_JOBS &&
           (self->sent.len == 0 || self->sent_bytes < WINDOW_BYTES);
}

/* Fills one message. The lock is for `streams`, which callers may add. */
static void s_fill (engine_t *self)
{
    size_t specs = 0;
    us_result_t *result;
    engine_lock (self);
    while (s_window_open (self) && (result = engine_first (&self->ready))) {
        const us_job_t *job = result->job;
        if (job->blobs_len > 0 && !upload_ready (self, result)) {
            engine_move (&self->held, result);
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
    if (self->held.len > 0)
        s_release_held (self);
    while (usi_conn_is_ready (self->conn) && self->ready.len > 0 &&
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
    while (self->sent.last)
        s_again (self, LIST_ELEMENT (self->sent.last, us_result_t, link));
}

/* An answer may have been lost with what we did not read in time. */
void submit_tick (engine_t *self, int64_t now)
{
    us_result_t *result = engine_first (&self->sent);
    if (result && now - result->since_ms >= UNANSWERED_MS)
        submit_up (self);
}

static void s_on_code (engine_t *self, us_result_t *result, const usi_fields_t *item)
{
    char text[512];
    switch (item->code) {
    case US_ERR_STORE: submit_delay (self, result); return;
    case US_ERR_BUSY:
        result->maybe_stored = false;
        submit_delay (self, result);
        return;
    case US_ERR_MISSING_BLOB:
        result->maybe_stored = false;
        upload_forget (self, result);
        if (result->attempts == 0)
            s_again (self, result);
        else
            submit_delay (self, result);
        result->attempts++;
        return;
    default:
        snprintf (text, sizeof text, "%.*s", (int) item->text.len,
                  item->text.data ? (const char *) item->text.data : "");
        engine_refuse (self, result, (us_err_t) item->code, text[0] ? text : NULL);
    }
}

static void s_on_item (engine_t *self, us_result_t *result, const usi_fields_t *item)
{
    if (result->accepted || !result->job)
        return; /* answered before: this one was sent twice */
    if (item->code != US_OK) {
        if (result->link.list == &self->sent)
            s_on_code (self, result, item);
        return;
    }
    if (!watch_accepted (self, result))
        return;
    /* It was there already and has gone on: ask how far. */
    if (usi_has (item, USI_F_STATE) && item->state > US_STATE_QUEUED &&
        result->link.list == &self->watched)
        engine_move (&self->announce, result);
}

void submit_on_submitted (engine_t *self, const usi_msg_t *msg)
{
    engine_lock (self);
    for (size_t i = 0; i < msg->items_len; i++) {
        us_result_t *next;
        us_result_t *result = table_find (&self->table, &msg->items[i].id);
        for (; result; result = next) {
            next = table_next (result);
            s_on_item (self, result, &msg->items[i]);
        }
    }
    waiters_wake (self->client->waiters);
    engine_unlock (self);
}

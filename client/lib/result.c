/* SPDX-License-Identifier: MIT
 *
 * Results, the callers' side: see result.h. */
#include "result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "base/clock.h"
#include "engine.h"

/* --- life ------------------------------------------------------------------------- */

us_result_t *result_new (us_client_t *client, const us_id_t *id)
{
    us_result_t *result = calloc (1, sizeof *result);
    if (!result)
        return NULL;
    atomic_init (&result->refs, 1);
    atomic_init (&result->state, US_STATE_UNSENT);
    result->id = *id;
    result->client = client;
    atomic_fetch_add (&client->refs, 1);
    return result;
}

void result_ref (us_result_t *result)
{
    atomic_fetch_add_explicit (&result->refs, 1, memory_order_relaxed);
}

static void s_free (us_result_t *result)
{
    for (int i = 0; i < STREAMS; i++) {
        if (result->streams[i])
            usi_buf_free (&result->streams[i]->data);
        free (result->streams[i]);
    }
    result_drop_job (result);
    free (result->text);
    free (result->body);
    free (result);
}

/* The client's own count is given back by whoever holds the lock: it cannot be the last
 * one, since the caller holds a handle or is the engine. */
void result_unref (us_result_t *result)
{
    us_client_t *client = result->client;
    if (atomic_fetch_sub_explicit (&result->refs, 1, memory_order_acq_rel) != 1)
        return;
    s_free (result);
    atomic_fetch_sub (&client->refs, 1);
}

void result_drop_job (us_result_t *result)
{
    if (result->job && result->kept)
        result->client->kept_bytes -= result->job->cost;
    result->kept = false;
    us_job_destroy (&result->job);
}

/* The child of a fork has no engine that knows this result, nor the threads that
 * waited. */
static void s_adopt (us_result_t *result)
{
    us_client_t *client = result->client;
    if (result->generation == client->generation)
        return;
    result->generation = client->generation;
    result->waiters = NULL;
    result->wants = 0;
    if (result->queued)
        result_unref (result);
    result->queued = false;
    result->counted = false;
    result->kept = false;
    result->next_command = NULL;
    result->link = (list_node_t){0};
    result->next_in_table = NULL;
    result->download = NULL;
    result->maybe_stored = true; /* the parent may have sent it */
    result->origin = false;
    for (int i = 0; i < STREAMS; i++)
        if (result->streams[i])
            result->streams[i]->asked = false;
    if (result->tracked)
        result_unref (result);
    result->tracked = false;
}

us_client_t *result_enter (const us_result_t *result)
{
    us_result_t *self = (us_result_t *) (uintptr_t) result;
    client_lock (self->client);
    s_adopt (self);
    return self->client;
}

us_err_t result_want (us_result_t *result, unsigned wants)
{
    us_client_t *client = result->client;
    us_err_t err = client_start (client);
    if (err != US_OK)
        return err;
    if (!result->tracked)
        result_ref (result);
    result_set_tracked (result, true);
    result->wants |= wants;
    if (result->queued)
        return US_OK;
    /* The mailbox has a count of its own: the job may end before it is emptied. */
    result_ref (result);
    result->queued = true;
    result->next_command = NULL;
    *client->commands_end = result;
    client->commands_end = &result->next_command;
    engine_wake (client);
    return US_OK;
}

us_err_t result_follow (us_result_t *result)
{
    if (result->tracked || result_ended (result))
        return US_OK;
    bool unsent = result_state (result) == US_STATE_UNSENT && result->job;
    return result_want (result, unsent ? WANT_SUBMIT : WANT_WATCH);
}

us_err_t us_result_open (us_client_t *client, const us_id_t *id, us_result_t **result)
{
    if (!client || !id || !result)
        return US_ERR_INVALID;
    *result = NULL;
    if (!usi_id_valid (id))
        return US_ERR_INVALID;
    us_result_t *self = result_new (client, id);
    if (!self)
        return US_ERR_NOMEM;
    client_lock (client);
    self->generation = client->generation;
    us_err_t err = result_want (self, WANT_WATCH);
    if (err != US_OK)
        result_unref (self);
    client_unlock (client);
    *result = err == US_OK ? self : NULL;
    return err;
}

us_result_t *us_result_dup (us_result_t *result)
{
    if (result)
        result_ref (result);
    return result;
}

void us_result_destroy (us_result_t **result)
{
    us_result_t *self = result ? *result : NULL;
    if (!self)
        return;
    *result = NULL;
    us_client_t *client = result_enter (self);
    atomic_fetch_add (&client->refs, 1);
    /* Only the engine and its mailbox are left: it need not wait for it any more. */
    if (self->tracked && !client->closed &&
        atomic_load_explicit (&self->refs, memory_order_relaxed) ==
            (self->queued ? 3U : 2U))
        result_want (self, WANT_RELEASE);
    result_unref (self);
    client_unlock (client);
    client_unref (client);
}

/* --- what is known ---------------------------------------------------------------- */

us_id_t us_result_id (const us_result_t *result)
{
    return result->id;
}

/* Whoever looks again and again waits, in a way: the connection is watched for it. */
static bool s_look (const us_result_t *result)
{
    if (result_ended (result))
        return true;
    us_client_t *client = result_enter (result);
    engine_watch (client);
    client_unlock (client);
    return false;
}

us_state_t us_result_state (const us_result_t *result)
{
    s_look (result);
    return result_state (result);
}

us_err_t us_result_code (const us_result_t *result)
{
    return s_look (result) ? result->code : US_ERR_RUNNING;
}

const char *us_result_text (const us_result_t *result)
{
    if (!result_ended (result) || result->code == US_OK)
        return "";
    return result->text ? result->text : us_err_text (result->code);
}

us_err_t us_result_body (const us_result_t *result, const void **data, size_t *len)
{
    bool ended = result_ended (result);
    *data = ended ? result->body : NULL;
    *len = ended ? result->body_len : 0;
    return ended ? US_OK : US_ERR_RUNNING;
}

us_err_t us_result_value (const us_result_t *result, const void **data, size_t *len)
{
    *data = NULL;
    *len = 0;
    if (!result_ended (result))
        return US_ERR_RUNNING;
    if (result->code != US_OK)
        return result->code;
    us_reader_t reader = us_reader (result->body, result->body_len);
    us_value_t outer = us_read (&reader);
    us_value_t kind = us_read (&reader);
    if (outer.type != US_TYPE_ARRAY || kind.type != US_TYPE_STR || kind.len != 1)
        return US_ERR_PROTOCOL;
    if (kind.data[0] != 'm')
        return US_ERR_SERIALIZATION;
    us_value_t value = us_read (&reader);
    if (value.type != US_TYPE_BIN)
        return US_ERR_PROTOCOL;
    *data = value.data;
    *len = value.len;
    return US_OK;
}

void us_result_info (const us_result_t *result, us_result_info_t *info)
{
    us_client_t *client = result_enter (result);
    *info = result->info;
    client_unlock (client);
}

/* --- waiting ---------------------------------------------------------------------- */

static bool s_is_accepted (void *arg)
{
    us_result_t *result = arg;
    return result->accepted || result_ended (result);
}

static bool s_is_ended (void *arg)
{
    return result_ended (arg);
}

static us_err_t s_wait (us_result_t *result, client_done_fn *done, int64_t timeout_ms)
{
    us_client_t *client = result_enter (result);
    us_err_t err = done (result) ? US_OK : result_follow (result);
    if (err == US_OK)
        err = client_wait (client, &result->waiters, done, result, timeout_ms);
    client_unlock (client);
    return err;
}

us_err_t us_result_accepted (us_result_t *result, int64_t timeout_ms)
{
    if (!result)
        return US_ERR_INVALID;
    us_err_t err = s_wait (result, s_is_accepted, timeout_ms);
    if (err == US_OK && result_state (result) == US_STATE_REFUSED)
        err = result->code;
    return err;
}

us_err_t us_result_wait (us_result_t *result, int64_t timeout_ms)
{
    if (!result)
        return US_ERR_INVALID;
    if (result_ended (result))
        return US_OK;
    return s_wait (result, s_is_ended, timeout_ms);
}

us_err_t us_result_cancel (us_result_t *result, int mode, us_state_t *state,
                           int64_t timeout_ms)
{
    if (!result || (mode != US_CANCEL_QUEUED && mode != US_CANCEL_RUNNING))
        return US_ERR_INVALID;
    us_client_t *client = result_enter (result);
    ask_t *ask = NULL;
    us_err_t err = US_ERR_ENDED;
    if (result_ended (result))
        goto out;
    err = result_follow (result);
    if (err != US_OK)
        goto out;
    ask = ask_new_cancel (&result->id, mode);
    err = ask ? ask_run (client, ask, timeout_ms) : US_ERR_NOMEM;
out:
    if (state)
        *state = ask && err != US_ERR_TIMEOUT && ask->state ? (us_state_t) ask->state
                                                            : result_state (result);
    ask_unref (ask);
    client_unlock (client);
    return err;
}

/* --- streams ---------------------------------------------------------------------- */

void stream_take (stream_t *stream, uint64_t offset, usi_bytes_t bytes)
{
    uint64_t end = stream_end (stream);
    if (offset > end)
        return; /* a gap: the next tick asks from where we are */
    if (stream->full || offset + bytes.len <= end)
        return;
    usi_bytes_t fresh =
        usi_bytes (bytes.data + (end - offset), bytes.len - (size_t) (end - offset));
    stream->grew = true;
    if (stream->data.len + fresh.len > STREAM_KEEP ||
        !usi_buf_reserve (&stream->data, fresh.len)) {
        stream->data.failed = false;
        stream->full = true;
        return;
    }
    usi_buf_append (&stream->data, fresh.data, fresh.len);
}

bool stream_complete (const us_result_t *result, int stream)
{
    const stream_t *self = result->streams[stream];
    uint64_t len =
        stream == US_STREAM_LOG ? result->info.log_len : result->info.build_len;
    return !self || (!self->full && (self->closed || stream_end (self) >= len));
}

/* The stream, wanted from now on. NULL: out of memory. */
static stream_t *s_stream (us_result_t *result, int stream)
{
    if (!result->streams[stream])
        result->streams[stream] = calloc (1, sizeof (stream_t));
    return result->streams[stream];
}

static us_err_t s_want_stream (us_result_t *result, int stream)
{
    stream_t *self = s_stream (result, stream);
    if (!self)
        return US_ERR_NOMEM;
    if (result_ended (result) &&
        (result_state (result) == US_STATE_REFUSED || stream_complete (result, stream)))
        return US_OK;
    us_err_t err = result_follow (result);
    if (err == US_OK && !self->asked && !self->closed) {
        /* What is not yet accepted is asked for by SUBMIT, or after SUBMITTED. */
        self->asked = result->accepted || !result->job;
        err = result_want (result, WANT_STREAM);
    }
    return err;
}

us_err_t us_result_stream_log (us_result_t *result, int stream)
{
    if (!result || stream < 0 || stream >= STREAMS)
        return US_ERR_INVALID;
    us_client_t *client = result_enter (result);
    us_err_t err = s_want_stream (result, stream);
    client_unlock (client);
    return err;
}

typedef struct reading {
    us_result_t *result;
    int stream;
    uint64_t offset;
} reading_t;

/* The reader is where the buffer is not: before it, or at its end after bytes were left
 * out. */
static bool s_must_seek (const stream_t *stream, uint64_t offset)
{
    return offset < stream->base || (stream->full && offset >= stream_end (stream));
}

/* There are bytes, or none will come, or s_seek has to be called. */
static bool s_is_readable (void *arg)
{
    const reading_t *reading = arg;
    const us_result_t *result = reading->result;
    const stream_t *stream = result->streams[reading->stream];
    if (s_must_seek (stream, reading->offset))
        return true;
    if (reading->offset >= stream->base && reading->offset < stream_end (stream))
        return true;
    return result_ended (result) && (result_state (result) == US_STATE_REFUSED ||
                                     stream_complete (result, reading->stream));
}

/* The buffer begins anew at the reader's place. */
static void s_seek (stream_t *stream, uint64_t offset)
{
    usi_buf_free (&stream->data);
    stream->base = offset;
    stream->full = false;
    stream->closed = false;
    stream->asked = false;
}

/* Waits for something to copy, or the end of the stream. */
static us_err_t s_await (reading_t *reading, int64_t timeout_ms)
{
    us_result_t *result = reading->result;
    stream_t *stream = result->streams[reading->stream];
    int64_t end = usi_now_ms () + timeout_ms;
    us_err_t err = US_OK;
    do {
        if (s_must_seek (stream, reading->offset))
            s_seek (stream, reading->offset);
        if (!s_is_readable (reading))
            err = s_want_stream (result, reading->stream);
        int64_t left = timeout_ms < 0 ? -1 : end - usi_now_ms ();
        if (timeout_ms >= 0 && left < 0)
            left = 0;
        if (err == US_OK)
            err = client_wait (result->client, &result->waiters, s_is_readable, reading,
                               left);
    } while (err == US_OK && s_must_seek (stream, reading->offset));
    return err;
}

static size_t s_copy (const stream_t *stream, uint64_t offset, void *buffer,
                      size_t size)
{
    if (offset < stream->base || offset >= stream_end (stream))
        return 0;
    size_t at = (size_t) (offset - stream->base);
    size_t len = stream->data.len - at < size ? stream->data.len - at : size;
    memcpy (buffer, stream->data.data + at, len);
    return len;
}

us_err_t us_result_read_log (us_result_t *result, int stream, uint64_t offset,
                             void *buffer, size_t size, size_t *len, int64_t timeout_ms)
{
    if (!result || stream < 0 || stream >= STREAMS || !buffer || size == 0 || !len)
        return US_ERR_INVALID;
    *len = 0;
    us_client_t *client = result_enter (result);
    reading_t reading = {.result = result, .stream = stream, .offset = offset};
    us_err_t err = s_stream (result, stream) ? US_OK : US_ERR_NOMEM;
    if (err != US_OK)
        goto out;
    err = s_await (&reading, timeout_ms);
    if (err == US_OK)
        *len = s_copy (result->streams[stream], offset, buffer, size);
out:
    client_unlock (client);
    return err;
}

/* --- what the engine has learnt --------------------------------------------------- */

static void s_uncount (us_result_t *result)
{
    us_client_t *client = result->client;
    if (!result->counted)
        return;
    result->counted = false;
    client->unaccepted--;
    client->unsent_bytes -= result->job ? result->job->cost : 0;
}

void result_accept (us_result_t *result)
{
    us_client_t *client = result->client;
    if (result->accepted || result_ended (result))
        return;
    s_uncount (result);
    result->accepted = true;
    if (result_state (result) == US_STATE_UNSENT)
        atomic_store_explicit (&result->state, US_STATE_QUEUED, memory_order_release);
    if (result->job && !result->detached &&
        client->kept_bytes + result->job->cost <= CLIENT_KEEP_BYTES) {
        result->kept = true;
        client->kept_bytes += result->job->cost;
    } else
        result_drop_job (result);
    waiters_wake (result->waiters);
    event_post (result, US_EVENT_ACCEPTED);
}

void result_set_state (us_result_t *result, us_state_t state)
{
    us_state_t before = result_state (result);
    if (us_state_is_end (before) || before == state)
        return;
    atomic_store_explicit (&result->state, (int) state, memory_order_release);
    waiters_wake (result->waiters);
    if (state == US_STATE_RUNNING)
        event_post (result, US_EVENT_RUNNING);
}

void result_end (us_result_t *result, us_state_t state, us_err_t code, const char *text,
                 uint8_t *body, size_t body_len)
{
    if (result_ended (result)) {
        free (body);
        return;
    }
    s_uncount (result);
    result_drop_job (result);
    result->code = code;
    result->text = text ? strdup (text) : NULL;
    result->body = body;
    result->body_len = body_len;
    atomic_store_explicit (&result->state, (int) state, memory_order_release);
    waiters_wake (result->waiters);
    event_post (result, US_EVENT_ENDED);
}

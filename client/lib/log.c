/* SPDX-License-Identifier: MIT
 *
 * The API of logs: reading a job's streams as they come, and again from any place. */
#include <stdlib.h>

#include "base/clock.h"
#include "shared.h"
#include "wait.h"

/* The stream, which the caller wants from now on. NULL: out of memory. */
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
    if (result_ended (result) && (result_state (result) == US_STATE_REFUSED ||
                                  result_stream_complete (result, stream)))
        return US_OK;
    us_err_t err = result_follow (result);
    if (err == US_OK && !self->asked && !self->closed) {
        /* Before the job is accepted, SUBMIT asks for its log, or the engine after
         * SUBMITTED. */
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

/* The reader wants bytes that the buffer does not hold and will not get: they come
 * before its beginning, or behind its end where bytes were left out. */
static bool s_must_seek (const stream_t *stream, uint64_t offset)
{
    return offset < stream->base || (stream->full && offset >= stream_end (stream));
}

/* The reader need not wait: there are bytes, or no more will come, or stream_seek has
 * to be called. */
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
                                     result_stream_complete (result, reading->stream));
}

/* Waits until there is something to copy, or the stream has ended. */
static us_err_t s_await (reading_t *reading, int64_t timeout_ms)
{
    us_result_t *result = reading->result;
    stream_t *stream = result->streams[reading->stream];
    int64_t end = usi_now_ms () + timeout_ms;
    us_err_t err = US_OK;
    do {
        if (s_must_seek (stream, reading->offset))
            stream_seek (stream, reading->offset);
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
        *len = stream_copy (result->streams[stream], offset, buffer, size);
out:
    client_unlock (client);
    return err;
}

/* SPDX-License-Identifier: MIT
 *
 * Downloads: see download.h. */
#include "download.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "ending.h"

#define ACTIVE_MAX 2 /* downloads at a time */
#define CHUNKS_MAX 4 /* chunks of each that are asked for and not yet here */

/* Shows the end with all that is here, which the result takes over. */
static void s_end (engine_t *self, us_result_t *result, us_state_t state, us_err_t code)
{
    fetch_t *fetch = result->fetch;
    uint8_t *body = NULL;
    size_t body_len = 0;
    if (fetch && fetch->body) {
        body = fetch->body;
        body_len = fetch->body_len;
        fetch->body = NULL;
        result_take_buffers (result, fetch->buffers, fetch->buffers_had);
        fetch->buffers_had = 0;
    }
    fetch_free (fetch);
    result->fetch = NULL;
    ending_show (result, state, code, body, body_len);
    track_settle (&self->track, result);
}

/* Ends a job whose result cannot be fetched. A job that succeeded gets this code; one
 * that failed keeps its own. */
static void s_fail (engine_t *self, us_result_t *result, us_state_t state,
                    us_err_t job_code, us_err_t code)
{
    fetch_free (result->fetch);
    result->fetch = NULL;
    s_end (self, result, state, state == US_STATE_SUCCEEDED ? code : job_code);
}

static void s_fail_fetch (engine_t *self, const fetch_t *fetch, us_err_t code)
{
    s_fail (self, fetch->result, fetch->state, fetch->code, code);
}

/* The broker takes larger results than this client does. */
static void s_refuse (engine_t *self, us_result_t *result, us_state_t state,
                      us_err_t job_code, uint64_t size)
{
    if (state != US_STATE_SUCCEEDED) {
        s_fail (self, result, state, job_code, US_ERR_TOO_LARGE);
        return;
    }
    char text[128];
    snprintf (
        text, sizeof text,
        "the result has %llu bytes, the limit of this client (max-payload) is %zu",
        (unsigned long long) size, self->client->options.max_payload);
    result_end (result, state, US_ERR_TOO_LARGE, text, NULL, 0);
    track_settle (&self->track, result);
}

/* The body is here: goes on with the buffers. */
static void s_go_on (engine_t *self, fetch_t *fetch)
{
    if (!fetch_begin_buffer (fetch))
        s_end (self, fetch->result, fetch->state, fetch->code);
}

static void s_begin_buffers (engine_t *self, fetch_t *fetch)
{
    if (fetch->buffers_len > 0 && !fetch_read_sizes (fetch))
        s_fail_fetch (self, fetch, US_ERR_PROTOCOL);
    else
        s_go_on (self, fetch);
}

static fetch_t *s_new_fetch (engine_t *self, us_result_t *result,
                             const usi_fields_t *item, us_state_t state, us_err_t code)
{
    fetch_t *fetch = fetch_new (&item->buffers);
    if (!fetch) {
        s_fail (self, result, state, code, US_ERR_NOMEM);
        return NULL;
    }
    fetch->result = result;
    fetch->state = state;
    fetch->code = code;
    result->fetch = fetch;
    list_append (&self->downloads, &fetch->node);
    track_move (&self->track, result, PLACE_FETCHING);
    return fetch;
}

void download_body (engine_t *self, us_result_t *result, const usi_fields_t *item,
                    us_state_t state, us_err_t code)
{
    uint64_t size = item->size;
    if (size == 0) {
        s_fail (self, result, state, code, US_ERR_MISSING_BLOB);
    } else if (size > self->client->options.max_payload) {
        s_refuse (self, result, state, code, size);
    } else {
        fetch_t *fetch = s_new_fetch (self, result, item, state, code);
        if (fetch)
            fetch_begin (fetch, item->blob.data, (size_t) size);
    }
}

void download_buffers (engine_t *self, us_result_t *result, const usi_fields_t *item,
                       us_state_t state, us_err_t code, usi_bytes_t body)
{
    fetch_t *fetch = s_new_fetch (self, result, item, state, code);
    if (!fetch)
        return;
    usi_bytes_t copy = usi_bytes_dup (body);
    fetch->body = (uint8_t *) copy.data;
    fetch->body_len = copy.len;
    if (copy.data)
        s_begin_buffers (self, fetch);
    else
        s_fail_fetch (self, fetch, US_ERR_NOMEM);
}

static void s_get (engine_t *self, fetch_t *fetch)
{
    usi_msg_begin (&self->out, USI_BLOB_GET);
    for (; fetch->unanswered < CHUNKS_MAX && fetch->next < fetch->chunks;
         fetch->next++) {
        if (fetch->have[fetch->next])
            continue;
        usi_fields_t *item = usi_msg_add (&self->out);
        USI_SET (item, BLOB, blob, usi_bytes (fetch->digest, USI_DIGEST_LEN));
        USI_SET (item, INDEX, index, fetch->next);
        fetch->unanswered++;
    }
    if (!usi_msg_is_empty (&self->out))
        usi_conn_send (self->conn, &self->out);
}

void download_pump (engine_t *self)
{
    int64_t now = usi_now_ms ();
    int active = 0;
    LIST_EACH (&self->downloads, fetch_t, fetch, node) {
        if (active++ == ACTIVE_MAX || !usi_conn_is_ready (self->conn))
            return;
        if (now < fetch->resume_at)
            continue;
        if (fetch_prepare (fetch)) {
            s_get (self, fetch);
            continue;
        }
        engine_lock (self);
        s_fail_fetch (self, fetch, US_ERR_NOMEM);
        engine_unlock (self);
    }
}

void download_down (engine_t *self)
{
    LIST_EACH (&self->downloads, fetch_t, fetch, node)
        fetch_restart (fetch);
}

void download_tick (engine_t *self, int64_t now)
{
    LIST_EACH (&self->downloads, fetch_t, fetch, node)
        if (fetch->unanswered > 0 && now - fetch->since_ms >= UNANSWERED_MS)
            fetch_restart (fetch);
}

/* A blob is whole. */
static void s_finish (engine_t *self, fetch_t *fetch)
{
    bool was_body = !fetch->body;
    if (!fetch_keep (fetch))
        s_fail_fetch (self, fetch, US_ERR_MISSING_BLOB);
    else if (was_body)
        s_begin_buffers (self, fetch);
    else
        s_go_on (self, fetch);
}

static void s_take (engine_t *self, fetch_t *fetch, const usi_fields_t *item,
                    usi_bytes_t chunk)
{
    if (item->code == US_ERR_STORE || item->code == US_ERR_BUSY) {
        fetch_restart (fetch);
        fetch->resume_at = usi_now_ms () + usi_jitter_ms (RETRY_MIN_MS * 2);
        return;
    }
    if (item->code != US_OK || !fetch_take (fetch, item->index, chunk))
        s_fail_fetch (self, fetch, US_ERR_MISSING_BLOB);
    else if (fetch_is_whole (fetch))
        s_finish (self, fetch);
}

void download_on_data (engine_t *self, const usi_msg_t *msg)
{
    engine_lock (self);
    for (size_t i = 0; i < msg->items_len; i++) {
        const usi_fields_t *item = &msg->items[i];
        LIST_EACH (&self->downloads, fetch_t, fetch, node)
            if (usi_bytes_equal (item->blob, usi_bytes (fetch->digest, USI_DIGEST_LEN)))
                s_take (self, fetch, item, usi_msg_item_body (msg, i));
    }
    engine_unlock (self);
}

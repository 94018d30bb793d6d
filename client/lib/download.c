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

static void s_end (engine_t *self, us_result_t *result, us_state_t state, us_err_t code,
                   uint8_t *body, size_t body_len)
{
    fetch_free (result->fetch);
    result->fetch = NULL;
    ending_show (result, state, code, body, body_len);
    track_settle (&self->track, result);
}

/* Ends a job whose result cannot be fetched. A job that succeeded gets this code; one
 * that failed keeps its own. */
static void s_fail (engine_t *self, us_result_t *result, us_state_t state,
                    us_err_t job_code, us_err_t code)
{
    s_end (self, result, state, state == US_STATE_SUCCEEDED ? code : job_code, NULL, 0);
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

void download_start (engine_t *self, us_result_t *result, const usi_fields_t *item,
                     us_state_t state, us_err_t code)
{
    uint64_t size = item->size;
    if (size == 0) {
        s_fail (self, result, state, code, US_ERR_MISSING_BLOB);
        return;
    }
    if (size > self->client->options.max_payload) {
        s_refuse (self, result, state, code, size);
        return;
    }
    fetch_t *fetch = fetch_new (item->blob.data, (size_t) size);
    if (!fetch) {
        s_fail (self, result, state, code, US_ERR_NOMEM);
        return;
    }
    fetch->result = result;
    fetch->state = state;
    fetch->code = code;
    result->fetch = fetch;
    list_append (&self->downloads, &fetch->node);
    track_move (&self->track, result, PLACE_FETCHING);
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

static void s_finish (engine_t *self, fetch_t *fetch)
{
    size_t size = fetch->size;
    uint8_t *data = fetch_give (fetch);
    if (data)
        s_end (self, fetch->result, fetch->state, fetch->code, data, size);
    else
        s_fail_fetch (self, fetch, US_ERR_MISSING_BLOB);
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

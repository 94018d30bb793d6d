/* SPDX-License-Identifier: MIT
 *
 * Records of results: see record.h. */
#include "record.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

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

static void s_drop_job (us_result_t *result)
{
    if (result->job && result->kept)
        result->client->kept_bytes -= result->job->cost;
    result->kept = false;
    us_job_destroy (&result->job);
}

static void s_free (us_result_t *result)
{
    for (int i = 0; i < STREAMS; i++) {
        if (result->streams[i])
            usi_buf_free (&result->streams[i]->data);
        free (result->streams[i]);
    }
    s_drop_job (result);
    free (result->text);
    result_drop_body (result);
    free (result);
}

/* Gives the client's reference back as well. With the lock held that cannot be the last
 * one: the caller holds a handle of the client, or is the engine. */
void result_unref (us_result_t *result)
{
    us_client_t *client = result->client;
    if (atomic_fetch_sub_explicit (&result->refs, 1, memory_order_acq_rel) != 1)
        return;
    s_free (result);
    atomic_fetch_sub (&client->refs, 1);
}

void result_set_tracked (us_result_t *result, bool tracked)
{
    if (result->tracked != tracked)
        result->client->tracked += tracked ? 1 : -1;
    result->tracked = tracked;
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
        s_drop_job (result);
    waiters_wake (result->waiters);
    event_post (result, US_EVENT_ACCEPTED);
}

void result_unaccept (us_result_t *result)
{
    us_client_t *client = result->client;
    result->accepted = false;
    if (result->kept)
        client->kept_bytes -= result->job->cost;
    result->kept = false;
    result->counted = true;
    client->unaccepted++;
    client->unsent_bytes += result->job->cost;
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

void result_drop_body (us_result_t *result)
{
    for (size_t i = 0; i < result->buffers_len; i++)
        blob_unref (result->buffers[i]);
    free (result->buffers);
    free (result->body);
    result->buffers = NULL;
    result->buffers_len = 0;
    result->body = NULL;
    result->body_len = 0;
}

/* Out of memory it has none, and its envelope tells how many there should be. */
void result_take_buffers (us_result_t *result, us_blob_t *const *buffers, size_t len)
{
    us_blob_t **own = NULL;
    if (len > 0 && !result->buffers && !result_ended (result))
        own = calloc (len, sizeof *own);
    for (size_t i = 0; i < len; i++) {
        if (own)
            own[i] = buffers[i];
        else
            blob_unref (buffers[i]);
    }
    if (own) {
        result->buffers = own;
        result->buffers_len = len;
    }
}

void result_end (us_result_t *result, us_state_t state, us_err_t code, const char *text,
                 uint8_t *body, size_t body_len)
{
    if (result_ended (result)) {
        free (body);
        return;
    }
    s_uncount (result);
    s_drop_job (result);
    result->code = code;
    result->text = text ? strdup (text) : NULL;
    result->body = body;
    result->body_len = body_len;
    atomic_store_explicit (&result->state, (int) state, memory_order_release);
    waiters_wake (result->waiters);
    event_post (result, US_EVENT_ENDED);
}

bool result_stream_complete (const us_result_t *result, int stream)
{
    const stream_t *self = result->streams[stream];
    uint64_t len =
        stream == US_STREAM_LOG ? result->info.log_len : result->info.build_len;
    return !self || (!self->full && (self->closed || stream_end (self) >= len));
}

/* --- events ----------------------------------------------------------------------- */

static void s_append (us_client_t *client, us_result_t *result)
{
    bool was_empty = !client->events;
    result->in_events = true;
    result->next_event = NULL;
    result_ref (result);
    *client->events_end = result;
    client->events_end = &result->next_event;
    if (was_empty)
        eventfd_write (client->event_fd, 1);
}

void event_post (us_result_t *result, unsigned types)
{
    result->event_pending |= types & result->event_types;
    if (result->event_pending && !result->in_events)
        s_append (result->client, result);
}

void events_clear (us_client_t *client)
{
    while (client->events) {
        us_result_t *result = client->events;
        client->events = result->next_event;
        result->in_events = false;
        result->event_pending = 0;
        result_unref (result);
    }
    client->events_end = &client->events;
}

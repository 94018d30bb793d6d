/* SPDX-License-Identifier: MIT
 *
 * The API of clients: their life, connecting, flushing, and us_submit. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "drive.h"
#include "fork.h"
#include "shared.h"
#include "wait.h"

/* --- life ------------------------------------------------------------------------- */

us_err_t us_client_new (us_client_t **client, const us_options_t *options)
{
    if (!client || !options)
        return US_ERR_INVALID;
    *client = NULL;
    us_client_t *self = calloc (1, sizeof *self);
    if (!self)
        return US_ERR_NOMEM;
    us_err_t err = US_ERR_NOMEM;
    atomic_init (&self->refs, 1);
    pthread_mutex_init (&self->lock, NULL);
    self->commands_end = &self->commands;
    self->events_end = &self->events;
    self->generation = fork_generation ();
    client_open_fds (self);
    if (!options_copy (&self->options, options))
        goto fail;
    atomic_init (&self->max_payload, self->options.max_payload);
    atomic_init (&self->max_buffer, SIZE_MAX);
    atomic_init (&self->max_buffers, SIZE_MAX);
    options_key (&self->options, self->key);
    err = US_ERR_SYSTEM;
    if (self->wake_fd < 0 || self->event_fd < 0 || !fork_register (self))
        goto fail;
    *client = self;
    return US_OK;
fail:
    client_unref (self);
    return err;
}

void us_client_destroy (us_client_t **client)
{
    us_client_t *self = client ? *client : NULL;
    if (!self)
        return;
    *client = NULL;
    client_lock (self);
    self->closed = true;
    self->stop = true;
    engine_t *engine = self->engine;
    drive_wake (self);
    waiters_wake (self->waiters);
    client_unlock (self);
    drive_join (&engine);
    client_lock (self);
    self->engine = NULL;
    events_clear (self);
    client_unlock (self);
    fork_unregister (self);
    client_unref (self);
}

/* --- calls ------------------------------------------------------------------------ */

typedef struct connecting {
    us_client_t *client;
    unsigned failures; /* before */
} connecting_t;

static bool s_is_connected (void *arg)
{
    const connecting_t *self = arg;
    return self->client->connected || self->client->failures != self->failures;
}

us_err_t us_client_connect (us_client_t *client)
{
    if (!client)
        return US_ERR_INVALID;
    client_lock (client);
    connecting_t state = {.client = client, .failures = client->failures};
    us_err_t err = client_start (client);
    if (err == US_OK) {
        client->want_connect = true;
        drive_wake (client);
        /* The engine gives up by itself only before its first connection. */
        int64_t limit =
            client->options.connect_timeout_ms + (client->ever_connected ? 0 : 2000);
        err = client_wait (client, &client->waiters, s_is_connected, &state, limit);
        if (err == US_OK && !client->connected)
            err = client_fail (client, client->failure_code, "%s", client->failure);
        else if (err == US_ERR_TIMEOUT)
            err = client_fail (client, US_ERR_UNREACHABLE, "no broker answers at %s",
                               client->endpoint);
    }
    client_unlock (client);
    return err;
}

static bool s_is_flushed (void *arg)
{
    return ((us_client_t *) arg)->unaccepted == 0;
}

us_err_t us_client_flush (us_client_t *client, int64_t timeout_ms, size_t *lost)
{
    if (!client)
        return US_ERR_INVALID;
    client_lock (client);
    us_err_t err =
        client_wait (client, &client->waiters, s_is_flushed, client, timeout_ms);
    if (lost)
        *lost = client->unaccepted;
    client_unlock (client);
    return err;
}

const char *us_client_endpoint (us_client_t *client)
{
    static _Thread_local char text[512];
    client_lock (client);
    if (client->connected)
        snprintf (text, sizeof text, "%s", client->endpoint);
    else if (client->options.redis)
        options_show_redis (client->options.redis, text, sizeof text);
    else
        snprintf (text, sizeof text, "%s", client->options.endpoints);
    client_unlock (client);
    return text;
}

const char *us_client_error_text (us_client_t *client)
{
    return client_words (client);
}

size_t us_client_max_payload (const us_client_t *client)
{
    return client_max_payload (client);
}

size_t us_client_max_buffer (const us_client_t *client)
{
    return client_max_buffer (client);
}

size_t us_client_max_buffers (const us_client_t *client)
{
    return atomic_load_explicit (&client->max_buffers, memory_order_relaxed);
}

/* --- submit ----------------------------------------------------------------------- */

static bool s_has_room (void *arg)
{
    return ((us_client_t *) arg)->unsent_bytes <= CLIENT_UNSENT_BYTES;
}

/* Gives the job to the result, and the result to the engine. */
static us_err_t s_hand_over (us_client_t *client, us_job_t *job, us_result_t *result)
{
    client_lock (client);
    result->generation = client->generation;
    us_err_t err = client_start (client);
    if (err == US_OK)
        err = client_wait (client, &client->waiters, s_has_room, client, -1);
    if (err == US_OK)
        err = client_start (client); /* the client may have been closed meanwhile */
    if (err == US_OK) {
        result->origin = true;
        result->counted = true;
        client->unaccepted++;
        client->unsent_bytes += job->cost;
        result->job = job;
        bool driving = drive_begin (client, 0);
        err = result_want (result, WANT_SUBMIT);
        US_ASSERT (err == US_OK); /* client_start has just said so, under this lock */
        if (driving) {
            drive_turn (client);
            drive_end (client, 1);
        }
    }
    client_unlock (client);
    return err;
}

us_err_t us_submit (us_client_t *client, us_job_t **job, us_result_t **result)
{
    if (!client || !job || !*job || !result)
        return US_ERR_INVALID;
    *result = NULL;
    const job_limits_t limits = {.payload = client_max_payload (client),
                                 .buffer = us_client_max_buffer (client),
                                 .buffers = us_client_max_buffers (client)};
    us_err_t err =
        job_seal (*job, usi_bytes (client->key, sizeof client->key), &limits);
    if (err != US_OK)
        return client_fail (client, err, "%s", (*job)->error);
    us_result_t *self = result_new (client, &(*job)->id);
    if (!self)
        return client_fail (client, US_ERR_NOMEM, "out of memory");
    self->detached = (*job)->detached;
    self->info.submitted_ms = usi_wall_ms ();
    if ((*job)->stream_log && !self->detached) {
        self->streams[US_STREAM_LOG] = calloc (1, sizeof (stream_t));
        err = self->streams[US_STREAM_LOG] ? US_OK : US_ERR_NOMEM;
    }
    if (err == US_OK)
        err = s_hand_over (client, *job, self);
    if (err != US_OK) {
        us_result_destroy (&self);
        return err;
    }
    *job = NULL;
    *result = self;
    return US_OK;
}

/* SPDX-License-Identifier: MIT
 *
 * Clients, the callers' side: see client.h. */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine.h"
#include "result.h"

/* --- words for failures ----------------------------------------------------------- */

static _Thread_local struct {
    const us_client_t *client;
    char text[512];
    char endpoint[512];
} s_words;

us_err_t client_fail (us_client_t *client, us_err_t err, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    vsnprintf (s_words.text, sizeof s_words.text, format, args);
    va_end (args);
    s_words.client = client;
    return err;
}

const char *us_client_error_text (us_client_t *client)
{
    return s_words.client == client ? s_words.text : "";
}

void client_log (us_client_t *client, us_log_level_t level, const char *format, ...)
{
    char text[512];
    va_list args;
    if (!client->options.log)
        return;
    va_start (args, format);
    vsnprintf (text, sizeof text, format, args);
    va_end (args);
    client->options.log (level, text, client->options.log_arg);
}

/* --- life ------------------------------------------------------------------------- */

static int s_eventfd (void)
{
    return eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void s_close (int *fd)
{
    if (*fd >= 0)
        close (*fd);
    *fd = -1;
}

static void s_free (us_client_t *client)
{
    s_close (&client->wake_fd);
    s_close (&client->event_fd);
    pthread_mutex_destroy (&client->lock);
    options_clear (&client->options);
    free (client);
}

void client_unref (us_client_t *client)
{
    if (atomic_fetch_sub_explicit (&client->refs, 1, memory_order_acq_rel) == 1)
        s_free (client);
}

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
    self->wake_fd = s_eventfd ();
    self->event_fd = s_eventfd ();
    if (!options_copy (&self->options, options))
        goto fail;
    atomic_init (&self->max_payload, self->options.max_payload);
    err = US_ERR_SYSTEM;
    if (self->wake_fd < 0 || self->event_fd < 0 || !fork_register (self))
        goto fail;
    *client = self;
    return US_OK;
fail:
    s_free (self);
    return err;
}

/* In a child of fork: the engine, its thread and its sockets are the parent's; they are
 * left as they are. Descriptors are made anew since the parent shares the old ones. */
static void s_begin_anew (us_client_t *client)
{
    client->generation = fork_generation ();
    client->engine = NULL;
    events_clear (client);
    s_close (&client->wake_fd);
    s_close (&client->event_fd);
    client->wake_fd = s_eventfd ();
    client->event_fd = s_eventfd ();
    client->called = client->asleep = false;
    client->stop = false;
    client->tracked = 0;
    client->commands = NULL;
    client->commands_end = &client->commands;
    client->asks = (list_t){0};
    client->waiters = NULL;
    client->connected = false;
    client->unaccepted = 0;
    client->unsent_bytes = 0;
    client->kept_bytes = 0;
}

void client_lock (us_client_t *client)
{
    pthread_mutex_lock (&client->lock);
    if (client->generation != fork_generation ())
        s_begin_anew (client);
}

void client_unlock (us_client_t *client)
{
    pthread_mutex_unlock (&client->lock);
}

us_err_t client_start (us_client_t *client)
{
    if (client->closed)
        return client_fail (client, US_ERR_CLOSED, "the client is closed");
    if (client->engine)
        return US_OK;
    if (client->wake_fd < 0 || client->event_fd < 0)
        return client_fail (client, US_ERR_SYSTEM, "no descriptor is left");
    us_err_t err = engine_start (client);
    if (err != US_OK)
        return client_fail (client, err, "the client's thread cannot be started");
    return US_OK;
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
    engine_wake (self);
    waiters_wake (self->waiters);
    client_unlock (self);
    engine_join (&engine);
    client_lock (self);
    self->engine = NULL;
    events_clear (self);
    client_unlock (self);
    fork_unregister (self);
    client_unref (self);
}

/* --- waiting ---------------------------------------------------------------------- */

void waiters_wake (waiter_t *waiters)
{
    for (; waiters; waiters = waiters->next)
        if (waiters->fd >= 0)
            eventfd_write (waiters->fd, 1);
}

static void s_leave (waiter_t **waiters, const waiter_t *waiter)
{
    while (*waiters && *waiters != waiter)
        waiters = &(*waiters)->next;
    if (*waiters)
        *waiters = waiter->next;
}

typedef struct wait {
    client_done_fn *done;
    void *arg;
    int64_t end;      /* monotonic ms, -1: none */
    sigset_t signals; /* the caller's mask */
} wait_t;

/* Sleeps without the lock. US_OK: woken. */
static us_err_t s_sleep (us_client_t *client, int fd, const wait_t *wait)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    struct timespec timeout;
    if (wait->end >= 0) {
        int64_t left = wait->end - usi_now_ms ();
        left = left < 0 ? 0 : left;
        timeout = (struct timespec){left / 1000, left % 1000 * 1000000};
    }
    client_unlock (client);
    int rc = ppoll (&item, 1, wait->end >= 0 ? &timeout : NULL, &wait->signals);
    int error = errno;
    eventfd_t value;
    if (rc > 0)
        eventfd_read (fd, &value);
    pthread_mutex_lock (&client->lock);
    if (rc < 0)
        return error == EINTR ? US_ERR_INTERRUPTED : US_ERR_SYSTEM;
    return wait->end >= 0 && usi_now_ms () >= wait->end ? US_ERR_TIMEOUT : US_OK;
}

static us_err_t s_say (us_client_t *client, us_err_t err)
{
    return err == US_OK ? err : client_fail (client, err, "%s", us_err_text (err));
}

/* Until it is done, or the driver has to be the thread. */
static us_err_t s_wait_driving (us_client_t *client, waiter_t **waiters,
                                const wait_t *wait)
{
    us_err_t err = US_OK;
    waiter_t waiter = {.fd = -1, .next = *waiters};
    *waiters = &waiter;
    while (err == US_OK && !wait->done (wait->arg) && client->connected &&
           !client->closed)
        err = s_say (client, engine_drive_sleep (client, wait->end, &wait->signals));
    s_leave (waiters, &waiter);
    engine_drive_end (client, 0);
    return err;
}

static us_err_t s_wait_woken (us_client_t *client, waiter_t **waiters,
                              const wait_t *wait)
{
    us_err_t err = US_OK;
    waiter_t waiter = {.fd = s_eventfd (), .next = *waiters};
    if (waiter.fd < 0)
        return client_fail (client, US_ERR_SYSTEM,
                            "no descriptor is left to wait with");
    engine_watch (client);
    *waiters = &waiter;
    while (err == US_OK && !wait->done (wait->arg))
        err = client->closed
                  ? client_fail (client, US_ERR_CLOSED, "the client is closed")
                  : s_say (client, s_sleep (client, waiter.fd, wait));
    s_leave (waiters, &waiter);
    close (waiter.fd);
    return err;
}

us_err_t client_wait (us_client_t *client, waiter_t **waiters, client_done_fn *done,
                      void *arg, int64_t timeout_ms)
{
    if (done (arg))
        return US_OK;
    if (client->closed)
        return client_fail (client, US_ERR_CLOSED, "the client is closed");
    if (timeout_ms == 0) { /* it looks */
        engine_watch (client);
        return US_ERR_TIMEOUT;
    }
    wait_t wait = {.done = done, .arg = arg, .end = -1};
    if (timeout_ms > 0)
        wait.end = usi_now_ms () + timeout_ms + 1; /* never early */
    /* Signals come while it sleeps, not before: none is missed. */
    sigset_t all;
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, &wait.signals);
    us_err_t err = US_OK;
    if (engine_drive (client, 1))
        err = s_wait_driving (client, waiters, &wait);
    if (err == US_OK && !done (arg))
        err = s_wait_woken (client, waiters, &wait);
    pthread_sigmask (SIG_SETMASK, &wait.signals, NULL);
    return done (arg) ? US_OK : err;
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
        engine_wake (client);
        /* The engine gives up by itself only where it was never connected. */
        int64_t limit =
            client->options.connect_timeout_ms + (client->ever_connected ? 0 : 2000);
        err = client_wait (client, &client->waiters, s_is_connected, &state, limit);
        if (err == US_OK && !client->connected)
            err = client_fail (client, US_ERR_UNREACHABLE, "%s", client->failure);
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
    client_lock (client);
    if (client->connected)
        snprintf (s_words.endpoint, sizeof s_words.endpoint, "%s", client->endpoint);
    else if (client->options.redis)
        options_show_redis (client->options.redis, s_words.endpoint,
                            sizeof s_words.endpoint);
    else
        snprintf (s_words.endpoint, sizeof s_words.endpoint, "%s",
                  client->options.endpoints);
    client_unlock (client);
    return s_words.endpoint;
}

size_t us_client_max_payload (const us_client_t *client)
{
    return atomic_load_explicit (&client->max_payload, memory_order_relaxed);
}

/* --- submit ----------------------------------------------------------------------- */

static bool s_has_room (void *arg)
{
    return ((us_client_t *) arg)->unsent_bytes <= CLIENT_UNSENT_BYTES;
}

/* The job becomes the result's and is handed to the engine. */
static us_err_t s_hand_over (us_client_t *client, us_job_t *job, us_result_t *result)
{
    client_lock (client);
    result->generation = client->generation;
    us_err_t err = client_start (client);
    if (err == US_OK)
        err = client_wait (client, &client->waiters, s_has_room, client, -1);
    if (err == US_OK)
        err = client_start (client); /* closed while it waited? */
    if (err == US_OK) {
        result->origin = true;
        result->counted = true;
        client->unaccepted++;
        client->unsent_bytes += job->cost;
        result->job = job;
        bool driving = engine_drive (client, 0);
        err = result_want (result, WANT_SUBMIT);
        US_ASSERT (err == US_OK); /* closed and engine were looked at under this lock */
        if (driving) {
            engine_drive_turn (client);
            engine_drive_end (client, 1);
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
    us_err_t err = job_seal (*job, us_client_max_payload (client));
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

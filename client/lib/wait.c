/* SPDX-License-Identifier: MIT
 *
 * Callers and the engine: see wait.h. */
#include "wait.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "drive.h"
#include "shared.h"

us_err_t client_start (us_client_t *client)
{
    if (client->closed)
        return client_fail (client, US_ERR_CLOSED, "the client is closed");
    if (client->engine)
        return US_OK;
    if (client->wake_fd < 0 || client->event_fd < 0)
        return client_fail (client, US_ERR_SYSTEM, "no descriptor is left");
    us_err_t err = drive_start (client);
    if (err != US_OK)
        return client_fail (client, err, "the client's thread cannot be started");
    return US_OK;
}

/* --- waiting ---------------------------------------------------------------------- */

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

/* Takes the engine's turns until it is done, or until the thread has to drive. */
static us_err_t s_wait_driving (us_client_t *client, waiter_t **waiters,
                                const wait_t *wait)
{
    us_err_t err = US_OK;
    waiter_t waiter = {.fd = -1};
    waiters_add (waiters, &waiter);
    while (err == US_OK && !wait->done (wait->arg) && client->connected &&
           !client->closed)
        err = s_say (client, drive_sleep (client, wait->end, &wait->signals));
    waiters_remove (waiters, &waiter);
    drive_end (client, 0);
    return err;
}

static us_err_t s_wait_woken (us_client_t *client, waiter_t **waiters,
                              const wait_t *wait)
{
    us_err_t err = US_OK;
    waiter_t waiter = {.fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (waiter.fd < 0)
        return client_fail (client, US_ERR_SYSTEM,
                            "no descriptor is left to wait with");
    drive_by_thread (client);
    waiters_add (waiters, &waiter);
    while (err == US_OK && !wait->done (wait->arg))
        err = client->closed
                  ? client_fail (client, US_ERR_CLOSED, "the client is closed")
                  : s_say (client, s_sleep (client, waiter.fd, wait));
    waiters_remove (waiters, &waiter);
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
    if (timeout_ms == 0) { /* the caller only looks */
        drive_by_thread (client);
        return US_ERR_TIMEOUT;
    }
    wait_t wait = {.done = done, .arg = arg, .end = -1};
    if (timeout_ms > 0)
        wait.end = usi_now_ms () + timeout_ms + 1; /* never early */
    /* Signals are let in only while it sleeps, so that none comes just before and is
     * missed. */
    sigset_t all;
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, &wait.signals);
    us_err_t err = US_OK;
    if (drive_begin (client, 1))
        err = s_wait_driving (client, waiters, &wait);
    if (err == US_OK && !done (arg))
        err = s_wait_woken (client, waiters, &wait);
    pthread_sigmask (SIG_SETMASK, &wait.signals, NULL);
    return done (arg) ? US_OK : err;
}

/* --- commands --------------------------------------------------------------------- */

/* Makes a result of the parent one of this process: the child of a fork has neither an
 * engine that knows it nor the threads that waited for it. */
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
    result->place = PLACE_NONE;
    result->node = (list_node_t){0};
    result->next_in_table = NULL;
    result->fetch = NULL;
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
    /* The mailbox holds a reference of its own: the job may end before it is
     * emptied. */
    result_ref (result);
    result->queued = true;
    result->next_command = NULL;
    *client->commands_end = result;
    client->commands_end = &result->next_command;
    drive_wake (client);
    return US_OK;
}

us_err_t result_follow (us_result_t *result)
{
    if (result->tracked || result_ended (result))
        return US_OK;
    bool unsent = result_state (result) == US_STATE_UNSENT && result->job;
    return result_want (result, unsent ? WANT_SUBMIT : WANT_WATCH);
}

/* --- questions -------------------------------------------------------------------- */

static bool s_is_done (void *arg)
{
    return ((question_t *) arg)->done;
}

us_err_t question_run (us_client_t *client, question_t *question, int64_t timeout_ms)
{
    us_err_t err = client_start (client);
    if (err != US_OK)
        return err;
    question->refs++;
    list_append (&client->questions, &question->node);
    drive_wake (client);
    err = client_wait (client, &question->waiters, s_is_done, question, timeout_ms);
    question->abandoned = true;
    if (err == US_OK && question->code != US_OK)
        err = client_fail (client, question->code, "%s", question->text);
    return err;
}

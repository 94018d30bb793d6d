/* SPDX-License-Identifier: MIT
 *
 * The driver: see drive.h. */
#include "drive.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine.h"
#include "engine_internal.h"

#define LENT_MS 5 /* after so long without a driver the thread takes over */

enum { OWN_FD, WAKE_FD, CONN_FDS, FDS_MAX = CONN_FDS + USI_CONN_FDS_MAX };

static void s_clear (const struct pollfd *item)
{
    eventfd_t value;
    if (item->revents)
        eventfd_read (item->fd, &value);
}

static int64_t s_left_ms (int64_t due)
{
    if (due == INT64_MAX)
        return -1;
    int64_t left = due - usi_now_ms ();
    return left < 0 ? 0 : left;
}

/* The driver sleeps until fd, the mailbox or the connection has something for it, or
 * until the time has come. Called with the lock, which it gives back meanwhile; returns
 * what ppoll returns, with its errno. Only the driver clears wake_fd: while the thread
 * still leaves its sleep a caller may already drive, and sleep in its turn. */
static int s_sleep (engine_t *self, int fd, int64_t until, const sigset_t *signals)
{
    us_client_t *client = self->client;
    driver_t driver = client->driver;
    struct pollfd items[FDS_MAX] = {
        [OWN_FD] = {.fd = fd, .events = POLLIN},
        [WAKE_FD] = {.fd = client->wake_fd, .events = POLLIN},
    };
    int fds[USI_CONN_FDS_MAX];
    int count = usi_conn_fds (self->conn, fds);
    for (int i = 0; i < count; i++)
        items[CONN_FDS + i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    client->asleep = !client->called && !self->more;
    int64_t left = client->asleep ? s_left_ms (until) : 0;
    struct timespec timeout = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
    engine_unlock (self);
    nfds_t all = CONN_FDS + (nfds_t) count;
    int rc = ppoll (items, all, left < 0 ? NULL : &timeout, signals);
    int error = errno;
    s_clear (&items[OWN_FD]);
    engine_lock (self);
    if (client->driver == driver)
        s_clear (&items[WAKE_FD]);
    errno = error;
    return rc;
}

static void s_give_back (us_client_t *client)
{
    client->driver = DRIVER_THREAD;
    client->asleep = false;
    eventfd_write (client->engine->back_fd, 1);
}

void drive_by_thread (us_client_t *client)
{
    if (client->engine && client->driver == DRIVER_NOBODY)
        s_give_back (client);
}

void drive_wake (us_client_t *client)
{
    client->called = true;
    drive_by_thread (client);
    if (!client->asleep)
        return;
    client->asleep = false;
    eventfd_write (client->wake_fd, 1);
}

/* --- callers ---------------------------------------------------------------------- */

bool drive_begin (us_client_t *client, size_t under_way)
{
    bool busy = client->driver == DRIVER_CALLER ||
                (client->driver == DRIVER_THREAD && !client->asleep);
    if (!client->engine || !client->connected || client->stop || busy ||
        client->tracked > under_way)
        return false;
    if (client->driver == DRIVER_THREAD) /* the thread sleeps, and has to stand by */
        eventfd_write (client->engine->back_fd, 1);
    client->driver = DRIVER_CALLER;
    client->asleep = false;
    client->drives++;
    return true;
}

void drive_turn (us_client_t *client)
{
    engine_unlock (client->engine);
    engine_turn (client->engine, false);
    engine_lock (client->engine);
}

us_err_t drive_sleep (us_client_t *client, int64_t end, const sigset_t *signals)
{
    engine_t *self = client->engine;
    int64_t until = engine_due_ms (self);
    int rc = s_sleep (self, -1, end >= 0 && end < until ? end : until, signals);
    client->asleep = false;
    if (rc < 0)
        return errno == EINTR ? US_ERR_INTERRUPTED : US_ERR_SYSTEM;
    drive_turn (client);
    return end >= 0 && usi_now_ms () >= end ? US_ERR_TIMEOUT : US_OK;
}

void drive_end (us_client_t *client, size_t under_way)
{
    engine_t *self = client->engine;
    bool needed = client->stop || client->called || client->waiters ||
                  !client->connected || client->tracked > under_way ||
                  self->questions.len > 0 || self->more;
    client->driver = DRIVER_NOBODY;
    if (needed)
        s_give_back (client);
    else if (!client->timed)
        eventfd_write (self->back_fd, 1);
}

/* --- the thread ------------------------------------------------------------------- */

/* Waits while somebody else drives, or did so a moment ago, and takes over when
 * nobody has driven for a moment. A caller that drives for long wakes the thread
 * when it ends. */
static void s_stand_by (engine_t *self)
{
    us_client_t *client = self->client;
    struct pollfd item = {.fd = self->back_fd, .events = POLLIN};
    unsigned before = self->drives;
    self->drives = client->drives;
    client->timed = client->driver == DRIVER_NOBODY || before != client->drives;
    engine_unlock (self);
    int rc = poll (&item, 1, client->timed ? LENT_MS : -1);
    s_clear (&item);
    engine_lock (self);
    if (rc == 0 && client->driver == DRIVER_NOBODY && client->drives == self->drives)
        client->driver = DRIVER_THREAD;
}

static bool s_is_to_end (const us_client_t *client)
{
    return client->stop && client->driver != DRIVER_CALLER;
}

static void *s_main (void *arg)
{
    engine_t *self = arg;
    us_client_t *client = self->client;
    engine_lock (self);
    while (!s_is_to_end (client)) {
        if (client->driver != DRIVER_THREAD) {
            s_stand_by (self);
            continue;
        }
        engine_unlock (self);
        engine_turn (self, true);
        engine_lock (self);
        s_sleep (self, self->back_fd, engine_due_ms (self), NULL);
        if (client->driver == DRIVER_THREAD)
            client->asleep = false;
    }
    engine_unlock (self);
    engine_end (self);
    return NULL;
}

static void s_free (engine_t *self)
{
    usi_conn_destroy (&self->conn);
    if (self->back_fd >= 0)
        close (self->back_fd);
    free (self);
}

us_err_t drive_start (us_client_t *client)
{
    engine_t *self = calloc (1, sizeof *self);
    sigset_t all, before;
    if (!self)
        return US_ERR_NOMEM;
    self->client = client;
    self->back_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!engine_open (self) || self->back_fd < 0) {
        s_free (self);
        return US_ERR_SYSTEM;
    }
    client->driver = DRIVER_THREAD;
    client->asleep = client->timed = false;
    /* Signals belong to the program, whose own threads take them. */
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, &before);
    int rc = pthread_create (&self->thread, NULL, s_main, self);
    pthread_sigmask (SIG_SETMASK, &before, NULL);
    if (rc) {
        s_free (self);
        return US_ERR_SYSTEM;
    }
    client->engine = self;
    return US_OK;
}

void drive_join (engine_t **self_p)
{
    if (!*self_p)
        return;
    pthread_join ((*self_p)->thread, NULL);
    s_free (*self_p);
    *self_p = NULL;
}

/* SPDX-License-Identifier: MIT
 *
 * Clients, what all parts share: see shared.h. */
#include "shared.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fork.h"
#include "record.h"

/* --- words ------------------------------------------------------------------------ */

static _Thread_local struct {
    const us_client_t *client;
    char text[512];
} s_words;

us_err_t client_fail (const us_client_t *client, us_err_t err, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    vsnprintf (s_words.text, sizeof s_words.text, format, args);
    va_end (args);
    s_words.client = client;
    return err;
}

const char *client_words (const us_client_t *client)
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

/* --- references ------------------------------------------------------------------- */

static void s_close (int *fd)
{
    if (*fd >= 0)
        close (*fd);
    *fd = -1;
}

void client_open_fds (us_client_t *client)
{
    client->wake_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    client->event_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void client_unref (us_client_t *client)
{
    if (atomic_fetch_sub_explicit (&client->refs, 1, memory_order_acq_rel) != 1)
        return;
    s_close (&client->wake_fd);
    s_close (&client->event_fd);
    pthread_mutex_destroy (&client->lock);
    options_clear (&client->options);
    free (client);
}

/* --- the lock --------------------------------------------------------------------- */

/* In a child of fork the engine, its thread and its sockets are the parent's: they are
 * left as they are, and the child makes its own. It makes descriptors of its own too,
 * since it shares the old ones with its parent. */
static void s_begin_anew (us_client_t *client)
{
    client->generation = fork_generation ();
    client->engine = NULL;
    events_clear (client);
    s_close (&client->wake_fd);
    s_close (&client->event_fd);
    client_open_fds (client);
    client->called = client->asleep = false;
    client->stop = false;
    client->tracked = 0;
    client->commands = NULL;
    client->commands_end = &client->commands;
    client->questions = (list_t){0};
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

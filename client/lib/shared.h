/* SPDX-License-Identifier: MIT
 *
 * What every part of the library may do with a client: hold it, lock it, log, and say why
 * something failed.
 *
 * Stands on client.h, record.h and fork.h. */
#ifndef CLIENT_LIB_SHARED_H
#define CLIENT_LIB_SHARED_H

#include "client.h"

/* Gives a reference back; frees the client with the last one. */
void client_unref (us_client_t *client);
/* Makes the descriptors of a new client, or of one that begins anew after a fork. */
void client_open_fds (us_client_t *client);
/* Locks; in a child of fork it first begins anew. */
void client_lock (us_client_t *client);
void client_unlock (us_client_t *client);
/* The options' limit, or the broker's where that is lower. */
static inline size_t client_max_payload (const us_client_t *client)
{
    return atomic_load_explicit (&client->max_payload, memory_order_relaxed);
}

/* Of the broker; SIZE_MAX before one has told. */
static inline size_t client_max_buffer (const us_client_t *client)
{
    return atomic_load_explicit (&client->max_buffer, memory_order_relaxed);
}

/* Words for this thread's last failure; gives err back. */
us_err_t client_fail (const us_client_t *client, us_err_t err, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));
/* Those words, "" where the last failure was another client's. */
const char *client_words (const us_client_t *client);
void client_log (us_client_t *client, us_log_level_t level, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));

#endif

/* SPDX-License-Identifier: MIT
 *
 * fork: see fork.h. */
#include "fork.h"

#include "blob.h"

static pthread_mutex_t s_lock = PTHREAD_MUTEX_INITIALIZER;
static us_client_t *s_clients;
static atomic_uint s_generation;
static pthread_once_t s_once = PTHREAD_ONCE_INIT;
static int s_registered;

static void s_before (void)
{
    pthread_mutex_lock (&s_lock);
    for (us_client_t *client = s_clients; client; client = client->next)
        pthread_mutex_lock (&client->lock);
    blobs_lock ();
}

static void s_after (void)
{
    blobs_unlock ();
    for (us_client_t *client = s_clients; client; client = client->next)
        pthread_mutex_unlock (&client->lock);
    pthread_mutex_unlock (&s_lock);
}

static void s_in_child (void)
{
    atomic_fetch_add (&s_generation, 1);
    s_after ();
}

static void s_install (void)
{
    s_registered = pthread_atfork (s_before, s_after, s_in_child);
}

unsigned fork_generation (void)
{
    return atomic_load_explicit (&s_generation, memory_order_relaxed);
}

bool fork_register (us_client_t *client)
{
    pthread_once (&s_once, s_install);
    if (s_registered != 0)
        return false;
    pthread_mutex_lock (&s_lock);
    client->next = s_clients;
    s_clients = client;
    pthread_mutex_unlock (&s_lock);
    return true;
}

void fork_unregister (us_client_t *client)
{
    pthread_mutex_lock (&s_lock);
    us_client_t **at = &s_clients;
    while (*at && *at != client)
        at = &(*at)->next;
    if (*at)
        *at = client->next;
    pthread_mutex_unlock (&s_lock);
}

/* SPDX-License-Identifier: MIT
 *
 * The store as a whole: how it is made and destroyed, and what it does when its connection
 * is made or lost. Stands on all other files of this folder. */
#include <stdlib.h>

#include "base/log.h"
#include "store/batch.h"
#include "store/channels.h"
#include "store/claim_recovery.h"
#include "store/command.h"
#include "store/guard.h"
#include "store/library.h"
#include "store/setup.h"
#include "store/sweep.h"
#include "store/topics.h"

static void s_on_connected (void *arg)
{
    setup_start (arg);
}

/* Caches speak of what may be gone by the next connection. */
static void s_on_lost (void *arg, const char *why)
{
    store_t *self = arg;
    bool was_ready = self->ready;
    self->ready = false;
    self->loading_library = false;
    channels_forget_announced (self);
    blob_memory_clear (self->known);
    if (!self->said_lost)
        usi_warning ("store.lost", "Redis is lost why=\"%s\"", why);
    self->said_lost = true;
    batch_fail_waiting (self);
    command_fail_deferred (self);
    if (was_ready && self->events.lost)
        self->events.lost (self->events.arg, why);
}

static void s_name_functions (store_t *self)
{
    const char *hash = self->hash;
    store_library_hash (self->hash);
    snprintf (self->library, sizeof self->library, "understudy_%s", hash);
    snprintf (self->admit, sizeof self->admit, "us_%s_admit", hash);
    snprintf (self->apply, sizeof self->apply, "us_%s_apply", hash);
}

static void s_constants (store_t *self, const store_options_t *options)
{
    self->broker = options->broker;
    self->lease_ms = options->lease_ms;
    self->keep_ms = options->keep_ms;
    self->keep_jobs = options->keep_jobs;
    snprintf (self->broker_text, sizeof self->broker_text, "%08x", options->broker);
    snprintf (self->lease_text, sizeof self->lease_text, "%lld",
              (long long) options->lease_ms);
    snprintf (self->keep_text, sizeof self->keep_text, "%lld",
              (long long) options->keep_ms);
    snprintf (self->keep_jobs_text, sizeof self->keep_jobs_text, "%lld",
              (long long) options->keep_jobs);
    self->sweep_every_ms = options->lease_ms / 4 < 1000 ? options->lease_ms / 4 : 1000;
}

store_t *store_new (zloop_t *loop, const store_options_t *options,
                    const store_events_t *events)
{
    usi_redis_url_t url;
    if (usi_redis_url_parse (&url, options->url, NULL, 0) != US_OK) {
        usi_redis_url_free (&url);
        return NULL;
    }
    store_t *self = usi_new (store_t);
    self->loop = loop;
    self->events = *events;
    self->url = url;
    self->durability =
        usi_strdup (options->durability ? options->durability : "always");
    self->wake_url = usi_strdup (options->nodes_url ? options->nodes_url : "");
    self->wake_given = options->nodes_url != NULL;
    s_constants (self, options);
    s_name_functions (self);
    channels_start (self);
    self->library_gone = setup_load_library;
    self->known = blob_memory_new ();
    guard_start (self);
    usi_redis_events_t redis_events = {s_on_connected, s_on_lost, self};
    self->redis = usi_redis_new (loop, &self->url, &redis_events);
    topics_start (self);
    return self;
}

/* Fails all that waits, and what the callbacks ask for in turn. The bound is for a caller
 * that would ask again each time. */
static void s_fail_all (store_t *self)
{
    for (unsigned round = 0; round < 100; round++) {
        bool deferred = command_fail_deferred (self);
        batch_fail_waiting (self);
        if (!deferred && self->backlog_ops == 0)
            return;
    }
}

void store_destroy (store_t **self_p)
{
    store_t *self = *self_p;
    if (!self)
        return;
    self->ready = false;
    sweep_stop (self);
    usi_subscriber_destroy (&self->subscriber);
    /* callbacks of what was sent run now */
    usi_redis_close (self->redis);
    s_fail_all (self);
    batch_stop (self);
    usi_redis_destroy (&self->redis);
    claim_recovery_stop (self);
    channels_stop (self);
    blob_memory_destroy (&self->known);
    guard_stop (self);
    usi_redis_url_free (&self->url);
    free (self->durability);
    free (self->wake_url);
    free (self);
    *self_p = NULL;
}

bool store_is_ready (const store_t *self)
{
    return self->ready;
}

const char *store_cluster (const store_t *self)
{
    return self->cluster;
}

const char *store_wake_url (const store_t *self)
{
    return self->wake_url;
}

const char *store_durability (const store_t *self)
{
    return health_durability (&self->health);
}

uint64_t store_memory (const store_t *self)
{
    const health_t *health = &self->health;
    return health->maxmemory ? health->maxmemory : health->whole_memory;
}

size_t store_backlog (const store_t *self, size_t *bytes)
{
    if (bytes)
        *bytes = self->backlog_bytes + usi_redis_pending_bytes (self->redis);
    return self->backlog_ops;
}

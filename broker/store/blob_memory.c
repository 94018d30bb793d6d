/* SPDX-License-Identifier: MIT
 *
 * See blob_memory.h. The collector leaves alone what was touched within an hour, and each
 * question about a blob touches it, so ten minutes are on the safe side. */
#include "store/blob_memory.h"

#include <czmq.h>

#include "base/clock.h"
#include "base/mem.h"

#define KNOWN_MS  600000
#define KNOWN_MAX 100000

struct blob_memory {
    zhashx_t *asked; /* digest -> when it was asked for (monotonic) */
    int64_t lost_ms;
};

static size_t s_hash (const void *key)
{
    return (size_t) usi_get_be (key, 8);
}

static int s_compare (const void *a, const void *b)
{
    return memcmp (a, b, USI_DIGEST_LEN);
}

static void *s_dup (const void *key)
{
    return (void *) usi_bytes_dup (usi_bytes (key, USI_DIGEST_LEN)).data;
}

static void s_free (void **key)
{
    free (*key);
    *key = NULL;
}

blob_memory_t *blob_memory_new (void)
{
    blob_memory_t *self = usi_new (blob_memory_t);
    self->asked = zhashx_new ();
    zhashx_set_key_hasher (self->asked, s_hash);
    zhashx_set_key_comparator (self->asked, s_compare);
    zhashx_set_key_duplicator (self->asked, s_dup);
    zhashx_set_key_destructor (self->asked, s_free);
    return self;
}

void blob_memory_destroy (blob_memory_t **self_p)
{
    if (!*self_p)
        return;
    zhashx_destroy (&(*self_p)->asked);
    free (*self_p);
    *self_p = NULL;
}

void blob_memory_add (blob_memory_t *self, const uint8_t digest[USI_DIGEST_LEN],
                      int64_t asked_ms)
{
    if (asked_ms <= self->lost_ms)
        return;
    if (zhashx_size (self->asked) >= KNOWN_MAX)
        zhashx_purge (self->asked);
    zhashx_update (self->asked, digest, (void *) (intptr_t) asked_ms);
}

void blob_memory_forget (blob_memory_t *self, const uint8_t digest[USI_DIGEST_LEN])
{
    zhashx_delete (self->asked, digest);
}

void blob_memory_lost (blob_memory_t *self, const uint8_t digest[USI_DIGEST_LEN])
{
    blob_memory_forget (self, digest);
    self->lost_ms = usi_now_ms ();
}

void blob_memory_clear (blob_memory_t *self)
{
    zhashx_purge (self->asked);
}

bool blob_memory_has (const blob_memory_t *self, const uint8_t digest[USI_DIGEST_LEN],
                      int64_t since_ms)
{
    intptr_t asked_ms = (intptr_t) zhashx_lookup (self->asked, digest);
    return asked_ms && asked_ms > since_ms && usi_now_ms () - asked_ms < KNOWN_MS;
}

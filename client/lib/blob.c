/* SPDX-License-Identifier: MIT
 *
 * Blobs: see blob.h. Large ones made by us_blob_new stand in a list while they live, so that
 * one array given to many jobs is copied once. They are few, so a list will do. */
#include "blob.h"

#include <pthread.h>
#include <stdlib.h>

#define LARGE ((size_t) 1024 * 1024)

static pthread_mutex_t s_lock = PTHREAD_MUTEX_INITIALIZER;
static us_blob_t *s_large;

void blobs_lock (void)
{
    pthread_mutex_lock (&s_lock);
}

void blobs_unlock (void)
{
    pthread_mutex_unlock (&s_lock);
}

us_blob_t *blob_adopt (uint8_t *data, size_t len, const uint8_t *digest)
{
    us_blob_t *blob = calloc (1, sizeof *blob);
    if (!blob)
        return NULL;
    atomic_init (&blob->refs, 1);
    blob->data = data;
    blob->len = len;
    memcpy (blob->digest, digest, sizeof blob->digest);
    return blob;
}

us_blob_t *blob_ref (us_blob_t *blob)
{
    atomic_fetch_add_explicit (&blob->refs, 1, memory_order_relaxed);
    return blob;
}

static bool s_drop (us_blob_t *blob)
{
    return atomic_fetch_sub_explicit (&blob->refs, 1, memory_order_acq_rel) == 1;
}

/* The last reference goes with the lock held: whoever finds it in the list has one. */
static bool s_drop_listed (us_blob_t *blob)
{
    blobs_lock ();
    bool last = s_drop (blob);
    us_blob_t **at = &s_large;
    while (last && *at != blob)
        at = &(*at)->next;
    if (last)
        *at = blob->next;
    blobs_unlock ();
    return last;
}

void blob_unref (us_blob_t *blob)
{
    if (!blob || !(blob->listed ? s_drop_listed (blob) : s_drop (blob)))
        return;
    free (blob->data);
    free (blob);
}

static us_blob_t *s_find (const uint8_t *digest, size_t len)
{
    us_blob_t *blob = s_large;
    while (blob &&
           (blob->len != len || memcmp (blob->digest, digest, USI_DIGEST_LEN) != 0))
        blob = blob->next;
    return blob ? blob_ref (blob) : NULL;
}

static us_blob_t *s_copy (usi_bytes_t bytes, const uint8_t *digest)
{
    usi_bytes_t copy = usi_bytes_dup (bytes);
    us_blob_t *blob =
        copy.data ? blob_adopt ((uint8_t *) copy.data, copy.len, digest) : NULL;
    if (!blob)
        free ((void *) copy.data);
    return blob;
}

/* Two threads may both copy the same bytes; both are listed then. */
static us_blob_t *s_share (usi_bytes_t bytes, const uint8_t *digest)
{
    blobs_lock ();
    us_blob_t *blob = s_find (digest, bytes.len);
    blobs_unlock ();
    if (blob || !(blob = s_copy (bytes, digest)))
        return blob;
    blobs_lock ();
    blob->listed = true;
    blob->next = s_large;
    s_large = blob;
    blobs_unlock ();
    return blob;
}

us_err_t us_blob_new (us_blob_t **blob, const void *data, size_t len)
{
    uint8_t digest[USI_DIGEST_LEN];
    if (!blob)
        return US_ERR_INVALID;
    *blob = NULL;
    if (!data || len == 0)
        return US_ERR_INVALID;
    usi_sha256 (data, len, digest);
    *blob = len < LARGE ? s_copy (usi_bytes (data, len), digest)
                        : s_share (usi_bytes (data, len), digest);
    return *blob ? US_OK : US_ERR_NOMEM;
}

void us_blob_destroy (us_blob_t **blob)
{
    if (!blob || !*blob)
        return;
    blob_unref (*blob);
    *blob = NULL;
}

const uint8_t *us_blob_digest (const us_blob_t *blob)
{
    return blob->digest;
}

void *us_blob_data (us_blob_t *blob, size_t *len)
{
    *len = blob->len;
    return blob->data;
}

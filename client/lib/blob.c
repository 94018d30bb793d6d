/* SPDX-License-Identifier: MIT
 *
 * Blobs: see blob.h. */
#include "blob.h"

#include <stdlib.h>

us_blob_t *blob_adopt (uint8_t *data, size_t len)
{
    us_blob_t *blob = calloc (1, sizeof *blob);
    if (!blob)
        return NULL;
    atomic_init (&blob->refs, 1);
    blob->data = data;
    blob->len = len;
    usi_sha256 (data, len, blob->digest);
    return blob;
}

us_blob_t *blob_ref (us_blob_t *blob)
{
    atomic_fetch_add_explicit (&blob->refs, 1, memory_order_relaxed);
    return blob;
}

void blob_unref (us_blob_t *blob)
{
    if (!blob || atomic_fetch_sub_explicit (&blob->refs, 1, memory_order_acq_rel) != 1)
        return;
    free (blob->data);
    free (blob);
}

us_err_t us_blob_new (us_blob_t **blob, const void *data, size_t len)
{
    if (!blob)
        return US_ERR_INVALID;
    *blob = NULL;
    if (!data || len == 0)
        return US_ERR_INVALID;
    usi_bytes_t copy = usi_bytes_dup (usi_bytes (data, len));
    if (!copy.data)
        return US_ERR_NOMEM;
    *blob = blob_adopt ((uint8_t *) copy.data, len);
    if (!*blob)
        free ((void *) copy.data);
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

/* SPDX-License-Identifier: MIT
 *
 * Immutable bytes with their sha-256. The references are counted atomically, since
 * libzmq's thread gives one back for each chunk that it has sent. Large ones that are made
 * from the same bytes while one of them lives are one.
 *
 * A leaf: stands on common/base. */
#ifndef CLIENT_LIB_BLOB_H
#define CLIENT_LIB_BLOB_H

#include <stdatomic.h>

#include "base/id.h"

struct us_blob {
    atomic_uint refs;
    uint8_t digest[USI_DIGEST_LEN];
    size_t len;
    uint8_t *data;
    bool listed; /* others may come to share it: see blob.c */
    us_blob_t *next;
};

/* Takes data of this sum, which came from malloc; NULL: out of memory, and data is still yours. */
us_blob_t *blob_adopt (uint8_t *data, size_t len, const uint8_t *digest);
us_blob_t *blob_ref (us_blob_t *blob);
void blob_unref (us_blob_t *blob);
/* Around a fork: no thread is at the list of large ones. */
void blobs_lock (void);
void blobs_unlock (void);

#endif

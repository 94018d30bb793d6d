/* SPDX-License-Identifier: MIT
 *
 * Immutable bytes with their sha-256. The references are counted atomically, since
 * libzmq's thread gives one back for each chunk that it has sent.
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
};

/* Takes data, which came from malloc; NULL: out of memory, and data is still yours. */
us_blob_t *blob_adopt (uint8_t *data, size_t len);
us_blob_t *blob_ref (us_blob_t *blob);
void blob_unref (us_blob_t *blob);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The sum of a blob whose parts are all there: read and added up one chunk per turn of
 * the loop, since a second of work at once would hold up everybody. Stands on
 * blob_keys.h. */
#ifndef BROKER_STORE_BLOB_CHECK_H
#define BROKER_STORE_BLOB_CHECK_H

#include "store/store.h"

#define BLOB_TOKEN_LEN 8 /* of the parts; changes with each that is written */

/* fn gets US_OK: the sum is right and the blob marked as whole. US_ERR_MISSING_BLOB: the
 * sum was wrong and the parts are dropped, or they changed meanwhile; put all of them
 * again. US_ERR_STORE. */
void blob_check (store_t *self, const uint8_t digest[USI_DIGEST_LEN], uint64_t size,
                 const uint8_t token[BLOB_TOKEN_LEN], store_code_fn *fn, void *arg);

#endif

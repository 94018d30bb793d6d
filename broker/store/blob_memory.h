/* SPDX-License-Identifier: MIT
 *
 * The digests of blobs that this broker found in the store within the last minutes, so
 * that a job which names one of them need not wait for another look. Brokers are told
 * when a blob is lost; what was learnt before such news, or while nobody listened for
 * them, does not count. A leaf: no input or output. */
#ifndef BROKER_STORE_BLOB_MEMORY_H
#define BROKER_STORE_BLOB_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"

typedef struct blob_memory blob_memory_t;

blob_memory_t *blob_memory_new (void);
void blob_memory_destroy (blob_memory_t **self_p);
/* The blob was there when Redis answered a question of asked_ms (monotonic). */
void blob_memory_add (blob_memory_t *self, const uint8_t digest[USI_DIGEST_LEN],
                      int64_t asked_ms);
/* Redis has answered that the blob is not there. */
void blob_memory_forget (blob_memory_t *self, const uint8_t digest[USI_DIGEST_LEN]);
/* News by another way than the answers, which may be older: what was asked before now does
 * not count any more. */
void blob_memory_lost (blob_memory_t *self, const uint8_t digest[USI_DIGEST_LEN]);
void blob_memory_clear (blob_memory_t *self);
/* Asked for within the last ten minutes and not before since_ms. */
bool blob_memory_has (const blob_memory_t *self, const uint8_t digest[USI_DIGEST_LEN],
                      int64_t since_ms);

#endif

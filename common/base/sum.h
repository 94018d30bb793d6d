/* SPDX-License-Identifier: MIT
 *
 * The SHA-256 of bytes that come in pieces. usi_sha256 (id.h) is for bytes that are all
 * here.
 *
 * A leaf: stands on libsodium, which nothing outside of common/base names. */
#ifndef COMMON_BASE_SUM_H
#define COMMON_BASE_SUM_H

#include <sodium.h>

#include "base/bytes.h"

typedef struct usi_sum {
    crypto_hash_sha256_state state;
} usi_sum_t;

static inline void usi_sum_begin (usi_sum_t *self)
{
    crypto_hash_sha256_init (&self->state);
}

static inline void usi_sum_add (usi_sum_t *self, usi_bytes_t bytes)
{
    crypto_hash_sha256_update (&self->state, bytes.data, bytes.len);
}

/* Gives the sum; the next one has to be begun. digest: of USI_DIGEST_LEN bytes. */
static inline void usi_sum_end (usi_sum_t *self, uint8_t *digest)
{
    crypto_hash_sha256_final (&self->state, digest);
}

#endif

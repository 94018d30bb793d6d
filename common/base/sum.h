/* SPDX-License-Identifier: MIT
 *
 * The SHA-256 of bytes that come in pieces. usi_sha256 (id.h) is for bytes that are all
 * here.
 *
 * A leaf: stands on libcrypto, which uses the processor's own instructions and which
 * nothing outside of common/base names. */
#ifndef COMMON_BASE_SUM_H
#define COMMON_BASE_SUM_H

#include "base/bytes.h"

/* All zero: not begun. */
typedef struct usi_sum {
    void *state;
} usi_sum_t;

/* Begins, perhaps anew. */
void usi_sum_begin (usi_sum_t *self);
void usi_sum_add (usi_sum_t *self, usi_bytes_t bytes);
/* Gives the sum; the next one has to be begun. digest: of USI_DIGEST_LEN bytes. */
void usi_sum_end (usi_sum_t *self, uint8_t *digest);
/* Lets go of one that was begun and will not be ended; of any other, too. */
void usi_sum_drop (usi_sum_t *self);

#endif

/* SPDX-License-Identifier: MIT
 *
 * See sum.h. */
#include "base/sum.h"

#include <openssl/evp.h>

#include "base/mem.h"

void usi_sum_begin (usi_sum_t *self)
{
    if (!self->state)
        self->state = EVP_MD_CTX_new ();
    bool begun = self->state && EVP_DigestInit_ex (self->state, EVP_sha256 (), NULL);
    US_ASSERT (begun); /* libcrypto always has it; it asks for some hundred bytes */
}

void usi_sum_add (usi_sum_t *self, usi_bytes_t bytes)
{
    EVP_DigestUpdate (self->state, bytes.data, bytes.len);
}

void usi_sum_end (usi_sum_t *self, uint8_t *digest)
{
    EVP_DigestFinal_ex (self->state, digest, NULL);
    usi_sum_drop (self);
}

void usi_sum_drop (usi_sum_t *self)
{
    EVP_MD_CTX_free (self->state);
    self->state = NULL;
}

/* SPDX-License-Identifier: MIT
 *
 * Bodies of certificates that the cluster's key has signed, of any content: what is accepted
 * can be signed again and is then the same. */
#include "auth/certificate.h"
#include "fuzz.h"

#define TYPE "application/vnd.understudy.certificate.v1+msgpack"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    static usi_keys_t keys;
    static usi_certificate_t read, again;
    static const uint8_t seed[USI_KEY_LEN] = {1};
    static bool ready;
    usi_buf_t whole = {0};
    usi_bytes_t body;
    if (!ready)
        usi_keys_derive (&keys, seed);
    ready = true;
    usi_signed_body (usi_bytes (data, len), TYPE, keys.signing_public, &body);
    usi_sign (&whole, TYPE, usi_bytes (data, len), &keys);
    if (!usi_certificate_read (&read, usi_buf_bytes (&whole), keys.signing_public)) {
        US_ASSERT (usi_certificate_sign (&read, &keys));
        US_ASSERT (!usi_certificate_read (&again, usi_bytes (read.bytes, read.len),
                                          keys.signing_public));
        US_ASSERT (strcmp (read.name, again.name) == 0 && read.role == again.role);
    }
    usi_buf_free (&whole);
    return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * Lists of revoked keys that the cluster's key has signed, of any content: one that is taken
 * has each of its keys, and the next one has them all and a higher number. */
#include "auth/revocation.h"
#include "fuzz.h"

#define TYPE "application/vnd.understudy.revocation.v1+msgpack"

static void s_check (usi_revocation_t *list, const usi_keys_t *keys)
{
    usi_buf_t next = {0};
    uint64_t number = list->number;
    uint32_t count = list->count;
    uint8_t first[USI_KEY_LEN], own[USI_KEY_LEN] = {7};
    if (count > 0)
        memcpy (first, list->keys, USI_KEY_LEN);
    for (uint32_t i = 0; i < count; i++)
        US_ASSERT (usi_revocation_has (list, list->keys + (size_t) i * USI_KEY_LEN));
    if (number < INT64_MAX && usi_revocation_sign (list, own, keys, &next)) {
        US_ASSERT (
            !usi_revocation_take (list, usi_buf_bytes (&next), keys->signing_public));
        US_ASSERT (list->number == number + 1 && usi_revocation_has (list, own));
        US_ASSERT (count == 0 || usi_revocation_has (list, first));
    }
    usi_buf_free (&next);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    static usi_keys_t keys;
    static const uint8_t seed[USI_KEY_LEN] = {1};
    static bool ready;
    usi_buf_t whole = {0};
    usi_revocation_t list = {0};
    if (!ready)
        usi_keys_derive (&keys, seed);
    ready = true;
    usi_sign (&whole, TYPE, usi_bytes (data, len), &keys);
    if (!usi_revocation_take (&list, usi_buf_bytes (&whole), keys.signing_public) &&
        list.number > 0)
        s_check (&list, &keys);
    usi_revocation_clear (&list);
    usi_buf_free (&whole);
    return 0;
}

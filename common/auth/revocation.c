/* SPDX-License-Identifier: MIT
 *
 * See revocation.h. */
#include "auth/revocation.h"

#include <stdlib.h>
#include <string.h>

#define TYPE     "application/vnd.understudy.revocation.v1+msgpack"
#define KEYS_MAX ((USI_MAX_REVOKED - 256) / USI_KEY_LEN)

void usi_revocation_clear (usi_revocation_t *self)
{
    usi_buf_free (&self->bytes);
    usi_buf_free (&self->sorted);
    *self = (usi_revocation_t){0};
}

static int s_compare (const void *a, const void *b)
{
    return memcmp (a, b, USI_KEY_LEN);
}

/* [number, all keys one behind the other] */
static bool s_read_body (usi_bytes_t body, uint64_t *number, usi_bytes_t *keys)
{
    if (!usi_pack_check (body, 2))
        return false;
    us_reader_t reader = usi_reader (body);
    us_value_t array = usi_read (&reader);
    us_value_t first = usi_read (&reader), second = usi_read (&reader);
    if (array.type != US_TYPE_ARRAY || array.as.count != 2 ||
        first.type != US_TYPE_INT || first.as.integer < 1 ||
        second.type != US_TYPE_BIN || second.len % USI_KEY_LEN != 0)
        return false;
    *number = (uint64_t) first.as.integer;
    *keys = usi_bytes (second.data, second.len);
    return true;
}

const char *usi_revocation_take (usi_revocation_t *self, usi_bytes_t bytes,
                                 const uint8_t cluster[USI_KEY_LEN])
{
    usi_bytes_t body, keys;
    uint64_t number;
    if (bytes.len > USI_MAX_REVOKED || !usi_signed_body (bytes, TYPE, cluster, &body) ||
        !s_read_body (body, &number, &keys))
        return "it is not a list of revoked keys that this cluster has signed";
    if (number <= self->number)
        return NULL;
    usi_revocation_t next = {.number = number,
                             .count = (uint32_t) (keys.len / USI_KEY_LEN)};
    usi_buf_append (&next.bytes, bytes.data, bytes.len);
    usi_buf_append (&next.sorted, keys.data, keys.len);
    if (next.bytes.failed || next.sorted.failed) {
        usi_revocation_clear (&next);
        return "memory has ended";
    }
    if (next.count > 0)
        qsort (next.sorted.data, next.count, USI_KEY_LEN, s_compare);
    next.keys = next.sorted.data;
    usi_revocation_clear (self);
    *self = next;
    return NULL;
}

bool usi_revocation_has (const usi_revocation_t *self, const uint8_t key[USI_KEY_LEN])
{
    return self->count > 0 &&
           bsearch (key, self->keys, self->count, USI_KEY_LEN, s_compare) != NULL;
}

bool usi_revocation_sign (const usi_revocation_t *self, const uint8_t key[USI_KEY_LEN],
                          const usi_keys_t *cluster, usi_buf_t *out)
{
    usi_buf_t body = {0}, keys = {0};
    if (self->count >= KEYS_MAX)
        return false;
    usi_buf_append (&keys, self->keys, (size_t) self->count * USI_KEY_LEN);
    if (!usi_revocation_has (self, key))
        usi_buf_append (&keys, key, USI_KEY_LEN);
    usi_pack_array (&body, 2);
    usi_pack_uint (&body, self->number + 1);
    usi_pack_bin (&body, keys.data, keys.len);
    usi_sign (out, TYPE, usi_buf_bytes (&body), cluster);
    bool is_whole = !body.failed && !keys.failed && !out->failed;
    usi_buf_free (&body);
    usi_buf_free (&keys);
    return is_whole;
}

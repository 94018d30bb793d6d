/* SPDX-License-Identifier: MIT
 *
 * See blob_keys.h. */
#include "store/blob_keys.h"

#include "store/command.h"

blob_key_t blob_key (const uint8_t digest[USI_DIGEST_LEN], const char *what)
{
    blob_key_t key;
    char hex[2 * USI_DIGEST_LEN + 1];
    usi_hex (digest, USI_DIGEST_LEN, hex);
    snprintf (key.text, sizeof key.text, "us:{b:%s}:%s", hex, what);
    return key;
}

void blob_read_chunk (store_t *self, const uint8_t digest[USI_DIGEST_LEN],
                      uint32_t index, usi_reply_fn *fn, void *arg)
{
    char number[16];
    snprintf (number, sizeof number, "%u", index);
    command_text (self, fn, arg, "GET", blob_key (digest, number).text, NULL);
}

void blob_call (store_t *self, const uint8_t digest[USI_DIGEST_LEN], const char *name,
                const usi_bytes_t *args, size_t count, usi_reply_fn *fn, void *arg)
{
    command_call (self, name, blob_key (digest, "m").text, args, count, fn, arg);
}

us_err_t blob_reply_error (store_t *self, const usi_reply_t *reply)
{
    if (usi_reply_is_error (reply, "OOM"))
        return US_ERR_BUSY;
    if (usi_reply_is_error (reply, "ERR Function not found"))
        self->library_gone (self);
    return US_ERR_STORE;
}

void blob_touch (store_t *self, const uint8_t digest[USI_DIGEST_LEN],
                 bool only_if_there, usi_reply_fn *fn, void *arg)
{
    char score[24];
    usi_bytes_t args[5] = {usi_bytes_of ("ZADD"), usi_bytes_of ("us:blobs")};
    size_t count = 2;
    if (only_if_there)
        args[count++] = usi_bytes_of ("XX");
    snprintf (score, sizeof score, "%lld", (long long) store_now_ms (self));
    args[count++] = usi_bytes_of (score);
    args[count++] = usi_bytes (digest, USI_DIGEST_LEN);
    command_send (self, args, count, fn, arg);
}

/* SPDX-License-Identifier: MIT
 *
 * Certificates and the list of revoked keys, in one hash: fields are transport keys,
 * "revoked", and "changes", which counts, so that a look costs one number while nothing
 * changes. What is read is not trusted: who asks checks every signature. Stands on
 * command.h. */
#include "store/command.h"
#include "store/topics.h"

#include <stdlib.h>

#define KEYS     "us:keys"
#define REVOKED  "revoked"
#define CHANGES  "changes"
#define KEYS_MAX 100000

typedef struct keys_look {
    store_t *self;
    store_keys_fn *fn;
    void *arg;
} keys_look_t;

static void s_on_all (const usi_reply_t *reply, void *arg)
{
    keys_look_t *look = arg;
    size_t pairs = usi_reply_count (reply), count = 0;
    usi_bytes_t *certificates = usi_alloc ((pairs + 1) * sizeof *certificates);
    usi_bytes_t revoked = usi_bytes (NULL, 0);
    for (size_t i = 0; i + 1 < pairs && count < KEYS_MAX; i += 2) {
        usi_bytes_t field = usi_reply_bytes (usi_reply_at (reply, i));
        usi_bytes_t value = usi_reply_bytes (usi_reply_at (reply, i + 1));
        if (usi_bytes_equal (field, usi_bytes_of (REVOKED)))
            revoked = value;
        else if (field.len == STORE_KEY_LEN)
            certificates[count++] = value;
    }
    bool known = usi_reply_is (reply, USI_REPLY_ARRAY);
    if (!known)
        look->self->keys_changes = -1; /* looked at anew next time */
    look->fn (known ? US_OK : US_ERR_STORE, certificates, count, revoked, look->arg);
    free (certificates);
    free (look);
}

static void s_on_changes (const usi_reply_t *reply, void *arg)
{
    keys_look_t *look = arg;
    char text[24] = "0";
    usi_bytes_t bytes = usi_reply_bytes (reply);
    if (bytes.len > 0 && bytes.len < sizeof text) {
        memcpy (text, bytes.data, bytes.len);
        text[bytes.len] = '\0';
    }
    int64_t changes = strtoll (text, NULL, 10);
    if (!reply || changes == look->self->keys_changes) {
        free (look);
        return;
    }
    look->self->keys_changes = changes;
    command_text (look->self, s_on_all, look, "HGETALL", KEYS, NULL);
}

void store_keys (store_t *self, store_keys_fn *fn, void *arg)
{
    keys_look_t *look = usi_new (keys_look_t);
    *look = (keys_look_t){.self = self, .fn = fn, .arg = arg};
    command_text (self, s_on_changes, look, "HGET", KEYS, CHANGES, NULL);
}

typedef struct keys_change {
    store_t *self;
    store_code_fn *fn;
    void *arg;
} keys_change_t;

static void s_on_counted (const usi_reply_t *reply, void *arg)
{
    keys_change_t *change = arg;
    if (reply)
        topics_tell_keys (change->self);
    change->fn (usi_reply_is (reply, USI_REPLY_INT) ? US_OK : US_ERR_STORE,
                change->arg);
    free (change);
}

/* Counted after it is there, on the same connection. */
static void s_set (store_t *self, usi_bytes_t field, usi_bytes_t value,
                   store_code_fn *fn, void *arg)
{
    usi_bytes_t args[] = {usi_bytes_of ("HSET"), usi_bytes_of (KEYS), field, value};
    keys_change_t *change = usi_new (keys_change_t);
    *change = (keys_change_t){.self = self, .fn = fn, .arg = arg};
    command_send (self, args, 4, NULL, NULL);
    command_text (self, s_on_counted, change, "HINCRBY", KEYS, CHANGES, "1", NULL);
}

void store_put_certificate (store_t *self, const uint8_t key[STORE_KEY_LEN],
                            usi_bytes_t certificate, store_code_fn *fn, void *arg)
{
    s_set (self, usi_bytes (key, STORE_KEY_LEN), certificate, fn, arg);
}

void store_put_revoked (store_t *self, usi_bytes_t list, store_code_fn *fn, void *arg)
{
    s_set (self, usi_bytes_of (REVOKED), list, fn, arg);
}

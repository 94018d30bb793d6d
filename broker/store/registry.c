/* SPDX-License-Identifier: MIT
 *
 * Which brokers and nodes are alive: each has an entry, refreshed with the time of Redis
 * as this broker knows it. Stands on command.h and on redis/registry.h, which knows what an
 * entry looks like. */
#include "redis/registry.h"

#include <stdlib.h>

#include "base/log.h"
#include "proto/fields.h"
#include "store/command.h"

#define FORGET_MS 600000 /* whoever reads removes entries that are older */

static void s_set (store_t *self, const char *key, const char *field, usi_bytes_t value)
{
    usi_buf_t entry = {0};
    if (!self->ready)
        return;
    if (usi_registry_seal (value, store_now_ms (self), &entry) != US_OK) {
        usi_error ("store.registry", "not a registry entry field=%s", field);
    } else {
        usi_bytes_t args[] = {usi_bytes_of ("HSET"), usi_bytes_of (key),
                              usi_bytes_of (field), usi_buf_bytes (&entry)};
        command_send (self, args, 4, NULL, NULL);
    }
    usi_buf_free (&entry);
}

static void s_node_field (uint64_t node, char field[17])
{
    snprintf (field, 17, "%016llx", (unsigned long long) node);
}

void store_register_broker (store_t *self, usi_bytes_t value)
{
    s_set (self, USI_REGISTRY_BROKERS, self->broker_text, value);
}

/* Removes an entry if these bytes stand in it. */
static void s_remove (store_t *self, const char *key, usi_bytes_t field,
                      usi_bytes_t part)
{
    const usi_bytes_t args[] = {field, part};
    command_call (self, "unregister", key, args, 2, NULL, NULL);
}

void store_unregister_broker (store_t *self)
{
    command_text (self, NULL, NULL, "HDEL", USI_REGISTRY_BROKERS, self->broker_text,
                  NULL);
}

void store_register_node (store_t *self, uint64_t node, usi_bytes_t value)
{
    char field[17];
    s_node_field (node, field);
    s_set (self, USI_REGISTRY_NODES, field, value);
}

/* The node may have gone to another broker, which has written its entry anew. */
void store_unregister_node (store_t *self, uint64_t node)
{
    char field[17];
    usi_fields_t fields = {0};
    usi_buf_t pair = {0};
    s_node_field (node, field);
    USI_SET (&fields, BROKER, broker, self->broker);
    usi_fields_encode_pairs (&fields, &pair);
    s_remove (self, USI_REGISTRY_NODES, usi_bytes_of (field), usi_buf_bytes (&pair));
    usi_buf_free (&pair);
}

typedef struct look {
    store_t *self;
    const char *key;
    store_registry_fn *fn;
    void *arg;
} look_t;

static void s_forget_dead (look_t *look, usi_bytes_t field, usi_bytes_t entry)
{
    int64_t seen = usi_registry_seen (entry);
    if (seen < 0 || store_now_ms (look->self) - seen < FORGET_MS)
        return;
    s_remove (look->self, look->key, field, entry);
}

static void s_on_entries (const usi_reply_t *reply, void *arg)
{
    look_t *look = arg;
    size_t pairs = usi_reply_count (reply), count = 0;
    usi_bytes_t *values = usi_alloc ((pairs + 1) * sizeof *values);
    int64_t now_ms = store_now_ms (look->self);
    for (size_t i = 0; i + 1 < pairs; i += 2) {
        usi_bytes_t entry = usi_reply_bytes (usi_reply_at (reply, i + 1));
        if (usi_registry_is_live (entry, now_ms))
            values[count++] = entry;
        else
            s_forget_dead (look, usi_reply_bytes (usi_reply_at (reply, i)), entry);
    }
    bool known = usi_reply_is (reply, USI_REPLY_ARRAY);
    look->fn (known ? US_OK : US_ERR_STORE, values, count, look->arg);
    free (values);
    free (look);
}

static void s_look (store_t *self, const char *key, store_registry_fn *fn, void *arg)
{
    look_t *look = usi_new (look_t);
    *look = (look_t){.self = self, .key = key, .fn = fn, .arg = arg};
    command_text (self, s_on_entries, look, "HGETALL", key, NULL);
}

void store_brokers (store_t *self, store_registry_fn *fn, void *arg)
{
    s_look (self, USI_REGISTRY_BROKERS, fn, arg);
}

void store_nodes (store_t *self, store_registry_fn *fn, void *arg)
{
    s_look (self, USI_REGISTRY_NODES, fn, arg);
}

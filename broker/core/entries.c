/* SPDX-License-Identifier: MIT
 *
 * See entries.h. */
#include "core/entries.h"

#include <unistd.h>

#include "base/id.h"
#include "proto/fields.h"
#include "proto/pack.h"
#include "understudy/version.h"

static usi_list_t s_endpoints (const broker_t *self, usi_buf_t *buf)
{
    for (size_t i = 0; i < self->endpoints.count; i++)
        usi_list_add_str (buf, usi_bytes_of (self->endpoints.texts[i]));
    return usi_list_of (buf, (uint32_t) self->endpoints.count);
}

static void s_encode_broker (const broker_t *self, usi_buf_t *buf)
{
    usi_buf_t list = {0};
    usi_fields_t fields = {0};
    USI_SET (&fields, BROKER, broker, self->id);
    USI_SET (&fields, ENDPOINTS, endpoints, s_endpoints (self, &list));
    USI_SET (&fields, VERSION, version, usi_bytes_of (US_VERSION_STRING));
    USI_SET (&fields, HOST, host, usi_bytes_of (usi_host ()));
    USI_SET (&fields, PID, pid, (uint64_t) getpid ());
    usi_fields_encode (&fields, buf);
    usi_buf_free (&list);
}

static usi_list_t s_channels (const node_t *node, usi_buf_t *buf)
{
    for (size_t i = 0; i < node->channels_len; i++)
        usi_list_add_str (buf, usi_bytes_of (node->channels[i].channel->name));
    return usi_list_of (buf, (uint32_t) node->channels_len);
}

void entry_encode_node (const broker_t *self, const node_t *node, usi_buf_t *buf)
{
    usi_buf_t list = {0};
    usi_fields_t fields = {0};
    USI_SET (&fields, NODE, node, node->id);
    USI_SET (&fields, BOOT, boot, node->boot);
    USI_SET (&fields, NAME, name, usi_bytes_of (node->peer->name));
    USI_SET (&fields, HOST, host, usi_bytes_of (node->peer->host));
    USI_SET (&fields, PID, pid, node->peer->pid);
    USI_SET (&fields, CHANNELS, channels, s_channels (node, &list));
    USI_SET (&fields, SLOTS, slots, node->slots);
    USI_SET (&fields, BUSY, busy, node->busy);
    USI_SET (&fields, PYTHONS, pythons,
             usi_list_of (&node->pythons, node->pythons_len));
    USI_SET (&fields, BROKER, broker, self->id);
    usi_pack_map (buf, usi_fields_count (&fields) + 2);
    usi_fields_encode_pairs (&fields, buf);
    usi_pack_str (buf, "draining", 8);
    usi_pack_bool (buf, node->draining);
    usi_pack_str (buf, "envs", 4);
    usi_pack_array (buf, node->envs_len);
    usi_buf_append (buf, node->envs.data, node->envs.len);
    usi_buf_free (&list);
}

void entry_put_node (broker_t *self, const node_t *node)
{
    usi_buf_t buf = {0};
    if (self->ending || !store_is_ready (self->store))
        return;
    entry_encode_node (self, node, &buf);
    store_register_node (self->store, node->id, usi_buf_bytes (&buf));
    usi_buf_free (&buf);
}

void entries_refresh (broker_t *self)
{
    usi_buf_t buf = {0};
    if (self->ending || !store_is_ready (self->store))
        return;
    s_encode_broker (self, &buf);
    store_register_broker (self->store, usi_buf_bytes (&buf));
    usi_buf_free (&buf);
    for (size_t i = 0; i < nodes_count (self->nodes); i++)
        if (!nodes_at (self->nodes, i)->peer->gone)
            entry_put_node (self, nodes_at (self->nodes, i));
}

void entries_remove (broker_t *self)
{
    if (!store_is_ready (self->store))
        return;
    for (size_t i = 0; i < nodes_count (self->nodes); i++)
        store_unregister_node (self->store, nodes_at (self->nodes, i)->id);
    store_unregister_broker (self->store);
}

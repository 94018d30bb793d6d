/* SPDX-License-Identifier: MIT
 *
 * See nodes.h. */
#include "peers/nodes.h"

#include <czmq.h>

#include "base/mem.h"

struct nodes {
    node_t **all;
    size_t len, cap;
    zhashx_t *channels; /* name inside the channel -> channel */
    uint32_t next_generation;
};

/* --- channels -------------------------------------------------------------------- */

static void s_channel_destroy (void **item)
{
    channel_t *channel = *item;
    free (channel->name);
    free (channel->nodes);
    free (channel);
    *item = NULL;
}

channel_t *nodes_channel (const nodes_t *self, usi_bytes_t name)
{
    char text[USI_CHANNEL_MAX + 1];
    if (name.len > USI_CHANNEL_MAX)
        return NULL;
    memcpy (text, name.data, name.len);
    text[name.len] = '\0';
    return zhashx_lookup (self->channels, text);
}

channel_t *nodes_first_channel (nodes_t *self)
{
    return zhashx_first (self->channels);
}

channel_t *nodes_next_channel (nodes_t *self)
{
    return zhashx_next (self->channels);
}

static channel_t *s_channel_join (nodes_t *self, usi_bytes_t name, node_t *node)
{
    channel_t *channel = nodes_channel (self, name);
    if (!channel) {
        channel = usi_new (channel_t);
        channel->name = usi_sprintf ("%.*s", (int) name.len, (const char *) name.data);
        zhashx_insert (self->channels, channel->name, channel);
    }
    if (channel->nodes_len == channel->nodes_cap) {
        channel->nodes_cap = channel->nodes_cap ? channel->nodes_cap * 2 : 4;
        channel->nodes =
            usi_realloc (channel->nodes, channel->nodes_cap * sizeof *channel->nodes);
    }
    channel->nodes[channel->nodes_len++] = node;
    return channel;
}

static void s_channel_leave (nodes_t *self, channel_t *channel, const node_t *node)
{
    for (size_t i = 0; i < channel->nodes_len; i++) {
        if (channel->nodes[i] == node) {
            channel->nodes[i] = channel->nodes[--channel->nodes_len];
            break;
        }
    }
    if (channel->nodes_len == 0)
        zhashx_delete (self->channels, channel->name);
}

bool channel_is_served (const channel_t *channel, uint32_t class_id)
{
    for (size_t i = 0; i < channel->nodes_len; i++) {
        const node_t *node = channel->nodes[i];
        if (!node->draining && !node->peer->gone && node_serves (node, class_id))
            return true;
    }
    return false;
}

/* --- nodes ----------------------------------------------------------------------- */

nodes_t *nodes_new (void)
{
    nodes_t *self = usi_new (nodes_t);
    self->channels = zhashx_new ();
    zhashx_set_key_duplicator (self->channels, NULL);
    zhashx_set_key_destructor (self->channels, NULL);
    zhashx_set_destructor (self->channels, s_channel_destroy);
    return self;
}

void nodes_destroy (nodes_t **self_p)
{
    nodes_t *self = *self_p;
    if (!self)
        return;
    while (self->len > 0)
        nodes_remove (self, self->all[self->len - 1]);
    zhashx_destroy (&self->channels);
    free (self->all);
    free (self);
    *self_p = NULL;
}

/* "3.11.2" -> "3.11". */
static usi_bytes_t s_minor (usi_bytes_t python)
{
    size_t dots = 0;
    for (size_t i = 0; i < python.len; i++)
        if (python.data[i] == '.' && ++dots == 2)
            return usi_bytes (python.data, i);
    return python;
}

uint32_t nodes_class_of (usi_bytes_t python)
{
    usi_bytes_t minor = s_minor (python);
    return usi_python_valid (minor) ? usi_class (minor, NULL) : 0;
}

static void s_add_class (node_t *node, uint32_t class_id)
{
    if (!node_serves (node, class_id))
        node->classes[node->classes_len++] = class_id;
}

static bool s_take_pythons (node_t *node, const usi_list_t *pythons)
{
    size_t at = 0;
    usi_bytes_t python;
    s_add_class (node, 0);
    while (usi_list_next (pythons, &at, &python)) {
        uint32_t class_id = nodes_class_of (python);
        if (class_id == 0 || node->classes_len == NODE_CLASSES_MAX)
            return false;
        s_add_class (node, class_id);
    }
    usi_buf_append (&node->pythons, pythons->raw.data, pythons->raw.len);
    node->pythons_len = pythons->count;
    return true;
}

static bool s_listens (const node_t *node, usi_bytes_t name)
{
    for (size_t i = 0; i < node->channels_len; i++)
        if (usi_bytes_equal (usi_bytes_of (node->channels[i].channel->name), name))
            return true;
    return false;
}

static bool s_take_channels (nodes_t *self, node_t *node, const usi_list_t *channels)
{
    size_t at = 0;
    usi_bytes_t name;
    node->channels = usi_alloc ((channels->count + 1) * sizeof *node->channels);
    while (usi_list_next (channels, &at, &name)) {
        if (!usi_channel_valid (name))
            return false;
        if (!s_listens (node, name))
            node->channels[node->channels_len++].channel =
                s_channel_join (self, name, node);
    }
    return node->channels_len > 0;
}

us_err_t nodes_add (nodes_t *self, peer_t *peer, const usi_fields_t *hello,
                    node_t **node_p, const char **why)
{
    node_t *node = usi_new (node_t);
    node->peer = peer;
    node->id = hello->node;
    node->boot = (uint32_t) hello->boot;
    node->generation = ++self->next_generation;
    node->slots = (unsigned) hello->slots;
    if (self->len == self->cap) {
        self->cap = self->cap ? self->cap * 2 : 8;
        self->all = usi_realloc (self->all, self->cap * sizeof *self->all);
    }
    self->all[self->len++] = node;
    peer->node = node;

    *why = node->id == 0 || node->boot == 0 ? "a node says who it is: node and boot"
                                            : NULL;
    if (!*why && !s_take_pythons (node, &hello->pythons))
        *why = "pythons are versions like 3.11.2";
    if (!*why && !s_take_channels (self, node, &hello->channels))
        *why = "a node listens on 1 to 64 channels with valid names";
    if (*why) {
        nodes_remove (self, node);
        return US_ERR_INVALID;
    }
    *node_p = node;
    return US_OK;
}

void nodes_remove (nodes_t *self, node_t *node)
{
    for (size_t i = 0; i < node->channels_len; i++)
        s_channel_leave (self, node->channels[i].channel, node);
    for (size_t i = 0; i < self->len; i++) {
        if (self->all[i] == node) {
            self->all[i] = self->all[--self->len];
            break;
        }
    }
    node->peer->node = NULL;
    usi_buf_free (&node->pythons);
    usi_buf_free (&node->envs);
    free (node->channels);
    free (node);
}

node_t *nodes_find (const nodes_t *self, uint64_t id)
{
    for (size_t i = 0; i < self->len; i++)
        if (self->all[i]->id == id && !self->all[i]->peer->gone)
            return self->all[i];
    return NULL;
}

bool node_is_called (uint64_t id, usi_bytes_t name, usi_bytes_t called)
{
    char hex[17];
    snprintf (hex, sizeof hex, "%016llx", (unsigned long long) id);
    return usi_bytes_equal (name, called) ||
           usi_bytes_equal (usi_bytes_of (hex), called);
}

node_t *nodes_find_name (const nodes_t *self, usi_bytes_t name, bool *several)
{
    node_t *found = NULL;
    *several = false;
    for (size_t i = 0; i < self->len; i++) {
        node_t *node = self->all[i];
        usi_bytes_t own = usi_bytes_of (node->peer->name);
        if (node->peer->gone || !node_is_called (node->id, own, name))
            continue;
        *several = found != NULL;
        found = node;
    }
    return found;
}

size_t nodes_count (const nodes_t *self)
{
    return self->len;
}

node_t *nodes_at (const nodes_t *self, size_t index)
{
    return self->all[index];
}

/* --- credit ---------------------------------------------------------------------- */

uint32_t node_available (const node_t *node)
{
    if (node->draining || node->peer->gone || node->peer->slow)
        return 0;
    return node->credit > node->claimed ? node->credit - node->claimed : 0;
}

void node_add_credit (node_t *node, uint64_t credit)
{
    uint64_t sum = node->credit + credit;
    node->credit = sum > NODE_CREDIT_MAX ? NODE_CREDIT_MAX : (uint32_t) sum;
}

bool node_serves (const node_t *node, uint32_t class_id)
{
    for (size_t i = 0; i < node->classes_len; i++)
        if (node->classes[i] == class_id)
            return true;
    return false;
}

size_t node_channel_index (const node_t *node, const channel_t *channel)
{
    size_t i = 0;
    while (i < node->channels_len && node->channels[i].channel != channel)
        i++;
    US_ASSERT (i < node->channels_len);
    return i;
}

static bool s_can_take (const node_t *node, uint32_t class_id)
{
    return node_available (node) > 0 && node_serves (node, class_id);
}

static uint32_t s_takers (const channel_t *channel, uint32_t class_id)
{
    uint32_t takers = 0;
    for (size_t i = 0; i < channel->nodes_len; i++)
        takers += s_can_take (channel->nodes[i], class_id);
    return takers;
}

/* Each node gets an equal share. What a node cannot take goes to the nodes after it; what
 * none of those can take goes to the nodes before it, in a second round. */
uint32_t channel_spread (channel_t *channel, uint32_t class_id, uint32_t count,
                         channel_claim_fn *claim, void *arg)
{
    for (int round = 0; round < 2 && count > 0; round++) {
        uint32_t takers = s_takers (channel, class_id);
        size_t start = channel->turn++;
        for (size_t i = 0; i < channel->nodes_len && count > 0 && takers > 0; i++) {
            node_t *node = channel->nodes[(start + i) % channel->nodes_len];
            if (!s_can_take (node, class_id))
                continue;
            uint32_t share = (count + takers - 1) / takers;
            takers--;
            if (share > node_available (node))
                share = node_available (node);
            count -= share;
            claim (node, node_channel_index (node, channel), share, arg);
        }
    }
    return count;
}

/* SPDX-License-Identifier: MIT
 *
 * Questions about brokers, nodes, their environments, and channels; and drain. */
#include "handlers/query.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "core/access.h"
#include "core/entries.h"
#include "core/limits.h"
#include "core/orders.h"
#include "proto/pack.h"
#include "understudy/version.h"

/* --- status ------------------------------------------------------------------------------ */

static void s_count_rows (row_t *row, const broker_t *self)
{
    const broker_counters_t *counters = &self->counters;
    size_t bytes = 0;
    size_t clients = peers_count (self->peers, USI_BY_CLIENT);
    size_t nodes = peers_count (self->peers, USI_BY_NODE);
    row_uint (row, "peers", clients + nodes);
    row_uint (row, "clients", clients);
    row_uint (row, "nodes", nodes);
    row_uint (row, "backlog", store_backlog (self->store, &bytes));
    row_uint (row, "backlog_bytes", bytes);
    row_uint (row, "messages", counters->messages);
    row_uint (row, "malformed", counters->malformed);
    row_uint (row, "denied", counters->denied);
    row_uint (row, "submitted", counters->submitted);
    row_uint (row, "claimed", counters->claimed);
    row_uint (row, "results", counters->results);
    row_uint (row, "log_chunks", counters->log_chunks);
    row_uint (row, "parked", counters->slow); /* its name in the JSON */
    row_uint (row, "forgotten", counters->forgotten);
}

/* Who may come in by tcp. */
static const char *s_security (const broker_t *self)
{
    return self->identity   ? "keys"
           : self->insecure ? "INSECURE: anybody"
                            : "own user only";
}

/* As whom the broker takes who asks. */
static void s_you (row_t *row, const broker_t *self, const peer_t *peer)
{
    const usi_certificate_t *key =
        peer && peer->member ? &peer->member->certificate : NULL;
    row_text (row, "you",
              key              ? key->name
              : self->insecure ? "anybody, without a key"
                               : "the user of the broker");
    row_text (row, "role", usi_role_name (key ? key->role : USI_ROLE_ADMIN));
}

static void s_status_row (row_t *row, const broker_t *self)
{
    row_text (row, "version", US_VERSION_STRING);
    row_uint (row, "broker", self->id);
    row_text (row, "cluster", store_cluster (self->store));
    row_text (row, "host", usi_host ());
    row_uint (row, "pid", (uint64_t) getpid ());
    row_list (row, "endpoints", &self->endpoints);
    row_text (row, "security", s_security (self));
    row_text (row, "durability", store_durability (self->store));
    row_uint (row, "lease_ms", (uint64_t) self->lease_ms);
    row_uint (row, "max_payload", self->max_payload);
    row_uint (row, "max_buffer", limit_buffer (self));
    row_uint (row, "max_buffers", limit_buffers (self));
    row_uint (row, "uptime_ms", (uint64_t) (usi_now_ms () - self->started_ms));
    row_bool (row, "store", store_is_ready (self->store));
    s_count_rows (row, self);
}

/* Answers also while the store is away, then without the numbers of jobs. */
static void s_on_sums (us_err_t code, const store_channel_t *channels, size_t count,
                       void *arg)
{
    answer_t *answer = arg;
    store_channel_t sum = {0};
    row_t row = {0};
    s_status_row (&row, answer->broker);
    s_you (&row, answer->broker, answer_peer (answer));
    for (size_t i = 0; i < count && !code; i++) {
        sum.queued += channels[i].queued;
        sum.leased += channels[i].leased;
        sum.running += channels[i].running;
        sum.backoff += channels[i].backoff;
    }
    if (!code) {
        row_uint (&row, "queued", sum.queued);
        row_uint (&row, "leased", sum.leased);
        row_uint (&row, "running", sum.running);
        row_uint (&row, "backoff", sum.backoff);
    }
    answer_end_row (answer, 0, &row);
    answer_send (&answer, 1);
}

void query_status (answer_t *answer)
{
    store_channels (answer->broker->store, NULL, 0, SIZE_MAX, s_on_sums, answer);
}

/* --- channels ----------------------------------------------------------------------------- */

static uint64_t s_local_nodes (const broker_t *self, const char *name)
{
    const channel_t *channel = nodes_channel (self->nodes, usi_bytes_of (name));
    return channel ? channel->nodes_len : 0;
}

static void s_queues (usi_buf_t *buf, const store_channel_t *channel)
{
    for (size_t i = 0; i < channel->queues_len; i++) {
        row_t queue = {0};
        row_text (&queue, "needs", channel->queues[i].needs);
        row_uint (&queue, "queued", channel->queues[i].queued);
        row_end (&queue, buf);
    }
}

static void s_channel_row (row_t *row, const broker_t *self,
                           const store_channel_t *channel)
{
    row_text (row, "name", channel->name);
    row_uint (row, "queued", channel->queued);
    row_uint (row, "leased", channel->leased);
    row_uint (row, "running", channel->running);
    row_uint (row, "backoff", channel->backoff);
    row_uint (row, "submitted", channel->submitted);
    row_uint (row, "succeeded", channel->succeeded);
    row_uint (row, "failed", channel->failed);
    row_uint (row, "cancelled", channel->cancelled);
    row_uint (row, "dead", channel->dead);
    row_uint (row, "expired", channel->expired);
    row_uint (row, "waiting", channel->waiting);
    row_uint (row, "nodes", s_local_nodes (self, channel->name));
    s_queues (row_array (row, "queues", channel->queues_len), channel);
}

/* A channel, and who listens on it, is seen by who may use it. */
static bool s_may_see (const answer_t *answer, usi_bytes_t channel)
{
    const peer_t *peer = answer_peer (answer);
    return peer && access_channel (peer, channel);
}

static bool s_may_see_node (const answer_t *answer, usi_bytes_t entry)
{
    usi_fields_t node;
    size_t position = 0;
    const peer_t *peer = answer_peer (answer);
    if (peer && access_is_admin (peer))
        return true;
    if (usi_fields_decode (&node, entry, NULL))
        return false;
    for (usi_bytes_t channel; usi_list_next (&node.channels, &position, &channel);)
        if (s_may_see (answer, channel))
            return true;
    return false;
}

static void s_on_channels (us_err_t code, const store_channel_t *channels, size_t count,
                           void *arg)
{
    answer_t *answer = arg;
    row_t row = {0};
    size_t number = 0;
    bool more = true;
    if (code) {
        answer_fail (&answer, code, NULL);
        return;
    }
    for (size_t i = 0; i < count && more; i++) {
        if (answer->channel[0] && strcmp (answer->channel, channels[i].name) != 0)
            continue;
        if (!s_may_see (answer, usi_bytes_of (channels[i].name)))
            continue;
        s_channel_row (&row, answer->broker, &channels[i]);
        more = answer_end_row (answer, number++, &row);
    }
    if (answer->channel[0] && number == 0)
        answer_fail (&answer, US_ERR_UNKNOWN_CHANNEL, NULL);
    else
        answer_send (&answer, number);
}

void query_channels (answer_t *answer)
{
    store_channels (answer->broker->store, answer->channel, answer->skip, USI_MAX_ITEMS,
                    s_on_channels, answer);
}

/* --- nodes, brokers -------------------------------------------------------------------------- */

/* What this broker knows of its own node is newer than the entry in the registry. */
static bool s_is_ours (const broker_t *self, usi_bytes_t value, node_t **node)
{
    usi_fields_t fields;
    *node = NULL;
    if (usi_fields_decode (&fields, value, NULL) == US_OK)
        *node = nodes_find (self->nodes, fields.node);
    return *node != NULL;
}

static void s_node_row (row_t *row, const broker_t *self, usi_bytes_t value)
{
    usi_buf_t own = {0};
    node_t *node;
    if (s_is_ours (self, value, &node)) {
        entry_encode_node (self, node, &own);
        row_map (row, usi_buf_bytes (&own));
        row_uint (row, "credit", node->credit);
        row_uint (row, "seen_ms", (uint64_t) usi_wall_ms ());
    } else
        row_map (row, value);
    usi_buf_free (&own);
}

static void s_broker_row (row_t *row, const broker_t *self, usi_bytes_t value)
{
    (void) self;
    row_map (row, value);
}

/* A row for each entry of the registry. */
static void s_answer_entries (answer_t *answer, us_err_t code,
                              const usi_bytes_t *values, size_t count,
                              bool (*may_see) (const answer_t *, usi_bytes_t),
                              void (*fill) (row_t *, const broker_t *, usi_bytes_t))
{
    row_t row = {0};
    bool more = true;
    if (code) {
        answer_fail (&answer, code, NULL);
        return;
    }
    size_t number = 0;
    for (size_t i = 0; i < count && more; i++) {
        if (may_see && !may_see (answer, values[i]))
            continue;
        fill (&row, answer->broker, values[i]);
        more = answer_end_row (answer, number++, &row);
    }
    answer_send (&answer, number);
}

static void s_on_nodes (us_err_t code, const usi_bytes_t *values, size_t count,
                        void *arg)
{
    s_answer_entries (arg, code, values, count, s_may_see_node, s_node_row);
}

void query_nodes (answer_t *answer)
{
    store_nodes (answer->broker->store, s_on_nodes, answer);
}

static void s_on_brokers (us_err_t code, const usi_bytes_t *values, size_t count,
                          void *arg)
{
    s_answer_entries (arg, code, values, count, NULL, s_broker_row);
}

void query_brokers (answer_t *answer)
{
    store_brokers (answer->broker->store, s_on_brokers, answer);
}

/* --- envs ------------------------------------------------------------------------------------- */

static bool s_env_rows (answer_t *answer, usi_bytes_t value, size_t *number)
{
    usi_fields_t node;
    us_reader_t reader = usi_map_find (value, "envs");
    us_value_t envs = usi_read (&reader);
    if (usi_fields_decode (&node, value, NULL))
        return true;
    for (uint32_t i = 0; envs.type == US_TYPE_ARRAY && i < envs.as.count; i++) {
        const void *env;
        size_t len;
        row_t row = {0};
        if (!usi_skip (&reader, &env, &len))
            return true;
        row_uint (&row, "node", node.node);
        row_str (&row, "name", node.name);
        row_map (&row, usi_bytes (env, len));
        if (!answer_end_row (answer, (*number)++, &row))
            return false;
    }
    return true;
}

static void s_on_envs (us_err_t code, const usi_bytes_t *values, size_t count,
                       void *arg)
{
    answer_t *answer = arg;
    size_t number = 0;
    if (code) {
        answer_fail (&answer, code, NULL);
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (s_may_see_node (answer, values[i]) &&
            !s_env_rows (answer, values[i], &number))
            break;
    answer_send (&answer, number);
}

void query_envs (answer_t *answer)
{
    store_nodes (answer->broker->store, s_on_envs, answer);
}

/* --- doctor ----------------------------------------------------------------------------------- */

/* findings: setting, verdict, setting, verdict … A verdict that begins so asks for action. */
static void s_finding_row (row_t *row, const char *setting, const char *verdict)
{
    static const char weak[] = "weak: ";
    bool is_weak = strncmp (verdict, weak, sizeof weak - 1) == 0;
    char *text =
        usi_sprintf ("%s: %s", setting, verdict + (is_weak ? sizeof weak - 1 : 0));
    row_text (row, "name", setting);
    row_text (row, "level", is_weak ? "warning" : "ok");
    row_text (row, "text", text);
    free (text);
}

static const char *s_judge_security (const broker_t *self)
{
    if (self->identity)
        return "by tcp only who has a key is served";
    return self->insecure
               ? "weak: by tcp anybody is served (--insecure): whoever can connect "
                 "can run code on every node"
               : "only this user is served, by the unix socket";
}

static void s_on_doctor (us_err_t code, const char *const *findings, size_t count,
                         void *arg)
{
    answer_t *answer = arg;
    row_t row = {0};
    if (code) {
        answer_fail (&answer, code, NULL);
        return;
    }
    const char *own[] = {
        "security", s_judge_security (answer->broker), "trust",
        "whoever may write to this Redis can falsify jobs and so run code "
        "on every node"};
    const size_t rows = sizeof own / sizeof *own / 2;
    for (size_t i = 0; i + 1 < count; i += 2) {
        s_finding_row (&row, findings[i], findings[i + 1]);
        answer_end_row (answer, i / 2, &row);
    }
    for (size_t i = 0; i < rows; i++) {
        s_finding_row (&row, own[2 * i], own[2 * i + 1]);
        answer_end_row (answer, count / 2 + i, &row);
    }
    answer_send (&answer, rows + count / 2);
}

void query_doctor (answer_t *answer)
{
    store_doctor (answer->broker->store, s_on_doctor, answer);
}

/* --- drain ------------------------------------------------------------------------------------- */

#define SEVERAL_NODES "several nodes have this name; use the id"

static void s_answer_drain (answer_t *answer, uint64_t node, usi_bytes_t name,
                            uint64_t busy)
{
    row_t row = {0};
    row_uint (&row, "node", node);
    row_str (&row, "name", name);
    row_uint (&row, "busy", busy);
    answer_end_row (answer, 0, &row);
    answer_send (&answer, 1);
}

/* The node is connected to another broker, which is told. */
static void s_on_elsewhere (us_err_t code, const usi_bytes_t *values, size_t count,
                            void *arg)
{
    answer_t *answer = arg;
    usi_fields_t node, found = {0};
    size_t matches = 0;
    for (size_t i = 0; i < count && !code; i++)
        if (usi_fields_decode (&node, values[i], NULL) == US_OK &&
            node_is_called (node.node, node.name, usi_bytes_of (answer->name))) {
            found = node;
            matches++;
        }
    if (code || matches == 0) {
        answer_fail (&answer, code ? code : US_ERR_UNKNOWN_NODE, NULL);
    } else if (matches > 1) {
        answer_fail (&answer, US_ERR_INVALID, SEVERAL_NODES);
    } else {
        store_tell_drain (answer->broker->store, (uint32_t) found.broker, found.node);
        s_answer_drain (answer, found.node, found.name, found.busy);
    }
}

static void s_drain (answer_t *answer, node_t *node)
{
    order_drain (answer->broker, node->id);
    s_answer_drain (answer, node->id, usi_bytes_of (node->peer->name), node->busy);
}

void query_drain (answer_t *answer)
{
    broker_t *self = answer->broker;
    bool several;
    node_t *node = nodes_find_name (self->nodes, usi_bytes_of (answer->name), &several);
    if (several)
        answer_fail (&answer, US_ERR_INVALID, SEVERAL_NODES);
    else if (node)
        s_drain (answer, node);
    else
        store_nodes (self->store, s_on_elsewhere, answer);
}

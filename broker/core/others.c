/* SPDX-License-Identifier: MIT
 *
 * See others.h. */
#include "core/others.h"

#include "base/log.h"

#define OTHERS_MAX 64

typedef struct found {
    usi_buf_t list;
    uint32_t count;
} found_t;

/* Where peers on other hosts may reach it with a key; on the loopback only who is here. */
static bool s_is_for_peers (const usi_fields_t *broker, usi_bytes_t endpoint)
{
    static const char loopback[] = "tcp://127.";
    bool is_here = usi_bytes_equal (broker->host, usi_bytes_of (usi_host ()));
    bool is_loopback = endpoint.len >= sizeof loopback &&
                       memcmp (endpoint.data, loopback, sizeof loopback - 1) == 0;
    return memchr (endpoint.data, '#', endpoint.len) && (is_here || !is_loopback);
}

static void s_add (const broker_t *self, usi_bytes_t entry, found_t *found)
{
    usi_fields_t broker = {0};
    size_t position = 0;
    if (usi_fields_decode (&broker, entry, NULL) != US_OK ||
        !usi_has (&broker, USI_F_ENDPOINTS) || broker.broker == self->id)
        return;
    for (usi_bytes_t at; usi_list_next (&broker.endpoints, &position, &at);)
        if (found->count < OTHERS_MAX && s_is_for_peers (&broker, at)) {
            usi_list_add_str (&found->list, at);
            found->count++;
        }
}

static void s_tell (broker_t *self)
{
    size_t count;
    peer_t **peers = peers_all (self->peers, &count);
    for (size_t i = 0; i < count; i++) {
        usi_msg_t ping = USI_MSG_INIT;
        if (peers[i]->gone || !peers[i]->member)
            continue;
        usi_msg_begin (&ping, USI_PING);
        others_show (self, &ping.head);
        outbox_send (self->outbox, peers[i], &ping);
        usi_msg_free (&ping);
    }
}

static void s_on_brokers (us_err_t code, const usi_bytes_t *values, size_t count,
                          void *arg)
{
    broker_t *self = arg;
    found_t found = {0};
    for (size_t i = 0; !code && i < count; i++)
        s_add (self, values[i], &found);
    bool is_new =
        !code && !self->ending && found.count > 0 &&
        !usi_bytes_equal (usi_buf_bytes (&found.list), usi_buf_bytes (&self->others));
    if (is_new) {
        usi_buf_free (&self->others);
        self->others = found.list;
        self->others_len = found.count;
        usi_info ("brokers.others", "tells peers of other brokers addresses=%u",
                  found.count);
        s_tell (self);
    } else {
        usi_buf_free (&found.list);
    }
}

void others_refresh (broker_t *self)
{
    if (self->members && store_is_ready (self->store))
        store_brokers (self->store, s_on_brokers, self);
}

void others_show (const broker_t *self, usi_fields_t *head)
{
    if (self->others_len > 0)
        USI_SET (head, ENDPOINTS, endpoints,
                 usi_list_of (&self->others, self->others_len));
}

/* SPDX-License-Identifier: MIT
 *
 * The short messages of nodes: CREDIT, STARTED, RENEW, HAND_BACK, RELAY, STATUS. */
#include "handlers/handlers.h"

#include <stdlib.h>

#include "base/mem.h"
#include "core/entries.h"
#include "core/fence.h"
#include "core/schedule.h"
#include "proto/pack.h"

#define ENVS_MAX_BYTES 65536 /* of a node, in the registry */

typedef struct fence_request {
    broker_t *broker;
    uint32_t peer;
    usi_id_t id;
    uint32_t attempt;
} fence_request_t;

static fence_request_t *s_request (broker_t *self, const peer_t *peer,
                                   const usi_fields_t *item)
{
    fence_request_t *request = usi_new (fence_request_t);
    *request = (fence_request_t){.broker = self,
                                 .peer = peer->index,
                                 .id = item->id,
                                 .attempt = (uint32_t) item->attempt};
    return request;
}

static void s_reply (const fence_request_t *request, usi_type_t type, us_err_t code)
{
    broker_t *self = request->broker;
    peer_t *peer = peers_get (self->peers, request->peer);
    if (!peer)
        return;
    if (code == US_ERR_STORE) {
        peer_must_announce (peer);
        return;
    }
    usi_fields_t *item = outbox_add_id (self->outbox, peer, type, &request->id);
    USI_SET (item, ATTEMPT, attempt, request->attempt);
    USI_SET (item, CODE, code, code);
}

/* --- CREDIT ------------------------------------------------------------------------- */

void handle_credit (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    node_add_credit (peer->node, msg->head.credit);
    schedule_node (self, peer->node);
}

/* --- STARTED, RENEW: answered only where the attempt is not the node's any more ----- */

static void s_on_renewed (us_err_t code, void *arg)
{
    if (code)
        s_reply (arg, USI_RENEWED, code);
    free (arg);
}

void handle_started (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++) {
        store_fence_t fence = fence_of_item (peer->node, &msg->items[i]);
        store_started (self->store, &fence, s_on_renewed,
                       s_request (self, peer, &msg->items[i]));
    }
}

void handle_renew (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++) {
        const usi_fields_t *item = &msg->items[i];
        store_fence_t fence = fence_of_item (peer->node, item);
        store_renew (self->store, &fence, item->flags & USI_RENEW_STARTED, s_on_renewed,
                     s_request (self, peer, item));
    }
}

/* --- HAND_BACK ------------------------------------------------------------------------ */

static void s_on_handed_back (us_err_t code, void *arg)
{
    s_reply (arg, USI_COMMITTED, code);
    free (arg);
}

void handle_hand_back (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++) {
        store_fence_t fence = fence_of_item (peer->node, &msg->items[i]);
        store_hand_back (self->store, &fence, s_on_handed_back,
                         s_request (self, peer, &msg->items[i]));
    }
}

/* --- RELAY, STATUS ---------------------------------------------------------------------- */

void handle_relay (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    (void) msg;
    peer->node->relayed = true;
    store_relay (self->store, peer->node->id, true);
}

void handle_status (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    node_t *node = peer->node;
    node->busy = (unsigned) msg->head.busy;
    node->slots = (unsigned) msg->head.slots;
    usi_buf_free (&node->envs);
    node->envs_len = 0;
    for (size_t i = 0; i < msg->items_len; i++) {
        usi_bytes_t env = usi_msg_item_body (msg, i);
        us_reader_t reader = usi_reader (env);
        bool is_map = usi_pack_check (env, USI_MAX_DEPTH) &&
                      usi_read (&reader).type == US_TYPE_MAP;
        if (!is_map || node->envs.len + env.len > ENVS_MAX_BYTES)
            continue;
        usi_buf_append (&node->envs, env.data, env.len);
        node->envs_len++;
    }
    entry_put_node (self, node);
}

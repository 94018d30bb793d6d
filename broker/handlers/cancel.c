/* SPDX-License-Identifier: MIT
 *
 * CANCEL: a job that waits ends now. A job that runs is stopped by its node: this broker
 * tells its own node, and the store tells the broker that holds another one. */
#include "handlers/handlers.h"

#include <stdlib.h>

#include "base/mem.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/fanout.h"
#include "core/orders.h"

typedef struct cancel_request {
    broker_t *broker;
    uint32_t peer;
    usi_id_t id;
    int mode;
} cancel_request_t;

static void s_reply (broker_t *self, peer_t *peer, const usi_id_t *id, us_err_t code,
                     int state)
{
    usi_fields_t *item = outbox_add_id (self->outbox, peer, USI_CANCELLED, id);
    USI_SET (item, CODE, code, code);
    USI_SET (item, STATE, state, (uint64_t) state);
}

static void s_act (broker_t *self, const usi_id_t *id, const store_cancelled_t *reply)
{
    if (us_state_is_end (reply->state))
        fanout_ended (self, id, reply->peers, reply->peers_len);
    else if (reply->holder == self->id && reply->node)
        order_stop (self, id, reply->node, reply->attempt);
}

static void s_audit (broker_t *self, const peer_t *peer, const usi_id_t *id)
{
    char hex[2 * US_ID_LEN + 1], text[US_ID_TEXT_LEN + 1];
    usi_hex (id->bytes, US_ID_LEN, hex);
    snprintf (text, sizeof text, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
              hex + 16, hex + 20);
    audit_peer (self, "cancel", peer, text);
}

static void s_on_cancelled (us_err_t code, const store_cancelled_t *reply, void *arg)
{
    cancel_request_t *request = arg;
    broker_t *self = request->broker;
    peer_t *peer = peers_get (self->peers, request->peer);
    if (peer) {
        s_audit (self, peer, &request->id);
        s_reply (self, peer, &request->id, code, reply ? reply->state : 0);
    }
    if (code == US_OK && reply)
        s_act (self, &request->id, reply);
    free (request);
}

static void s_cancel (broker_t *self, cancel_request_t *request)
{
    store_cancel (self->store, &request->id, request->mode, s_on_cancelled, request);
}

/* Whose job it is has been looked up. */
static void s_on_found (us_err_t code, const store_job_t *job, void *arg)
{
    cancel_request_t *request = arg;
    broker_t *self = request->broker;
    peer_t *peer = peers_get (self->peers, request->peer);
    bool may =
        peer && !code && access_job (self, peer, USI_MAY_CANCEL, job->record.owner);
    if (may) {
        s_cancel (self, request);
        return;
    }
    if (peer)
        s_reply (self, peer, &request->id, code ? code : US_ERR_DENIED, 0);
    free (request);
}

void handle_cancel (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++) {
        cancel_request_t *request = usi_new (cancel_request_t);
        request->broker = self;
        request->peer = peer->index;
        request->id = msg->items[i].id;
        request->mode = (int) msg->items[i].mode;
        if (access_all (peer, USI_MAY_CANCEL))
            s_cancel (self, request);
        else
            store_get (self->store, &request->id, false, s_on_found, request);
    }
}

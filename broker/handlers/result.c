/* SPDX-License-Identifier: MIT
 *
 * RESULT: the end of an attempt. Once the store has it, the node hears COMMITTED, and the
 * clients of this broker get ENDED straight from the message, which is kept until then.
 * The credit that comes along leads to a claim in the same call of the store. */
#include "handlers/handlers.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "core/fanout.h"
#include "core/fence.h"
#include "core/schedule.h"

typedef struct result_request {
    broker_t *broker;
    uint32_t peer;
    store_done_t done;
    uint8_t digest[USI_DIGEST_LEN];
    uint8_t blobs[USI_MAX_BLOBS * USI_DIGEST_LEN];
    zmq_msg_t body; /* shares the frame that arrived */
} result_request_t;

static void s_commit (broker_t *self, peer_t *peer, const store_fence_t *fence,
                      us_err_t code, int state)
{
    usi_fields_t *item = outbox_add_id (self->outbox, peer, USI_COMMITTED, &fence->id);
    USI_SET (item, ATTEMPT, attempt, fence->attempt);
    USI_SET (item, CODE, code, code);
    USI_SET (item, STATE, state, (uint64_t) state);
}

/* A first attempt has no past, so the message holds all there is to tell. Of later attempts
 * the record knows more: what went wrong before. */
static void s_tell (result_request_t *request, const store_finished_t *reply)
{
    broker_t *self = request->broker;
    const store_done_t *done = &request->done;
    if (done->fence.attempt > 1) {
        fanout_ended (self, &done->fence.id, reply->peers, reply->peers_len);
        return;
    }
    ended_t ended = {.id = done->fence.id,
                     .state = reply->state,
                     .code = done->code,
                     .attempt = done->fence.attempt,
                     .log_end = done->log_end,
                     .build_end = done->build_end,
                     .dropped = done->dropped,
                     .started_ms = reply->started_ms,
                     .ended_ms = reply->ended_ms,
                     .buffers = record_buffers (done->blobs, done->blob),
                     .blob = done->blob,
                     .size = done->size,
                     .body = usi_bytes (zmq_msg_data (&request->body),
                                        zmq_msg_size (&request->body))};
    if (!ended.code)
        ended.code = record_end_code (reply->state, 0);
    fanout_result (self, &ended, reply->peers, reply->peers_len);
}

static void s_on_done (us_err_t code, const store_finished_t *reply, void *arg)
{
    result_request_t *request = arg;
    broker_t *self = request->broker;
    peer_t *peer = peers_get (self->peers, request->peer);
    if (peer && code == US_ERR_STORE)
        peer_must_announce (peer); /* the node keeps the result and sends it again */
    else if (peer)
        s_commit (self, peer, &request->done.fence, code, reply ? reply->state : 0);
    if (reply && reply->peers_len > 0)
        s_tell (request, reply);
    zmq_msg_close (&request->body);
    free (request);
}

static void s_take_blob (result_request_t *request, const usi_fields_t *item)
{
    if (item->blob.len != USI_DIGEST_LEN)
        return;
    memcpy (request->digest, item->blob.data, USI_DIGEST_LEN);
    request->done.blob = usi_bytes (request->digest, USI_DIGEST_LEN);
    request->done.size = item->size;
}

static void s_store (broker_t *self, const node_t *node, usi_msg_t *msg, size_t i)
{
    const usi_fields_t *item = &msg->items[i];
    result_request_t *request = usi_new (result_request_t);
    request->broker = self;
    request->peer = node->peer->index;
    request->done =
        (store_done_t){.fence = fence_of_item (node, item),
                       .outcome = (uint8_t) item->outcome,
                       .code = (int32_t) item->code,
                       .log_end = item->log_end,
                       .build_end = item->build_end,
                       .dropped = item->dropped,
                       .blobs = usi_digests_of_list (&item->blobs, request->blobs),
                       .body = usi_msg_item_body (msg, i)};
    s_take_blob (request, item);
    zmq_msg_init (&request->body);
    if (i + 1 < msg->frames_len)
        zmq_msg_copy (&request->body, &msg->frames[i + 1]);
    store_done (self->store, &request->done, s_on_done, request);
}

void handle_result (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    self->counters.results += msg->items_len;
    for (size_t i = 0; i < msg->items_len; i++) {
        const usi_fields_t *item = &msg->items[i];
        if (item->outcome >= USI_SUCCEEDED && item->outcome <= USI_STOPPED)
            s_store (self, peer->node, msg, i);
        else {
            store_fence_t fence = fence_of_item (peer->node, item);
            s_commit (self, peer, &fence, US_ERR_INVALID, 0);
        }
    }
    if (msg->head.credit) {
        node_add_credit (peer->node, msg->head.credit);
        schedule_node (self, peer->node);
    }
}

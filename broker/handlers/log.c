/* SPDX-License-Identifier: MIT
 *
 * LOG: what jobs print, chunk by chunk. A chunk is stored first. Then the node hears how
 * far its log is kept, and those who follow it at this broker get the chunk straight from
 * the message. */
#include "handlers/handlers.h"

#include <stdlib.h>

#include "base/mem.h"
#include "core/fanout.h"
#include "core/fence.h"

typedef struct log_request {
    broker_t *broker;
    uint32_t peer;
    store_fence_t fence;
    int stream;
    uint64_t offset;
    zmq_msg_t body;
} log_request_t;

static void s_kept (broker_t *self, peer_t *peer, const log_request_t *request,
                    us_err_t code, uint64_t kept)
{
    usi_fields_t *item =
        outbox_add_id (self->outbox, peer, USI_LOG_KEPT, &request->fence.id);
    USI_SET (item, ATTEMPT, attempt, request->fence.attempt);
    USI_SET (item, STREAM, stream, (uint64_t) request->stream);
    USI_SET (item, OFFSET, offset, kept);
    USI_SET (item, CODE, code, code);
}

/* A chunk that the store did not keep, because of a gap before it, must not be shown. */
static void s_tell (log_request_t *request, uint64_t kept, const uint32_t *peers,
                    size_t count)
{
    broker_t *self = request->broker;
    usi_bytes_t bytes =
        usi_bytes (zmq_msg_data (&request->body), zmq_msg_size (&request->body));
    if (kept == request->offset + bytes.len)
        fanout_chunk (self, &request->fence.id, peers, count, request->stream,
                      request->offset, bytes);
    else
        fanout_logged (self, &request->fence.id, peers, count);
}

static void s_on_logged (us_err_t code, uint64_t kept, const uint32_t *peers,
                         size_t count, void *arg)
{
    log_request_t *request = arg;
    broker_t *self = request->broker;
    peer_t *peer = peers_get (self->peers, request->peer);
    if (peer && code == US_ERR_STORE)
        peer_must_announce (peer);
    else if (peer)
        s_kept (self, peer, request, code, kept);
    if (code == US_OK && count > 0)
        s_tell (request, kept, peers, count);
    zmq_msg_close (&request->body);
    free (request);
}

void handle_log (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    self->counters.log_chunks += msg->items_len;
    for (size_t i = 0; i < msg->items_len; i++) {
        const usi_fields_t *item = &msg->items[i];
        log_request_t *request = usi_new (log_request_t);
        request->broker = self;
        request->peer = peer->index;
        request->fence = fence_of_item (peer->node, item);
        request->stream = (int) item->stream;
        request->offset = item->offset;
        zmq_msg_init (&request->body);
        if (i + 1 < msg->frames_len)
            zmq_msg_copy (&request->body, &msg->frames[i + 1]);
        store_log (self->store, &request->fence, request->stream, item->offset,
                   usi_msg_item_body (msg, i), s_on_logged, request);
    }
}

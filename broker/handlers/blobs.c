/* SPDX-License-Identifier: MIT
 *
 * BLOB_FIND, BLOB_PUT, BLOB_GET: chunks of blobs on their way to and from the store. */
#include "handlers/handlers.h"

#include <stdlib.h>

#include "base/mem.h"
#include "core/access.h"
#include "core/limits.h"
#include "core/notify.h"
#include "proto/chunk.h"

typedef struct blob_request {
    broker_t *broker;
    uint32_t peer;
    uint32_t index;
    uint8_t digest[USI_DIGEST_LEN];
} blob_request_t;

static blob_request_t *s_request (broker_t *self, const peer_t *peer,
                                  const uint8_t *digest, uint32_t index)
{
    blob_request_t *request = usi_new (blob_request_t);
    request->broker = self;
    request->peer = peer->index;
    request->index = index;
    memcpy (request->digest, digest, USI_DIGEST_LEN);
    return request;
}

/* --- BLOB_FIND -------------------------------------------------------------------------- */

/* Where the store does not answer, the blob counts as "not there": the peer puts it, and
 * is told then. */
static void s_on_found (us_err_t code, uint64_t size, void *arg)
{
    blob_request_t *request = arg;
    broker_t *self = request->broker;
    peer_t *peer = peers_get (self->peers, request->peer);
    if (peer) {
        usi_fields_t *item = outbox_add_blob (self->outbox, peer, USI_BLOB_FOUND,
                                              request->digest, usi_bytes (NULL, 0));
        USI_SET (item, SIZE, size, code ? 0 : size);
    }
    free (request);
}

void handle_blob_find (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++) {
        const uint8_t *digest = msg->items[i].blob.data;
        store_blob_find (self->store, digest, s_on_found,
                         s_request (self, peer, digest, 0));
    }
}

/* --- BLOB_PUT --------------------------------------------------------------------------- */

static void s_kept (broker_t *self, peer_t *peer, const uint8_t *digest, uint32_t index,
                    us_err_t code)
{
    usi_fields_t *item = outbox_add_blob (self->outbox, peer, USI_BLOB_KEPT, digest,
                                          usi_bytes (NULL, 0));
    USI_SET (item, INDEX, index, index);
    USI_SET (item, CODE, code, code);
}

static void s_on_kept (us_err_t code, void *arg)
{
    blob_request_t *request = arg;
    peer_t *peer = peers_get (request->broker->peers, request->peer);
    if (peer)
        s_kept (request->broker, peer, request->digest, request->index, code);
    free (request);
}

/* Every chunk but the last has the full size. */
static us_err_t s_check_chunk (const broker_t *self, const peer_t *peer,
                               const usi_fields_t *item, size_t len)
{
    size_t expected = usi_chunk_len (item->size, item->index);
    if (item->size > limit_blob (self))
        return US_ERR_TOO_LARGE;
    if (access_blob (peer, item->size))
        return US_ERR_DENIED;
    return expected > 0 && len == expected ? US_OK : US_ERR_INVALID;
}

void handle_blob_put (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++) {
        const usi_fields_t *item = &msg->items[i];
        usi_bytes_t chunk = usi_msg_item_body (msg, i);
        uint32_t index = (uint32_t) item->index;
        us_err_t code = s_check_chunk (self, peer, item, chunk.len);
        if (code)
            s_kept (self, peer, item->blob.data, index, code);
        else
            store_blob_put (self->store, item->blob.data, index, item->size, chunk,
                            s_on_kept, s_request (self, peer, item->blob.data, index));
    }
}

/* --- BLOB_GET --------------------------------------------------------------------------- */

void handle_blob_get (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++)
        notify_blob (self, peer, msg->items[i].blob.data,
                     (uint32_t) msg->items[i].index);
}

/* SPDX-License-Identifier: MIT
 *
 * BLOB_FIND, BLOB_PUT, BLOB_GET: chunks of blobs on their way to and from the store. */
#include "handlers/handlers.h"

#include <stdlib.h>

#include "base/mem.h"

typedef struct blob_request {
    broker_t *broker;
    uint32_t peer;
    uint32_t index;
    uint8_t digest[USI_DIGEST_LEN];
} blob_request_t;

usi_bytes_t blobs_pack (const usi_list_t *list,
                        uint8_t room[USI_MAX_BLOBS * USI_DIGEST_LEN])
{
    size_t at = 0, len = 0;
    usi_bytes_t digest;
    while (len < USI_MAX_BLOBS * USI_DIGEST_LEN && usi_list_next (list, &at, &digest)) {
        memcpy (room + len, digest.data, USI_DIGEST_LEN);
        len += USI_DIGEST_LEN;
    }
    return usi_bytes (room, len);
}

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

static usi_fields_t *s_reply (broker_t *self, peer_t *peer, usi_type_t type,
                              const uint8_t *digest, usi_bytes_t body)
{
    arena_t *arena;
    usi_fields_t *item =
        outbox_add (self->outbox, peer, type, body, USI_DIGEST_LEN, &arena);
    USI_SET (item, BLOB, blob, arena_copy (arena, usi_bytes (digest, USI_DIGEST_LEN)));
    return item;
}

/* --- BLOB_FIND -------------------------------------------------------------------------- */

/* A store that does not answer counts as "not there": the peer puts the blob, and is told
 * then. */
static void s_on_found (us_err_t code, uint64_t size, void *arg)
{
    blob_request_t *request = arg;
    broker_t *self = request->broker;
    peer_t *peer = peers_get (self->peers, request->peer);
    if (peer) {
        usi_fields_t *item =
            s_reply (self, peer, USI_BLOB_FOUND, request->digest, usi_bytes (NULL, 0));
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
    usi_fields_t *item =
        s_reply (self, peer, USI_BLOB_KEPT, digest, usi_bytes (NULL, 0));
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

/* Every chunk but the last is whole. */
static us_err_t s_check_chunk (const broker_t *self, const usi_fields_t *item,
                               size_t len)
{
    uint64_t start = item->index * USI_MAX_CHUNK;
    if (item->size > self->max_payload)
        return US_ERR_TOO_LARGE;
    if (start >= item->size)
        return US_ERR_INVALID;
    uint64_t left = item->size - start;
    return len == (left < USI_MAX_CHUNK ? left : USI_MAX_CHUNK) ? US_OK
                                                                : US_ERR_INVALID;
}

void handle_blob_put (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++) {
        const usi_fields_t *item = &msg->items[i];
        usi_bytes_t chunk = usi_msg_item_body (msg, i);
        uint32_t index = (uint32_t) item->index;
        us_err_t code = s_check_chunk (self, item, chunk.len);
        if (code)
            s_kept (self, peer, item->blob.data, index, code);
        else
            store_blob_put (self->store, item->blob.data, index, item->size, chunk,
                            s_on_kept, s_request (self, peer, item->blob.data, index));
    }
}

/* --- BLOB_GET --------------------------------------------------------------------------- */

static void s_on_chunk (us_err_t code, usi_bytes_t bytes, uint64_t length, void *arg)
{
    blob_request_t *request = arg;
    broker_t *self = request->broker;
    peer_t *peer = peers_get (self->peers, request->peer);
    if (peer) {
        usi_bytes_t body = code ? usi_bytes (NULL, 0) : bytes;
        usi_fields_t *item = s_reply (self, peer, USI_BLOB_DATA, request->digest, body);
        USI_SET (item, INDEX, index, request->index);
        USI_SET (item, SIZE, size, code ? 0 : length);
        USI_SET (item, CODE, code, code);
    }
    free (request);
}

void blob_send (broker_t *self, peer_t *peer, const uint8_t digest[32], uint32_t index)
{
    store_blob_get (self->store, digest, index, s_on_chunk,
                    s_request (self, peer, digest, index));
}

void handle_blob_get (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++)
        blob_send (self, peer, msg->items[i].blob.data, (uint32_t) msg->items[i].index);
}

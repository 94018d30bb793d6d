/* SPDX-License-Identifier: MIT
 *
 * See notify.h. */
#include "core/notify.h"

#include "base/mem.h"

/* --- ENDED ----------------------------------------------------------------------- */

static void s_set_times (usi_fields_t *item, const ended_t *ended)
{
    if (ended->started_ms > 0)
        USI_SET (item, STARTED_MS, started_ms, (uint64_t) ended->started_ms);
    if (ended->ended_ms > 0)
        USI_SET (item, ENDED_MS, ended_ms, (uint64_t) ended->ended_ms);
    if (ended->crashes)
        USI_SET (item, CRASHES, crashes, ended->crashes);
    if (ended->losses)
        USI_SET (item, LOSSES, losses, ended->losses);
}

void notify_ended (broker_t *self, peer_t *peer, const ended_t *ended)
{
    arena_t *arena;
    usi_fields_t *item = outbox_add (self->outbox, peer, USI_ENDED, ended->body,
                                     USI_DIGEST_LEN + ended->buffers.len * 2, &arena);
    USI_SET (item, ID, id, ended->id);
    USI_SET (item, STATE, state, (uint64_t) ended->state);
    USI_SET (item, CODE, code, ended->code);
    USI_SET (item, ATTEMPT, attempt, ended->attempt);
    USI_SET (item, LOG_END, log_end, ended->log_end);
    USI_SET (item, BUILD_END, build_end, ended->build_end);
    if (ended->dropped)
        USI_SET (item, DROPPED, dropped, ended->dropped);
    s_set_times (item, ended);
    if (ended->blob.len > 0) {
        USI_SET (item, BLOB, blob, arena_copy (arena, ended->blob));
        USI_SET (item, SIZE, size, ended->size);
    }
    if (ended->buffers.len > 0)
        USI_SET (item, BUFFERS, buffers, arena_digests (arena, ended->buffers));
}

void notify_job (broker_t *self, peer_t *peer, const store_job_t *job)
{
    const store_record_t *record = &job->record;
    const store_result_t *result = &job->result;
    const ended_t ended = {.id = record->id,
                           .state = record->state,
                           .code = result->code,
                           .attempt = record->attempt,
                           .log_end = result->log_end,
                           .build_end = result->build_end,
                           .dropped = result->dropped,
                           .crashes = record->crashes,
                           .losses = record->losses,
                           .started_ms = record->started_ms,
                           .ended_ms = record->ended_ms,
                           .buffers = result->buffers,
                           .blob = result->blob,
                           .size = result->size,
                           .body = result->body};
    notify_ended (self, peer, &ended);
}

typedef struct end_request {
    broker_t *broker;
    size_t count;
    uint32_t peers[];
} end_request_t;

static void s_on_job (us_err_t code, const store_job_t *job, void *arg)
{
    end_request_t *request = arg;
    broker_t *self = request->broker;
    for (size_t i = 0; i < request->count; i++) {
        peer_t *peer = peers_get (self->peers, request->peers[i]);
        if (peer && code == US_OK && us_state_is_end (job->record.state))
            notify_job (self, peer, job);
        else if (peer && code == US_ERR_STORE)
            peer_must_announce (peer);
    }
    free (request);
}

void notify_stored_end (broker_t *self, const usi_id_t *id, const uint32_t *peers,
                        size_t count)
{
    end_request_t *request = usi_alloc (sizeof *request + count * sizeof *peers);
    request->broker = self;
    request->count = count;
    memcpy (request->peers, peers, count * sizeof *peers);
    store_get (self->store, id, false, s_on_job, request);
}

/* --- STATE ----------------------------------------------------------------------- */

void notify_state (broker_t *self, peer_t *peer, const usi_id_t *id, us_err_t code,
                   int state, uint32_t attempt)
{
    usi_fields_t *item = outbox_add_id (self->outbox, peer, USI_STATE, id);
    USI_SET (item, CODE, code, code);
    if (code)
        return;
    USI_SET (item, STATE, state, (uint64_t) state);
    if (attempt)
        USI_SET (item, ATTEMPT, attempt, attempt);
}

/* --- BLOB_DATA ------------------------------------------------------------------- */

typedef struct chunk_request {
    broker_t *broker;
    uint32_t peer;
    uint32_t index;
    uint8_t digest[USI_DIGEST_LEN];
} chunk_request_t;

static void s_on_chunk (us_err_t code, usi_bytes_t bytes, uint64_t length, void *arg)
{
    chunk_request_t *request = arg;
    broker_t *self = request->broker;
    peer_t *peer = peers_get (self->peers, request->peer);
    if (peer) {
        usi_fields_t *item =
            outbox_add_blob (self->outbox, peer, USI_BLOB_DATA, request->digest,
                             code ? usi_bytes (NULL, 0) : bytes);
        USI_SET (item, INDEX, index, request->index);
        USI_SET (item, SIZE, size, code ? 0 : length);
        USI_SET (item, CODE, code, code);
    }
    free (request);
}

void notify_blob (broker_t *self, peer_t *peer, const uint8_t digest[USI_DIGEST_LEN],
                  uint32_t index)
{
    chunk_request_t *request = usi_new (chunk_request_t);
    request->broker = self;
    request->peer = peer->index;
    request->index = index;
    memcpy (request->digest, digest, USI_DIGEST_LEN);
    store_blob_get (self->store, digest, index, s_on_chunk, request);
}

/* SPDX-License-Identifier: MIT
 *
 * See deliver.h. */
#include "core/fanout.h"

#include "base/mem.h"
#include "core/follows.h"

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

static void s_send (broker_t *self, peer_t *peer, const ended_t *ended)
{
    arena_t *arena;
    usi_fields_t *item =
        outbox_add (self->outbox, peer, USI_ENDED, ended->body, 32, &arena);
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
}

/* The store may name a peer twice: as the origin and as a watcher of the log. */
static bool s_stands_before (const uint32_t *peers, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (peers[i] == peers[at])
            return true;
    return false;
}

void fanout_result (broker_t *self, const ended_t *ended, const uint32_t *peers,
                    size_t count)
{
    for (size_t i = 0; i < count; i++) {
        peer_t *peer = peers_get (self->peers, peers[i]);
        if (!peer || s_stands_before (peers, i))
            continue;
        follow_t *follow = follow_find (self, peer, &ended->id);
        if (follow && !follow_is_complete (follow, ended->log_end, ended->build_end)) {
            follow_end (self, follow);
            continue;
        }
        if (follow)
            follow_drop (self, follow);
        s_send (self, peer, ended);
    }
}

/* --- from the store -------------------------------------------------------------- */

/* Of a job that has ended. */
static ended_t s_ended_of (const store_job_t *job)
{
    const store_record_t *record = &job->record;
    const store_result_t *result = &job->result;
    return (ended_t){.id = record->id,
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
                     .blob = result->blob,
                     .size = result->size,
                     .body = result->body};
}

void notify_job (broker_t *self, peer_t *peer, const store_job_t *job)
{
    ended_t ended = s_ended_of (job);
    s_send (self, peer, &ended);
}

typedef struct ended_request {
    broker_t *broker;
    size_t count;
    uint32_t peers[];
} ended_request_t;

static void s_on_job (us_err_t code, const store_job_t *job, void *arg)
{
    ended_request_t *request = arg;
    broker_t *self = request->broker;
    for (size_t i = 0; i < request->count; i++) {
        peer_t *peer = peers_get (self->peers, request->peers[i]);
        if (peer && code == US_OK && us_state_is_end (job->record.state))
            notify_job (self, peer, job);
        else if (peer && code == US_ERR_STORE)
            broker_must_announce (self, peer->index);
    }
    free (request);
}

void fanout_ended (broker_t *self, const usi_id_t *id, const uint32_t *peers,
                   size_t count)
{
    ended_request_t *request = usi_alloc (sizeof *request + count * sizeof *peers);
    request->broker = self;
    for (size_t i = 0; i < count; i++) {
        peer_t *peer = peers_get (self->peers, peers[i]);
        if (!peer || s_stands_before (peers, i))
            continue;
        follow_t *follow = follow_find (self, peer, id);
        if (follow)
            follow_end (self, follow);
        else
            request->peers[request->count++] = peer->index;
    }
    if (request->count > 0)
        store_get (self->store, id, false, s_on_job, request);
    else
        free (request);
}

/* --- on the way ------------------------------------------------------------------ */

void notify_state (broker_t *self, peer_t *peer, const usi_id_t *id, us_err_t code,
                   int state, uint32_t attempt)
{
    usi_fields_t *item =
        outbox_add (self->outbox, peer, USI_STATE, usi_bytes (NULL, 0), 0, NULL);
    USI_SET (item, ID, id, *id);
    USI_SET (item, CODE, code, code);
    if (code)
        return;
    USI_SET (item, STATE, state, (uint64_t) state);
    if (attempt)
        USI_SET (item, ATTEMPT, attempt, attempt);
}

void fanout_started (broker_t *self, const usi_id_t *id, const uint32_t *peers,
                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        peer_t *peer = peers_get (self->peers, peers[i]);
        if (peer && !s_stands_before (peers, i))
            notify_state (self, peer, id, US_OK, US_STATE_RUNNING, 0);
    }
}

void fanout_logged (broker_t *self, const usi_id_t *id, const uint32_t *peers,
                    size_t count)
{
    for (size_t i = 0; i < count; i++) {
        peer_t *peer = peers_get (self->peers, peers[i]);
        follow_t *follow = peer ? follow_find (self, peer, id) : NULL;
        if (follow)
            follow_grow_all (self, follow);
    }
}

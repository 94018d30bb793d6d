/* SPDX-License-Identifier: MIT
 *
 * WATCH, UNWATCH: a client wants to know what became of a job, and what becomes of it
 * from now on. */
#include "handlers/handlers.h"

#include <stdlib.h>

#include "base/mem.h"
#include "core/access.h"
#include "core/follows.h"
#include "core/notify.h"

typedef struct watch_request {
    broker_t *broker;
    uint32_t peer;
    usi_id_t id;
    unsigned flags;
    int state; /* as far as the client knows */
    uint64_t offset;
} watch_request_t;

static void s_tell (broker_t *self, peer_t *peer, const watch_request_t *request,
                    const store_job_t *job)
{
    const store_record_t *record = &job->record;
    follow_t *follow = follow_find (self, peer, &request->id);
    if (us_state_is_end (record->state)) {
        if (follow)
            follow_end (self, follow);
        else
            notify_job (self, peer, job);
        return;
    }
    if (!(request->flags & USI_WATCH_CHANGED) || record->state != request->state)
        notify_state (self, peer, &request->id, US_OK, record->state, record->attempt);
    if (follow)
        follow_grow_to (self, follow, job->log_len, job->build_len);
}

static void s_on_watched (us_err_t code, const store_job_t *job, void *arg)
{
    watch_request_t *request = arg;
    broker_t *self = request->broker;
    peer_t *peer = peers_get (self->peers, request->peer);
    follow_t *follow = peer && code ? follow_find (self, peer, &request->id) : NULL;
    if (follow)
        follow_drop (self, follow);
    if (peer && code == US_ERR_STORE)
        peer_must_announce (peer);
    else if (peer && code)
        notify_state (self, peer, &request->id, code, 0, 0);
    else if (peer)
        s_tell (self, peer, request, job);
    free (request);
}

/* Consumes the request. */
static void s_watch (broker_t *self, peer_t *peer, watch_request_t *request)
{
    const unsigned stored = USI_WATCH_LOG | USI_WATCH_BUILD | USI_WATCH_ORIGIN;
    /* A client repeats its WATCH each second; that must not start a log anew. */
    bool rewind = !(request->flags & USI_WATCH_CHANGED);
    if (request->flags & (USI_WATCH_LOG | USI_WATCH_BUILD))
        follow_open (self, peer, &request->id, request->flags, request->offset, rewind);
    store_watch (self->store, &request->id, peer->index, request->flags & stored,
                 s_on_watched, request);
}

/* Whose job it is has been looked up first: nothing is told of one that the peer may not
 * read. */
static void s_on_found (us_err_t code, const store_job_t *job, void *arg)
{
    watch_request_t *request = arg;
    broker_t *self = request->broker;
    peer_t *peer = peers_get (self->peers, request->peer);
    if (peer && !code && access_job (self, peer, USI_MAY_READ, job->record.owner)) {
        s_watch (self, peer, request);
        return;
    }
    if (peer && code == US_ERR_STORE)
        peer_must_announce (peer);
    else if (peer)
        notify_state (self, peer, &request->id, code ? code : US_ERR_DENIED, 0, 0);
    free (request);
}

void handle_watch (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++) {
        const usi_fields_t *item = &msg->items[i];
        watch_request_t *request = usi_new (watch_request_t);
        *request = (watch_request_t){.broker = self,
                                     .peer = peer->index,
                                     .id = item->id,
                                     .flags = (unsigned) item->flags,
                                     .state = (int) item->state,
                                     .offset = item->offset};
        if (access_all (peer, USI_MAY_READ))
            s_watch (self, peer, request);
        else
            store_get (self->store, &item->id, false, s_on_found, request);
    }
}

static void s_ignore (us_err_t code, void *arg)
{
    (void) code;
    (void) arg;
}

void handle_unwatch (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++) {
        const usi_id_t *id = &msg->items[i].id;
        follow_t *follow = follow_find (self, peer, id);
        if (follow)
            follow_drop (self, follow);
        store_unwatch (self->store, id, peer->index, s_ignore, NULL);
    }
}

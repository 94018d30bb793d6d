/* SPDX-License-Identifier: MIT
 *
 * SUBMIT: jobs go into the store. Where a node of this broker has credit for them, its
 * claim leaves in the same call of the store. */
#include "handlers/handlers.h"

#include <stdlib.h>

#include "base/mem.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/fanout.h"
#include "core/follows.h"
#include "core/schedule.h"
#include "core/served.h"

/* A job of a SUBMIT: the item's own views, or copies while it waits for the registry. */
typedef struct job {
    const usi_fields_t *item;
    usi_bytes_t body;
    char channel[USI_CHANNEL_MAX + 1];
    uint8_t partition; /* of that channel */
    uint32_t class_id;
    char needs[USI_NEEDS_SIZE];
} job_t;

static void s_reply (broker_t *self, peer_t *peer, const usi_id_t *id, us_err_t code,
                     int state, const char *text)
{
    usi_fields_t *item = outbox_add_id (self->outbox, peer, USI_SUBMITTED, id);
    USI_SET (item, CODE, code, code);
    if (text)
        USI_SET (item, TEXT, text, usi_bytes_of (text));
    if (state)
        USI_SET (item, STATE, state, (uint64_t) state);
}

/* --- checks ------------------------------------------------------------------------- */

/* Finds channel and class of a job. Most jobs of a message share those of the job before,
 * and hashing is what costs here. The text says what is wrong. */
static us_err_t s_resolve (job_t *job, const usi_fields_t *item, const char **text)
{
    usi_bytes_t channel = usi_bytes_of (job->channel);
    if (!usi_bytes_equal (channel, item->channel)) {
        *text = "not a channel name";
        if (!usi_channel_valid (item->channel))
            return US_ERR_INVALID;
        memcpy (job->channel, item->channel.data, item->channel.len);
        job->channel[item->channel.len] = '\0';
        job->partition = usi_partition (item->channel);
    }
    *text = "python is a minor version like 3.11";
    if (item->python.len > 0 && !usi_python_valid (item->python))
        return US_ERR_INVALID;
    job->needs[0] = '\0';
    job->class_id = item->python.len > 0 ? usi_class (item->python, job->needs) : 0;
    *text = "the id is not of version 8 or belongs to another channel";
    if (!usi_id_valid (&item->id) || usi_id_partition (&item->id) != job->partition)
        return US_ERR_INVALID;
    *text = NULL;
    return US_OK;
}

/* --- into the store ------------------------------------------------------------------- */

typedef struct submit_request {
    broker_t *broker;
    uint32_t peer;
    bool detached;
    usi_id_t id;
} submit_request_t;

static void s_on_submitted (us_err_t code, int state, void *arg)
{
    submit_request_t *request = arg;
    broker_t *self = request->broker;
    peer_t *peer = peers_get (self->peers, request->peer);
    if (peer) {
        follow_t *follow = code ? follow_find (self, peer, &request->id) : NULL;
        if (follow)
            follow_drop (self, follow);
        s_reply (self, peer, &request->id, code, state,
                 code == US_ERR_BUSY && access_queued (peer)
                     ? "as many of its jobs as this key may have in this"
                       " channel have not ended"
                     : NULL);
        if (!code && us_state_is_end (state) && !request->detached)
            fanout_ended (self, &request->id, &request->peer, 1);
    }
    free (request);
}

/* The log of a job that was submitted earlier may have grown already. */
static void s_on_log_watched (us_err_t code, const store_job_t *job, void *arg)
{
    submit_request_t *request = arg;
    broker_t *self = request->broker;
    peer_t *peer = peers_get (self->peers, request->peer);
    follow_t *follow = peer && !code ? follow_find (self, peer, &request->id) : NULL;
    if (follow)
        follow_grow (self, follow, US_STREAM_LOG, job->log_len);
    free (request);
}

static submit_request_t *s_request (broker_t *self, const peer_t *peer,
                                    const usi_fields_t *item)
{
    submit_request_t *request = usi_new (submit_request_t);
    request->broker = self;
    request->peer = peer->index;
    request->id = item->id;
    request->detached = item->flags & USI_SUBMIT_DETACHED;
    return request;
}

static void s_store (broker_t *self, peer_t *peer, const job_t *job)
{
    uint8_t room[USI_MAX_BLOBS * USI_DIGEST_LEN];
    const usi_fields_t *item = job->item;
    store_submit_t submit = {.id = item->id,
                             .class_id = job->class_id,
                             .needs = job->needs,
                             .retries = (uint8_t) item->retries,
                             .detached = item->flags & USI_SUBMIT_DETACHED,
                             .expire_ms = (uint32_t) item->expire_ms,
                             .peer = peer->index,
                             .owner = access_owner (peer),
                             .most = access_queued (peer),
                             .channel = job->channel,
                             .blobs = usi_digests_of_list (&item->blobs, room),
                             .spec = item->spec,
                             .body = job->body};
    bool follows = (item->flags & USI_SUBMIT_STREAM_LOG) && !submit.detached;
    if (follows)
        follow_open (self, peer, &item->id, USI_WATCH_LOG, 0, false);
    self->counters.submitted++;
    store_submit (self->store, &submit, s_on_submitted, s_request (self, peer, item));
    if (follows)
        store_watch (self->store, &item->id, peer->index, USI_WATCH_LOG,
                     s_on_log_watched, s_request (self, peer, item));
}

/* --- jobs that want a node to be there ----------------------------------------------- */

/* No node of this broker serves the channel: the job waits until the registry has said
 * whether another broker's does. */
typedef struct unserved {
    broker_t *broker;
    uint32_t peer;
    usi_fields_t item; /* its views are copies in arena */
    arena_t arena;
    job_t job;
} unserved_t;

static void s_on_served (us_err_t code, bool served, void *arg)
{
    unserved_t *unserved = arg;
    broker_t *self = unserved->broker;
    const job_t *job = &unserved->job;
    peer_t *peer = peers_get (self->peers, unserved->peer);
    if (peer && !code && served) {
        s_store (self, peer, job);
        schedule_jobs (self, usi_bytes_of (job->channel), job->class_id, 1);
    } else if (peer)
        s_reply (self, peer, &job->item->id, code ? code : US_ERR_NO_UNDERSTUDIES, 0,
                 NULL);
    arena_free (&unserved->arena);
    free (unserved);
}

static void s_ask (broker_t *self, const peer_t *peer, const job_t *job)
{
    unserved_t *unserved = usi_new (unserved_t);
    arena_t *arena = &unserved->arena;
    unserved->broker = self;
    unserved->peer = peer->index;
    unserved->item = *job->item;
    unserved->item.spec = arena_copy (arena, job->item->spec);
    unserved->item.blobs.raw = arena_copy (arena, job->item->blobs.raw);
    unserved->job = *job;
    unserved->job.item = &unserved->item;
    unserved->job.body = arena_copy (arena, job->body);
    served_ask (self, job->channel, job->class_id, s_on_served, unserved);
}

/* --- the message ---------------------------------------------------------------------- */

/* Jobs of one channel and class that follow one another: scheduled together. */
typedef struct run {
    char channel[USI_CHANNEL_MAX + 1];
    uint32_t class_id;
    uint32_t count;
} run_t;

static void s_end_run (broker_t *self, run_t *run)
{
    if (run->count > 0)
        schedule_jobs (self, usi_bytes_of (run->channel), run->class_id, run->count);
    run->count = 0;
}

static void s_count (broker_t *self, run_t *run, const job_t *job)
{
    if (run->class_id != job->class_id || strcmp (run->channel, job->channel) != 0) {
        s_end_run (self, run);
        memcpy (run->channel, job->channel, sizeof run->channel);
        run->class_id = job->class_id;
    }
    run->count++;
}

static bool s_must_ask (broker_t *self, const job_t *job)
{
    return (job->item->flags & USI_SUBMIT_IF_LISTENED) &&
           !served_here (self, job->channel, job->class_id);
}

void handle_submit (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    job_t job = {0};
    run_t run = {0};
    for (size_t i = 0; i < msg->items_len; i++) {
        const usi_fields_t *item = &msg->items[i];
        const char *text;
        us_err_t code = s_resolve (&job, item, &text);
        job.item = item;
        job.body = usi_msg_item_body (msg, i);
        if (!code)
            code = access_submit (peer, item, job.body, &text);
        audit_submitted (self, peer, item->channel, code != US_OK);
        if (code)
            s_reply (self, peer, &item->id, code, 0, text);
        else if (s_must_ask (self, &job))
            s_ask (self, peer, &job);
        else {
            s_store (self, peer, &job);
            s_count (self, &run, &job);
        }
    }
    s_end_run (self, &run);
}

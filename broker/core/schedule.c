/* SPDX-License-Identifier: MIT
 *
 * See schedule.h. */
#include "core/schedule.h"

#include "base/log.h"
#include "base/mem.h"
#include "core/fence.h"

typedef struct claim_request {
    broker_t *broker;
    uint32_t peer;
    uint32_t generation; /* of the node */
    size_t index;        /* channel, among the node's */
    uint32_t count;
    uint64_t submits; /* of the channel when the claim was made */
    bool in_pass;
    bool tells_waiting;
} claim_request_t;

static void s_next_of_pass (broker_t *self, node_t *node);

/* --- what a claim brought --------------------------------------------------------------- */

static void s_ignore (us_err_t code, void *arg)
{
    (void) code;
    (void) arg;
}

static void s_hand_back (broker_t *self, const store_fence_t *fence)
{
    store_hand_back (self->store, fence, s_ignore, NULL);
}

static void s_hand_back_claimed (broker_t *self, const store_claimed_t *jobs,
                                 size_t count)
{
    for (size_t i = 0; i < count; i++) {
        store_fence_t fence = fence_of_record (&jobs[i].record);
        s_hand_back (self, &fence);
    }
}

static void s_send_job (broker_t *self, node_t *node, const store_claimed_t *job)
{
    const store_record_t *record = &job->record;
    arena_t *arena;
    usi_fields_t *item = outbox_add (self->outbox, node->peer, USI_JOBS, record->body,
                                     record->spec.len + record->blobs.len, &arena);
    USI_SET (item, ID, id, record->id);
    USI_SET (item, CHANNEL, channel, arena_copy (arena, record->channel));
    USI_SET (item, ATTEMPT, attempt, record->attempt);
    USI_SET (item, NONCE, nonce, record->nonce);
    USI_SET (item, SPEC, spec, arena_copy (arena, record->spec));
    if (record->owner)
        USI_SET (item, OWNER, owner, record->owner);
    if (record->blobs.len > 0)
        USI_SET (item, BLOBS, blobs, arena_digests (arena, record->blobs));
    if (job->log_len)
        USI_SET (item, LOG_END, log_end, job->log_len);
    if (job->build_len)
        USI_SET (item, BUILD_END, build_end, job->build_len);
}

void schedule_undelivered (broker_t *self, node_t *node, const usi_msg_t *jobs)
{
    for (size_t i = 0; i < jobs->items_len; i++) {
        store_fence_t fence = fence_of_item (node, &jobs->items[i]);
        s_hand_back (self, &fence);
    }
    node_add_credit (node, jobs->items_len);
}

/* --- claims ------------------------------------------------------------------------ */

static node_t *s_node_of (const claim_request_t *request)
{
    const peer_t *peer = peers_get (request->broker->peers, request->peer);
    if (!peer || !peer->node || peer->node->generation != request->generation)
        return NULL;
    return peer->node;
}

/* The store had fewer jobs than the claim asked for, so the node's topic waits there now.
 * Where jobs came in while the claim was on its way, it may have missed them. */
static void s_note_unsatisfied (node_t *node, const claim_request_t *request)
{
    node_channel_t *slot = &node->channels[request->index];
    slot->waiting = true;
    if (slot->channel->submits != request->submits)
        node->pass_again = true;
}

static void s_after_claim (broker_t *self, node_t *node, const claim_request_t *request)
{
    if (request->in_pass)
        s_next_of_pass (self, node);
    else if (node->pass_again && node->pass_left == 0)
        schedule_node (self, node);
}

static void s_on_claimed (us_err_t code, const store_claimed_t *jobs, size_t count,
                          void *arg)
{
    claim_request_t *request = arg;
    broker_t *self = request->broker;
    node_t *node = s_node_of (request);
    if (!node || self->ending) {
        s_hand_back_claimed (self, jobs, count);
        free (request);
        return;
    }
    node->claimed -= request->count;
    if (code == US_OK) {
        node->credit -=
            (uint32_t) count < node->credit ? (uint32_t) count : node->credit;
        self->counters.claimed += count;
        for (size_t i = 0; i < count; i++)
            s_send_job (self, node, &jobs[i]);
        if (count < request->count)
            s_note_unsatisfied (node, request);
        else if (request->tells_waiting)
            node->channels[request->index].waiting = false;
        s_after_claim (self, node, request);
    } else if (request->in_pass)
        node->pass_left = 0; /* schedule_look tries again within a second */
    free (request);
}

/* While credit remains after this claim, the topic stays in the waiting set: only a claim
 * of all the credit takes it out. */
static void s_claim (broker_t *self, node_t *node, size_t index, uint32_t count,
                     bool in_pass)
{
    node_channel_t *slot = &node->channels[index];
    claim_request_t *request = usi_new (claim_request_t);
    *request = (claim_request_t){.broker = self,
                                 .peer = node->peer->index,
                                 .generation = node->generation,
                                 .index = index,
                                 .count = count,
                                 .submits = slot->channel->submits,
                                 .in_pass = in_pass};
    request->tells_waiting = slot->waiting && count == node_available (node);
    store_claim_t claim = {.node = node->id,
                           .boot = node->boot,
                           .count = count,
                           .waiting = request->tells_waiting,
                           .channel = slot->channel->name,
                           .classes = node->classes,
                           .classes_len = node->classes_len};
    node->claimed += count;
    store_claim (self->store, &claim, s_on_claimed, request);
}

/* --- passes ------------------------------------------------------------------------ */

static void s_next_of_pass (broker_t *self, node_t *node)
{
    uint32_t available = node_available (node);
    if (node->pass_left > 0)
        node->pass_left--;
    if (available > 0 && node->pass_left == 0 && node->pass_again) {
        node->pass_again = false;
        node->pass_left = node->channels_len;
    }
    if (available == 0 || node->pass_left == 0) {
        node->pass_left = 0;
        return;
    }
    size_t index = node->turn++ % node->channels_len;
    s_claim (self, node, index, available, true);
}

void schedule_node (broker_t *self, node_t *node)
{
    if (node->pass_left > 0 || node_available (node) == 0) {
        node->pass_again = true;
        return;
    }
    if (self->ending || !store_is_ready (self->store))
        return;
    node->pass_again = false;
    node->pass_left = node->channels_len + 1;
    s_next_of_pass (self, node);
}

/* --- jobs that came in --------------------------------------------------------------- */

static void s_claim_share (node_t *node, size_t index, uint32_t count, void *arg)
{
    s_claim (arg, node, index, count, false);
}

void schedule_jobs (broker_t *self, usi_bytes_t name, uint32_t class_id, uint32_t count)
{
    channel_t *channel = nodes_channel (self->nodes, name);
    if (!channel)
        return;
    channel->submits += count;
    if (!self->ending && store_is_ready (self->store))
        channel_spread (channel, class_id, count, s_claim_share, self);
}

/* Makes one claim, however many nodes of the channel have idle credit. */
static void s_look_at (broker_t *self, channel_t *channel)
{
    for (size_t i = 0; i < channel->nodes_len; i++) {
        node_t *node = channel->nodes[(channel->turn + i) % channel->nodes_len];
        uint32_t available = node_available (node);
        if (available == 0 || node->pass_left > 0)
            continue;
        channel->turn++;
        s_claim (self, node, node_channel_index (node, channel), available, false);
        return;
    }
}

void schedule_look (broker_t *self)
{
    if (self->ending || !store_is_ready (self->store))
        return;
    channel_t *channel = nodes_first_channel (self->nodes);
    for (; channel; channel = nodes_next_channel (self->nodes))
        s_look_at (self, channel);
}

/* SPDX-License-Identifier: MIT
 *
 * See slow_peers.h. */
#include "core/slow_peers.h"

#include "base/log.h"
#include "core/fanout.h"
#include "core/follows.h"
#include "core/schedule.h"
#include "peers/missed.h"

#define PORTION 64 /* entries sent at a time: each may bring 256 KiB */

static void s_add (broker_t *self, peer_t *peer, const missed_t *missed)
{
    if (missed_add (peer, missed))
        return;
    self->counters.forgotten++;
    peer_must_announce (peer); /* the peer repeats what it waits for */
}

static void s_miss_item (broker_t *self, peer_t *peer, usi_type_t type,
                         const usi_fields_t *item)
{
    missed_t missed;
    follow_t *follow = type == USI_ENDED ? follow_find (self, peer, &item->id) : NULL;
    if (type == USI_LOGGED)
        follow_unsent (self, peer, &item->id, (int) item->stream, item->offset);
    else if (follow)
        follow->ended = true; /* its log was not taken either, and comes first */
    else if (missed_of (type, item, &missed))
        s_add (self, peer, &missed);
}

static void s_miss (broker_t *self, peer_t *peer, const usi_msg_t *msg)
{
    if (msg->type == USI_ANSWER) {
        missed_t missed = {.type = USI_ANSWER, .size = msg->head.ref};
        s_add (self, peer, &missed);
        return;
    }
    for (size_t i = 0; i < msg->items_len; i++)
        s_miss_item (self, peer, (usi_type_t) msg->type, &msg->items[i]);
}

void slow_peer_unsent (broker_t *self, peer_t *peer, const usi_msg_t *msg)
{
    if (!peer->slow) {
        self->counters.slow++;
        usi_debug ("peer.slow", "does not read name=%s peer=%u", peer->name,
                   peer->index);
    }
    peer->slow = true;
    if (msg->type == USI_JOBS && peer->node)
        schedule_undelivered (self, peer->node, msg);
    else
        s_miss (self, peer, msg);
}

static void s_send_answer (broker_t *self, const peer_t *peer, const missed_t *missed)
{
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, USI_ANSWER);
    USI_SET (&msg.head, REF, ref, missed->size);
    USI_SET (&msg.head, CODE, code, US_ERR_BUSY);
    USI_SET (&msg.head, TEXT, text, usi_bytes_of ("the answer was not read in time"));
    outbox_send_to (self->outbox, &peer->routing, &msg);
    usi_msg_free (&msg);
}

static void s_send_item (broker_t *self, peer_t *peer, const missed_t *missed)
{
    arena_t *arena;
    usi_fields_t *item = outbox_add (self->outbox, peer, (usi_type_t) missed->type,
                                     usi_bytes (NULL, 0), sizeof missed->key, &arena);
    missed_fill (missed, item, arena);
}

static void s_send_portion (broker_t *self, peer_t *peer)
{
    missed_t portion[PORTION];
    size_t count = missed_take (peer, portion, PORTION);
    for (size_t i = 0; i < count; i++) {
        const missed_t *missed = &portion[i];
        usi_id_t id;
        memcpy (id.bytes, missed->key, sizeof id.bytes);
        if (missed->type == USI_ENDED)
            fanout_ended (self, &id, &peer->index, 1);
        else if (missed->type == USI_BLOB_DATA)
            notify_blob (self, peer, missed->key, missed->number);
        else if (missed->type == USI_ANSWER)
            s_send_answer (self, peer, missed);
        else
            s_send_item (self, peer, missed);
    }
}

static void s_try (broker_t *self, peer_t *peer)
{
    peer->slow = false;
    if (!outbox_send_plain (self->outbox, peer, USI_PING))
        return; /* the outbox found it slow again, or gone */
    follow_resume_all (self, peer);
    if (peer->node)
        schedule_node (self, peer->node);
}

bool slow_peers_retry (broker_t *self)
{
    size_t count;
    bool any = false;
    /* What was gathered for a slow peer joins its list before the peer may read again:
     * sent after all, it would overtake what the peer has missed earlier. */
    outbox_flush (self->outbox);
    peer_t **peers = peers_all (self->peers, &count);
    for (size_t i = 0; i < count; i++) {
        peer_t *peer = peers[i];
        if (peer->gone)
            continue;
        if (peer->slow)
            s_try (self, peer);
        if (!peer->slow && !peer->gone && peer->missed_len > 0)
            s_send_portion (self, peer);
        any = any || peer->slow || peer->missed_len > 0;
    }
    return any;
}

/* SPDX-License-Identifier: MIT
 *
 * See presence.h. */
#include "core/presence.h"

#include "base/clock.h"
#include "base/log.h"
#include "core/audit.h"
#include "core/follows.h"
#include "core/schedule.h"
#include "peers/missed.h"

#define LINES_MAX 20 /* in LINES_MS */
#define LINES_MS  1000

/* --- who is there ---------------------------------------------------------------- */

static void s_beat (broker_t *self, peer_t *peer)
{
    if (outbox_is_stuck (peer, usi_now_ms ())) {
        usi_notice ("peer.stuck", "does not read what it is sent name=%s peer=%u",
                    peer->name, peer->index);
        peers_cut (self->peers, peer);
        return;
    }
    switch (peer_beat (peer)) {
    case PEER_PING: outbox_send_plain (self->outbox, peer, USI_PING); break;
    case PEER_GONE:
        usi_notice ("peer.silent", "does not answer name=%s peer=%u", peer->name,
                    peer->index);
        peers_cut (self->peers, peer);
        break;
    default: break;
    }
}

void presence_beat (broker_t *self)
{
    size_t count;
    peer_t **peers = peers_all (self->peers, &count);
    for (size_t i = 0; i < count; i++) {
        audit_flush (self, peers[i]);
        if (!peers[i]->gone)
            s_beat (self, peers[i]);
    }
}

void presence_ask_announce (broker_t *self, bool everybody)
{
    size_t count;
    peer_t **peers = peers_all (self->peers, &count);
    for (size_t i = 0; i < count; i++) {
        if (peers[i]->gone || !(everybody || peers[i]->must_announce))
            continue;
        outbox_refuse (self->outbox, &peers[i]->routing, NULL, US_ERR_UNKNOWN_PEER,
                       "the store was away; say HELLO again");
        peers_mark_gone (self->peers, peers[i]);
    }
}

bool presence_may_log (broker_t *self)
{
    int64_t now_ms = usi_now_ms ();
    if (now_ms - self->told_ms >= LINES_MS) {
        if (self->told > LINES_MAX)
            usi_notice ("peers.many", "%u more came and went", self->told - LINES_MAX);
        self->told_ms = now_ms;
        self->told = 0;
    }
    return self->told++ < LINES_MAX;
}

/* --- who has left ---------------------------------------------------------------- */

void presence_closed (broker_t *self, peer_t *peer, const usi_msg_t *msg)
{
    if (msg->type == USI_JOBS && peer->node)
        schedule_undelivered (self, peer->node, msg);
    peers_mark_gone (self->peers, peer);
}

static void s_drop (broker_t *self, peer_t *peer)
{
    audit_flush (self, peer);
    outbox_forget (self->outbox, peer);
    follow_drop_all (self, peer);
    missed_free (peer);
}

static void s_forget_node (broker_t *self, node_t *node)
{
    uint64_t id = node->id;
    bool is_elsewhere = nodes_find (self->nodes, id) != NULL;
    if (presence_may_log (self))
        usi_info ("node.left", "gone name=%s node=%016llx", node->peer->name,
                  (unsigned long long) id);
    audit_peer (self, "leave", node->peer, NULL);
    if (node->relayed && !is_elsewhere)
        store_relay (self->store, id, false);
    if (!is_elsewhere && !self->ending)
        store_unregister_node (self->store, id);
    nodes_remove (self->nodes, node);
}

static void s_forget (peer_t *peer, void *arg)
{
    broker_t *self = arg;
    s_drop (self, peer);
    if (peer->node)
        s_forget_node (self, peer->node);
}

void presence_reap (broker_t *self)
{
    peers_reap (self->peers, s_forget, self);
}

/* --- the end of the broker ------------------------------------------------------- */

void presence_say_bye (broker_t *self)
{
    size_t count;
    peer_t **peers = peers_all (self->peers, &count);
    for (size_t i = 0; i < count; i++) {
        usi_msg_t bye = USI_MSG_INIT;
        usi_msg_begin (&bye, USI_BYE);
        USI_SET (&bye.head, TEXT, text, usi_bytes_of ("the broker ends"));
        outbox_send_to (self->outbox, &peers[i]->routing, &bye);
        usi_msg_free (&bye);
    }
}

void presence_clear (broker_t *self)
{
    size_t count;
    peer_t **peers = peers_all (self->peers, &count);
    for (size_t i = 0; i < count; i++)
        s_drop (self, peers[i]);
}

/* SPDX-License-Identifier: MIT
 *
 * See parking.h. */
#include "parking.h"

#include "base/log.h"
#include "debts.h"
#include "deliver.h"
#include "follows.h"
#include "handlers/handlers.h"
#include "schedule.h"

#define PORTION 64 /* debts paid at a time: each may bring a body of 256 KiB */

static void s_add (broker_t *self, peer_t *peer, const debt_t *debt)
{
    if (debts_add (peer, debt))
        return;
    self->counters.forgotten++;
    broker_must_announce (self, peer->index); /* it says again what it was owed for */
}

static void s_owe_item (broker_t *self, peer_t *peer, usi_type_t type,
                        const usi_fields_t *item)
{
    debt_t debt;
    follow_t *follow = type == USI_ENDED ? follow_find (self, peer, &item->id) : NULL;
    if (type == USI_LOGGED)
        follow_unsent (self, peer, &item->id, (int) item->stream, item->offset);
    else if (follow)
        follow->ended = true; /* its log was not taken either, and comes first */
    else if (debt_of (type, item, &debt))
        s_add (self, peer, &debt);
}

static void s_owe (broker_t *self, peer_t *peer, const usi_msg_t *msg)
{
    if (msg->type == USI_ANSWER) {
        debt_t debt = {.type = USI_ANSWER, .size = msg->head.ref};
        s_add (self, peer, &debt);
        return;
    }
    for (size_t i = 0; i < msg->items_len; i++)
        s_owe_item (self, peer, (usi_type_t) msg->type, &msg->items[i]);
}

void parking_unsent (broker_t *self, peer_t *peer, const usi_msg_t *msg)
{
    if (!peer->parked) {
        self->counters.parked++;
        usi_debug ("peer.parked", "does not read name=%s peer=%u", peer->name,
                   peer->index);
    }
    peer->parked = true;
    if (msg->type == USI_JOBS && peer->node)
        schedule_undelivered (self, peer->node, msg);
    else
        s_owe (self, peer, msg);
}

static void s_pay_answer (broker_t *self, const peer_t *peer, const debt_t *debt)
{
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, USI_ANSWER);
    USI_SET (&msg.head, REF, ref, debt->size);
    USI_SET (&msg.head, CODE, code, US_ERR_BUSY);
    USI_SET (&msg.head, TEXT, text, usi_bytes_of ("the answer was not read in time"));
    usi_msg_send (&msg, self->socket,
                  usi_bytes (peer->routing.bytes, peer->routing.len));
    usi_msg_free (&msg);
}

static void s_pay_item (broker_t *self, peer_t *peer, const debt_t *debt)
{
    arena_t *arena;
    usi_fields_t *item = outbox_add (self->outbox, peer, (usi_type_t) debt->type,
                                     usi_bytes (NULL, 0), sizeof debt->key, &arena);
    debt_fill (debt, item, arena);
}

static void s_pay (broker_t *self, peer_t *peer)
{
    debt_t debts[PORTION];
    size_t count = debts_take (peer, debts, PORTION);
    for (size_t i = 0; i < count; i++) {
        const debt_t *debt = &debts[i];
        usi_id_t id;
        memcpy (id.bytes, debt->key, sizeof id.bytes);
        if (debt->type == USI_ENDED)
            deliver_ended (self, &id, &peer->index, 1);
        else if (debt->type == USI_BLOB_DATA)
            blob_send (self, peer, debt->key, debt->number);
        else if (debt->type == USI_ANSWER)
            s_pay_answer (self, peer, debt);
        else
            s_pay_item (self, peer, debt);
    }
}

static void s_unpark (broker_t *self, peer_t *peer)
{
    peer->parked = false;
    if (!outbox_send_plain (self->outbox, peer, USI_PING))
        return; /* the outbox has parked it again, or it is gone */
    follow_resume_all (self, peer);
    if (peer->node)
        schedule_node (self, peer->node);
}

bool parking_retry (broker_t *self)
{
    size_t count;
    bool any = false;
    /* What was gathered for a parked peer becomes debts before it may read again: sent
     * after all, it would overtake what is still owed. */
    outbox_flush (self->outbox);
    peer_t **peers = peers_all (self->peers, &count);
    for (size_t i = 0; i < count; i++) {
        peer_t *peer = peers[i];
        if (peer->gone)
            continue;
        if (peer->parked)
            s_unpark (self, peer);
        if (!peer->parked && !peer->gone && peer->debts_len > 0)
            s_pay (self, peer);
        any = any || peer->parked || peer->debts_len > 0;
    }
    return any;
}

/* SPDX-License-Identifier: MIT
 *
 * See outbox.h. */
#include "peers/outbox.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"

/* A message leaves when it holds this much. Together with the high water mark of the socket
 * this bounds what the broker holds for a peer that does not read. */
#define FULL_BYTES (512 * 1024)
#define POOL_MAX   16

#define MARK_BYTES     (2u * 1024 * 1024)   /* between two marks, at least */
#define UNREAD_MAX     (32u * 1024 * 1024)  /* of one peer */
#define UNREAD_ALL_MAX (256u * 1024 * 1024) /* of all; beyond it, a peer has little */
#define UNREAD_LEAST   (4u * 1024 * 1024)
#define STUCK_MS       60000
#define ITEM_BYTES     64 /* about so much of a header */

typedef struct outmsg {
    usi_msg_t msg;
    arena_t arena;
    size_t extra; /* bytes that its fields point to */
} outmsg_t;

struct outbox {
    void *sockets[DOORS];
    outbox_hooks_t hooks;
    list_t dirty;  /* peers with gathered messages */
    size_t unread; /* of all peers */
    outmsg_t *pool[POOL_MAX];
    size_t pool_len;
};

/* The order in which a peer's messages leave: a job's LOGGED before its ENDED, its JOBS
 * before its STOP. */
static const uint8_t s_order[PEER_OUT_KINDS] = {
    USI_SUBMITTED,  USI_STATE,     USI_CANCELLED, USI_LOGGED, USI_ENDED,
    USI_COMMITTED,  USI_LOG_KEPT,  USI_RENEWED,   USI_JOBS,   USI_STOP,
    USI_BLOB_FOUND, USI_BLOB_KEPT, USI_BLOB_DATA,
};

static size_t s_kind (usi_type_t type)
{
    size_t kind = 0;
    while (kind < PEER_OUT_KINDS && s_order[kind] != type)
        kind++;
    US_ASSERT (kind < PEER_OUT_KINDS);
    return kind;
}

outbox_t *outbox_new (void *const sockets[DOORS], const outbox_hooks_t *hooks)
{
    outbox_t *self = usi_new (outbox_t);
    memcpy (self->sockets, sockets, sizeof self->sockets);
    self->hooks = *hooks;
    return self;
}

static void s_free (outmsg_t *out)
{
    usi_msg_free (&out->msg);
    arena_free (&out->arena);
    free (out);
}

void outbox_destroy (outbox_t **self_p)
{
    outbox_t *self = *self_p;
    if (!self)
        return;
    LIST_EACH (&self->dirty, peer_t, peer, dirty)
        outbox_forget (self, peer);
    while (self->pool_len > 0)
        s_free (self->pool[--self->pool_len]);
    free (self);
    *self_p = NULL;
}

static void s_recycle (outbox_t *self, outmsg_t *out)
{
    usi_msg_clear (&out->msg);
    arena_reset (&out->arena);
    out->extra = 0;
    if (self->pool_len < POOL_MAX)
        self->pool[self->pool_len++] = out;
    else
        s_free (out);
}

static void s_mark_dirty (outbox_t *self, peer_t *peer)
{
    if (peer->dirty.list)
        return;
    list_append (&self->dirty, &peer->dirty);
    if (self->dirty.len == 1)
        self->hooks.filled (self->hooks.arg);
}

/* --- what is not read yet ---------------------------------------------------------- */

static bool s_has_too_much (const outbox_t *self, const peer_t *peer)
{
    size_t most = self->unread > UNREAD_ALL_MAX ? UNREAD_LEAST : UNREAD_MAX;
    return peer->unread.bytes > most;
}

static int s_send_now (const outbox_t *self, const peer_t *peer, usi_msg_t *msg)
{
    return usi_msg_send (msg, self->sockets[peer->routing.door],
                         usi_bytes (peer->routing.bytes, peer->routing.len));
}

static void s_mark (outbox_t *self, peer_t *peer)
{
    usi_msg_t ping = USI_MSG_INIT;
    uint64_t mark = usi_random64 () | 1;
    usi_msg_begin (&ping, USI_PING);
    USI_SET (&ping.head, REF, ref, mark);
    if (s_send_now (self, peer, &ping) == 0) {
        peer->unread.mark = mark;
        peer->unread.marked = peer->unread.bytes;
        peer->unread.since_ms = usi_now_ms ();
    }
    usi_msg_free (&ping);
}

static void s_count (outbox_t *self, peer_t *peer, size_t bytes)
{
    peer->unread.bytes += bytes;
    self->unread += bytes;
    if (!peer->unread.mark && peer->unread.bytes >= MARK_BYTES)
        s_mark (self, peer);
}

void outbox_read (outbox_t *self, peer_t *peer, uint64_t ref)
{
    if (!peer->unread.mark || ref != peer->unread.mark)
        return;
    peer->unread.bytes -= peer->unread.marked;
    self->unread -= peer->unread.marked;
    peer->unread.mark = peer->unread.marked = 0;
    if (peer->unread.bytes >= MARK_BYTES)
        s_mark (self, peer);
}

bool outbox_is_stuck (const peer_t *peer, int64_t now_ms)
{
    return peer->unread.mark && now_ms - peer->unread.since_ms > STUCK_MS;
}

/* --- sending ------------------------------------------------------------------------ */

/* Sends, or tells the hook what was not sent. */
static bool s_send (outbox_t *self, peer_t *peer, usi_msg_t *msg)
{
    int rc = EHOSTUNREACH;
    size_t bytes = msg->bytes + (msg->items_len + 1) * ITEM_BYTES;
    if (peer->slow || s_has_too_much (self, peer))
        rc = EAGAIN;
    else if (!peer->gone)
        rc = s_send_now (self, peer, msg);
    if (rc == 0) {
        s_count (self, peer, bytes);
        return true;
    }
    if (rc == EAGAIN)
        self->hooks.unsent (peer, msg, self->hooks.arg);
    else
        self->hooks.gone (peer, msg, self->hooks.arg);
    usi_msg_clear (msg);
    return false;
}

static void s_flush_peer (outbox_t *self, peer_t *peer)
{
    for (size_t kind = 0; kind < PEER_OUT_KINDS; kind++) {
        outmsg_t *out = peer->out[kind];
        if (!out)
            continue;
        peer->out[kind] = NULL;
        s_send (self, peer, &out->msg);
        s_recycle (self, out);
    }
}

void outbox_flush (outbox_t *self)
{
    /* Not LIST_EACH: a hook may add messages, for any peer. */
    while (self->dirty.len > 0) {
        peer_t *peer = LIST_ELEMENT (self->dirty.first, peer_t, dirty);
        list_remove (&peer->dirty);
        s_flush_peer (self, peer);
    }
}

static bool s_has_room (const outmsg_t *out, size_t more)
{
    return out->msg.items_len < USI_MAX_ITEMS &&
           (out->msg.items_len == 0 ||
            out->msg.bytes + out->extra + more <= FULL_BYTES);
}

static outmsg_t *s_open (outbox_t *self, usi_type_t type)
{
    outmsg_t *out =
        self->pool_len > 0 ? self->pool[--self->pool_len] : usi_new (outmsg_t);
    usi_msg_begin (&out->msg, type);
    return out;
}

usi_fields_t *outbox_add (outbox_t *self, peer_t *peer, usi_type_t type,
                          usi_bytes_t body, size_t extra, arena_t **arena)
{
    size_t kind = s_kind (type);
    if (peer->out[kind] && !s_has_room (peer->out[kind], body.len + extra))
        s_flush_peer (self, peer);
    if (!peer->out[kind])
        peer->out[kind] = s_open (self, type);
    s_mark_dirty (self, peer);
    outmsg_t *out = peer->out[kind];
    usi_fields_t *item = usi_msg_add (&out->msg);
    if (body.len > 0)
        usi_msg_body (&out->msg, body.data, body.len);
    out->extra += extra;
    if (arena)
        *arena = &out->arena;
    return item;
}

usi_fields_t *outbox_add_id (outbox_t *self, peer_t *peer, usi_type_t type,
                             const usi_id_t *id)
{
    usi_fields_t *item = outbox_add (self, peer, type, usi_bytes (NULL, 0), 0, NULL);
    USI_SET (item, ID, id, *id);
    return item;
}

usi_fields_t *outbox_add_blob (outbox_t *self, peer_t *peer, usi_type_t type,
                               const uint8_t digest[USI_DIGEST_LEN], usi_bytes_t body)
{
    arena_t *arena;
    usi_fields_t *item = outbox_add (self, peer, type, body, USI_DIGEST_LEN, &arena);
    USI_SET (item, BLOB, blob, arena_copy (arena, usi_bytes (digest, USI_DIGEST_LEN)));
    return item;
}

bool outbox_send (outbox_t *self, peer_t *peer, usi_msg_t *msg)
{
    return s_send (self, peer, msg);
}

bool outbox_send_plain (outbox_t *self, peer_t *peer, usi_type_t type)
{
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, type);
    bool sent = s_send (self, peer, &msg);
    usi_msg_free (&msg);
    return sent;
}

void outbox_forget (outbox_t *self, peer_t *peer)
{
    for (size_t kind = 0; kind < PEER_OUT_KINDS; kind++) {
        if (peer->out[kind])
            s_recycle (self, peer->out[kind]);
        peer->out[kind] = NULL;
    }
    list_remove (&peer->dirty);
    self->unread -= peer->unread.bytes;
    peer->unread.bytes = peer->unread.marked = peer->unread.mark = 0;
}

/* --- to a connection --------------------------------------------------------------- */

void outbox_send_to (outbox_t *self, const routing_t *routing, usi_msg_t *msg)
{
    usi_msg_send (msg, self->sockets[routing->door],
                  usi_bytes (routing->bytes, routing->len));
}

void outbox_refuse (outbox_t *self, const routing_t *routing, const usi_msg_t *refused,
                    us_err_t code, const char *text)
{
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, USI_ERROR);
    USI_SET (&msg.head, CODE, code, code);
    USI_SET (&msg.head, TEXT, text, usi_bytes_of (text ? text : us_err_text (code)));
    if (refused)
        USI_SET (&msg.head, COUNT, count, (uint64_t) refused->type);
    /* Who is unknown asks the question again after HELLO, so this does not answer it. */
    if (refused && usi_has (&refused->head, USI_F_REF) && code != US_ERR_UNKNOWN_PEER)
        USI_SET (&msg.head, REF, ref, refused->head.ref);
    outbox_send_to (self, routing, &msg);
    usi_msg_free (&msg);
}

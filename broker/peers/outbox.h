/* SPDX-License-Identifier: MIT
 *
 * What goes out to peers. Answers of the same type to the same peer are gathered in one
 * message while a loop turn lasts and sent at its end, or earlier when the message is full.
 * Sends never block: what a peer does not take goes to the unsent hook, which notes it
 * (core/slow_peers.h). How much libzmq holds for a peer nobody can ask, so it is counted here:
 * a PING behind some MiB marks how far they go, and its PONG says that they have been read. Who
 * has too much unread counts as not reading. Stands on the table of peers. */
#ifndef BROKER_OUTBOX_H
#define BROKER_OUTBOX_H

#include "peers/arena.h"
#include "peers/peers.h"
#include "proto/message.h"

typedef struct outbox outbox_t;

typedef struct outbox_hooks {
    /* The peer does not read now. The message is dropped after the call. */
    void (*unsent) (peer_t *peer, const usi_msg_t *msg, void *arg);
    /* The peer's connection is closed. msg: what it did not get. */
    void (*gone) (peer_t *peer, const usi_msg_t *msg, void *arg);
    /* The first message of a turn was begun: the owner calls outbox_flush soon. */
    void (*filled) (void *arg);
    void *arg;
} outbox_hooks_t;

/* sockets: one ROUTER for each door; NULL: there is none. */
outbox_t *outbox_new (void *const sockets[DOORS], const outbox_hooks_t *hooks);
void outbox_destroy (outbox_t **self_p);

/* One more item of a gathered type, to be filled at once. What its fields point to must
 * last until the item is sent: the caller takes it from *arena (NULL where no field needs
 * that). The body is copied. extra: bytes that the item takes from the arena. */
usi_fields_t *outbox_add (outbox_t *self, peer_t *peer, usi_type_t type,
                          usi_bytes_t body, size_t extra, arena_t **arena);
/* One more item about a job, without a body. */
usi_fields_t *outbox_add_id (outbox_t *self, peer_t *peer, usi_type_t type,
                             const usi_id_t *id);
/* One more item about a blob. */
usi_fields_t *outbox_add_blob (outbox_t *self, peer_t *peer, usi_type_t type,
                               const uint8_t digest[USI_DIGEST_LEN], usi_bytes_t body);
void outbox_flush (outbox_t *self);
/* PONG with this ref: the peer has read what was sent before the mark. */
void outbox_read (outbox_t *self, peer_t *peer, uint64_t ref);
/* It has not read for too long what it was sent. */
bool outbox_is_stuck (const peer_t *peer, int64_t now_ms);
/* Sends a message of its own now; false where the peer did not take it. msg is cleared. */
bool outbox_send (outbox_t *self, peer_t *peer, usi_msg_t *msg);
/* The same for a message that has no fields. */
bool outbox_send_plain (outbox_t *self, peer_t *peer, usi_type_t type);
/* Drops what is gathered for the peer. */
void outbox_forget (outbox_t *self, peer_t *peer);

/* To a connection, whether or not it is a peer's. Calls no hook: what is not taken is
 * lost. */
void outbox_send_to (outbox_t *self, const routing_t *routing, usi_msg_t *msg);
/* Sends ERROR the same way, in answer to this message where there is one (else NULL). On a
 * NULL text the code's own is used. */
void outbox_refuse (outbox_t *self, const routing_t *routing, const usi_msg_t *refused,
                    us_err_t code, const char *text);

#endif

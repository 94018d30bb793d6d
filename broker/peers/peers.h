/* SPDX-License-Identifier: MIT
 *
 * Who is connected: clients and nodes that have said HELLO. A peer is found by its routing
 * id (what arrives) and by its index (what stands in job records and travels through the
 * store, where a pointer would not last). An index is never used again in the life of a
 * broker. A peer whose connection is closed is only marked as gone; it leaves the table at
 * the end of the turn (peers_reap), so a pointer stays good throughout a handler. Stands on
 * members.h and handle.h. */
#ifndef BROKER_PEERS_H
#define BROKER_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/id.h"
#include "base/list.h"
#include "peers/handle.h"
#include "peers/members.h"

#define PEER_ROUTING_MAX 255
#define PEER_OUT_KINDS   13 /* types of outgoing messages that are gathered, outbox.c */
#define PEER_UNANSWERED  3  /* PINGs, then the peer is gone */

/* The sockets of a broker: of its own user (and of anybody with --insecure), and the one
 * where peers have to have keys. */
enum { DOOR_PLAIN, DOOR_KEYED, DOORS };

/* Other floors keep what they know of a peer in the peer itself. */
struct node;
struct outmsg;
struct missed;

typedef struct routing {
    uint8_t door; /* routing ids of two sockets may be the same */
    size_t len;
    uint8_t bytes[PEER_ROUTING_MAX + 1];
} routing_t;

typedef struct peer {
    routing_t routing;
    uint32_t index;
    unsigned role;     /* USI_BY_CLIENT or USI_BY_NODE */
    char *name, *host; /* of its HELLO, never NULL */
    uint64_t pid;
    member_t *member;    /* whose key the handshake proved; NULL at the plain door */
    handle_t handle;     /* of its connection */
    bool heard;          /* something arrived since the last beat */
    unsigned unanswered; /* PINGs sent since something arrived */
    bool slow;           /* does not read: is sent nothing until it does */
    struct {
        size_t bytes;     /* sent, and not known to be read; outbox.c */
        size_t marked;    /* of these, sent before the mark */
        uint64_t mark;    /* a PING whose PONG says that they are read; 0: none */
        int64_t since_ms; /* it is out */
    } unread;
    struct {
        uint64_t received; /* bytes, when a message of it was last seen */
        bool spoke;        /* a message came since the last look */
        unsigned looks;    /* in a row, without a message */
    } unfinished;          /* core/unfinished.c */
    bool gone;             /* leaves at the end of the turn */
    bool must_announce;    /* peer_must_announce */
    unsigned greetings;    /* HELLOs over this connection since greeted_ms */
    int64_t greeted_ms;
    size_t at; /* in the table's array */

    struct {
        char channel[USI_CHANNEL_MAX + 1];
        unsigned submitted, refused;    /* not in the audit yet */
    } audit;                            /* core/audit.c */
    struct node *node;                  /* a node's own data; nodes.c */
    struct outmsg *out[PEER_OUT_KINDS]; /* messages being filled; outbox.c */
    list_node_t dirty;                  /* in the outbox's list; outbox.c */
    struct missed *missed;              /* what a slow peer did not get; missed.c */
    size_t missed_len, missed_cap;
    list_t follows; /* logs that are sent to it; core/follows.c */
} peer_t;

typedef struct peers peers_t;

peers_t *peers_new (void);
void peers_destroy (peers_t **self_p);

/* The routing id must not be in the table. Texts are copied. */
peer_t *peers_add (peers_t *self, const routing_t *routing, unsigned role,
                   usi_bytes_t name, usi_bytes_t host, uint64_t pid);
/* Whose key it has come with. */
void peer_set_member (peer_t *peer, member_t *member);
peer_t *peers_find (const peers_t *self, const routing_t *routing);
/* NULL: never there, or gone. */
peer_t *peers_get (const peers_t *self, uint32_t index);

size_t peers_count (const peers_t *self, unsigned role);
/* All peers, in no order; valid until the next add or reap. */
peer_t **peers_all (const peers_t *self, size_t *count);

void peers_mark_gone (peers_t *self, peer_t *peer);
/* The same, and ends its connection with all that waits for it there. */
void peers_cut (peers_t *self, peer_t *peer);
/* What still arrives over a connection that was cut is not to be heard. */
bool peers_was_cut (const peers_t *self, const routing_t *routing);
/* Calls forget for each that is gone, then frees it. forget may mark others gone. */
typedef void peers_forget_fn (peer_t *peer, void *arg);
void peers_reap (peers_t *self, peers_forget_fn *forget, void *arg);

/* Called once a heartbeat: what to do about this peer. */
typedef enum peer_beat { PEER_QUIET, PEER_PING, PEER_GONE } peer_beat_t;
peer_beat_t peer_beat (peer_t *peer);
/* Something arrived. */
void peer_heard (peer_t *peer);
/* The peer missed an answer of the store. Once the store answers again the peer is asked
 * to say HELLO and to announce what it holds, which heals whatever it missed. */
void peer_must_announce (peer_t *peer);

#endif

/* SPDX-License-Identifier: MIT
 *
 * What the parts of the broker share: one struct, made by server.c, that handlers and
 * helpers get. It holds sockets and caches and no facts: everything that must outlive
 * the process is in the store. Requests to the store carry peer indexes, never pointers to
 * peers, because a peer may leave before the answer comes. */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include <czmq.h>

#include "base/bytes.h"
#include "core/endpoints.h"
#include "peers/nodes.h"
#include "peers/outbox.h"
#include "peers/peers.h"
#include "proto/message.h"
#include "store/store.h"

typedef struct broker_counters {
    uint64_t messages;  /* received */
    uint64_t malformed; /* refused by the codec or from the wrong sender */
    uint64_t submitted, claimed, results, log_chunks;
    uint64_t slow;      /* times that a peer did not read */
    uint64_t forgotten; /* entries that a list of missed ones had no room for */
} broker_counters_t;

typedef struct broker {
    zloop_t *loop;
    void *socket; /* the raw ROUTER */
    store_t *store;
    peers_t *peers;
    nodes_t *nodes;
    outbox_t *outbox;
    zhashx_t *follows;      /* follows.c */
    endpoints_t *endpoints; /* bound addresses */
    uint32_t id;
    int64_t started_ms;
    int64_t lease_ms;
    uint64_t max_payload;
    broker_counters_t counters;
    zlistx_t *unserved; /* SUBMITs that wait for the registry; handlers/submit.c */
    bool asks_nodes;    /* the registry was asked for them */
    bool ending;        /* takes no more work */
} broker_t;

/* Sends ERROR, in answer to this message where there is one (else NULL). */
void broker_refuse (broker_t *self, const routing_t *routing, const usi_msg_t *refused,
                    us_err_t code, const char *text);
/* The peer missed an answer of the store: once the store answers again it is asked to
 * say HELLO and to announce what it holds, which heals whatever was missed. */
void broker_must_announce (broker_t *self, uint32_t index);
/* Its connection is closed or it left. */
void broker_lose_peer (broker_t *self, peer_t *peer);

#endif

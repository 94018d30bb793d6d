/* SPDX-License-Identifier: MIT
 *
 * What the parts of the broker share: one struct, made by server.c, that handlers and the
 * rest of the core get. It holds tables and counters and no facts: everything that must
 * outlive the process is in the store. Requests to the store carry indexes of peers, never
 * pointers to peers, because a peer may leave before the answer comes.
 *
 * Below the core stand the peers (who is connected, what is sent to them) and the store;
 * above it the handlers, which call it, and the loop in server.c. */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include <czmq.h>

#include "auth/keyfile.h"
#include "base/bytes.h"
#include "base/list.h"
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
    uint64_t forgotten; /* entries for which a list of missed ones had no room */
    uint64_t
        denied; /* handshakes, greetings and requests for which a key has no right */
} broker_counters_t;

typedef struct broker {
    store_t *store;
    peers_t *peers;
    nodes_t *nodes;
    outbox_t *outbox;
    zhashx_t *follows;              /* of all peers; follows.c */
    endpoints_t endpoints;          /* bound addresses */
    const usi_identity_t *identity; /* NULL: there are no keys */
    members_t *members;             /* NULL likewise */
    char *revoked_path;             /* the list of revoked keys on disk; keys.c */
    bool insecure;                  /* TCP without keys is allowed */
    usi_buf_t others; /* addresses of other brokers, with keys; others.c */
    uint32_t others_len;
    struct {
        char *path; /* NULL: nothing is written */
        int fd;
        bool failed; /* the last line */
    } audit;         /* audit.c */
    uint32_t id;
    int64_t started_ms;
    int64_t lease_ms;
    uint64_t max_payload;
    uint64_t max_buffer, max_buffers; /* as configured: core/limits.h */
    broker_counters_t counters;
    int64_t told_ms; /* presence_may_log */
    unsigned told;
    int64_t denied_ms;  /* when a denied handshake was last logged */
    int64_t refused_ms; /* when the refusal of a message was last logged */
    list_t questions;   /* that wait for the registry; served.c */
    bool asks_registry; /* an answer is awaited; served.c */
    bool ending;        /* takes no more work */
    /* HELLO has come over this connection. */
    void (*greeted) (void *arg, const handle_t *handle);
    void *greeted_arg;
} broker_t;

#endif

/* SPDX-License-Identifier: MIT
 *
 * The broker's end for the node's tests: a ROUTER in the same thread that notes what a
 * node says, and says what the test wants. It knows no jobs. */
#ifndef TESTS_FAKE_ROUTER_H
#define TESTS_FAKE_ROUTER_H

#include "proto/message.h"

#define ROUTER_NOTES 256

typedef struct router {
    void *context, *socket;
    char endpoint[64];
    const char *brokers[1];  /* the endpoint, as node_options_t wants it */
    bool mute;               /* HELLO gets no WELCOME */
    unsigned got[256];       /* messages by type */
    int types[ROUTER_NOTES]; /* in order */
    unsigned types_len;
    usi_msg_t in; /* the last one that was no PING or PONG */
    uint8_t peer[256];
    size_t peer_len;
} router_t;

/* Listens on a port of its own; router_open after router_close on the same one. */
void router_open (router_t *self);
void router_close (router_t *self);
void router_free (router_t *self);
/* Reads what has come; each HELLO is answered. */
void router_read (router_t *self);
/* To the peer that spoke last; cleared. */
void router_say (router_t *self, usi_msg_t *msg);
/* The first message of this type stands before the first of the other. */
bool router_got_before (const router_t *self, int first, int second);

#endif

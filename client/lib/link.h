/* SPDX-License-Identifier: MIT
 *
 * The connection to one broker at a time: finds addresses (a list, or the registry),
 * greets, keeps the heartbeat, and starts over when the broker is gone. conn_state.h
 * says what may follow what. Used by the engine's thread alone, which is told by the
 * calls in link_events_t. */
#ifndef CLIENT_LIB_LINK_H
#define CLIENT_LIB_LINK_H

#include "client.h"
#include "conn_state.h"
#include "proto/message.h"

typedef struct link_events {
    void (*up) (void *arg);                        /* WELCOME: announce everything */
    void (*down) (void *arg);                      /* nothing can be sent for now */
    void (*gave_up) (void *arg, const char *text); /* never connected in time */
    void *arg;
} link_events_t;

typedef struct link {
    us_client_t *client;
    link_events_t events;
    conn_state_t state;
    bool ever; /* connected once: never gives up */
    void *context, *socket, *monitor;
    unsigned sockets; /* numbers the monitors */
    char *addresses;  /* NUL terminated, one after the other */
    size_t addresses_len, tried, first;
    const char *address; /* now in use */
    int64_t give_up_at, attempt_until, resume_at, ping_at;
    int64_t pause_ms, heartbeat_ms;
    unsigned pings;     /* unanswered */
    char why[256];      /* the last reason for a failure */
    bool misconfigured; /* Redis refuses us: no broker would help */
} link_t;

bool link_open (link_t *self, us_client_t *client, const link_events_t *events);
/* Says BYE and lets go of everything. */
void link_close (link_t *self);
/* Somebody wants a broker. */
void link_want (link_t *self);
/* Does what is due now: tries addresses, sends PING, gives up. */
void link_service (link_t *self);
/* When link_service wants to be called again, monotonic ms. */
int64_t link_due_ms (const link_t *self);
/* The monitor has something to read. */
void link_on_monitor (link_t *self);
/* Every message that came passes here first. True: it was the link's own. */
bool link_on_message (link_t *self, const usi_msg_t *msg);
/* A message that could not be read. */
void link_on_malformed (link_t *self, const usi_msg_t *msg);
/* Sends; where that fails the connection is lost, and all is announced again later. */
void link_send (link_t *self, usi_msg_t *msg);
static inline bool link_is_ready (const link_t *self)
{
    return self->state == CONN_READY;
}

#endif

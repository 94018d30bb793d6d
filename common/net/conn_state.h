/* SPDX-License-Identifier: MIT
 *
 * The states of a connection to a broker, a client's or a node's: one pure table of
 * states and events, without I/O, clock or memory. connection.c alone feeds it, and acts
 * on what it says. Stands on nothing. */
#ifndef COMMON_NET_CONN_STATE_H
#define COMMON_NET_CONN_STATE_H

#include <stdbool.h>

typedef enum usi_conn_state {
    USI_CONN_IDLE, /* nobody has asked for a broker yet, or the search was given up */
    USI_CONN_SEEKING,  /* looking for an address to try */
    USI_CONN_GREETING, /* HELLO is on its way, WELCOME awaited */
    USI_CONN_READY,    /* WELCOME has come */
    USI_CONN_PAUSED,   /* every address failed; waiting before the next round */
    USI_CONN_CLOSED,
    USI_CONN__STATES
} usi_conn_state_t;

typedef enum usi_conn_event {
    USI_CONN_ON_WANTED,     /* somebody asks for something */
    USI_CONN_ON_ADDRESS,    /* a socket to the next address is open */
    USI_CONN_ON_NO_ADDRESS, /* none is left in this round */
    USI_CONN_ON_WELCOME,
    USI_CONN_ON_LOST,         /* refused, silent, disconnected, BYE */
    USI_CONN_ON_UNKNOWN_PEER, /* the broker does not know us (any more) */
    USI_CONN_ON_RETRY,        /* the pause is over */
    USI_CONN_ON_GIVE_UP,      /* connect timeout, and never connected before */
    USI_CONN_ON_STOP,
    USI_CONN__EVENTS
} usi_conn_event_t;

/* False: the event means nothing in this state; *next is left alone. */
bool usi_conn_next (usi_conn_state_t state, usi_conn_event_t event,
                    usi_conn_state_t *next);
const char *usi_conn_state_name (usi_conn_state_t state);
const char *usi_conn_event_name (usi_conn_event_t event);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The states of a client's connection to its broker: one pure table of states and
 * events, without I/O or clock. link.c feeds it and acts on what it says. */
#ifndef CLIENT_LIB_CONN_STATE_H
#define CLIENT_LIB_CONN_STATE_H

#include <stdbool.h>

typedef enum conn_state {
    CONN_IDLE,     /* nobody has asked for anything yet, or the last try was given up */
    CONN_SEEKING,  /* looking for an address to try */
    CONN_GREETING, /* HELLO is on its way, WELCOME awaited */
    CONN_READY,    /* WELCOME has come */
    CONN_PAUSED,   /* every address failed; waiting before the next round */
    CONN_CLOSED,
    CONN__STATES
} conn_state_t;

typedef enum conn_event {
    CONN_ON_WANTED,     /* somebody asks for something */
    CONN_ON_ADDRESS,    /* a socket to the next address is open */
    CONN_ON_NO_ADDRESS, /* none is left in this round */
    CONN_ON_WELCOME,
    CONN_ON_LOST,         /* refused, silent, disconnected, BYE */
    CONN_ON_UNKNOWN_PEER, /* the broker does not know us (any more) */
    CONN_ON_RETRY,        /* the pause is over */
    CONN_ON_GIVE_UP,      /* connect timeout, and never connected before */
    CONN_ON_STOP,
    CONN__EVENTS
} conn_event_t;

/* False: the event means nothing in this state; *next is left alone. */
bool conn_next (conn_state_t state, conn_event_t event, conn_state_t *next);
const char *conn_state_name (conn_state_t state);
const char *conn_event_name (conn_event_t event);

#endif

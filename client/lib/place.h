/* SPDX-License-Identifier: MIT
 *
 * The places of a job in the engine, and which may follow which: one pure table, without
 * I/O, clock or memory. Each place is a list, which says what the job waits for. track.c
 * alone moves jobs.
 *
 * After a new WELCOME every job moves back to where its message is sent again; the same
 * message twice does no harm (docs/protocol.md section 9).
 *
 * A leaf: stands on nothing. */
#ifndef CLIENT_LIB_PLACE_H
#define CLIENT_LIB_PLACE_H

#include <stdbool.h>

typedef enum place {
    PLACE_NONE,     /* the engine does not know it (any more) */
    PLACE_READY,    /* SUBMIT is to be sent */
    PLACE_HELD,     /* its blobs have to be at the broker first */
    PLACE_SENT,     /* SUBMITTED is awaited */
    PLACE_DELAYED,  /* the broker could not take it: SUBMIT is sent again later */
    PLACE_ANNOUNCE, /* WATCH is to be sent */
    PLACE_WATCHED,  /* accepted: its end, or the rest of its streams, is awaited */
    PLACE_FETCHING, /* ended: its result is a blob that is on its way here */
    PLACE__COUNT
} place_t;

bool place_may_follow (place_t from, place_t to);

#endif

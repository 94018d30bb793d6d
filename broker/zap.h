/* SPDX-License-Identifier: MIT
 *
 * Who may finish the handshake: libzmq asks here for each connection with CURVE (RFC 27,
 * ZAP), by a socket of the broker's own loop, so that members are seen by one thread. What
 * was proved travels with each message as its User-Id: the text of the key. Stands on the
 * members. */
#ifndef BROKER_ZAP_H
#define BROKER_ZAP_H

#include <czmq.h>

#include "peers/members.h"

typedef struct zap zap_t;

#define ZAP_DOMAIN "understudy"

typedef struct zap_events {
    /* Somebody was turned away. why: static; member: whose key it is, NULL: unknown. */
    void (*refused) (void *arg, const member_t *member, const char *address,
                     const char *why);
    void *arg;
} zap_events_t;

/* Answers nobody before zap_start: libzmq lets whoever asks wait until then, or until the
 * handshake has taken too long. members is borrowed. */
zap_t *zap_new (const members_t *members, const zap_events_t *events);
void zap_start (zap_t *self, zloop_t *loop);
void zap_destroy (zap_t **self_p);

#endif

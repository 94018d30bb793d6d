/* SPDX-License-Identifier: MIT
 *
 * One attempt at one address: a DEALER socket together with libzmq's monitor of it,
 * which tells at once what the heartbeat would tell only after seconds. A socket is
 * never used for a second attempt: a new one has no queue of old messages and no
 * half-known peer.
 *
 * Stands on libzmq and on keys (common/auth); knows nothing of what is sent. */
#ifndef COMMON_NET_DEALER_H
#define COMMON_NET_DEALER_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/keys.h"

/* All zero: closed. */
typedef struct usi_dealer {
    void *socket, *monitor;
    int socket_fd, monitor_fd;
    int dir_fd;      /* of a unix socket whose path is long; 0: none */
    unsigned opened; /* so many times; numbers the monitors of a context */
} usi_dealer_t;

/* For the handshake: our own keys, and the one that the broker has to have. */
typedef struct usi_dealer_keys {
    const usi_keys_t *own;
    uint8_t broker[USI_KEY_LEN];
} usi_dealer_keys_t;

/* keys: NULL without. receive_max: messages that may wait to be read. False, and errno:
 * nothing is open.
 * EACCES: a unix socket of another user, whose broker serves only that one. */
bool usi_dealer_open (usi_dealer_t *self, void *context, const char *address,
                      const usi_dealer_keys_t *keys, int receive_max);
/* linger_ms: what has been sent may take so long to leave. */
void usi_dealer_close (usi_dealer_t *self, int linger_ms);
#define USI_DEALER_NOT_ADMITTED "the broker does not admit this key"
#define USI_DEALER_NO_HANDSHAKE                                                        \
    "the handshake failed: one side has keys and the other has none, or another key"
/* Reads the monitor: what has become of the connection; NULL: it stands, or is still
 * being made. */
const char *usi_dealer_trouble (usi_dealer_t *self);
/* Something is there to be read. The descriptors tell of changes only: where this holds
 * nobody may sleep on them. */
bool usi_dealer_is_readable (const usi_dealer_t *self);

#endif

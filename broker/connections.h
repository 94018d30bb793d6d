/* SPDX-License-Identifier: MIT
 *
 * The connections that libzmq has accepted and that have not yet become peers: who says no
 * HELLO is cut after a while, and earlier where descriptors run short: the last ones are kept
 * for the store, the private Redis and files. Stands on handle.h and libzmq's monitors. */
#ifndef BROKER_CONNECTIONS_H
#define BROKER_CONNECTIONS_H

#include <czmq.h>

#include "peers/handle.h"
#include "proto/limits.h"

typedef struct connections connections_t;

#define CONNECTIONS_GREETING_MS 10000           /* for handshake and HELLO together */
#define CONNECTIONS_BYTES       USI_MAX_MESSAGE /* before the first message is whole */
#define CONNECTIONS_RESERVE     64 /* descriptors that are not for connections */

connections_t *connections_new (void);
void connections_destroy (connections_t **self_p);
/* Watches what this socket accepts, before it is bound. */
void connections_watch (connections_t *self, zloop_t *loop, void *socket);
/* HELLO came over it: it is a peer's now. */
void connections_greeted (connections_t *self, const handle_t *handle);
/* Cuts those that send a first message without end. */
void connections_cut_endless (connections_t *self);
/* Cuts those that are overdue; how many, with those that were cut since the last call because
 * descriptors ran short or a message had no end. */
size_t connections_cut_silent (connections_t *self, int64_t now_ms);

#endif

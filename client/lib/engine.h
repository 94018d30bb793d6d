/* SPDX-License-Identifier: MIT
 *
 * The engine's turn: mailbox, messages, what is due, what is to be sent. Who takes turns
 * is drive.c's matter; it must be one thread at a time.
 *
 * Stands on connect.h and the parts below it (engine_internal.h). */
#ifndef CLIENT_LIB_ENGINE_H
#define CLIENT_LIB_ENGINE_H

#include "client.h"

bool engine_open (engine_t *self);
/* Does what there is to do, but for messages beyond some hundreds: a caller that drives
 * may have what it waits for. Where no more are left the sockets' descriptors tell of
 * what comes. connect: looks for a broker where there is none. */
void engine_turn (engine_t *self, bool connect);
/* When there is something to do that nobody tells, monotonic ms; INT64_MAX: never. */
int64_t engine_due_ms (const engine_t *self);
/* Lets go of all but the connection. */
void engine_end (engine_t *self);

#endif

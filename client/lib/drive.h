/* SPDX-License-Identifier: MIT
 *
 * Who takes the engine's turns: one driver at a time.
 *
 * By itself that is the engine's thread. But a caller that waits for its only job would
 * be woken by a thread that was woken for it; so such a caller drives until its wait is
 * over, and one that submits while nothing is under way sends by itself. Between such
 * calls nobody drives, so that the next one finds the engine free; whoever then waits
 * otherwise, subscribes, asks or looks has the thread take over at once, and the thread
 * does it by itself after a moment. The lock guards who drives; only the driver touches
 * the engine.
 *
 * All with the client's lock held, but for drive_join. Stands on engine.h. */
#ifndef CLIENT_LIB_DRIVE_H
#define CLIENT_LIB_DRIVE_H

#include <signal.h>

#include "client.h"

/* Makes the engine and starts its thread. */
us_err_t drive_start (us_client_t *client);
/* Waits for the end of the thread, which client->stop asks for, and frees the
 * engine. */
void drive_join (engine_t **self_p);
/* Has the driver look into the mailbox; where nobody drives, the thread does from now
 * on. */
void drive_wake (us_client_t *client);
/* Where nobody drives, has the thread do so from now on: somebody waits for something
 * that only a driver will see. */
void drive_by_thread (us_client_t *client);

/* Makes the caller the driver, where the engine is at rest and not more results than
 * this are under way; false: it is not. The driver then takes turns, which give the
 * lock back meanwhile, and at last calls drive_end; where more results are under way by
 * then the thread takes over at once. */
bool drive_begin (us_client_t *client, size_t under_way);
void drive_turn (us_client_t *client);
/* Sleeps, with this signal mask, until something comes, then takes a turn.
 * US_ERR_TIMEOUT after `end` (monotonic ms, -1: none), US_ERR_INTERRUPTED,
 * US_ERR_SYSTEM. Once the connection is gone only the thread may go on: to look for a
 * broker can take longer than the caller has. */
us_err_t drive_sleep (us_client_t *client, int64_t end, const sigset_t *signals);
void drive_end (us_client_t *client, size_t under_way);

#endif

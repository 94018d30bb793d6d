/* SPDX-License-Identifier: MIT
 *
 * What becomes of accepted jobs: WATCH and UNWATCH, STATE, ENDED, LOGGED.
 *
 * A part of the engine; uses download. */
#ifndef CLIENT_LIB_WATCH_H
#define CLIENT_LIB_WATCH_H

#include "engine_internal.h"

void watch_pump (engine_t *self);
void watch_up (engine_t *self);
void watch_down (engine_t *self);
void watch_tick (engine_t *self, int64_t now);
void watch_on_state (engine_t *self, const usi_msg_t *msg);
void watch_on_ended (engine_t *self, const usi_msg_t *msg);
void watch_on_logged (engine_t *self, const usi_msg_t *msg);

#endif

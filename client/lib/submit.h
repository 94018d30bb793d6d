/* SPDX-License-Identifier: MIT
 *
 * Submitting: jobs travel many in a message, as many as are there, within a window of
 * unacknowledged ones.
 *
 * A part of the engine; uses upload. */
#ifndef CLIENT_LIB_SUBMIT_H
#define CLIENT_LIB_SUBMIT_H

#include "engine_internal.h"

void submit_pump (engine_t *self);
void submit_up (engine_t *self);
void submit_tick (engine_t *self, int64_t now);
void submit_on_submitted (engine_t *self, const usi_msg_t *msg);

#endif

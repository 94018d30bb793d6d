/* SPDX-License-Identifier: MIT
 *
 * Blobs on their way to the broker: asked for first, then put in chunks where missing.
 * What the broker was found to have is remembered for a while, on this connection. Jobs
 * wait for their blobs in PLACE_HELD.
 *
 * A part of the engine; knows no other part. */
#ifndef CLIENT_LIB_UPLOAD_H
#define CLIENT_LIB_UPLOAD_H

#include "engine_internal.h"

/* Whether all blobs of the job are at the broker; those that are not are on their way
 * from now on. */
bool upload_ready (engine_t *self, us_result_t *result);
/* Asks for all blobs of the job anew: the broker says that some are missing. */
void upload_forget (engine_t *self, us_result_t *result);
void upload_pump (engine_t *self);
void upload_down (engine_t *self);
void upload_tick (engine_t *self, int64_t now);
void upload_on_found (engine_t *self, const usi_msg_t *msg);
void upload_on_kept (engine_t *self, const usi_msg_t *msg);
void upload_free (engine_t *self);

#endif

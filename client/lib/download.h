/* SPDX-License-Identifier: MIT
 *
 * Results that are or name blobs: fetched in chunks, checked, and only then shown as the
 * end of their job.
 *
 * A part of the engine; knows no other part. */
#ifndef CLIENT_LIB_DOWNLOAD_H
#define CLIENT_LIB_DOWNLOAD_H

#include "engine_internal.h"

/* Fetches the blob that an item of ENDED names as the body, and its buffers, then ends the
 * job in this state, with this code. With the lock. */
void download_body (engine_t *self, us_result_t *result, const usi_fields_t *item,
                    us_state_t state, us_err_t code);
/* The same where the body came with the item; it is copied. */
void download_buffers (engine_t *self, us_result_t *result, const usi_fields_t *item,
                       us_state_t state, us_err_t code, usi_bytes_t body);
void download_pump (engine_t *self);
void download_down (engine_t *self);
void download_tick (engine_t *self, int64_t now);
void download_on_data (engine_t *self, const usi_msg_t *msg);

#endif

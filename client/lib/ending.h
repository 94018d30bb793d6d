/* SPDX-License-Identifier: MIT
 *
 * How an ended job is shown: its code where the broker gave none, and the words for a
 * failure, which stand in its envelope or come from its numbers of crashes and losses.
 *
 * Stands on record.h and on the messages (common/proto). */
#ifndef CLIENT_LIB_ENDING_H
#define CLIENT_LIB_ENDING_H

#include "record.h"

/* The code of an ended job in this state, from an item of ENDED. */
us_err_t ending_code (us_state_t state, const usi_fields_t *item);
/* Ends it with this body, which becomes its own, and a text made from it. */
void ending_show (us_result_t *result, us_state_t state, us_err_t code, uint8_t *body,
                  size_t body_len);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Asks a Redis whether it is fit to keep jobs: before the loop runs (store_check) and for
 * `doctor` (store_doctor). Stands on health.h, which judges, command.h and redis/ask.h. */
#ifndef BROKER_STORE_CHECK_H
#define BROKER_STORE_CHECK_H

#include "store/store_internal.h"

#define CHECK_SETTINGS 3

/* The settings of which the health consists, besides INFO. */
extern const char *const check_settings[CHECK_SETTINGS];
/* Takes the answer to CONFIG GET. A user without CONFIG gets an error there, which leaves
 * the setting empty. */
void check_take_setting (health_t *health, const usi_reply_t *reply);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The engine's side of questions (question.h): sends CANCEL and QUERY, again after a new
 * WELCOME, and takes the answers.
 *
 * A part of the engine; knows no other part. */
#ifndef CLIENT_LIB_QUESTIONS_H
#define CLIENT_LIB_QUESTIONS_H

#include "engine_internal.h"

void questions_pump (engine_t *self);
void questions_down (engine_t *self);
void questions_tick (engine_t *self, int64_t now);
/* With the lock. */
void questions_fail_all (engine_t *self, us_err_t code, const char *text);
void questions_on_cancelled (engine_t *self, const usi_msg_t *msg);
void questions_on_answer (engine_t *self, const usi_msg_t *msg);
void questions_on_error (engine_t *self, const usi_msg_t *msg);

#endif

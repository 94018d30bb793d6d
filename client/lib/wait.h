/* SPDX-License-Identifier: MIT
 *
 * What callers do with the engine: start it, leave something in its mailbox, and wait for
 * what comes of it. All with the client's lock held, but for result_enter, which takes
 * it.
 *
 * Stands on drive.h, shared.h, record.h and question.h; the API stands on it. */
#ifndef CLIENT_LIB_WAIT_H
#define CLIENT_LIB_WAIT_H

#include "question.h"
#include "record.h"

/* Starts the engine where there is none. US_ERR_CLOSED after us_client_destroy. */
us_err_t client_start (us_client_t *client);

/* Gives the lock back while it waits: until done (arg), or US_ERR_TIMEOUT,
 * US_ERR_INTERRUPTED, US_ERR_CLOSED. timeout_ms: 0: only looks; -1: no end. */
typedef bool client_done_fn (void *arg);
us_err_t client_wait (us_client_t *client, waiter_t **waiters, client_done_fn *done,
                      void *arg, int64_t timeout_ms);

/* Locks the client, and after a fork makes the result this process's. */
us_client_t *result_enter (const us_result_t *result);
/* Leaves a command (WANT_…) in the mailbox. */
us_err_t result_want (us_result_t *result, unsigned wants);
/* Makes sure that the engine tracks a result that has not ended. */
us_err_t result_follow (us_result_t *result);

/* Hands a question to the engine and waits: the answer's code, or why there is none. */
us_err_t question_run (us_client_t *client, question_t *question, int64_t timeout_ms);

#endif

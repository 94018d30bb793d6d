/* SPDX-License-Identifier: MIT
 *
 * The states of a job and what may happen to it: one table, pure. The broker asks it;
 * the function library in Redis, which alone writes a job's state, gets the same table
 * rendered as Lua. docs/states.md shows it. */
#ifndef BROKER_JOB_STATE_H
#define BROKER_JOB_STATE_H

#include <stdbool.h>

#include "base/bytes.h"

/* Numbers are those of us_state_t; they stand in Redis and on the wire. 10 and 11 are
 * kept for BLOCKED and SCHEDULED. NONE is a job that is not there yet. */
/* clang-format off */
#define JOB_STATE_MAP(X)                                                                \
    X (NONE, 0) X (QUEUED, 1) X (LEASED, 2) X (RUNNING, 3) X (BACKOFF, 4)                \
    X (SUCCEEDED, 5) X (FAILED, 6) X (CANCELLED, 7) X (DEAD, 8) X (EXPIRED, 9)
/* clang-format on */

typedef enum job_state {
#define X(name, number) JOB_##name = number,
    JOB_STATE_MAP (X)
#undef X
        JOB__STATES
} job_state_t;

#define JOB_EVENT_MAP(X)                                                               \
    X (SUBMIT, "a client hands it in")                                                 \
    X (CLAIM, "a node takes it")                                                       \
    X (START, "its node says that it runs")                                            \
    X (SUCCEED, "a result")                                                            \
    X (FAIL, "an exception or a failed build, no repeat is left")                      \
    X (RETRY, "an exception, a repeat is left")                                        \
    X (CRASH, "its worker died")                                                       \
    X (POISON, "its worker died for the third time")                                   \
    X (LOSE, "the lease ran out")                                                      \
    X (LOSE_LAST, "the lease ran out for the tenth time")                              \
    X (HAND_BACK, "its node gives it back, uncounted")                                 \
    X (CANCEL, "somebody wants it ended")                                              \
    X (STOPPED, "the end of a cancelled attempt")                                      \
    X (DUE, "the wait is over")                                                        \
    X (EXPIRE, "it did not start in time")

typedef enum job_event {
#define X(name, text) JOB_EV_##name,
    JOB_EVENT_MAP (X)
#undef X
        JOB__EVENTS
} job_event_t;

/* The state after the event, or JOB_NONE: the event is refused there. */
job_state_t job_state_next (job_state_t state, job_event_t event);
bool job_state_is_end (job_state_t state);
/* "QUEUED", "HAND_BACK"; "?" for other numbers. */
const char *job_state_name (int state);
const char *job_event_name (int event);

/* Appends the table as Lua: locals STATE (name -> number), NAME (number -> name of its
 * counter), END (number -> true) and NEXT (number -> event -> number). */
void job_state_render_lua (usi_buf_t *buf);
/* Appends the table as it stands in docs/states.md. */
void job_state_render_markdown (usi_buf_t *buf);

#endif

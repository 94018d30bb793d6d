/* SPDX-License-Identifier: MIT
 *
 * What may happen to a job, and which state follows: one table of states and events. The
 * function library in Redis, which alone writes a job's state, gets the table rendered as
 * Lua; docs/states.md shows it. The states themselves, with their numbers, names and
 * ends, come from US_STATE_MAP. Pure: uses nothing but common/base. */
#ifndef BROKER_STORE_JOB_STATE_H
#define BROKER_STORE_JOB_STATE_H

#include "base/bytes.h"
#include "understudy/understudy.h"

/* The states that stand in Redis are those before this one. US_STATE_UNSENT stands for a
 * job that is not there yet, and as an answer for "refused". */
#define JOB_STATES (US_STATE_EXPIRED + 1)

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
    X (HAND_BACK, "its node hands it back, uncounted")                                 \
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

/* The state after the event, or US_STATE_UNSENT: the event is refused there. */
us_state_t job_state_next (us_state_t state, job_event_t event);
/* "HAND_BACK"; "?" for other numbers. */
const char *job_event_name (int event);

/* Appends the table as Lua: locals STATE (name -> number), NAME (number -> name of its
 * counter), END (number -> true) and NEXT (number -> event -> number). */
void job_state_render_lua (usi_buf_t *buf);
/* Appends the table as it stands in docs/states.md. */
void job_state_render_markdown (usi_buf_t *buf);

#endif

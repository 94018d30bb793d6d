/* SPDX-License-Identifier: MIT
 *
 * The table of worker states: see worker_state.h. */
#include "worker_state.h"

#include "base/mem.h"

#define NO -1

/* Columns: READY, RETIRE, STOP, RESUME, DIED. READY may come late, after the daemon has
 * changed its mind; a worker that was told to end can still have to be killed. */
static const signed char s_table[WORKER_STATES][WORKER_EVENTS] = {
    [WORKER_STARTING] = {WORKER_LIVE, WORKER_ENDING, WORKER_STOPPING, NO, WORKER_GONE},
    [WORKER_LIVE] = {NO, WORKER_ENDING, WORKER_STOPPING, NO, WORKER_GONE},
    [WORKER_ENDING] = {WORKER_ENDING, NO, WORKER_STOPPING, NO, WORKER_GONE},
    [WORKER_STOPPING] = {WORKER_STOPPING, NO, WORKER_STOPPING, WORKER_LIVE,
                         WORKER_GONE},
    [WORKER_GONE] = {NO, NO, NO, NO, NO},
};

static const char *const s_names[WORKER_STATES] = {"starting", "live", "ending",
                                                   "stopping", "gone"};

int worker_next (worker_state_t state, worker_event_t event)
{
    US_ASSERT (state < WORKER_STATES && event < WORKER_EVENTS);
    return s_table[state][event];
}

const char *worker_state_name (worker_state_t state)
{
    return state < WORKER_STATES ? s_names[state] : "?";
}

/* SPDX-License-Identifier: MIT
 *
 * The table of pool states: see pool_state.h. */
#include "pool_state.h"

#include "base/mem.h"

#define NO -1

/* Columns: WANTED, FILLED, FAILED, COOLED. A pool that is being prepared has nothing yet
 * that could go; one that is cold has asked for nothing that could fail or come. */
static const signed char s_table[POOL_STATES][POOL_EVENTS] = {
    [POOL_COLD] = {POOL_PREPARING, NO, NO, NO},
    [POOL_PREPARING] = {NO, POOL_READY, POOL_COLD, NO},
    [POOL_READY] = {NO, NO, POOL_COLD, POOL_COLD},
};

int pool_next (pool_state_t state, pool_event_t event)
{
    US_ASSERT (state < POOL_STATES && event < POOL_EVENTS);
    return s_table[state][event];
}

/* SPDX-License-Identifier: MIT
 *
 * The table. An empty place means: the event has no meaning there. */
#include "conn_state.h"

#include <stddef.h>

#define TO(state) (CONN_##state + 1)

static const unsigned char s_table[CONN__STATES][CONN__EVENTS] = {
    [CONN_IDLE] =
        {
            [CONN_ON_WANTED] = TO (SEEKING),
            [CONN_ON_STOP] = TO (CLOSED),
        },
    [CONN_SEEKING] =
        {
            [CONN_ON_WANTED] = TO (SEEKING),
            [CONN_ON_ADDRESS] = TO (GREETING),
            [CONN_ON_NO_ADDRESS] = TO (PAUSED),
            [CONN_ON_GIVE_UP] = TO (IDLE),
            [CONN_ON_STOP] = TO (CLOSED),
        },
    [CONN_GREETING] =
        {
            [CONN_ON_WANTED] = TO (GREETING),
            [CONN_ON_WELCOME] = TO (READY),
            [CONN_ON_LOST] = TO (SEEKING),
            [CONN_ON_UNKNOWN_PEER] = TO (GREETING),
            [CONN_ON_GIVE_UP] = TO (IDLE),
            [CONN_ON_STOP] = TO (CLOSED),
        },
    [CONN_READY] =
        {
            [CONN_ON_WANTED] = TO (READY),
            [CONN_ON_WELCOME] = TO (READY),
            [CONN_ON_LOST] = TO (SEEKING),
            [CONN_ON_UNKNOWN_PEER] = TO (GREETING),
            [CONN_ON_STOP] = TO (CLOSED),
        },
    [CONN_PAUSED] =
        {
            [CONN_ON_WANTED] = TO (PAUSED),
            [CONN_ON_RETRY] = TO (SEEKING),
            [CONN_ON_GIVE_UP] = TO (IDLE),
            [CONN_ON_STOP] = TO (CLOSED),
        },
    [CONN_CLOSED] =
        {
            [CONN_ON_STOP] = TO (CLOSED),
        },
};

bool conn_next (conn_state_t state, conn_event_t event, conn_state_t *next)
{
    if ((unsigned) state >= CONN__STATES || (unsigned) event >= CONN__EVENTS)
        return false;
    unsigned place = s_table[state][event];
    if (place == 0)
        return false;
    *next = (conn_state_t) (place - 1);
    return true;
}

const char *conn_state_name (conn_state_t state)
{
    static const char *const names[CONN__STATES] = {"IDLE",  "SEEKING", "GREETING",
                                                    "READY", "PAUSED",  "CLOSED"};
    return (unsigned) state < CONN__STATES ? names[state] : "?";
}

const char *conn_event_name (conn_event_t event)
{
    static const char *const names[CONN__EVENTS] = {"WANTED",     "ADDRESS",
                                                    "NO_ADDRESS", "WELCOME",
                                                    "LOST",       "UNKNOWN_PEER",
                                                    "RETRY",      "GIVE_UP",
                                                    "STOP"};
    return (unsigned) event < CONN__EVENTS ? names[event] : "?";
}

/* SPDX-License-Identifier: MIT
 *
 * The table: see conn_state.h. An empty place means that the event has no meaning in that
 * state. */
#include "net/conn_state.h"

#include <stddef.h>

#define TO(state) (USI_CONN_##state + 1)

static const unsigned char s_table[USI_CONN__STATES][USI_CONN__EVENTS] = {
    [USI_CONN_IDLE] =
        {
            [USI_CONN_ON_WANTED] = TO (SEEKING),
            [USI_CONN_ON_STOP] = TO (CLOSED),
        },
    [USI_CONN_SEEKING] =
        {
            [USI_CONN_ON_WANTED] = TO (SEEKING),
            [USI_CONN_ON_ADDRESS] = TO (GREETING),
            [USI_CONN_ON_NO_ADDRESS] = TO (PAUSED),
            [USI_CONN_ON_GIVE_UP] = TO (IDLE),
            [USI_CONN_ON_STOP] = TO (CLOSED),
        },
    [USI_CONN_GREETING] =
        {
            [USI_CONN_ON_WANTED] = TO (GREETING),
            [USI_CONN_ON_WELCOME] = TO (READY),
            [USI_CONN_ON_LOST] = TO (SEEKING),
            [USI_CONN_ON_GIVE_UP] = TO (IDLE),
            [USI_CONN_ON_STOP] = TO (CLOSED),
        },
    [USI_CONN_READY] =
        {
            [USI_CONN_ON_WANTED] = TO (READY),
            [USI_CONN_ON_LOST] = TO (SEEKING),
            [USI_CONN_ON_UNKNOWN_PEER] = TO (GREETING),
            [USI_CONN_ON_STOP] = TO (CLOSED),
        },
    [USI_CONN_PAUSED] =
        {
            [USI_CONN_ON_WANTED] = TO (PAUSED),
            [USI_CONN_ON_RETRY] = TO (SEEKING),
            [USI_CONN_ON_GIVE_UP] = TO (IDLE),
            [USI_CONN_ON_STOP] = TO (CLOSED),
        },
    [USI_CONN_CLOSED] =
        {
            [USI_CONN_ON_STOP] = TO (CLOSED),
        },
};

bool usi_conn_next (usi_conn_state_t state, usi_conn_event_t event,
                    usi_conn_state_t *next)
{
    if ((unsigned) state >= USI_CONN__STATES || (unsigned) event >= USI_CONN__EVENTS)
        return false;
    unsigned place = s_table[state][event];
    if (place == 0)
        return false;
    *next = (usi_conn_state_t) (place - 1);
    return true;
}

const char *usi_conn_state_name (usi_conn_state_t state)
{
    static const char *const names[USI_CONN__STATES] = {"IDLE",  "SEEKING", "GREETING",
                                                        "READY", "PAUSED",  "CLOSED"};
    return (unsigned) state < USI_CONN__STATES ? names[state] : "?";
}

const char *usi_conn_event_name (usi_conn_event_t event)
{
    static const char *const names[USI_CONN__EVENTS] = {"WANTED",     "ADDRESS",
                                                        "NO_ADDRESS", "WELCOME",
                                                        "LOST",       "UNKNOWN_PEER",
                                                        "RETRY",      "GIVE_UP",
                                                        "STOP"};
    return (unsigned) event < USI_CONN__EVENTS ? names[event] : "?";
}

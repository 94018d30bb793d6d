/* SPDX-License-Identifier: MIT
 *
 * Names of job states (docs/protocol.md section 5), public and shared by all. */
#include "understudy/understudy.h"

const char *us_state_name (int state)
{
    switch (state) {
    case US_STATE_UNSENT: return "UNSENT";
    case US_STATE_QUEUED: return "QUEUED";
    case US_STATE_LEASED: return "LEASED";
    case US_STATE_RUNNING: return "RUNNING";
    case US_STATE_BACKOFF: return "BACKOFF";
    case US_STATE_SUCCEEDED: return "SUCCEEDED";
    case US_STATE_FAILED: return "FAILED";
    case US_STATE_CANCELLED: return "CANCELLED";
    case US_STATE_DEAD: return "DEAD";
    case US_STATE_EXPIRED: return "EXPIRED";
    case US_STATE_REFUSED: return "REFUSED";
    default: return "?";
    }
}

bool us_state_is_end (int state)
{
    return (state >= US_STATE_SUCCEEDED && state <= US_STATE_EXPIRED) ||
           state == US_STATE_REFUSED;
}

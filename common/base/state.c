/* SPDX-License-Identifier: MIT
 *
 * Names and ends of the states of a job, made from US_STATE_MAP: public, and used by all
 * parts. */
#include "understudy/understudy.h"

const char *us_state_name (int state)
{
    switch (state) {
#define X(name, number, is_end)                                                        \
    case number: return #name;
        US_STATE_MAP (X)
#undef X
    default: return "?";
    }
}

bool us_state_is_end (int state)
{
#define X(name, number, is_end) | (unsigned) (is_end) << (number)
    static const unsigned ends = 0 US_STATE_MAP (X);
#undef X
    return state >= 0 && state < 32 && (ends >> state & 1);
}

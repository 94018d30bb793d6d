/* SPDX-License-Identifier: MIT
 *
 * The table of places: see place.h. */
#include "place.h"

#define TO(place) (1u << PLACE_##place)

/* Every place may be left for good: when nobody holds the job any more, when it was
 * refused or cancelled, when its end is known, and when the engine ends. A job is
 * accepted from every place before PLACE_WATCHED, since the answer may be to a SUBMIT
 * that was sent earlier. */
static const unsigned s_table[PLACE__COUNT] = {
    [PLACE_NONE] = TO (READY) | TO (ANNOUNCE),
    [PLACE_READY] = TO (HELD) | TO (SENT) | TO (WATCHED) | TO (NONE),
    [PLACE_HELD] = TO (READY) | TO (DELAYED) | TO (WATCHED) | TO (NONE),
    [PLACE_SENT] = TO (READY) | TO (DELAYED) | TO (WATCHED) | TO (NONE),
    [PLACE_DELAYED] = TO (READY) | TO (WATCHED) | TO (NONE),
    [PLACE_ANNOUNCE] =
        TO (ANNOUNCE) | TO (WATCHED) | TO (FETCHING) | TO (READY) | TO (NONE),
    [PLACE_WATCHED] =
        TO (ANNOUNCE) | TO (WATCHED) | TO (FETCHING) | TO (READY) | TO (NONE),
    [PLACE_FETCHING] = TO (ANNOUNCE) | TO (WATCHED) | TO (NONE),
};

bool place_may_follow (place_t from, place_t to)
{
    return (unsigned) from < PLACE__COUNT && (unsigned) to < PLACE__COUNT &&
           (s_table[from] >> to & 1);
}

/* SPDX-License-Identifier: MIT
 *
 * The table of places: see place.h. */
#include "place.h"

#define TO(place) (1u << PLACE_##place)

/* Every place may be left for good: nobody holds the job any more, it was refused or
 * cancelled, its end is known, or the engine ends. What is answered may have been sent
 * before, so a job is accepted from wherever it waits to be sent. */
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

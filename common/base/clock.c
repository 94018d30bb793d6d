/* SPDX-License-Identifier: MIT
 *
 * Clocks: see clock.h. */
#include "base/clock.h"

#include <time.h>

#include "base/id.h"

static int64_t s_us (clockid_t clock)
{
    struct timespec now;
    clock_gettime (clock, &now);
    return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t usi_now_us (void)
{
    return s_us (CLOCK_MONOTONIC);
}

int64_t usi_now_ms (void)
{
    return s_us (CLOCK_MONOTONIC) / 1000;
}

int64_t usi_wall_ms (void)
{
    return s_us (CLOCK_REALTIME) / 1000;
}

int64_t usi_jitter_ms (int64_t ms)
{
    int64_t span = ms * 2 / 5;
    return ms - span / 2 + (int64_t) (usi_random64 () % (uint64_t) (span + 1));
}

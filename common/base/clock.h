/* SPDX-License-Identifier: MIT
 *
 * Monotonic milliseconds for intervals, wall clock only for what is stored or shown. */
#ifndef COMMON_BASE_CLOCK_H
#define COMMON_BASE_CLOCK_H

#include <stdint.h>

int64_t usi_now_ms (void);  /* CLOCK_MONOTONIC */
int64_t usi_now_us (void);  /* CLOCK_MONOTONIC */
int64_t usi_wall_ms (void); /* since 1970 */
/* A value within ±20 % of ms, so that many hosts do not act together. */
int64_t usi_jitter_ms (int64_t ms);

#endif

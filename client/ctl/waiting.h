/* SPDX-License-Identifier: MIT
 *
 * Somebody waits for a job: after a second they are told what for, and again when that changes.
 * Stands on ask, json. */
#ifndef CTL_WAITING_H
#define CTL_WAITING_H

#include "ctl.h"

/* All zero but for these two: it has just begun. */
typedef struct waiting {
    ctl_t *ctl;
    us_result_t *result;
    char said[32]; /* the reason that was told last */
    unsigned looks;
} waiting_t;

/* How long to wait before waiting_look. */
int64_t waiting_pause_ms (const waiting_t *self);
/* One line on stderr, where there is something new to say; not with UNDERSTUDY_QUIET=1. */
void waiting_look (waiting_t *self);

#endif

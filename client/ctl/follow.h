/* SPDX-License-Identifier: MIT
 *
 * Printing a log as it grows.
 *
 * Stands on ctl.h, output.h, json.h and text.h. */
#ifndef CLIENT_CTL_FOLLOW_H
#define CLIENT_CTL_FOLLOW_H

#include <stdio.h>

#include "ctl.h"
#include "waiting.h"

#define FOLLOW_TO_THE_END UINT64_MAX

typedef struct follow {
    us_result_t *result;
    int stream; /* US_STREAM_… */
    FILE *to;
    bool raw; /* control characters as they are */
    uint64_t
        end; /* print up to here; FOLLOW_TO_THE_END waits until the job has ended */
    waiting_t *waiting; /* tells why nothing comes; needed with FOLLOW_TO_THE_END */
} follow_t;

/* EXIT_DONE once printed, or the exit code after saying why not. */
int follow_log (ctl_t *ctl, const follow_t *follow);

#endif

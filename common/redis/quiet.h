/* SPDX-License-Identifier: MIT
 *
 * hiredis writes with write(2), which raises SIGPIPE where Redis is gone. The
 * disposition of the process is not ours to change (libunderstudy lives in somebody
 * else's, children inherit it), so the signal is held back around each write. */
#ifndef COMMON_REDIS_QUIET_H
#define COMMON_REDIS_QUIET_H

#include <signal.h>
#include <stdbool.h>

typedef struct usi_quiet {
    sigset_t before;
    bool pending; /* one was waiting already: not ours */
} usi_quiet_t;

void usi_quiet_begin (usi_quiet_t *self);
/* lost: the write failed, so a signal may have to be taken away. */
void usi_quiet_end (usi_quiet_t *self, bool lost);

#endif

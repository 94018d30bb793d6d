/* SPDX-License-Identifier: MIT */
#include "redis/quiet.h"

#include <pthread.h>
#include <time.h>

static bool s_is_pending (void)
{
    sigset_t pending;
    return sigpending (&pending) == 0 && sigismember (&pending, SIGPIPE) == 1;
}

static void s_only_sigpipe (sigset_t *set)
{
    sigemptyset (set);
    sigaddset (set, SIGPIPE);
}

void usi_quiet_begin (usi_quiet_t *self)
{
    sigset_t sigpipe;
    s_only_sigpipe (&sigpipe);
    pthread_sigmask (SIG_BLOCK, &sigpipe, &self->before);
    /* only where it was blocked before can an old one be waiting */
    self->pending = sigismember (&self->before, SIGPIPE) == 1 && s_is_pending ();
}

void usi_quiet_end (usi_quiet_t *self, bool lost)
{
    sigset_t sigpipe;
    struct timespec now = {0};
    s_only_sigpipe (&sigpipe);
    if (lost && !self->pending)
        while (s_is_pending () && sigtimedwait (&sigpipe, NULL, &now) == -1)
            ;
    pthread_sigmask (SIG_SETMASK, &self->before, NULL);
}

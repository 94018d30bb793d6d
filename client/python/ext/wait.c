/* SPDX-License-Identifier: MIT
 *
 * Waiting without the interpreter lock, with Ctrl-C answered at once. */
#include "core.h"

#include <time.h>

static int64_t s_now_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

us_err_t core_wait (core_wait_fn *fn, void *args, int64_t timeout_ms)
{
    /* One more: the clock's milliseconds are cut off, and no wait ends early. */
    const int64_t deadline = timeout_ms > 0 ? s_now_ms () + timeout_ms + 1 : 0;
    int64_t left = timeout_ms;
    for (;;) {
        us_err_t err;
        Py_BEGIN_ALLOW_THREADS err = fn (args, left);
        Py_END_ALLOW_THREADS if (err != US_ERR_INTERRUPTED ||
                                 PyErr_CheckSignals () < 0) return err;
        if (timeout_ms > 0) {
            left = deadline - s_now_ms ();
            left = left > 0 ? left : 0;
        }
    }
}

/* SPDX-License-Identifier: MIT
 *
 * Waiting without the interpreter lock, with Ctrl-C answered at once.
 *
 * A signal interrupts a wait only where it comes to this very thread while that sleeps;
 * one that another thread took, or that came while this one handled messages, would go
 * unnoticed until the wait ends. So the main thread waits in parts and looks between
 * them. */
#include "core.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PART_MS 200 /* the longest that a signal may go unnoticed */

static int64_t s_now_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Where Python runs the handlers of signals, unless the interpreter is embedded. */
static bool s_is_main_thread (void)
{
    return syscall (SYS_gettid) == getpid ();
}

static us_err_t s_run (core_wait_fn *fn, void *args, int64_t timeout_ms, bool in_parts)
{
    /* One more: the clock's milliseconds are cut off, and no wait ends early. */
    const int64_t deadline =
        timeout_ms < 0 ? INT64_MAX : s_now_ms () + timeout_ms + (timeout_ms > 0);
    for (;;) {
        us_err_t err;
        const int64_t begin = s_now_ms ();
        const int64_t left = deadline > begin ? deadline - begin : 0;
        const bool part = in_parts && left > PART_MS;
        const int64_t limit = part ? PART_MS : timeout_ms < 0 ? -1 : left;
        Py_BEGIN_ALLOW_THREADS err = fn (args, limit);
        Py_END_ALLOW_THREADS
            /* A refused job may have this code at once. */
            const bool over =
                part && err == US_ERR_TIMEOUT && s_now_ms () - begin >= PART_MS;
        if (err != US_ERR_INTERRUPTED && !over)
            return err;
        if (PyErr_CheckSignals () < 0)
            return US_ERR_INTERRUPTED;
    }
}

us_err_t core_wait_whole (core_wait_fn *fn, void *args, int64_t timeout_ms)
{
    return s_run (fn, args, timeout_ms, false);
}

us_err_t core_wait (core_wait_fn *fn, void *args, int64_t timeout_ms)
{
    return s_run (fn, args, timeout_ms, s_is_main_thread ());
}

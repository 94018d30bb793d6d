/* SPDX-License-Identifier: MIT
 *
 * ThreadSanitizer, for tests that use sockets: libzmq is not instrumented, so it is not
 * seen how it hands memory from one thread to another. Included by one file of a
 * program. */
#ifndef TESTS_UNIT_TSAN_H
#define TESTS_UNIT_TSAN_H

const char *__tsan_default_suppressions (void);
const char *__tsan_default_options (void);

const char *__tsan_default_suppressions (void)
{
    return "called_from_lib:libzmq.so\nrace:libzmq.so\nrace:libstdc++.so\n";
}

/* A test forks, as programs do. */
const char *__tsan_default_options (void)
{
    return "die_after_fork=0";
}

#endif

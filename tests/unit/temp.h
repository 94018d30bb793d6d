/* SPDX-License-Identifier: MIT
 *
 * Where tests put files: under TMPDIR, in which scripts/test looks for what is left. */
#ifndef TESTS_UNIT_TEMP_H
#define TESTS_UNIT_TEMP_H

#include <stdio.h>
#include <stdlib.h>

/* A template for mkdtemp and mkstemp; short, for unix sockets. */
static inline void temp_template (char *path, size_t size)
{
    const char *folder = getenv ("TMPDIR");
    if (snprintf (path, size, "%s/us-test-XXXXXX", folder ? folder : "/tmp") >=
        (int) size)
        abort ();
}

#endif

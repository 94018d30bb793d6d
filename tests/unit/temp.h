/* SPDX-License-Identifier: MIT
 *
 * Where tests put files: under TMPDIR, in which scripts/test looks for what is left;
 * under /tmp where that is too long for a unix socket. */
#ifndef TESTS_UNIT_TEMP_H
#define TESTS_UNIT_TEMP_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A template for mkdtemp and mkstemp. */
static inline void temp_template (char *path, size_t size)
{
    const char name[] = "/us-test-XXXXXX", *folder = getenv ("TMPDIR");
    if (!folder || !*folder || strlen (folder) + sizeof name > size)
        folder = "/tmp";
    snprintf (path, size, "%s%s", folder, name);
}

#endif

/* SPDX-License-Identifier: MIT
 *
 * Allocation that aborts, and assertions: see mem.h. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *s_check (void *pointer, size_t size, const char *file, int line)
{
    if (!pointer && size > 0) {
        fprintf (stderr, "out of memory: %zu bytes at %s:%d\n", size, file, line);
        abort ();
    }
    return pointer;
}

void *usi_alloc_at (size_t size, const char *file, int line)
{
    return s_check (calloc (1, size ? size : 1), size, file, line);
}

void *usi_realloc_at (void *pointer, size_t size, const char *file, int line)
{
    return s_check (realloc (pointer, size ? size : 1), size, file, line);
}

char *usi_strdup_at (const char *text, const char *file, int line)
{
    return s_check (strdup (text), strlen (text) + 1, file, line);
}

char *usi_sprintf (const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start (args, format);
    int len = vasprintf (&text, format, args);
    va_end (args);
    return s_check (len < 0 ? NULL : text, 1, __FILE__, __LINE__);
}

_Noreturn void usi_assert_failed (const char *condition, const char *file, int line)
{
    fprintf (stderr, "assertion failed: %s at %s:%d\n", condition, file, line);
    abort ();
}

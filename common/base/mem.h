/* SPDX-License-Identifier: MIT
 *
 * Allocation for the daemons and ctl, which abort with size and place when memory ends:
 * there is nothing better to do there, and every accepted job is on disk. Not for
 * libunderstudy, which lives in somebody else's process. Also US_ASSERT, for our own
 * logic only; it stays in release builds. */
#ifndef COMMON_BASE_MEM_H
#define COMMON_BASE_MEM_H

#include <stddef.h>

#define usi_alloc(size) usi_alloc_at ((size), __FILE__, __LINE__) /* zeroed */
#define usi_realloc(pointer, size)                                                     \
    usi_realloc_at ((pointer), (size), __FILE__, __LINE__)
#define usi_strdup(text) usi_strdup_at ((text), __FILE__, __LINE__)
#define usi_new(type)    ((type *) usi_alloc (sizeof (type)))

void *usi_alloc_at (size_t size, const char *file, int line);
void *usi_realloc_at (void *pointer, size_t size, const char *file, int line);
char *usi_strdup_at (const char *text, const char *file, int line);
/* Formatted text; the caller frees it. */
char *usi_sprintf (const char *format, ...) __attribute__ ((format (printf, 1, 2)));

#define US_ASSERT(condition)                                                           \
    do {                                                                               \
        if (!(condition))                                                              \
            usi_assert_failed (#condition, __FILE__, __LINE__);                        \
    } while (0)

_Noreturn void usi_assert_failed (const char *condition, const char *file, int line);

#endif

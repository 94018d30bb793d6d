/* SPDX-License-Identifier: MIT
 *
 * Memory, which is there or ends the process: a command cannot go on without it, and
 * nobody else lives in this process. What is returned is the caller's to free.
 *
 * A leaf: stands on exit.h. */
#ifndef CLIENT_CTL_MEM_H
#define CLIENT_CTL_MEM_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

/* Says that there is no memory and ends the process. */
_Noreturn void mem_none (void);
/* Zeroed. */
void *mem_alloc (size_t size);
char *mem_printf (const char *format, ...) __attribute__ ((format (printf, 1, 2)));
char *mem_vprintf (const char *format, va_list args)
    __attribute__ ((format (printf, 1, 0)));

/* A text that is printed piece by piece, into stream, between begin and end. */
typedef struct mem_text {
    FILE *stream;
    char *text;
    size_t size;
} mem_text_t;

void mem_text_begin (mem_text_t *self);
char *mem_text_end (mem_text_t *self);

#endif

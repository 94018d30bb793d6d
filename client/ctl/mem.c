/* SPDX-License-Identifier: MIT
 *
 * Memory or the end: see mem.h. */
#include "mem.h"

#include <stdlib.h>
#include <unistd.h>

#include "exit.h"

void mem_none (void)
{
    fputs ("understudy-ctl: out of memory\n", stderr);
    _exit (EXIT_INTERNAL);
}

void *mem_alloc (size_t size)
{
    void *memory = calloc (1, size ? size : 1);
    if (!memory)
        mem_none ();
    return memory;
}

char *mem_vprintf (const char *format, va_list args)
{
    char *text = NULL;
    if (vasprintf (&text, format, args) < 0)
        mem_none ();
    return text;
}

char *mem_printf (const char *format, ...)
{
    va_list args;
    va_start (args, format);
    char *text = mem_vprintf (format, args);
    va_end (args);
    return text;
}

void mem_text_begin (mem_text_t *self)
{
    self->text = NULL;
    self->stream = open_memstream (&self->text, &self->size);
    if (!self->stream)
        mem_none ();
}

char *mem_text_end (mem_text_t *self)
{
    if (fclose (self->stream) != 0)
        mem_none ();
    return self->text;
}

/* SPDX-License-Identifier: MIT
 *
 * The interpreters that a node offers. Each is asked once, at start, what it is;
 * what is not a CPython of at least 3.9 with an interpreter lock and the venv module
 * is refused with the reason. */
#ifndef NODE_HOST_PYTHON_H
#define NODE_HOST_PYTHON_H

#include <stddef.h>

#include "base/bytes.h"
#include "understudy/error.h"

typedef struct python {
    char *path;       /* as given or found */
    char *executable; /* links resolved: part of an environment's key */
    char *version;    /* "3.11.2" */
    char *minor;      /* "3.11" */
    char *platform;   /* "linux-x86_64 cpython-311-x86_64-linux-gnu" */
    int pip;          /* pip's version as major * 100 + minor; 0: it has none */
    int has_ensurepip;
} python_t;

/* path: a file, or a name to be looked up in PATH. US_ERR_CONFIG: *why is a line for
 * the operator; the caller frees it. */
us_err_t python_probe (python_t *python, const char *path, char **why);
void python_clear (python_t *python);
/* The interpreter where none was named; the caller frees it. NULL: there is none. */
char *python_default (void);
/* An executable file of that name in PATH; the caller frees it. NULL: there is none. */
char *python_find_program (const char *name);
/* The one that a job needs: "3.11", or "" for the first. NULL: not offered. */
const python_t *python_choose (const python_t *pythons, size_t count,
                               usi_bytes_t minor);

#endif

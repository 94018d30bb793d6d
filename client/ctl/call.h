/* SPDX-License-Identifier: MIT
 *
 * A call as it is typed: jobs.py:add '[1, 2]' '{"k": 1}'.
 *
 * Stands on ctl.h, json.h and mem.h. */
#ifndef CLIENT_CTL_CALL_H
#define CLIENT_CTL_CALL_H

#include "ctl.h"

/* Zero-initialise. */
typedef struct call {
    char *path;           /* of the file, whole */
    char *source;         /* its text */
    const char *function; /* borrowed from the arguments */
    us_writer_t *args;    /* msgpack of [positional array, keyword map] */
} call_t;

/* Reads the file and the JSON behind it: nothing, an array, an object, or both in this
 * order. EXIT_DONE, or EXIT_USAGE after saying what is wrong. */
int call_parse (call_t *call, char *const *args, int count);
void call_clear (call_t *call);

#endif

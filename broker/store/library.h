/* SPDX-License-Identifier: MIT
 *
 * The function library as it is loaded into Redis: a generated head (the hash, the table
 * of states, error numbers, opcodes) and the sources of functions/. The name of the
 * library carries the hash, so that brokers of several versions can share a Redis.
 * Stands on job_state.h and opcode.h. */
#ifndef BROKER_STORE_LIBRARY_H
#define BROKER_STORE_LIBRARY_H

#include "base/bytes.h"

/* functions/ in the order of their names, embedded by embed.cmake. */
extern const char *const store_functions_lua;

/* 8 hex digits over all that follows the line with the hash. */
void store_library_hash (char hash[9]);
/* The command that loads it. source gets the whole library, "#!lua name=understudy_HASH"
 * first, and outlives args. */
void store_library_load (usi_buf_t *source, usi_bytes_t args[4]);

#endif

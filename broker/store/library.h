/* SPDX-License-Identifier: MIT
 *
 * The function library as it is loaded into Redis: a generated head (the table of
 * states, error numbers, opcodes, the hash) and the sources of functions/. Its name carries the
 * hash, so brokers of several versions get on with one Redis. */
#ifndef BROKER_STORE_LIBRARY_H
#define BROKER_STORE_LIBRARY_H

#include "base/bytes.h"

/* functions/ in the order of their names, embedded by embed.cmake. */
extern const char *const store_functions_lua;

/* 8 hex digits over all that follows the line with the hash. */
void store_library_hash (char hash[9]);
/* Appends the whole library, "#!lua name=understudy_HASH" first. */
void store_library_source (usi_buf_t *buf);

#endif

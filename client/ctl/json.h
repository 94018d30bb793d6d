/* SPDX-License-Identifier: MIT
 *
 * Between msgpack and JSON: rows of answers, values of results, arguments of calls. Rows
 * become JSON objects first, whether they are printed as JSON or as a table.
 *
 * Stands on text.h and mem.h. */
#ifndef CLIENT_CTL_JSON_H
#define CLIENT_CTL_JSON_H

#include <jansson.h>
#include <stddef.h>
#include <understudy/understudy.h>

/* A row: ids as UUIDs, states by name, nodes and brokers as they are written elsewhere
 * (hex), other bytes as hex. An empty object where the row is malformed. New reference. */
json_t *json_from_row (const void *data, size_t len);
json_t *json_from_query (const us_query_t *query, size_t row);
/* Any value. What JSON has no form for: bytes {"bytes": hex}, an integer beyond 64 bits
 * signed and a number that is not finite as text, a key that is no text by its JSON, one
 * that is an array or a map by its msgpack in hex. NULL where malformed or nested deeper
 * than 64. New reference. */
json_t *json_from_value (const void *data, size_t len);
/* Text that need not be UTF-8; what is not becomes U+FFFD. New reference. */
json_t *json_from_text (const char *text, size_t len);
/* Writes a JSON value as msgpack. */
void json_write (us_writer_t *writer, const json_t *value);

#endif

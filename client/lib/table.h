/* SPDX-License-Identifier: MIT
 *
 * Tracked results by id. Several may have the same id (the same job opened twice), so a
 * look-up is a walk. Ids are random, so some of their bytes are the hash.
 *
 * Stands on record.h. */
#ifndef CLIENT_LIB_TABLE_H
#define CLIENT_LIB_TABLE_H

#include "record.h"

typedef struct table {
    us_result_t **slots;
    size_t slots_len; /* a power of two, or 0 */
    size_t len;
} table_t;

void table_free (table_t *table);
bool table_add (table_t *table, us_result_t *result); /* false: out of memory */
void table_remove (table_t *table, us_result_t *result);
/* The first result with this id; the next one with the id of result. */
us_result_t *table_find (const table_t *table, const us_id_t *id);
us_result_t *table_next (const us_result_t *result);
/* Any result; NULL: the table is empty. */
us_result_t *table_any (const table_t *table);

#endif

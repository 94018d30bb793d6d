/* SPDX-License-Identifier: MIT
 *
 * The table: see table.h. */
#include "table.h"

#include <stdlib.h>

static us_result_t **s_slot (const table_t *table, const us_id_t *id)
{
    return &table->slots[usi_get_be (id->bytes, 6) & (table->slots_len - 1)];
}

void table_free (table_t *table)
{
    free (table->slots);
    *table = (table_t){0};
}

static bool s_grow (table_t *table)
{
    table_t grown = {.slots_len = table->slots_len ? table->slots_len * 2 : 64,
                     .len = table->len};
    grown.slots = calloc (grown.slots_len, sizeof *grown.slots);
    if (!grown.slots)
        return false;
    for (size_t i = 0; i < table->slots_len; i++) {
        us_result_t *next;
        for (us_result_t *result = table->slots[i]; result; result = next) {
            us_result_t **slot = s_slot (&grown, &result->id);
            next = result->next_in_table;
            result->next_in_table = *slot;
            *slot = result;
        }
    }
    free (table->slots);
    *table = grown;
    return true;
}

bool table_add (table_t *table, us_result_t *result)
{
    if (table->len >= table->slots_len && !s_grow (table))
        return false;
    us_result_t **slot = s_slot (table, &result->id);
    result->next_in_table = *slot;
    *slot = result;
    table->len++;
    return true;
}

void table_remove (table_t *table, us_result_t *result)
{
    us_result_t **at = table->slots_len ? s_slot (table, &result->id) : NULL;
    while (at && *at && *at != result)
        at = &(*at)->next_in_table;
    if (!at || !*at)
        return;
    *at = result->next_in_table;
    result->next_in_table = NULL;
    table->len--;
}

static us_result_t *s_match (us_result_t *result, const us_id_t *id)
{
    while (result && !usi_id_equal (&result->id, id))
        result = result->next_in_table;
    return result;
}

us_result_t *table_find (const table_t *table, const us_id_t *id)
{
    return table->slots_len ? s_match (*s_slot (table, id), id) : NULL;
}

us_result_t *table_next (const us_result_t *result)
{
    return s_match (result->next_in_table, &result->id);
}

us_result_t *table_any (const table_t *table)
{
    for (size_t i = 0; i < table->slots_len; i++)
        if (table->slots[i])
            return table->slots[i];
    return NULL;
}

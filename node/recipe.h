/* SPDX-License-Identifier: MIT
 *
 * What a job specification asks for, decoded and checked once: jobs of one function
 * carry the same bytes, so the next one is looked up. Counted, for jobs outlive the
 * lookup table's interest in them. */
#ifndef NODE_RECIPE_H
#define NODE_RECIPE_H

#include "node.h"

struct recipe {
    recipe_t *next; /* in the node's table, last used first */
    unsigned refs;  /* jobs, and the table */
    usi_bytes_t spec;
    us_err_t error; /* not US_OK: such jobs fail at once, with why */
    char *why;
    bool shell;
    bool fresh;
    char *name;
    uint32_t soft_ms, hard_ms;
    bool has_blob; /* the body is this blob */
    uint8_t blob[USI_DIGEST_LEN];
    uint64_t size;
    pool_t *pool;
};

/* One more owner. */
recipe_t *recipe_get (node_t *node, usi_bytes_t spec);
void recipe_drop (recipe_t *recipe);
void recipes_clear (node_t *node);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Programs: see program.h. */
#include "program.h"

#include <stdlib.h>

#include "base/mem.h"

/* What of a specification belongs to the program. */
static void s_write (const usi_fields_t *spec, usi_buf_t *words)
{
    usi_fields_t fields = {0};
    if (spec->owner)
        USI_SET (&fields, OWNER, owner, spec->owner);
    if (usi_has (spec, USI_F_KEY))
        USI_SET (&fields, KEY, key, spec->key);
    if (usi_has (spec, USI_F_ENV))
        USI_SET (&fields, ENV, env, spec->env);
    if (usi_has (spec, USI_F_CWD))
        USI_SET (&fields, CWD, cwd, spec->cwd);
    usi_fields_encode (&fields, words);
}

static program_t *s_new (node_t *node, env_t *env, usi_bytes_t words, bool fresh)
{
    program_t *self = usi_new (program_t);
    *self = (program_t){.node = node,
                        .next = node->programs,
                        .env = env,
                        .fresh = fresh,
                        .words = usi_bytes_dup (words)};
    node->programs = self;
    return self;
}

program_t *program_get (node_t *node, env_t *env, const usi_fields_t *spec, bool fresh)
{
    usi_buf_t buf = {0};
    s_write (spec, &buf);
    usi_bytes_t words = usi_buf_bytes (&buf);
    program_t *self = node->programs;
    while (self && !(self->env == env && self->fresh == fresh &&
                     usi_bytes_equal (self->words, words)))
        self = self->next;
    if (!self)
        self = s_new (node, env, words, fresh);
    self->refs++;
    usi_buf_free (&buf);
    return self;
}

void program_drop (program_t *self)
{
    if (--self->refs > 0)
        return;
    program_t **at = &self->node->programs;
    while (*at != self)
        at = &(*at)->next;
    *at = self->next;
    free ((void *) self->words.data);
    free (self);
}

unsigned programs_env_workers (const node_t *node, const env_t *env)
{
    unsigned count = 0;
    for (const program_t *at = node->programs; at; at = at->next)
        if (at->env == env)
            count += at->workers;
    return count;
}

/* SPDX-License-Identifier: MIT
 *
 * Job specifications: see recipe.h. */
#include "recipe.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "pool.h"

#define TABLE_MAX 64 /* kinds of jobs at a time */

void recipe_drop (recipe_t *recipe)
{
    if (--recipe->refs > 0)
        return;
    if (recipe->pool)
        recipe->pool->refs--;
    free ((void *) recipe->spec.data);
    free (recipe->why);
    free (recipe->name);
    free (recipe);
}

static void s_refuse (recipe_t *recipe, us_err_t code, char *why)
{
    recipe->error = code;
    recipe->why = why;
}

/* The pool that its jobs run in; where there is none recipe->error says why. */
static void s_choose_pool (node_t *node, recipe_t *recipe, const usi_fields_t *spec)
{
    const node_options_t *options = &node->options;
    const python_t *python =
        python_choose (options->pythons, options->pythons_len, spec->python);
    if (!python) {
        s_refuse (recipe, US_ERR_PYTHON_VERSION,
                  usi_sprintf ("this node has no Python %.*s", (int) spec->python.len,
                               (const char *) spec->python.data));
        return;
    }
    env_request_t request;
    char *why = NULL;
    us_err_t err = env_request_make (&request, &spec->packages, &spec->constraints,
                                     python, options->index_url, &why);
    if (err != US_OK)
        s_refuse (recipe, err, why);
    else
        recipe->pool = pool_get (node, envs_get (node->envs, &request), &spec->blobs,
                                 recipe->fresh);
    if (recipe->pool)
        recipe->pool->refs++;
}

static void s_decode (node_t *node, recipe_t *recipe)
{
    usi_fields_t spec = {0};
    const char *why = NULL;
    us_err_t err = usi_fields_decode (&spec, recipe->spec, &why);
    if (err == US_OK && !usi_has (&spec, USI_F_KIND)) {
        err = US_ERR_PROTOCOL;
        why = "it has no kind";
    }
    if (err != US_OK) {
        s_refuse (recipe, err,
                  usi_sprintf ("the job's specification is malformed: %s",
                               why ? why : ""));
        return;
    }
    recipe->shell = usi_bytes_equal (spec.kind, usi_bytes_of ("shell"));
    recipe->fresh = usi_bytes_equal (spec.isolation, usi_bytes_of ("fresh"));
    recipe->name = usi_bytes_dup_text (spec.name);
    recipe->soft_ms =
        (uint32_t) (spec.soft_ms < UINT32_MAX ? spec.soft_ms : UINT32_MAX);
    recipe->hard_ms =
        (uint32_t) (spec.hard_ms < UINT32_MAX ? spec.hard_ms : UINT32_MAX);
    recipe->has_blob = spec.blob.len == USI_DIGEST_LEN;
    if (recipe->has_blob)
        memcpy (recipe->blob, spec.blob.data, USI_DIGEST_LEN);
    recipe->size = spec.size;
    if (!recipe->shell && !usi_bytes_equal (spec.kind, usi_bytes_of ("call")))
        s_refuse (recipe, US_ERR_UNSUPPORTED,
                  usi_sprintf ("this node cannot run jobs of kind '%.*s'",
                               (int) spec.kind.len, (const char *) spec.kind.data));
    else
        s_choose_pool (node, recipe, &spec);
}

/* The table keeps what was used last. */
static void s_trim (node_t *node)
{
    recipe_t **at = &node->recipes;
    for (unsigned i = 0; *at && i < TABLE_MAX / 2; i++)
        at = &(*at)->next;
    while (*at) {
        recipe_t *recipe = *at;
        *at = recipe->next;
        recipe_drop (recipe);
    }
}

recipe_t *recipe_get (node_t *node, usi_bytes_t spec)
{
    unsigned seen = 0;
    for (recipe_t **at = &node->recipes; *at; at = &(*at)->next, seen++) {
        recipe_t *recipe = *at;
        if (!usi_bytes_equal (recipe->spec, spec))
            continue;
        *at = recipe->next; /* to the front: the next job is likely one of these */
        recipe->next = node->recipes;
        node->recipes = recipe;
        recipe->refs++;
        return recipe;
    }
    recipe_t *recipe = usi_new (recipe_t);
    recipe->refs = 2;
    recipe->spec = usi_bytes_dup (spec);
    s_decode (node, recipe);
    recipe->next = node->recipes;
    node->recipes = recipe;
    if (seen >= TABLE_MAX)
        s_trim (node);
    return recipe;
}

void recipes_clear (node_t *node)
{
    while (node->recipes) {
        recipe_t *recipe = node->recipes;
        node->recipes = recipe->next;
        recipe_drop (recipe);
    }
}

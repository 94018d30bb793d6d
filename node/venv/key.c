/* SPDX-License-Identifier: MIT
 *
 * The key of an environment: see key.h. */
#include "key.h"

#include <stdlib.h>

#include "base/mem.h"
#include "proto/requirement.h"

/* Changes when environments are built differently, so that old ones are not taken. */
#define KEY_SCHEMA "understudy environment 2"

static us_err_t s_normalise (const usi_list_t *list, char **text, char **why)
{
    usi_bytes_t *items = usi_alloc ((list->count + 1) * sizeof *items);
    size_t position = 0, count = 0, bad = 0;
    usi_buf_t out = {0};
    const char *reason = "malformed";
    while (count < list->count && usi_list_next (list, &position, &items[count]))
        count++;
    us_err_t err = usi_requirements_normalise (items, count, &out, &bad, &reason);
    if (err == US_OK) {
        *text = usi_bytes_dup_text (usi_buf_bytes (&out));
    } else {
        if (bad >= count)
            bad = 0;
        *why = usi_sprintf ("'%.*s' is not a package requirement: %s",
                            count ? (int) items[bad].len : 0,
                            count ? (const char *) items[bad].data : "", reason);
    }
    usi_buf_free (&out);
    free (items);
    return err;
}

static void s_make_key (env_request_t *request)
{
    usi_buf_t text = {0};
    uint8_t digest[USI_DIGEST_LEN];
    usi_buf_printf (&text, "%s\n%s\n%s\n%s\n%s\n\n%s\n\n%s\n", KEY_SCHEMA,
                    request->python->version, request->python->executable,
                    request->python->platform,
                    request->index_url ? request->index_url : "", request->packages,
                    request->constraints);
    usi_sha256 (text.data, text.len, digest);
    usi_hex (digest, sizeof digest, request->key);
    usi_buf_free (&text);
}

us_err_t env_request_make (env_request_t *request, const usi_list_t *packages,
                           const usi_list_t *constraints, const python_t *python,
                           const char *index_url, char **why)
{
    *request = (env_request_t){.python = python, .index_url = index_url};
    us_err_t err = s_normalise (packages, &request->packages, why);
    if (err == US_OK)
        err = s_normalise (constraints, &request->constraints, why);
    if (err != US_OK) {
        env_request_clear (request);
        return err;
    }
    /* Constraints on nothing constrain nothing: the bare environment is one. */
    if (!*request->packages)
        *request->constraints = 0;
    s_make_key (request);
    return US_OK;
}

void env_request_clear (env_request_t *request)
{
    free (request->packages);
    free (request->constraints);
    request->packages = request->constraints = NULL;
}

/* SPDX-License-Identifier: MIT
 *
 * What an environment is asked to be, and its key. Two requests that mean the same
 * have the same text and so the same key: requirements are normalised and sorted,
 * and the interpreter, its platform and the index are part of it. */
#ifndef NODE_VENV_KEY_H
#define NODE_VENV_KEY_H

#include "base/bytes.h"
#include "base/id.h"
#include "proto/message.h"
#include "host/python.h"

#define ENV_KEY_LEN (2 * USI_DIGEST_LEN) /* hex digits */

typedef struct env_request {
    char *packages;    /* canonical, one a line, "" for none */
    char *constraints; /* likewise */
    const python_t *python;
    const char *index_url; /* NULL: what the machine is configured for */
    char key[ENV_KEY_LEN + 1];
} env_request_t;

/* Checks and normalises the lists again: the client did, but nobody has to believe it.
 * US_ERR_REQUIREMENT: *why is a text for the user; the caller frees it. */
us_err_t env_request_make (env_request_t *request, const usi_list_t *packages,
                           const usi_list_t *constraints, const python_t *python,
                           const char *index_url, char **why);
void env_request_clear (env_request_t *request);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The one strict grammar of package requirements (PEP 508 without URLs): name, extras,
 * version specifiers, environment marker. Everything else is refused: options, paths,
 * URLs, VCS, control characters, line continuations. The client refuses at submit, the node
 * again before it builds; the canonical text is what keys an environment and what is
 * handed to uv or pip. */
#ifndef COMMON_PROTO_REQUIREMENT_H
#define COMMON_PROTO_REQUIREMENT_H

#include "base/bytes.h"
#include "understudy/error.h"

/* Canonical form: PEP 503 name, sorted extras, sorted specifiers, no blanks but around the
 * semicolon and words of a marker. out is appended to. US_ERR_REQUIREMENT: *why (may be
 * NULL) is a static text. */
us_err_t usi_requirement_normalise (usi_bytes_t text, usi_buf_t *out, const char **why);

/* A whole set: normalised, sorted, duplicates merged, joined by '\n', appended to out.
 * *bad (may be NULL) is the index of the one that is refused. */
us_err_t usi_requirements_normalise (const usi_bytes_t *texts, size_t count,
                                     usi_buf_t *out, size_t *bad, const char **why);

#endif

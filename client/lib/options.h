/* SPDX-License-Identifier: MIT
 *
 * What a client is told at its beginning: set by the caller, from the settings of the
 * process (common/base/config.h) where it sets nothing. A client keeps a copy.
 *
 * A leaf: stands on common/base and common/auth. */
#ifndef CLIENT_LIB_OPTIONS_H
#define CLIENT_LIB_OPTIONS_H

#include "auth/trust.h"
#include "base/id.h"
#include "understudy/understudy.h"

#define OPTIONS_KEY_LEN 8

struct us_options {
    char *endpoints; /* by comma */
    char *redis;     /* URL of the registry, in place of endpoints; NULL: none */
    int64_t connect_timeout_ms;
    size_t max_payload;
    char *name;
    char *owner;
    usi_identity_t *identity;        /* NULL: without keys */
    char *no_key;                    /* then why, in words; NULL: nothing to say */
    uint8_t program[USI_DIGEST_LEN]; /* the sum of what names it */
    us_log_fn *log;
    void *log_arg;
};

/* A copy; false: out of memory, and copy is empty. */
bool options_copy (us_options_t *copy, const us_options_t *options);
void options_clear (us_options_t *options);
/* What programs and their owners are told apart by: OPTIONS_KEY_LEN bytes. */
void options_key (const us_options_t *options, uint8_t *key);
/* The registry's URL without user and password. */
void options_show_redis (const char *url, char *text, size_t text_len);

#endif

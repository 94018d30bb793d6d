/* SPDX-License-Identifier: MIT
 *
 * Where a Redis is: redis://[user:password@]host[:port][/db] or
 * unix:///path[?db=N&username=U&password=P]. User and password may be percent-encoded.
 * The Python package makes such a URL of the keywords of Python's Redis client. Stands on
 * common/base. */
#ifndef COMMON_REDIS_URL_H
#define COMMON_REDIS_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "understudy/error.h"

typedef struct usi_redis_url {
    char *path; /* unix socket; NULL: host and port */
    char *host;
    int port;
    int db;
    char *user;     /* NULL: the default user */
    char *password; /* NULL: none */
} usi_redis_url_t;

/* US_ERR_INVALID with a line in why (may be NULL), US_ERR_NOMEM. Free it either way. */
us_err_t usi_redis_url_parse (usi_redis_url_t *url, const char *text, char *why,
                              size_t why_len);
void usi_redis_url_free (usi_redis_url_t *url);

/* Where a program is told of a Redis by a URL and, apart from it, by a file with
 * "user:password" or "password" as its first line (NULL: none). The whole URL, which the
 * caller frees; NULL with a line in why. is_public: the URL stands where others can read it
 * (on a command line), and so may hold no password. nodes (may be NULL) gets the URL for
 * the user of the file's second line, which nodes subscribe with; NULL without one. */
char *usi_redis_url_complete (const char *text, const char *auth_path, bool is_public,
                              char **nodes, char *why, size_t why_len);
/* The URL of the same server for another user, where topics are: in no database. */
char *usi_redis_url_for (const usi_redis_url_t *url, const char *user,
                         const char *password);

/* The URL as text, with percent-encoding; the caller frees it. NULL: out of memory. */
char *usi_redis_url_text (const usi_redis_url_t *url);
/* The same for people: without user and password. */
char *usi_redis_url_shown (const usi_redis_url_t *url);

#endif

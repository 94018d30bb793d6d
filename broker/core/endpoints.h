/* SPDX-License-Identifier: MIT
 *
 * The addresses that a broker listens on: which are allowed, and which of them others can
 * use. Uses nothing of the broker. */
#ifndef BROKER_ENDPOINTS_H
#define BROKER_ENDPOINTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

#define ENDPOINTS_MAX 16

typedef struct endpoints {
    size_t count;
    char *texts[ENDPOINTS_MAX];
} endpoints_t; /* zero-initialise */

bool endpoint_is_unix (const char *endpoint);
/* tcp://HOST:PORT or ipc://PATH. */
bool endpoint_is_valid (const char *endpoint);
/* The endpoint as libzmq wants it: port 0 becomes *. The caller frees it. */
char *endpoint_to_bind (const char *endpoint);

/* Adds what a bound endpoint means to others: itself, or, where it is bound to all
 * interfaces, the addresses of this host. */
void endpoints_add_bound (endpoints_t *self, const char *bound);
void endpoints_clear (endpoints_t *self);
/* "a b c" where the separator is " "; the caller frees it. */
char *endpoints_join (const endpoints_t *self, const char *separator);

#endif

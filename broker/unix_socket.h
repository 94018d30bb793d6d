/* SPDX-License-Identifier: MIT
 *
 * What libzmq leaves open when it listens on a unix socket: it takes the socket of a
 * broker that runs over without a word, removes whatever file stands at the path, and
 * knows no path over 107 bytes. Here a lock beside the socket says whose it is, only a
 * socket of our own is removed, and a long path goes by the descriptor of its directory.
 *
 * Stands on the system alone. */
#ifndef BROKER_UNIX_SOCKET_H
#define BROKER_UNIX_SOCKET_H

#include <stdbool.h>

typedef struct unix_socket unix_socket_t;

/* Whether the endpoint is one of ipc:// with a path in the file system. */
bool unix_socket_is_meant (const char *endpoint);
/* Takes the place of the endpoint. NULL, and text says why: the caller frees it. */
unix_socket_t *unix_socket_new (const char *endpoint, char **text);
/* After libzmq has closed the socket. */
void unix_socket_destroy (unix_socket_t **self_p);

/* What libzmq binds. */
const char *unix_socket_address (const unix_socket_t *self);
/* What peers are told: its path begins with a slash. */
const char *unix_socket_endpoint (const unix_socket_t *self);

#endif

/* SPDX-License-Identifier: MIT
 *
 * What a fork does to clients. The child has neither the engine's thread nor a usable
 * ZeroMQ context, and a mutex that another thread held at that moment would stay locked
 * for ever. So all clients are locked around the fork, which also leaves what the
 * mutexes guard consistent, and the child counts a new generation; each client notices
 * it at its next call (client_lock). */
#ifndef CLIENT_LIB_FORK_H
#define CLIENT_LIB_FORK_H

#include "client.h"

/* The children of this process count from 0. */
unsigned fork_generation (void);
bool fork_register (us_client_t *client);
void fork_unregister (us_client_t *client);

#endif

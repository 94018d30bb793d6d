/* SPDX-License-Identifier: MIT
 *
 * What the client does with its connection to a broker (net/connection.h): the options
 * of it, what callers and the log are told of it, and which part of the engine takes
 * which message.
 *
 * The top part of the engine; uses all others. */
#ifndef CLIENT_LIB_CONNECT_H
#define CLIENT_LIB_CONNECT_H

#include "engine_internal.h"

/* Makes the connection, which looks for a broker once it is wanted. False: no memory or
 * no descriptor is left. */
bool connect_open (engine_t *self);

#endif

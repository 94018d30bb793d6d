/* SPDX-License-Identifier: MIT
 *
 * The connection of a peer as the system knows it. libzmq has no call that closes the
 * connection of one peer of a ROUTER, but tells its descriptor; shutting that down makes
 * libzmq forget the peer with all that waits for it. The descriptor is libzmq's, and may
 * have been closed and given to another connection in between, so that the socket's cookie,
 * which the kernel never gives twice, is looked at first. A leaf. */
#ifndef BROKER_HANDLE_H
#define BROKER_HANDLE_H

#include <stdbool.h>
#include <stdint.h>

/* All zero: not known. */
typedef struct handle {
    int fd;
    uint64_t cookie;
} handle_t;

handle_t handle_of (int fd);
/* Ends the connection. False: it is not there any more. */
bool handle_cut (const handle_t *self);

#endif

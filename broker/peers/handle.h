/* SPDX-License-Identifier: MIT
 *
 * The connection of a peer as the system knows it. libzmq has no call that closes the
 * connection of one peer of a ROUTER, but tells its descriptor; shutting that down makes
 * libzmq forget the peer with all that waits for it. The descriptor is libzmq's, and may
 * have been closed and given to another connection in between, so that the socket's cookie,
 * which the kernel never gives twice, is looked at first. Two descriptors are kept for that,
 * since it is needed most when there are none left. A leaf, of one thread. */
#ifndef BROKER_HANDLE_H
#define BROKER_HANDLE_H

#include <stdbool.h>
#include <stdint.h>

/* All zero: not known. */
typedef struct handle {
    int fd;
    uint64_t cookie;
} handle_t;

/* Before descriptors can run short. */
void handle_prepare (void);
handle_t handle_of (int fd);
/* Bytes that have come over it so far; 0 where the system does not count them. */
uint64_t handle_received (const handle_t *self);
/* Ends the connection. False: it is not there any more. */
bool handle_cut (const handle_t *self);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Threads that wait for something of a client. A waiter stands in the list of the object
 * for which its thread waits; whoever changes the object wakes the list, and each thread
 * checks its own condition. It is an eventfd, not a condition variable, because a signal
 * has to end its wait. The client's lock guards each list.
 *
 * A leaf: stands on nothing of the library. */
#ifndef CLIENT_LIB_WAITERS_H
#define CLIENT_LIB_WAITERS_H

typedef struct waiter {
    struct waiter *next;
    int fd; /* -1: its thread takes the engine's turns itself (drive.h), and looks then */
} waiter_t;

void waiters_add (waiter_t **waiters, waiter_t *waiter);
void waiters_remove (waiter_t **waiters, const waiter_t *waiter);
void waiters_wake (const waiter_t *waiters);

#endif

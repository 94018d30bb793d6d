/* SPDX-License-Identifier: MIT
 *
 * Waiters: see waiters.h. */
#include "waiters.h"

#include <stddef.h>
#include <sys/eventfd.h>

void waiters_add (waiter_t **waiters, waiter_t *waiter)
{
    waiter->next = *waiters;
    *waiters = waiter;
}

void waiters_remove (waiter_t **waiters, const waiter_t *waiter)
{
    while (*waiters && *waiters != waiter)
        waiters = &(*waiters)->next;
    if (*waiters)
        *waiters = waiter->next;
}

void waiters_wake (const waiter_t *waiters)
{
    for (; waiters; waiters = waiters->next)
        if (waiters->fd >= 0)
            eventfd_write (waiters->fd, 1);
}

/* SPDX-License-Identifier: MIT
 *
 * The daemon's loop: timers, descriptors, and turns. Handlers only change memory and
 * note what has to be sent; loop_touch asks for the end of the turn, where what came
 * together leaves together. Made once; whoever owns it gives the function that ends a
 * turn. Stands on czmq alone. */
#ifndef NODE_HOST_LOOP_H
#define NODE_HOST_LOOP_H

#include <czmq.h>

/* Called at the end of a turn. -1 ends the loop. */
typedef int loop_turn_fn (void *arg);

typedef struct loop {
    zloop_t *zloop;
    loop_turn_fn *turn;
    void *arg;
    bool turn_asked;
} loop_t;

loop_t *loop_new (loop_turn_fn *turn, void *arg);
void loop_destroy (loop_t **self_p);
/* Runs the loop until a handler returns -1. */
void loop_run (loop_t *self);
/* Has the turn function called at the end of this turn. */
void loop_touch (loop_t *self);

/* Calls fn once after ms, or every ms. Returns the timer for loop_cancel. */
int loop_after (loop_t *self, int64_t ms, zloop_timer_fn *fn, void *arg);
int loop_every (loop_t *self, int64_t ms, zloop_timer_fn *fn, void *arg);
/* Ends the timer, if there is one, and sets it to 0. */
void loop_cancel (loop_t *self, int *timer);
/* Calls fn whenever the descriptor can be read. */
void loop_watch (loop_t *self, int fd, zloop_fn *fn, void *arg);
void loop_unwatch (loop_t *self, int fd);

#endif

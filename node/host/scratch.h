/* SPDX-License-Identifier: MIT
 *
 * The folder in which each worker has a scratch directory, in $TMPDIR or /tmp. Its path
 * is short, for sockets that jobs make in it have room for 107 bytes. A node that dies
 * leaves it behind; the next one on this machine removes it, which a lock in it allows
 * once its owner is gone. */
#ifndef NODE_HOST_SCRATCH_H
#define NODE_HOST_SCRATCH_H

#define SCRATCH_PATH_MAX 60 /* of a worker's directory, in bytes */

typedef struct scratch {
    char path[SCRATCH_PATH_MAX + 1]; /* empty: there is none */
    int lock;
} scratch_t;

/* Removes what dead nodes have left, and makes the folder. -1: it cannot, errno says
 * why. */
int scratch_open (scratch_t *self);
/* Removes it with all that is in it. */
void scratch_close (scratch_t *self);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Runs the node until it is told to end. */
#ifndef NODE_DAEMON_H
#define NODE_DAEMON_H

#include <sys/types.h>

#include "node.h"

/* parent: whose end is ours; 0: nobody's. Returns an exit code. */
int daemon_run (const node_options_t *options, pid_t parent);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The redis-server, or valkey-server, that a broker without --redis starts for itself: in
 * the data directory, on a unix socket, in a process group of its own, and ended with the
 * broker. DIR/broker is locked by the broker alone and holds its pid. DIR/lock is locked by
 * the broker and by its server both: so a new broker can tell a directory that is in use
 * from one whose old server is just ending. DIR/redis.acl holds its users, which are made
 * anew at each start; DIR/redis-admin.auth is for the operator. Stands on common/redis and
 * the loop. */
#ifndef BROKER_PRIVATE_REDIS_H
#define BROKER_PRIVATE_REDIS_H

#include <czmq.h>

typedef struct private_redis private_redis_t;

/* Exit codes of sysexits.h that starting may end with. */
#define EXIT_REDIS 69 /* EX_UNAVAILABLE: missing, too old, does not start */
#define EXIT_DATA  73 /* EX_CANTCREAT: directory not writable or in use */

/* Locks the directory (made with mode 0700 where it is missing), starts the server and
 * waits until its socket takes connections. 0, or an exit code with a line for the
 * operator in *text, which the caller frees. durability: always, everysec, memory. */
int private_redis_start (private_redis_t **self_p, const char *dir,
                         const char *durability, char **text);
/* The server took connections, and then the broker could not use it. Where it has ended,
 * *text becomes the reason for that. Before private_redis_attach. */
void private_redis_explain (private_redis_t *self, char **text);
/* From now on, a server that dies is started again. */
void private_redis_attach (private_redis_t *self, zloop_t *loop);
/* To be called after SIGCHLD. */
void private_redis_reap (private_redis_t *self);
/* unix://PATH, as usi_redis_url_parse reads it; borrowed. */
const char *private_redis_url (const private_redis_t *self);
/* The same with the user that nodes subscribe with. */
const char *private_redis_nodes_url (const private_redis_t *self);
/* From now on the next broker waits for the directory instead of giving up. */
void private_redis_ending (private_redis_t *self);
/* Ends the server: SIGTERM, and SIGKILL where that does not help. After the loop, whose
 * timers start it again. */
void private_redis_destroy (private_redis_t **self_p);

/* Major version in the words of `redis-server --version`; 0 where there is none. */
int private_redis_major (const char *words);

#endif

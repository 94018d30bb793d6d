/* SPDX-License-Identifier: MIT
 *
 * The users of a Redis that serves Understudy, as lines of the file that Redis reads with
 * its setting `aclfile`: the one home of what each may do. `understudy-ctl keygen redis`
 * writes them for a Redis of the operator, the broker for its private one. Stands on
 * common/base. */
#ifndef COMMON_REDIS_ACL_H
#define COMMON_REDIS_ACL_H

#include <stdbool.h>

#include "base/bytes.h"

typedef enum usi_acl_user {
    USI_ACL_BROKER, /* all that a broker sends, on keys and channels us:* */
    USI_ACL_NODE,   /* wakes of nodes, and the registry of brokers */
    USI_ACL_ADMIN,  /* everything, such as loading functions */
    USI_ACL_USERS
} usi_acl_user_t;

const char *usi_acl_name (usi_acl_user_t user);

/* Passwords of each: 64 hexadecimal digits. */
typedef struct usi_acl {
    char passwords[USI_ACL_USERS][65];
} usi_acl_t;

/* Gives each user a password that nobody can guess. */
void usi_acl_fill (usi_acl_t *self);
/* All lines: these users, and nobody else (the default user is off). The passwords stand
 * there as hashes only. is_private: the Redis has no operator, so its broker loads the
 * functions itself and may read the settings. */
void usi_acl_lines (const usi_acl_t *self, bool is_private, usi_buf_t *buf);
/* "user:password" and a newline, as --redis-auth reads it. That of a broker has a second
 * line: the user that its nodes subscribe with. */
void usi_acl_auth (const usi_acl_t *self, usi_acl_user_t user, usi_buf_t *buf);

#endif

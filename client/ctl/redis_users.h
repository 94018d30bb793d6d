/* SPDX-License-Identifier: MIT
 *
 * keygen redis: the files with which a Redis of the operator gets users for brokers and
 * nodes. Stands on common/redis/acl.h. */
#ifndef CTL_REDIS_USERS_H
#define CTL_REDIS_USERS_H

#include "ctl.h"

/* Makes the files in folder, which is there, and says what each is for. Exit code. */
int redis_users_make (const ctl_t *ctl, const char *folder);

#endif

/* SPDX-License-Identifier: MIT
 *
 * See acl.h. Commands that functions call count as those of who calls the function.
 *
 * The default user is off, so nobody can be it, but keeps its rights: Redis 7.0 replays
 * transactions of its append-only file as that user, and drops those that it may not. */
#include "redis/acl.h"

#include <stdio.h>

#include "base/id.h"

static const char *const s_names[USI_ACL_USERS] = {"us-broker", "us-node", "us-admin"};

#define BROKER_RIGHTS                                                                  \
    "~us:* &us:* -@all"                                                                \
    " +auth +ping +echo +select +time +info +fcall +function|list"                     \
    " +subscribe +unsubscribe +publish +pubsub|numsub"                                 \
    " +get +set +setnx +mget +append +strlen +getrange +setrange +setbit +bitpos"      \
    " +del +unlink +exists +expire +persist +scan"                                     \
    " +hget +hmget +hgetall +hkeys +hlen +hexists +hset +hsetnx +hdel +hincrby"        \
    " +lpush +rpush +lrange +llen +ltrim"                                              \
    " +sadd +srem +spop +smembers +scard"                                              \
    " +zadd +zrem +zcard +zcount +zscore +zrange +zrangebyscore"

#define NODE_RIGHTS                                                                    \
    "%R~us:brokers &us:*:n:* -@all"                                                    \
    " +auth +ping +echo +select +time +hgetall +subscribe +unsubscribe"

static const char *const s_rights[USI_ACL_USERS] = {BROKER_RIGHTS, NODE_RIGHTS,
                                                    "~* &* +@all"};

const char *usi_acl_name (usi_acl_user_t user)
{
    return s_names[user];
}

void usi_acl_fill (usi_acl_t *self)
{
    for (size_t user = 0; user < USI_ACL_USERS; user++)
        for (size_t i = 0; i < 4; i++)
            snprintf (self->passwords[user] + 16 * i, 17, "%016llx",
                      (unsigned long long) usi_random64 ());
}

static void s_line (const usi_acl_t *self, usi_acl_user_t user, bool is_private,
                    usi_buf_t *buf)
{
    uint8_t digest[USI_DIGEST_LEN];
    char hash[2 * USI_DIGEST_LEN + 1];
    usi_sha256 (self->passwords[user], sizeof self->passwords[user] - 1, digest);
    usi_hex (digest, sizeof digest, hash);
    usi_buf_printf (buf, "user %s on #%s resetchannels %s%s\n", s_names[user], hash,
                    s_rights[user], is_private ? " +function|load +config|get" : "");
}

void usi_acl_lines (const usi_acl_t *self, bool is_private, usi_buf_t *buf)
{
    usi_buf_text (buf, "user default off resetpass ~* &* +@all\n");
    for (int user = 0; user < USI_ACL_USERS; user++)
        s_line (self, (usi_acl_user_t) user, user == USI_ACL_BROKER && is_private, buf);
}

void usi_acl_auth (const usi_acl_t *self, usi_acl_user_t user, usi_buf_t *buf)
{
    usi_buf_printf (buf, "%s:%s\n", s_names[user], self->passwords[user]);
    if (user == USI_ACL_BROKER)
        usi_acl_auth (self, USI_ACL_NODE, buf);
}

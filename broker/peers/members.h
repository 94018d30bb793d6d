/* SPDX-License-Identifier: MIT
 *
 * Who is admitted where there are keys: the certificates that were brought to the cluster,
 * and the keys that were revoked. A copy of what stands in the store; whatever comes from
 * there is checked against the cluster's key, so that who can write to Redis adds nobody.
 * Stands on common/auth. */
#ifndef BROKER_MEMBERS_H
#define BROKER_MEMBERS_H

#include "auth/certificate.h"
#include "auth/revocation.h"

#define MEMBER_CONNECTIONS_MAX 4096 /* of one key, at this broker */

typedef struct member {
    usi_certificate_t certificate;
    uint64_t owner;       /* names it in records */
    unsigned connections; /* peers that it has here */
    /* What its rate still allows: jobs, as of that time. */
    double allowance;
    int64_t allowance_ms;
} member_t;

typedef struct members members_t;

/* cluster: its public key; copied. */
members_t *members_new (const uint8_t cluster[USI_KEY_LEN]);
void members_destroy (members_t **self_p);

/* Takes a certificate: a new one, or a newer one of the same key in place of the older.
 * NULL, or what is wrong with it, static. *member_p (may be NULL): whose it is. */
const char *members_add (members_t *self, usi_bytes_t bytes, member_t **member_p);
/* Takes a list of revoked keys, unless the one that is known has its number or a higher one.
 * NULL, or what is wrong with it, static. */
const char *members_revoke (members_t *self, usi_bytes_t bytes);
/* The list of highest number; empty: there is none. */
usi_bytes_t members_revoked (const members_t *self);
uint64_t members_revoked_number (const members_t *self);

/* Members stay where they are until the end, also when they are revoked. NULL: nobody. */
member_t *members_find (const members_t *self, const uint8_t key[USI_KEY_LEN]);
/* The newest certificate of this owner; NULL: nobody. */
member_t *members_of_owner (const members_t *self, uint64_t owner);
/* Why who has this key is not served; NULL: it is. */
const char *members_refuse (const members_t *self, const member_t *member);
/* All, in no order. */
member_t **members_all (const members_t *self, size_t *count);

#endif

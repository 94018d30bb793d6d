/* SPDX-License-Identifier: MIT
 *
 * See members.h. */
#include "peers/members.h"

#include <czmq.h>
#include <time.h>

#include "base/mem.h"

struct members {
    uint8_t cluster[USI_KEY_LEN];
    zhashx_t *by_key; /* transport key inside the member -> member */
    member_t **all;
    size_t len, cap;
    usi_revocation_t revocation;
};

static size_t s_hash (const void *key)
{
    uint64_t word;
    memcpy (&word, key, sizeof word); /* keys are as good as random */
    return (size_t) word;
}

static int s_compare (const void *a, const void *b)
{
    return memcmp (a, b, USI_KEY_LEN);
}

members_t *members_new (const uint8_t cluster[USI_KEY_LEN])
{
    members_t *self = usi_new (members_t);
    memcpy (self->cluster, cluster, USI_KEY_LEN);
    self->by_key = zhashx_new ();
    zhashx_set_key_duplicator (self->by_key, NULL);
    zhashx_set_key_destructor (self->by_key, NULL);
    zhashx_set_key_hasher (self->by_key, s_hash);
    zhashx_set_key_comparator (self->by_key, s_compare);
    return self;
}

void members_destroy (members_t **self_p)
{
    members_t *self = *self_p;
    if (!self)
        return;
    zhashx_destroy (&self->by_key);
    for (size_t i = 0; i < self->len; i++)
        free (self->all[i]);
    free (self->all);
    usi_revocation_clear (&self->revocation);
    free (self);
    *self_p = NULL;
}

static void s_insert (members_t *self, member_t *member)
{
    if (self->len == self->cap) {
        self->cap = self->cap ? self->cap * 2 : 16;
        self->all = usi_realloc (self->all, self->cap * sizeof *self->all);
    }
    self->all[self->len++] = member;
    US_ASSERT (zhashx_insert (self->by_key, member->certificate.transport, member) ==
               0);
}

const char *members_add (members_t *self, usi_bytes_t bytes, member_t **member_p)
{
    member_t *read = usi_new (member_t);
    const char *why = usi_certificate_read (&read->certificate, bytes, self->cluster);
    member_t *known = why ? NULL : members_find (self, read->certificate.transport);
    if (why) {
        free (read);
        return why;
    }
    if (!known) {
        read->owner = usi_certificate_owner (read->certificate.name);
        read->allowance = read->certificate.rights.rate;
        s_insert (self, read);
        known = read;
    } else {
        /* Read once more where it stays: its lists borrow from it. */
        if (read->certificate.made_s > known->certificate.made_s) {
            usi_certificate_read (&known->certificate, bytes, self->cluster);
            known->owner = usi_certificate_owner (known->certificate.name);
        }
        free (read);
    }
    if (member_p)
        *member_p = known;
    return NULL;
}

const char *members_revoke (members_t *self, usi_bytes_t bytes)
{
    return usi_revocation_take (&self->revocation, bytes, self->cluster);
}

usi_bytes_t members_revoked (const members_t *self)
{
    return usi_buf_bytes (&self->revocation.bytes);
}

uint64_t members_revoked_number (const members_t *self)
{
    return self->revocation.number;
}

member_t *members_find (const members_t *self, const uint8_t key[USI_KEY_LEN])
{
    return zhashx_lookup (self->by_key, key);
}

member_t *members_of_owner (const members_t *self, uint64_t owner)
{
    member_t *found = NULL;
    for (size_t i = 0; i < self->len; i++)
        if (self->all[i]->owner == owner &&
            (!found || self->all[i]->certificate.made_s > found->certificate.made_s))
            found = self->all[i];
    return found;
}

const char *members_refuse (const members_t *self, const member_t *member)
{
    if (usi_revocation_has (&self->revocation, member->certificate.transport))
        return "this key was revoked";
    if (usi_certificate_is_over (&member->certificate, (int64_t) time (NULL)))
        return "this key has expired";
    return NULL;
}

member_t **members_all (const members_t *self, size_t *count)
{
    *count = self->len;
    return self->all;
}

/* SPDX-License-Identifier: MIT
 *
 * See access.h. */
#include "core/access.h"

#include <ctype.h>

#include "base/clock.h"
#include "proto/requirement.h"

/* --- HELLO --------------------------------------------------------------------------- */

static bool s_has_role (const member_t *member, bool is_node)
{
    usi_role_t role = member->certificate.role;
    return is_node ? role == USI_ROLE_NODE
                   : role == USI_ROLE_CLIENT || role == USI_ROLE_ADMIN;
}

static const char *s_check_node (const member_t *member, const usi_fields_t *hello)
{
    const usi_certificate_t *certificate = &member->certificate;
    size_t position = 0;
    if (usi_certificate_node (certificate->name, hello->node) != hello->node)
        return "this node id belongs to another key";
    for (usi_bytes_t channel; usi_list_next (&hello->channels, &position, &channel);)
        if (!usi_pattern_fits (&certificate->rights.channels, channel))
            return "this key may not listen on one of these channels";
    return NULL;
}

const char *access_greet (const broker_t *self, const member_t *member,
                          const usi_fields_t *hello, bool is_node)
{
    if (!member)
        return NULL;
    const usi_certificate_t *certificate = &member->certificate;
    const char *why = members_refuse (self->members, member);
    if (why)
        return why;
    if (!usi_bytes_equal (hello->certificate,
                          usi_bytes (certificate->bytes, certificate->len)))
        return "the certificate in HELLO is not the one that was brought for this key";
    if (!s_has_role (member, is_node))
        return is_node ? "this is not the key of a node"
                       : "this is not the key of a client";
    if (member->connections >= MEMBER_CONNECTIONS_MAX)
        return "this key has too many connections";
    return is_node ? s_check_node (member, hello) : NULL;
}

/* --- SUBMIT -------------------------------------------------------------------------- */

static bool s_is_for_all (const usi_list_t *patterns)
{
    return patterns->count == 1 && patterns->raw.len == 2 &&
           patterns->raw.data[1] == '*';
}

/* The canonical form of a requirement begins with the name. */
static usi_bytes_t s_name (const usi_buf_t *canonical)
{
    size_t len = 0;
    while (len < canonical->len &&
           (isalnum (canonical->data[len]) || canonical->data[len] == '-'))
        len++;
    return usi_bytes (canonical->data, len);
}

static bool s_may_use (const usi_list_t *patterns, const usi_list_t *packages)
{
    size_t position = 0;
    bool may = true;
    for (usi_bytes_t text; may && usi_list_next (packages, &position, &text);) {
        usi_buf_t canonical = {0};
        may = usi_requirement_normalise (text, &canonical, NULL) == US_OK &&
              usi_pattern_fits (patterns, s_name (&canonical));
        usi_buf_free (&canonical);
    }
    return may;
}

/* The specification is looked into only for who may not do everything. */
static const char *s_check_spec (const usi_rights_t *rights, usi_bytes_t bytes)
{
    usi_fields_t spec;
    bool takes_all = s_is_for_all (&rights->packages);
    if (takes_all && rights->shell)
        return NULL;
    if (usi_fields_decode (&spec, bytes, NULL))
        return "this key has limits, and the specification of the job cannot be read";
    if (!rights->shell && usi_bytes_equal (spec.kind, usi_bytes_of ("shell")))
        return "this key may not run shell commands";
    if (!takes_all && !s_may_use (&rights->packages, &spec.packages))
        return "this key may not use one of these packages";
    return NULL;
}

/* A bucket that holds the jobs of one second. */
static bool s_is_too_fast (member_t *member)
{
    uint32_t rate = member->certificate.rights.rate;
    int64_t now_ms = usi_now_ms ();
    if (rate == 0)
        return false;
    member->allowance += (double) (now_ms - member->allowance_ms) * rate / 1000;
    member->allowance_ms = now_ms;
    if (member->allowance > rate)
        member->allowance = rate;
    if (member->allowance < 1)
        return true;
    member->allowance -= 1;
    return false;
}

us_err_t access_submit (const peer_t *peer, const usi_fields_t *job, usi_bytes_t body,
                        const char **text)
{
    *text = NULL;
    if (!peer->member)
        return US_OK;
    const usi_rights_t *rights = &peer->member->certificate.rights;
    if (!usi_pattern_fits (&rights->channels, job->channel))
        *text = "this key may not submit to this channel";
    else if (rights->max_size && job->spec.len + body.len > rights->max_size)
        *text = "the job is larger than this key may submit";
    else
        *text = s_check_spec (rights, job->spec);
    if (*text)
        return US_ERR_DENIED;
    if (!s_is_too_fast (peer->member))
        return US_OK;
    *text = "this key submits more jobs a second than it may";
    return US_ERR_BUSY;
}

const char *access_blob (const peer_t *peer, uint64_t size)
{
    uint64_t most = peer->member ? peer->member->certificate.rights.max_size : 0;
    bool is_client = peer->role == USI_BY_CLIENT;
    return is_client && most && size > most ? "it is larger than this key may submit"
                                            : NULL;
}

/* --- everything else ------------------------------------------------------------------- */

bool access_is_admin (const peer_t *peer)
{
    return !peer->member || peer->member->certificate.role == USI_ROLE_ADMIN;
}

bool access_channel (const peer_t *peer, usi_bytes_t channel)
{
    return !peer->member ||
           usi_pattern_fits (&peer->member->certificate.rights.channels, channel);
}

bool access_all (const peer_t *peer, usi_verb_t verb)
{
    return !peer->member || peer->member->certificate.rights.whose[verb] == USI_ALL;
}

static bool s_is_of_group (const broker_t *self, const member_t *member, uint64_t owner)
{
    const char *group = member->certificate.group;
    const member_t *other = group[0] ? members_of_owner (self->members, owner) : NULL;
    return other && strcmp (other->certificate.group, group) == 0;
}

bool access_job (const broker_t *self, const peer_t *peer, usi_verb_t verb,
                 uint64_t owner)
{
    const member_t *member = peer->member;
    if (access_all (peer, verb))
        return true;
    usi_whose_t whose = member->certificate.rights.whose[verb];
    if (whose == USI_NOBODYS)
        return false;
    return owner == member->owner ||
           (whose == USI_GROUPS && s_is_of_group (self, member, owner));
}

uint32_t access_queued (const peer_t *peer)
{
    return peer->member ? peer->member->certificate.rights.queued : 0;
}

uint64_t access_owner (const peer_t *peer)
{
    return peer->member ? peer->member->owner : 0;
}

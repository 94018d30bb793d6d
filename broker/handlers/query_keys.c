/* SPDX-License-Identifier: MIT
 *
 * Questions of admins about keys: which there are, one more, one less. */
#include "handlers/query.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "core/audit.h"
#include "core/keys.h"

#define NO_KEYS "this broker runs without keys; see understudy-ctl keygen --help"

/* --- keys ------------------------------------------------------------------------------------- */

static void s_list (row_t *row, const char *key, const usi_list_t *list)
{
    usi_buf_t *buf = row_array (row, key, list->count);
    usi_buf_append (buf, list->raw.data, list->raw.len);
}

static void s_rights (row_t *row, const usi_rights_t *rights)
{
    s_list (row, "channels", &rights->channels);
    s_list (row, "packages", &rights->packages);
    row_bool (row, "shell", rights->shell);
    row_uint (row, "max_size", rights->max_size);
    row_uint (row, "rate", rights->rate);
    row_uint (row, "queued", rights->queued);
    for (int verb = 0; verb < USI_VERBS; verb++)
        row_text (row, usi_verb_name ((usi_verb_t) verb),
                  usi_whose_name (rights->whose[verb]));
}

static void s_key_row (const broker_t *self, const member_t *member, row_t *row)
{
    const usi_certificate_t *certificate = &member->certificate;
    const char *why = members_refuse (self->members, member);
    char key[USI_KEY_TEXT_LEN + 1];
    usi_key_text (certificate->transport, key);
    row_text (row, "name", certificate->name);
    row_text (row, "role", usi_role_name (certificate->role));
    row_text (row, "group", certificate->group);
    row_text (row, "public", key);
    row_text (row, "state", why ? why : "good");
    row_uint (row, "connections", member->connections);
    row_uint (row, "made_ms", (uint64_t) certificate->made_s * 1000);
    row_uint (row, "expires_ms", (uint64_t) certificate->expires_s * 1000);
    s_rights (row, &certificate->rights);
}

void query_keys (answer_t *answer)
{
    const broker_t *self = answer->broker;
    size_t count = 0;
    bool more = true;
    row_t row = {0};
    if (!self->members) {
        answer_fail (&answer, US_ERR_CONFIG, NO_KEYS);
        return;
    }
    member_t **members = members_all (self->members, &count);
    for (size_t i = 0; i < count && more; i++) {
        s_key_row (self, members[i], &row);
        more = answer_end_row (answer, i, &row);
    }
    answer_send (&answer, count);
}

/* The list as it is, for whoever signs the next one. */
void query_revoked (answer_t *answer)
{
    const broker_t *self = answer->broker;
    row_t row = {0};
    usi_fields_t fields = {0};
    if (!self->members) {
        answer_fail (&answer, US_ERR_CONFIG, NO_KEYS);
        return;
    }
    USI_SET (&fields, REVOKED, revoked, members_revoked (self->members));
    row_fields (&row, &fields);
    answer_end_row (answer, 0, &row);
    answer_send (&answer, 1);
}

/* --- what was done -------------------------------------------------------------------------- */

static void s_note (broker_t *self, const peer_t *peer, const char *what,
                    const usi_certificate_t *certificate)
{
    char detail[2 * USI_KEY_TEXT_LEN + USI_AUTH_NAME_MAX];
    char key[USI_KEY_TEXT_LEN + 1];
    if (!peer)
        return;
    usi_key_text (certificate->transport, key);
    snprintf (detail, sizeof detail, "%s (%s) %s", certificate->name,
              usi_role_name (certificate->role), key);
    audit_peer (self, what, peer, detail);
}

/* Of each member: may it come now? The caller frees the answers. */
static bool *s_good (const broker_t *self)
{
    size_t count;
    member_t **members = members_all (self->members, &count);
    bool *good = usi_alloc ((count + 1) * sizeof *good);
    for (size_t i = 0; i < count; i++)
        good[i] = !members_refuse (self->members, members[i]);
    return good;
}

/* Whose keys those were that could come before. */
static void s_note_revoked (broker_t *self, const peer_t *peer, const bool *was)
{
    size_t count, noted = 0;
    member_t **members = members_all (self->members, &count);
    for (size_t i = 0; i < count; i++)
        if (was[i] && members_refuse (self->members, members[i])) {
            s_note (self, peer, "revoke", &members[i]->certificate);
            noted++;
        }
    if (noted == 0 && peer) /* a broker's, which is no member */
        audit_peer (self, "revoke", peer, NULL);
}

/* --- admit, revoke ----------------------------------------------------------------------------- */

static void s_on_kept (us_err_t code, void *arg)
{
    answer_t *answer = arg;
    if (code)
        answer_fail (&answer, code, NULL);
    else
        answer_send (&answer, 1);
}

void query_admit (answer_t *answer)
{
    broker_t *self = answer->broker;
    member_t *member;
    if (!self->members) {
        answer_fail (&answer, US_ERR_CONFIG, NO_KEYS);
        return;
    }
    const char *why =
        members_add (self->members, usi_buf_bytes (&answer->signed_bytes), &member);
    if (why) {
        answer_fail (&answer, US_ERR_INVALID, why);
        return;
    }
    const usi_certificate_t *certificate = &member->certificate;
    why = members_refuse (self->members, member);
    if (why) {
        answer_fail (&answer, US_ERR_INVALID, why);
        return;
    }
    usi_notice ("keys.admitted", "takes a key name=%s role=%s", certificate->name,
                usi_role_name (certificate->role));
    s_note (self, answer_peer (answer), "admit", certificate);
    store_put_certificate (self->store, certificate->transport,
                           usi_bytes (certificate->bytes, certificate->len), s_on_kept,
                           answer);
}

void query_revoke (answer_t *answer)
{
    broker_t *self = answer->broker;
    if (!self->members) {
        answer_fail (&answer, US_ERR_CONFIG, NO_KEYS);
        return;
    }
    const peer_t *peer = answer_peer (answer);
    bool *was = s_good (self);
    const char *why =
        keys_revoke (self, usi_buf_bytes (&answer->signed_bytes), s_on_kept, answer);
    if (why)
        answer_fail (&answer, US_ERR_INVALID, why);
    else
        s_note_revoked (self, peer, was);
    free (was);
}

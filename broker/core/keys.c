/* SPDX-License-Identifier: MIT
 *
 * See keys.h. */
#include "core/keys.h"

#include "core/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/place.h"

/* --- the list on disk ------------------------------------------------------------------ */

/* Named by the cluster: a folder may have served another one. */
static char *s_path (const broker_t *self, const char *folder)
{
    char text[USI_KEY_TEXT_LEN + 1];
    usi_key_text (self->identity->cluster.key, text);
    return usi_sprintf ("%s/revoked-%s", folder, text);
}

static char *s_load (broker_t *self)
{
    usi_buf_t bytes = {0};
    char *wrong = NULL;
    int error = usi_file_read (self->revoked_path, USI_MAX_REVOKED, &bytes);
    const char *why = error == ENOENT ? NULL
                      : error         ? strerror (error)
                              : members_revoke (self->members, usi_buf_bytes (&bytes));
    if (why)
        wrong = usi_sprintf ("%s: %s; if it is lost, remove it and revoke again",
                             self->revoked_path, why);
    usi_buf_free (&bytes);
    return wrong;
}

static void s_save (const broker_t *self)
{
    int error =
        usi_file_write (self->revoked_path, members_revoked (self->members), 0600);
    if (error)
        usi_error ("keys.revoked", "%s cannot be written: %s", self->revoked_path,
                   strerror (error));
}

/* --- members -------------------------------------------------------------------------------- */

void keys_enforce (broker_t *self)
{
    size_t count;
    peer_t **peers = peers_all (self->peers, &count);
    for (size_t i = 0; self->members && i < count; i++) {
        peer_t *peer = peers[i];
        const char *why = peer->gone || !peer->member
                              ? NULL
                              : members_refuse (self->members, peer->member);
        if (!why)
            continue;
        usi_notice ("peer.denied", "%s key=%s name=%s", why,
                    peer->member->certificate.name, peer->name);
        self->counters.denied++;
        audit_peer (self, "deny", peer, why);
        outbox_refuse (self->outbox, &peer->routing, NULL, US_ERR_DENIED, why);
        peers_cut (self->peers, peer);
    }
}

static void s_ignore (us_err_t code, void *arg)
{
    (void) code;
    (void) arg;
}

/* A store that does not have our list any more gets it back. */
static void s_take_revoked (broker_t *self, usi_bytes_t revoked)
{
    uint64_t before = members_revoked_number (self->members);
    const char *why = revoked.len > 0 ? members_revoke (self->members, revoked) : NULL;
    if (why)
        usi_warning ("keys.revoked", "what stands in the store is refused: %s", why);
    if (members_revoked_number (self->members) > before)
        s_save (self);
    if (!usi_bytes_equal (revoked, members_revoked (self->members)))
        store_put_revoked (self->store, members_revoked (self->members), s_ignore,
                           NULL);
}

static void s_on_keys (us_err_t code, const usi_bytes_t *certificates, size_t count,
                       usi_bytes_t revoked, void *arg)
{
    broker_t *self = arg;
    size_t refused = 0;
    const char *why, *last = NULL;
    if (code || self->ending)
        return;
    for (size_t i = 0; i < count; i++)
        if ((why = members_add (self->members, certificates[i], NULL))) {
            last = why;
            refused++;
        }
    if (refused > 0)
        usi_warning ("keys.refused", "%zu certificates in the store are refused: %s",
                     refused, last);
    s_take_revoked (self, revoked);
    keys_enforce (self);
}

void keys_refresh (broker_t *self)
{
    if (self->members && store_is_ready (self->store))
        store_keys (self->store, s_on_keys, self);
}

const char *keys_revoke (broker_t *self, usi_bytes_t list, store_code_fn *fn, void *arg)
{
    uint64_t before = members_revoked_number (self->members);
    const char *why = members_revoke (self->members, list);
    if (why)
        return why;
    if (members_revoked_number (self->members) == before)
        return "somebody else has revoked a key in between: try again";
    s_save (self);
    keys_enforce (self);
    store_put_revoked (self->store, members_revoked (self->members), fn, arg);
    return NULL;
}

char *keys_open (broker_t *self, const char *folder)
{
    int error = usi_place_make (folder);
    if (error)
        return usi_sprintf ("%s: %s", folder, strerror (error));
    self->revoked_path = s_path (self, folder);
    return s_load (self);
}

void keys_close (broker_t *self)
{
    members_destroy (&self->members);
    free (self->revoked_path);
    self->revoked_path = NULL;
}

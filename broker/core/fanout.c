/* SPDX-License-Identifier: MIT
 *
 * See fanout.h. */
#include "core/fanout.h"

#include "base/mem.h"
#include "core/follows.h"

/* The peer at this place; NULL where it has left or was named before: the store may name
 * a peer twice, as the origin and as a watcher of the log. */
static peer_t *s_peer (const broker_t *self, const uint32_t *peers, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (peers[i] == peers[at])
            return NULL;
    return peers_get (self->peers, peers[at]);
}

/* --- ends ------------------------------------------------------------------------ */

static void s_tell_end (broker_t *self, peer_t *peer, const ended_t *ended)
{
    follow_t *follow = follow_find (self, peer, &ended->id);
    if (follow && !follow_is_complete (follow, ended->log_end, ended->build_end)) {
        follow_end (self, follow);
        return;
    }
    if (follow)
        follow_drop (self, follow);
    notify_ended (self, peer, ended);
}

void fanout_result (broker_t *self, const ended_t *ended, const uint32_t *peers,
                    size_t count)
{
    for (size_t i = 0; i < count; i++) {
        peer_t *peer = s_peer (self, peers, i);
        if (peer)
            s_tell_end (self, peer, ended);
    }
}

void fanout_ended (broker_t *self, const usi_id_t *id, const uint32_t *peers,
                   size_t count)
{
    uint32_t *others = usi_alloc (count * sizeof *others);
    size_t others_len = 0;
    for (size_t i = 0; i < count; i++) {
        peer_t *peer = s_peer (self, peers, i);
        follow_t *follow = peer ? follow_find (self, peer, id) : NULL;
        if (follow)
            follow_end (self, follow);
        else if (peer)
            others[others_len++] = peer->index;
    }
    if (others_len > 0)
        notify_stored_end (self, id, others, others_len);
    free (others);
}

/* --- on the way ------------------------------------------------------------------ */

void fanout_started (broker_t *self, const usi_id_t *id, const uint32_t *peers,
                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        peer_t *peer = s_peer (self, peers, i);
        if (peer)
            notify_state (self, peer, id, US_OK, US_STATE_RUNNING, 0);
    }
}

void fanout_chunk (broker_t *self, const usi_id_t *id, const uint32_t *peers,
                   size_t count, int stream, uint64_t offset, usi_bytes_t bytes)
{
    for (size_t i = 0; i < count; i++) {
        peer_t *peer = s_peer (self, peers, i);
        follow_t *follow = peer ? follow_find (self, peer, id) : NULL;
        if (follow)
            follow_chunk (self, follow, stream, offset, bytes);
    }
}

void fanout_logged (broker_t *self, const usi_id_t *id, const uint32_t *peers,
                    size_t count)
{
    for (size_t i = 0; i < count; i++) {
        peer_t *peer = s_peer (self, peers, i);
        follow_t *follow = peer ? follow_find (self, peer, id) : NULL;
        if (follow)
            follow_grow_all (self, follow);
    }
}

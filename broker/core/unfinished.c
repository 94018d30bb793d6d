/* SPDX-License-Identifier: MIT
 *
 * See unfinished.h. */
#include "core/unfinished.h"

#include "base/log.h"
#include "core/audit.h"

/* What may be on its way without being a message yet: the rest of one, and what the system
 * keeps for a busy broker. */
#define BYTES_MAX ((uint64_t) 4 * USI_MAX_MESSAGE)
#define LOOKS     3 /* a broker that stood still reads first */

/* A connection that is closed has received nothing any more: less than before. */
static bool s_is_endless (peer_t *peer)
{
    uint64_t received = handle_received (&peer->handle);
    if (peer->unfinished.spoke || received <= peer->unfinished.received + BYTES_MAX) {
        if (peer->unfinished.spoke)
            peer->unfinished.received = received;
        peer->unfinished.spoke = false;
        peer->unfinished.looks = 0;
        return false;
    }
    return ++peer->unfinished.looks >= LOOKS;
}

void unfinished_look (broker_t *self)
{
    static const char why[] = "sends a message without end";
    size_t count;
    peer_t **peers = peers_all (self->peers, &count);
    for (size_t i = 0; i < count; i++) {
        peer_t *peer = peers[i];
        if (peer->gone || !s_is_endless (peer))
            continue;
        usi_notice ("peer.endless", "%s name=%s", why, peer->name);
        audit_peer (self, "cut", peer, why);
        peers_cut (self->peers, peer);
    }
}

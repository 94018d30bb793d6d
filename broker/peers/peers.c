/* SPDX-License-Identifier: MIT
 *
 * The table of peers: see peers.h. */
#include "peers/peers.h"

#include <czmq.h>

#include "base/mem.h"

#define CUT_MAX 256

struct peers {
    zhashx_t *by_routing; /* routing_t inside the peer -> peer */
    zhashx_t *by_index;   /* index inside the peer -> peer */
    peer_t **all;
    size_t len, cap;
    size_t gone;            /* marked, not yet reaped */
    routing_t cut[CUT_MAX]; /* the last connections that were */
    size_t cut_len;
    uint32_t next_index;
};

static size_t s_hash_routing (const void *key)
{
    const routing_t *routing = key;
    size_t hash = 2166136261u ^ routing->door;
    for (size_t i = 0; i < routing->len; i++)
        hash = (hash ^ routing->bytes[i]) * 16777619u;
    return hash;
}

static int s_compare_routing (const void *a, const void *b)
{
    const routing_t *x = a, *y = b;
    return x->door != y->door || x->len != y->len ||
           memcmp (x->bytes, y->bytes, x->len) != 0;
}

static size_t s_hash_index (const void *key)
{
    return *(const uint32_t *) key * (size_t) 2654435761u;
}

static int s_compare_index (const void *a, const void *b)
{
    return *(const uint32_t *) a != *(const uint32_t *) b;
}

/* Keys stand inside the peers, so they are neither copied nor freed. */
static zhashx_t *s_hash_new (zhashx_hash_fn *hasher, zhashx_comparator_fn *comparator)
{
    zhashx_t *hash = zhashx_new ();
    zhashx_set_key_duplicator (hash, NULL);
    zhashx_set_key_destructor (hash, NULL);
    zhashx_set_key_hasher (hash, hasher);
    zhashx_set_key_comparator (hash, comparator);
    return hash;
}

peers_t *peers_new (void)
{
    peers_t *self = usi_new (peers_t);
    self->by_routing = s_hash_new (s_hash_routing, s_compare_routing);
    self->by_index = s_hash_new (s_hash_index, s_compare_index);
    self->next_index = 1;
    return self;
}

static void s_free (peer_t *peer)
{
    free (peer->name);
    free (peer->host);
    free (peer);
}

void peers_destroy (peers_t **self_p)
{
    peers_t *self = *self_p;
    if (!self)
        return;
    zhashx_destroy (&self->by_routing);
    zhashx_destroy (&self->by_index);
    for (size_t i = 0; i < self->len; i++)
        s_free (self->all[i]);
    free (self->all);
    free (self);
    *self_p = NULL;
}

static char *s_text (usi_bytes_t bytes)
{
    char *text = usi_alloc (bytes.len + 1);
    if (bytes.len > 0)
        memcpy (text, bytes.data, bytes.len);
    return text;
}

peer_t *peers_add (peers_t *self, const routing_t *routing, unsigned role,
                   usi_bytes_t name, usi_bytes_t host, uint64_t pid)
{
    peer_t *peer = usi_new (peer_t);
    peer->routing = *routing;
    peer->index = self->next_index++;
    peer->role = role;
    peer->name = s_text (name);
    peer->host = s_text (host);
    peer->pid = pid;
    peer->heard = peer->unfinished.spoke = true;
    if (self->len == self->cap) {
        self->cap = self->cap ? self->cap * 2 : 16;
        self->all = usi_realloc (self->all, self->cap * sizeof *self->all);
    }
    peer->at = self->len;
    self->all[self->len++] = peer;
    US_ASSERT (zhashx_insert (self->by_routing, &peer->routing, peer) == 0);
    US_ASSERT (zhashx_insert (self->by_index, &peer->index, peer) == 0);
    return peer;
}

peer_t *peers_find (const peers_t *self, const routing_t *routing)
{
    return zhashx_lookup (self->by_routing, routing);
}

peer_t *peers_get (const peers_t *self, uint32_t index)
{
    return zhashx_lookup (self->by_index, &index);
}

size_t peers_count (const peers_t *self, unsigned role)
{
    size_t count = 0;
    for (size_t i = 0; i < self->len; i++)
        count += self->all[i]->role == role && !self->all[i]->gone;
    return count;
}

peer_t **peers_all (const peers_t *self, size_t *count)
{
    *count = self->len;
    return self->all;
}

/* Takes the peer out of both hashes, so that nobody finds it any more. The reaper frees it. */
void peers_mark_gone (peers_t *self, peer_t *peer)
{
    if (peer->gone)
        return;
    peer->gone = true;
    self->gone++;
    if (peer->member)
        peer->member->connections--;
    zhashx_delete (self->by_routing, &peer->routing);
    zhashx_delete (self->by_index, &peer->index);
}

void peers_cut (peers_t *self, peer_t *peer)
{
    peers_mark_gone (self, peer);
    handle_cut (&peer->handle);
    self->cut[self->cut_len++ % CUT_MAX] = peer->routing;
}

bool peers_was_cut (const peers_t *self, const routing_t *routing)
{
    for (size_t i = 0; i < CUT_MAX && i < self->cut_len; i++)
        if (s_compare_routing (&self->cut[i], routing) == 0)
            return true;
    return false;
}

void peer_set_member (peer_t *peer, member_t *member)
{
    peer->member = member;
    if (member)
        member->connections++;
}

static void s_remove (peers_t *self, peer_t *peer)
{
    peer_t *last = self->all[--self->len];
    self->all[peer->at] = last;
    last->at = peer->at;
    self->gone--;
    s_free (peer);
}

void peers_reap (peers_t *self, peers_forget_fn *forget, void *arg)
{
    while (self->gone > 0) {
        size_t i = 0;
        while (!self->all[i]->gone)
            i++;
        forget (self->all[i], arg);
        s_remove (self, self->all[i]);
    }
}

/* Counts unanswered PINGs and not milliseconds: after this process itself was stopped for a
 * while, every peer still gets its chance to answer. */
peer_beat_t peer_beat (peer_t *peer)
{
    if (peer->heard) {
        peer->heard = false;
        return PEER_QUIET;
    }
    if (peer->unanswered >= PEER_UNANSWERED)
        return PEER_GONE;
    peer->unanswered++;
    return PEER_PING;
}

void peer_heard (peer_t *peer)
{
    peer->heard = true;
    peer->unfinished.spoke = true;
    peer->unanswered = 0;
}

void peer_must_announce (peer_t *peer)
{
    peer->must_announce = true;
}

/* SPDX-License-Identifier: MIT
 *
 * See follows.h. */
#include "core/follows.h"

#include "base/mem.h"
#include "core/notify.h"

static size_t s_hash (const void *key)
{
    const follow_t *follow = key;
    uint64_t word;
    memcpy (&word, follow->key.id.bytes, sizeof word);
    return (size_t) (word ^ follow->key.peer * (uint64_t) 0x9e3779b97f4a7c15);
}

static int s_compare (const void *a, const void *b)
{
    const follow_t *x = a, *y = b;
    return x->key.peer != y->key.peer || !usi_id_equal (&x->key.id, &y->key.id);
}

void follows_init (broker_t *self)
{
    self->follows = zhashx_new ();
    zhashx_set_key_duplicator (self->follows, NULL);
    zhashx_set_key_destructor (self->follows, NULL);
    zhashx_set_key_hasher (self->follows, s_hash);
    zhashx_set_key_comparator (self->follows, s_compare);
}

void follows_destroy (broker_t *self)
{
    zhashx_destroy (&self->follows);
}

static follow_t *s_find (broker_t *self, uint32_t peer, const usi_id_t *id)
{
    follow_t key = {.key = {.id = *id, .peer = peer}};
    return zhashx_lookup (self->follows, &key);
}

follow_t *follow_find (broker_t *self, const peer_t *peer, const usi_id_t *id)
{
    return peer->follows.len > 0 ? s_find (self, peer->index, id) : NULL;
}

static follow_t *s_new (broker_t *self, peer_t *peer, const usi_id_t *id)
{
    static uint32_t generations = 0;
    follow_t *follow = usi_new (follow_t);
    follow->key.id = *id;
    follow->key.peer = peer->index;
    follow->generation = ++generations;
    list_append (&peer->follows, &follow->node);
    zhashx_insert (self->follows, follow, follow);
    return follow;
}

static void s_want (follow_t *follow, int number, uint64_t offset, bool rewind)
{
    follow_stream_t *stream = &follow->streams[number];
    if (!stream->wanted || rewind)
        stream->sent = offset;
    stream->wanted = true;
}

follow_t *follow_open (broker_t *self, peer_t *peer, const usi_id_t *id, unsigned flags,
                       uint64_t offset, bool rewind)
{
    follow_t *follow = s_find (self, peer->index, id);
    if (!follow)
        follow = s_new (self, peer, id);
    if (flags & USI_WATCH_LOG)
        s_want (follow, US_STREAM_LOG, offset, rewind);
    if (flags & USI_WATCH_BUILD)
        s_want (follow, US_STREAM_BUILD, 0, rewind);
    return follow;
}

void follow_drop (broker_t *self, follow_t *follow)
{
    zhashx_delete (self->follows, follow);
    list_remove (&follow->node);
    free (follow);
}

void follow_drop_all (broker_t *self, peer_t *peer)
{
    LIST_EACH (&peer->follows, follow_t, follow, node)
        follow_drop (self, follow);
}

/* --- sending --------------------------------------------------------------------- */

static void s_send (broker_t *self, peer_t *peer, const usi_id_t *id, int stream,
                    uint64_t offset, usi_bytes_t bytes)
{
    usi_fields_t *item = outbox_add (self->outbox, peer, USI_LOGGED, bytes, 0, NULL);
    USI_SET (item, ID, id, *id);
    USI_SET (item, STREAM, stream, (uint64_t) stream);
    USI_SET (item, OFFSET, offset, offset);
}

typedef struct read_request {
    broker_t *broker;
    usi_id_t id;
    uint32_t peer, generation;
    int stream;
} read_request_t;

static void s_advance (broker_t *self, follow_t *follow);

/* Notes and sends what the store has read. The length that the store tells was true when it
 * read. The follow is changed before the bytes are sent, because sending may find the peer
 * slow, which sets the follow back (follow_unsent). */
static void s_take (broker_t *self, peer_t *peer, follow_t *follow, int number,
                    usi_bytes_t bytes, uint64_t length)
{
    follow_stream_t *stream = &follow->streams[number];
    uint64_t offset = stream->sent;
    stream->sent += bytes.len;
    stream->len = bytes.len > 0 && length > stream->sent ? length : stream->sent;
    if (stream->again)
        stream->len = FOLLOW_ALL;
    stream->again = false;
    if (bytes.len > 0)
        s_send (self, peer, &follow->key.id, number, offset, bytes);
}

static void s_on_read (us_err_t code, usi_bytes_t bytes, uint64_t length, void *arg)
{
    read_request_t *request = arg;
    broker_t *self = request->broker;
    follow_t *follow = s_find (self, request->peer, &request->id);
    peer_t *peer = peers_get (self->peers, request->peer);
    if (peer && follow && follow->generation == request->generation) {
        follow->streams[request->stream].reading = false;
        if (code == US_ERR_STORE) {
            peer_must_announce (peer);
            follow_drop (self, follow);
        } else {
            s_take (self, peer, follow, request->stream, bytes, code ? 0 : length);
            s_advance (self, follow);
        }
    }
    free (request);
}

static void s_read (broker_t *self, follow_t *follow, int number)
{
    follow_stream_t *stream = &follow->streams[number];
    read_request_t *request = usi_new (read_request_t);
    *request = (read_request_t){.broker = self,
                                .id = follow->key.id,
                                .peer = follow->key.peer,
                                .generation = follow->generation,
                                .stream = number};
    stream->reading = true;
    store_log_from (self->store, &request->id, number, stream->sent, USI_MAX_LOG,
                    s_on_read, request);
}

static bool s_is_behind (const follow_stream_t *stream)
{
    return stream->wanted && (stream->reading || stream->sent < stream->len);
}

/* Reads on where bytes are missing. Where none are and the job has ended, the follow ends
 * with its ENDED. */
static void s_advance (broker_t *self, follow_t *follow)
{
    const peer_t *peer = peers_get (self->peers, follow->key.peer);
    if (!peer || peer->slow)
        return;
    bool behind = false;
    for (int number = 0; number < 2; number++)
        behind = behind || s_is_behind (&follow->streams[number]);
    if (!behind) {
        if (follow->ended) {
            usi_id_t id = follow->key.id;
            uint32_t index = follow->key.peer;
            follow_drop (self, follow);
            notify_stored_end (self, &id, &index, 1);
        }
        return;
    }
    for (int number = 0; number < 2; number++)
        if (s_is_behind (&follow->streams[number]) && !follow->streams[number].reading)
            s_read (self, follow, number);
}

/* --- what happened --------------------------------------------------------------- */

void follow_grow (broker_t *self, follow_t *follow, int number, uint64_t len)
{
    follow_stream_t *stream = &follow->streams[number];
    if (len > stream->len)
        stream->len = len;
    stream->again = stream->reading;
    if (stream->wanted && stream->sent < stream->len)
        s_advance (self, follow);
}

void follow_grow_to (broker_t *self, follow_t *follow, uint64_t log_len,
                     uint64_t build_len)
{
    const uint64_t lens[2] = {log_len, build_len};
    for (int number = 0; number < 2; number++) {
        follow_stream_t *stream = &follow->streams[number];
        if (lens[number] > stream->len)
            stream->len = lens[number];
        stream->again = stream->reading;
    }
    s_advance (self, follow);
}

void follow_grow_all (broker_t *self, follow_t *follow)
{
    for (int number = 0; number < 2; number++) {
        follow->streams[number].len = FOLLOW_ALL;
        follow->streams[number].again = follow->streams[number].reading;
    }
    s_advance (self, follow);
}

void follow_chunk (broker_t *self, follow_t *follow, int number, uint64_t offset,
                   usi_bytes_t bytes)
{
    follow_stream_t *stream = &follow->streams[number];
    peer_t *peer = peers_get (self->peers, follow->key.peer);
    uint64_t end = offset + bytes.len;
    if (!peer || !stream->wanted || end <= stream->sent)
        return;
    bool meets = offset <= stream->sent && !stream->reading && !peer->slow;
    if (meets && stream->len <= end) {
        uint64_t from = stream->sent;
        size_t skip = (size_t) (from - offset);
        stream->sent = stream->len = end;
        s_send (self, peer, &follow->key.id, number, from,
                usi_bytes (bytes.data + skip, bytes.len - skip));
    } else
        follow_grow (self, follow, number, end);
}

void follow_end (broker_t *self, follow_t *follow)
{
    follow->ended = true;
    follow_grow_all (self, follow);
}

bool follow_is_complete (const follow_t *follow, uint64_t log_end, uint64_t build_end)
{
    const uint64_t ends[2] = {log_end, build_end};
    for (int number = 0; number < 2; number++) {
        const follow_stream_t *stream = &follow->streams[number];
        if (stream->wanted && (stream->reading || stream->sent < ends[number]))
            return false;
    }
    return true;
}

void follow_unsent (broker_t *self, peer_t *peer, const usi_id_t *id, int stream,
                    uint64_t offset)
{
    follow_t *follow = s_find (self, peer->index, id);
    if (!follow)
        follow = s_new (self, peer, id);
    follow_stream_t *missing = &follow->streams[stream];
    if (!missing->wanted || offset < missing->sent)
        missing->sent = offset;
    missing->wanted = true;
    missing->len = FOLLOW_ALL;
}

void follow_resume_all (broker_t *self, peer_t *peer)
{
    LIST_EACH (&peer->follows, follow_t, follow, node)
        s_advance (self, follow);
}

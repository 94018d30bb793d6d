/* SPDX-License-Identifier: MIT
 *
 * See events.h. */
#include "store/events.h"

void events_tell (store_t *self, store_peers_fn *fn, const usi_id_t *id,
                  usi_bytes_t peers)
{
    uint32_t unpacked[RECORD_MAX_PEERS];
    if (fn)
        fn (self->events.arg, id, unpacked, record_peers (peers, unpacked));
}

void events_tell_ended (store_t *self, const usi_reply_t *list)
{
    for (size_t i = 0; i + 2 < usi_reply_count (list); i += 3) {
        usi_id_t id;
        usi_bytes_t name = usi_reply_bytes (usi_reply_at (list, i));
        if (name.len != US_ID_LEN)
            continue;
        memcpy (id.bytes, name.data, US_ID_LEN);
        events_tell (self, self->events.ended, &id,
                     usi_reply_bytes (usi_reply_at (list, i + 2)));
    }
}

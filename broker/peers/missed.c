/* SPDX-License-Identifier: MIT
 *
 * See missed.h. */
#include "peers/missed.h"

#include <stdlib.h>

#include "base/mem.h"

static missed_t s_of_id (usi_type_t type, const usi_fields_t *item)
{
    missed_t missed = {.type = (uint8_t) type,
                       .state = (uint8_t) item->state,
                       .code = (int32_t) item->code,
                       .number = (uint32_t) item->attempt};
    memcpy (missed.key, item->id.bytes, US_ID_LEN);
    return missed;
}

static missed_t s_of_blob (usi_type_t type, const usi_fields_t *item)
{
    missed_t missed = {.type = (uint8_t) type,
                       .code = (int32_t) item->code,
                       .number = (uint32_t) item->index,
                       .size = item->size};
    memcpy (missed.key, item->blob.data, USI_DIGEST_LEN);
    return missed;
}

bool missed_of (usi_type_t type, const usi_fields_t *item, missed_t *missed)
{
    switch (type) {
    case USI_SUBMITTED:
    case USI_STATE:
    case USI_CANCELLED:
    case USI_ENDED:
    case USI_COMMITTED:
    case USI_STOP: *missed = s_of_id (type, item); return true;
    case USI_LOG_KEPT:
        *missed = s_of_id (type, item);
        missed->state = (uint8_t) item->stream;
        missed->size = item->offset;
        return true;
    case USI_BLOB_FOUND:
    case USI_BLOB_KEPT:
    case USI_BLOB_DATA: *missed = s_of_blob (type, item); return true;
    default: return false; /* RENEWED and the like */
    }
}

bool missed_add (peer_t *peer, const missed_t *missed)
{
    if (peer->missed_len >= MISSED_MAX)
        return false;
    if (peer->missed_len == peer->missed_cap) {
        peer->missed_cap = peer->missed_cap ? peer->missed_cap * 2 : 16;
        peer->missed =
            usi_realloc (peer->missed, peer->missed_cap * sizeof *peer->missed);
    }
    peer->missed[peer->missed_len++] = *missed;
    return true;
}

size_t missed_take (peer_t *peer, missed_t *missed, size_t max)
{
    size_t count = peer->missed_len < max ? peer->missed_len : max;
    if (count == 0)
        return 0;
    memcpy (missed, peer->missed, count * sizeof *missed);
    peer->missed_len -= count;
    memmove (peer->missed, peer->missed + count, peer->missed_len * sizeof *missed);
    if (peer->missed_len == 0)
        missed_free (peer);
    return count;
}

void missed_free (peer_t *peer)
{
    free (peer->missed);
    peer->missed = NULL;
    peer->missed_len = peer->missed_cap = 0;
}

static void s_fill_id (const missed_t *missed, usi_fields_t *item)
{
    usi_id_t id;
    memcpy (id.bytes, missed->key, US_ID_LEN);
    USI_SET (item, ID, id, id);
    if (missed->type != USI_STOP)
        USI_SET (item, CODE, code, missed->code);
    if (missed->number)
        USI_SET (item, ATTEMPT, attempt, missed->number);
    if (missed->type == USI_LOG_KEPT) {
        USI_SET (item, STREAM, stream, missed->state);
        USI_SET (item, OFFSET, offset, missed->size);
    } else if (missed->state)
        USI_SET (item, STATE, state, missed->state);
}

void missed_fill (const missed_t *missed, usi_fields_t *item, arena_t *arena)
{
    usi_bytes_t key = usi_bytes (missed->key, USI_DIGEST_LEN);
    switch (missed->type) {
    case USI_BLOB_FOUND:
        USI_SET (item, BLOB, blob, arena_copy (arena, key));
        USI_SET (item, SIZE, size, missed->size);
        break;
    case USI_BLOB_KEPT:
        USI_SET (item, BLOB, blob, arena_copy (arena, key));
        USI_SET (item, INDEX, index, missed->number);
        USI_SET (item, CODE, code, missed->code);
        break;
    default: s_fill_id (missed, item);
    }
}

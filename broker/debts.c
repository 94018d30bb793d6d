/* SPDX-License-Identifier: MIT
 *
 * See debts.h. */
#include "debts.h"

#include <stdlib.h>

#include "base/mem.h"

static debt_t s_of_id (usi_type_t type, const usi_fields_t *item)
{
    debt_t debt = {.type = (uint8_t) type,
                   .state = (uint8_t) item->state,
                   .code = (int32_t) item->code,
                   .number = (uint32_t) item->attempt};
    memcpy (debt.key, item->id.bytes, US_ID_LEN);
    return debt;
}

static debt_t s_of_blob (usi_type_t type, const usi_fields_t *item)
{
    debt_t debt = {.type = (uint8_t) type,
                   .code = (int32_t) item->code,
                   .number = (uint32_t) item->index,
                   .size = item->size};
    memcpy (debt.key, item->blob.data, USI_DIGEST_LEN);
    return debt;
}

bool debt_of (usi_type_t type, const usi_fields_t *item, debt_t *debt)
{
    switch (type) {
    case USI_SUBMITTED:
    case USI_STATE:
    case USI_CANCELLED:
    case USI_ENDED:
    case USI_COMMITTED:
    case USI_STOP: *debt = s_of_id (type, item); return true;
    case USI_LOG_KEPT:
        *debt = s_of_id (type, item);
        debt->state = (uint8_t) item->stream;
        debt->size = item->offset;
        return true;
    case USI_BLOB_FOUND:
    case USI_BLOB_KEPT:
    case USI_BLOB_DATA: *debt = s_of_blob (type, item); return true;
    default: /* RENEWED and the like: asked again soon */ return false;
    }
}

bool debts_add (peer_t *peer, const debt_t *debt)
{
    if (peer->debts_len >= DEBTS_MAX)
        return false;
    if (peer->debts_len == peer->debts_cap) {
        peer->debts_cap = peer->debts_cap ? peer->debts_cap * 2 : 16;
        peer->debts = usi_realloc (peer->debts, peer->debts_cap * sizeof *peer->debts);
    }
    peer->debts[peer->debts_len++] = *debt;
    return true;
}

size_t debts_take (peer_t *peer, debt_t *debts, size_t max)
{
    size_t count = peer->debts_len < max ? peer->debts_len : max;
    if (count == 0)
        return 0;
    memcpy (debts, peer->debts, count * sizeof *debts);
    peer->debts_len -= count;
    memmove (peer->debts, peer->debts + count, peer->debts_len * sizeof *debts);
    if (peer->debts_len == 0)
        debts_free (peer);
    return count;
}

void debts_free (peer_t *peer)
{
    free (peer->debts);
    peer->debts = NULL;
    peer->debts_len = peer->debts_cap = 0;
}

static void s_fill_id (const debt_t *debt, usi_fields_t *item)
{
    usi_id_t id;
    memcpy (id.bytes, debt->key, US_ID_LEN);
    USI_SET (item, ID, id, id);
    if (debt->type != USI_STOP)
        USI_SET (item, CODE, code, debt->code);
    if (debt->number)
        USI_SET (item, ATTEMPT, attempt, debt->number);
    if (debt->type == USI_LOG_KEPT) {
        USI_SET (item, STREAM, stream, debt->state);
        USI_SET (item, OFFSET, offset, debt->size);
    } else if (debt->state)
        USI_SET (item, STATE, state, debt->state);
}

void debt_fill (const debt_t *debt, usi_fields_t *item, arena_t *arena)
{
    usi_bytes_t key = usi_bytes (debt->key, USI_DIGEST_LEN);
    switch (debt->type) {
    case USI_BLOB_FOUND:
        USI_SET (item, BLOB, blob, arena_copy (arena, key));
        USI_SET (item, SIZE, size, debt->size);
        break;
    case USI_BLOB_KEPT:
        USI_SET (item, BLOB, blob, arena_copy (arena, key));
        USI_SET (item, INDEX, index, debt->number);
        USI_SET (item, CODE, code, debt->code);
        break;
    default: s_fill_id (debt, item);
    }
}

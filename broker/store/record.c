/* SPDX-License-Identifier: MIT
 *
 * See record.h. What stands in Redis may be anybody's, so every length is checked. */
#include "store/record.h"

#define SCHEMA         1
#define SHORT_LEN      36 /* all there is until a job is first claimed */
#define HEADER_LEN     91
#define FLAG_SHORT     16
#define RESULT_LEN     32
#define RESULT_IS_BLOB 1
#define NEVER_GIVEN    2 /* a nonce */
#define OWNER_LEN      8 /* behind the specification, where the flag says so */

static int64_t s_time (const uint8_t *at)
{
    return (int64_t) usi_get_be (at, 6);
}

static void s_short_header (store_record_t *r, const uint8_t *at)
{
    r->state = at[1];
    r->flags = at[2] & (uint8_t) ~FLAG_SHORT;
    r->retries = at[4];
    r->class_id = (uint32_t) usi_get_be (at + 6, 4);
    r->body_len = (uint32_t) usi_get_be (at + 14, 4);
    r->expire_ms = (uint32_t) usi_get_be (at + 18, 4);
    r->submitted_ms = s_time (at + 22);
    r->origin_broker = (uint32_t) usi_get_be (at + 28, 4);
    r->origin_peer = (uint32_t) usi_get_be (at + 32, 4);
}

static void s_rest_of_header (store_record_t *r, const uint8_t *at)
{
    r->crashes = at[36];
    r->losses = at[37];
    r->failures = at[38];
    r->started_ms = s_time (at + 39);
    r->ended_ms = s_time (at + 45);
    r->holder = (uint32_t) usi_get_be (at + 51, 4);
    r->attempt = (uint32_t) usi_get_be (at + 55, 4);
    r->node = usi_get_be (at + 59, 8);
    r->boot = (uint32_t) usi_get_be (at + 67, 4);
    r->nonce = usi_get_be (at + 71, 8);
    r->log_base = usi_get_be (at + 79, 6);
    r->build_base = usi_get_be (at + 85, 6);
}

/* States that stand in Redis. */
static bool s_is_state (uint8_t state)
{
    return state > US_STATE_UNSENT && state <= US_STATE_EXPIRED;
}

us_err_t record_parse (store_record_t *record, const usi_id_t *id, usi_bytes_t bytes)
{
    const uint8_t *at = bytes.data;
    if (bytes.len < SHORT_LEN || at[0] != SCHEMA || !s_is_state (at[1]))
        return US_ERR_STORE;
    bool is_short = at[2] & FLAG_SHORT;
    size_t header_len = is_short ? SHORT_LEN : HEADER_LEN;
    size_t name_len = at[3], blobs_len = (size_t) at[5] * USI_DIGEST_LEN;
    size_t spec_len = (size_t) usi_get_be (at + 10, 4);
    size_t head_len = header_len + name_len + blobs_len + spec_len;
    *record = (store_record_t){.id = *id};
    s_short_header (record, at);
    if (bytes.len != head_len && bytes.len != head_len + record->body_len)
        return US_ERR_STORE;
    if (!is_short)
        s_rest_of_header (record, at);
    at += header_len;
    record->channel = usi_bytes (at, name_len);
    record->blobs = usi_bytes (at + name_len, blobs_len);
    record->spec = usi_bytes (at + name_len + blobs_len, spec_len);
    if (record->flags & RECORD_FLAG_OWNED) {
        if (spec_len < OWNER_LEN)
            return US_ERR_STORE;
        record->spec.len -= OWNER_LEN;
        record->owner = usi_get_be (record->spec.data + record->spec.len, OWNER_LEN);
    }
    if (bytes.len > head_len)
        record->body = usi_bytes (at + head_len - header_len, record->body_len);
    return US_OK;
}

us_err_t record_end_code (int state, unsigned crashes)
{
    switch (state) {
    case US_STATE_SUCCEEDED: return US_OK;
    case US_STATE_CANCELLED: return US_ERR_CANCELLED;
    case US_STATE_EXPIRED: return US_ERR_EXPIRED;
    case US_STATE_DEAD: return crashes > 0 ? US_ERR_WORKER_DIED : US_ERR_NODE_LOST;
    default: return US_ERR_REMOTE;
    }
}

usi_bytes_t record_buffers (usi_bytes_t blobs, usi_bytes_t blob)
{
    size_t others = blobs.len - (blobs.len < blob.len ? blobs.len : blob.len);
    bool is_last = blob.len > 0 && blobs.len >= blob.len &&
                   memcmp (blobs.data + others, blob.data, blob.len) == 0;
    return is_last ? usi_bytes (blobs.data, others) : blobs;
}

us_err_t record_parse_result (store_result_t *result, usi_bytes_t bytes)
{
    const uint8_t *at = bytes.data;
    if (bytes.len < RESULT_LEN || at[0] != SCHEMA || !s_is_state (at[1]) ||
        !us_state_is_end (at[1]))
        return US_ERR_STORE;
    size_t blobs_len = (size_t) at[3] * USI_DIGEST_LEN;
    *result = (store_result_t){
        .state = at[1],
        .code = (int32_t) (uint32_t) usi_get_be (at + 4, 4),
        .log_end = usi_get_be (at + 8, 6),
        .build_end = usi_get_be (at + 14, 6),
        .dropped = usi_get_be (at + 20, 6),
        .ended_ms = s_time (at + 26),
    };
    if (bytes.len < RESULT_LEN + blobs_len)
        return US_ERR_STORE;
    const uint8_t *rest = at + RESULT_LEN + blobs_len;
    size_t rest_len = bytes.len - RESULT_LEN - blobs_len;
    result->buffers = usi_bytes (at + RESULT_LEN, blobs_len);
    if (!(at[2] & RESULT_IS_BLOB)) {
        result->body = usi_bytes (rest, rest_len);
        return US_OK;
    }
    if (rest_len != USI_DIGEST_LEN + 6)
        return US_ERR_STORE;
    result->blob = usi_bytes (rest, USI_DIGEST_LEN);
    result->size = usi_get_be (rest + USI_DIGEST_LEN, 6);
    result->buffers = record_buffers (result->buffers, result->blob);
    return US_OK;
}

/* --- writing ---------------------------------------------------------------------- */

static uint8_t *s_append (uint8_t *at, usi_bytes_t bytes)
{
    if (bytes.len)
        memcpy (at, bytes.data, bytes.len);
    return at + bytes.len;
}

size_t record_len (const store_submit_t *job)
{
    return SHORT_LEN + strlen (job->channel) + job->blobs.len + job->spec.len +
           (job->owner ? OWNER_LEN : 0) + job->body.len;
}

void record_write (uint8_t *at, const store_submit_t *job, uint32_t broker)
{
    usi_bytes_t channel = usi_bytes_of (job->channel);
    memset (at, 0, SHORT_LEN);
    at[0] = SCHEMA;
    at[2] = FLAG_SHORT | (job->detached ? RECORD_FLAG_DETACHED : 0) |
            (job->owner ? RECORD_FLAG_OWNED : 0) |
            (job->owner && job->most ? RECORD_FLAG_COUNTED : 0);
    at[3] = (uint8_t) channel.len;
    at[4] = job->retries;
    at[5] = (uint8_t) (job->blobs.len / USI_DIGEST_LEN);
    usi_put_be (at + 6, job->class_id, 4);
    usi_put_be (at + 10, job->spec.len + (job->owner ? OWNER_LEN : 0), 4);
    usi_put_be (at + 14, job->body.len, 4);
    usi_put_be (at + 18, job->expire_ms, 4);
    usi_put_be (at + 22, job->owner ? job->most : 0, 6);
    usi_put_be (at + 28, broker, 4);
    usi_put_be (at + 32, job->peer, 4);
    at = s_append (at + SHORT_LEN, channel);
    at = s_append (at, job->blobs);
    at = s_append (at, job->spec);
    if (job->owner) {
        usi_put_be (at, job->owner, OWNER_LEN);
        at += OWNER_LEN;
    }
    s_append (at, job->body);
}

size_t record_result_len (const store_done_t *done, usi_bytes_t blobs)
{
    size_t tail_len = done->blob.len ? USI_DIGEST_LEN + 6 : done->body.len;
    return RESULT_LEN + blobs.len + tail_len;
}

void record_write_result (uint8_t *at, const store_done_t *done, usi_bytes_t blobs)
{
    memset (at, 0, RESULT_LEN);
    at[0] = SCHEMA;
    at[2] = done->blob.len ? RESULT_IS_BLOB : 0;
    at[3] = (uint8_t) (blobs.len / USI_DIGEST_LEN);
    usi_put_be (at + 4, (uint32_t) done->code, 4);
    usi_put_be (at + 8, done->log_end, 6);
    usi_put_be (at + 14, done->build_end, 6);
    usi_put_be (at + 20, done->dropped, 6);
    at = s_append (at + RESULT_LEN, blobs);
    if (done->blob.len)
        usi_put_be (s_append (at, done->blob), done->size, 6);
    else
        s_append (at, done->body);
}

void record_write_fence (uint8_t *at, const store_fence_t *fence)
{
    memcpy (at, fence->id.bytes, US_ID_LEN);
    usi_put_be (at + 16, fence->attempt, 4);
    usi_put_be (at + 20, fence->node, 8);
    usi_put_be (at + 28, fence->boot, 4);
    /* Zero stands for none in a record and must not match. Nonces of claims are odd, so no
     * record holds this one. */
    usi_put_be (at + 32, fence->nonce ? fence->nonce : NEVER_GIVEN, 8);
}

/* --- lists ------------------------------------------------------------------------ */

size_t record_peers (usi_bytes_t packed, uint32_t peers[RECORD_MAX_PEERS])
{
    size_t count = packed.len / 4;
    if (count > RECORD_MAX_PEERS)
        count = RECORD_MAX_PEERS;
    for (size_t i = 0; i < count; i++)
        peers[i] = (uint32_t) usi_get_be (packed.data + 4 * i, 4);
    return count;
}

void record_add_row (usi_buf_t *rows, usi_bytes_t id, usi_bytes_t record)
{
    uint8_t len[4];
    if (id.len != US_ID_LEN)
        return;
    usi_put_be (len, record.len, sizeof len);
    usi_buf_append (rows, id.data, id.len);
    usi_buf_append (rows, len, sizeof len);
    usi_buf_append (rows, record.data, record.len);
}

bool record_next_row (usi_bytes_t rows, size_t *at, store_record_t *record)
{
    while (*at < rows.len) {
        const uint8_t *row = rows.data + *at;
        usi_id_t id;
        usi_bytes_t bytes =
            usi_bytes (row + US_ID_LEN + 4, (size_t) usi_get_be (row + US_ID_LEN, 4));
        memcpy (id.bytes, row, US_ID_LEN);
        *at += US_ID_LEN + 4 + bytes.len;
        if (record_parse (record, &id, bytes) == US_OK)
            return true;
    }
    return false;
}

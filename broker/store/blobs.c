/* SPDX-License-Identifier: MIT
 *
 * Finding, reading and putting blobs, never part of a transition of a job. A blob is there
 * when it is marked as whole (its key m, which holds the size) and its digest stands in
 * us:blobs. There the score says when it was last put, asked for or named; the collector
 * looks only at those that nobody touched for an hour, and takes them out of us:blobs
 * before it removes them. */
#include "store/blobs.h"

#include <stdlib.h>

#include "base/log.h"
#include "store/blob_check.h"
#include "store/blob_keys.h"
#include "store/command.h"

#define GETS_MAX   16    /* chunks of 1 MiB */
#define CHUNKS_MAX 65536 /* of a blob */

bool blob_is_known (const store_t *self, const uint8_t digest[USI_DIGEST_LEN])
{
    int64_t since_ms =
        self->subscriber ? usi_subscriber_since_ms (self->subscriber) : 0;
    return since_ms && blob_memory_has (self->known, digest, since_ms);
}

/* --- find ------------------------------------------------------------------------- */

typedef struct find {
    store_t *self;
    uint8_t digest[USI_DIGEST_LEN];
    int64_t asked_ms;
    bool listed;
    us_err_t err;
    store_size_fn *fn;
    void *arg;
} find_t;

/* A full Redis does not take the touch, and then the collector might come before what is
 * about to name the blob. */
static void s_on_find_touched (const usi_reply_t *reply, void *arg)
{
    find_t *find = arg;
    if (!reply || usi_reply_is (reply, USI_REPLY_ERROR))
        find->err = US_ERR_STORE;
}

static void s_on_find_score (const usi_reply_t *reply, void *arg)
{
    find_t *find = arg;
    find->listed = usi_reply_is (reply, USI_REPLY_BYTES);
}

static void s_on_find_mark (const usi_reply_t *reply, void *arg)
{
    find_t *find = arg;
    usi_bytes_t mark = usi_reply_bytes (reply);
    bool there = find->listed && mark.len == BLOB_SIZE_LEN;
    if (!reply || usi_reply_is (reply, USI_REPLY_ERROR))
        find->err = US_ERR_STORE;
    if (find->err)
        there = false;
    else if (there)
        blob_memory_add (find->self->known, find->digest, find->asked_ms);
    else
        blob_memory_forget (find->self->known, find->digest);
    find->fn (find->err, there ? usi_get_be (mark.data, BLOB_SIZE_LEN) : 0, find->arg);
    free (find);
}

void store_blob_find (store_t *self, const uint8_t digest[USI_DIGEST_LEN],
                      store_size_fn *fn, void *arg)
{
    find_t *find = usi_new (find_t);
    *find = (find_t){.self = self, .asked_ms = usi_now_ms (), .fn = fn, .arg = arg};
    memcpy (find->digest, digest, USI_DIGEST_LEN);
    usi_bytes_t score[] = {usi_bytes_of ("ZSCORE"), usi_bytes_of ("us:blobs"),
                           usi_bytes (digest, USI_DIGEST_LEN)};
    blob_touch (self, digest, true, s_on_find_touched, find);
    command_send (self, score, 3, s_on_find_score, find);
    command_text (self, s_on_find_mark, find, "GET", blob_key (digest, "m").text, NULL);
}

/* --- get -------------------------------------------------------------------------- */

typedef struct get {
    list_node_t node; /* in store_t.gets */
    store_t *self;
    uint8_t digest[USI_DIGEST_LEN];
    uint32_t index;
    store_read_fn *fn;
    void *arg;
    uint64_t size;
    bool there;
} get_t;

static void s_get_more (store_t *self);

static void s_get_end (get_t *get, us_err_t err, usi_bytes_t chunk)
{
    store_t *self = get->self;
    self->gets_in_flight--;
    self->backlog_ops--;
    get->fn (err, chunk, get->size, get->arg);
    free (get);
    s_get_more (self);
}

static void s_on_get_mark (const usi_reply_t *reply, void *arg)
{
    get_t *get = arg;
    usi_bytes_t mark = usi_reply_bytes (reply);
    get->there = mark.len == BLOB_SIZE_LEN;
    if (get->there)
        get->size = usi_get_be (mark.data, BLOB_SIZE_LEN);
}

static void s_on_lost (const usi_reply_t *reply, void *arg)
{
    get_t *get = arg;
    if (usi_reply_is (reply, USI_REPLY_INT)) {
        if (usi_reply_int (reply) == 1)
            usi_error ("blob.lost", "a chunk of a blob is gone from Redis index=%u",
                       get->index);
        blob_memory_forget (get->self->known, get->digest);
        s_get_end (get, US_ERR_MISSING_BLOB, usi_bytes ("", 0));
    } else {
        s_get_end (get, blob_reply_error (get->self, reply), usi_bytes ("", 0));
    }
}

/* A blob without one of its chunks is of use to nobody: it has to be put again. */
static void s_get_lost (get_t *get)
{
    char index[16];
    snprintf (index, sizeof index, "%u", get->index);
    const usi_bytes_t args[] = {usi_bytes_of (index), usi_bytes_of (get->self->cluster),
                                usi_bytes (get->digest, USI_DIGEST_LEN)};
    blob_call (get->self, get->digest, "blob_lost", args, 3, s_on_lost, get);
}

static void s_on_get_chunk (const usi_reply_t *reply, void *arg)
{
    get_t *get = arg;
    if (!reply || usi_reply_is (reply, USI_REPLY_ERROR))
        s_get_end (get, US_ERR_STORE, usi_bytes ("", 0));
    else if (get->there && usi_reply_is (reply, USI_REPLY_BYTES))
        s_get_end (get, US_OK, usi_reply_bytes (reply));
    else if (get->there && get->index < usi_chunk_count (get->size))
        s_get_lost (get);
    else
        s_get_end (get, US_ERR_MISSING_BLOB, usi_bytes ("", 0));
}

/* A few at a time: Redis and we hold what is under way, and chunks are large. Without a
 * connection all fail at once. */
static void s_get_more (store_t *self)
{
    while (self->gets.first &&
           (self->gets_in_flight < GETS_MAX || !usi_redis_is_connected (self->redis))) {
        get_t *get = LIST_ELEMENT (self->gets.first, get_t, node);
        list_remove (&get->node);
        self->gets_in_flight++;
        command_text (self, s_on_get_mark, get, "GET", blob_key (get->digest, "m").text,
                      NULL);
        blob_read_chunk (self, get->digest, get->index, s_on_get_chunk, get);
    }
}

void store_blob_get (store_t *self, const uint8_t digest[USI_DIGEST_LEN],
                     uint32_t index, store_read_fn *fn, void *arg)
{
    get_t *get = usi_new (get_t);
    *get = (get_t){.self = self, .index = index, .fn = fn, .arg = arg};
    memcpy (get->digest, digest, USI_DIGEST_LEN);
    list_append (&self->gets, &get->node);
    self->backlog_ops++;
    s_get_more (self);
}

/* --- put -------------------------------------------------------------------------- */

typedef struct put {
    store_t *self;
    uint8_t digest[USI_DIGEST_LEN];
    uint64_t size;
    int64_t asked_ms;
    us_err_t err;
    store_code_fn *fn;
    void *arg;
} put_t;

static void s_put_end (put_t *put, us_err_t err)
{
    put->fn (err, put->arg);
    free (put);
}

static void s_on_put_touched (const usi_reply_t *reply, void *arg)
{
    put_t *put = arg;
    if (!reply || usi_reply_is (reply, USI_REPLY_ERROR))
        put->err = blob_reply_error (put->self, reply);
}

static void s_on_checked (us_err_t code, void *arg)
{
    put_t *put = arg;
    if (code == US_OK)
        blob_memory_add (put->self->known, put->digest, put->asked_ms);
    s_put_end (put, code);
}

/* 1: the blob is whole, 0: other chunks are missing, else the token of its parts. */
static void s_on_put (const usi_reply_t *reply, void *arg)
{
    put_t *put = arg;
    usi_bytes_t token = usi_reply_bytes (reply);
    if (put->err)
        s_put_end (put, put->err);
    else if (usi_reply_is (reply, USI_REPLY_INT) && usi_reply_int (reply) == 1)
        s_on_checked (US_OK, put);
    else if (usi_reply_is (reply, USI_REPLY_INT))
        s_put_end (put, US_OK);
    else if (usi_reply_is (reply, USI_REPLY_BYTES) && token.len == BLOB_TOKEN_LEN)
        blob_check (put->self, put->digest, put->size, token.data, s_on_checked, put);
    else
        s_put_end (put, blob_reply_error (put->self, reply));
}

/* Touched first: the collector, which looks at what is old, then leaves it alone, or
 * finds out that somebody has put the blob. */
static void s_put_send (put_t *put, uint32_t index, usi_bytes_t chunk)
{
    char number[16];
    uint8_t size[BLOB_SIZE_LEN], token[BLOB_TOKEN_LEN];
    snprintf (number, sizeof number, "%u", index);
    usi_put_be (size, put->size, sizeof size);
    usi_put_be (token, usi_random64 (), sizeof token);
    const usi_bytes_t args[] = {usi_bytes_of (number), chunk,
                                usi_bytes (size, sizeof size),
                                usi_bytes (token, sizeof token)};
    blob_touch (put->self, put->digest, false, s_on_put_touched, put);
    blob_call (put->self, put->digest, "blob_put", args, 4, s_on_put, put);
}

/* A single chunk can be checked here; larger blobs are once all chunks are there. */
static us_err_t s_judge_chunk (const put_t *put, uint32_t index, usi_bytes_t chunk)
{
    uint8_t digest[USI_DIGEST_LEN];
    uint64_t chunks = usi_chunk_count (put->size);
    if (chunks > CHUNKS_MAX || index >= chunks ||
        chunk.len != usi_chunk_len (put->size, index))
        return US_ERR_INVALID;
    if (chunks > 1)
        return US_OK;
    usi_sha256 (chunk.data, chunk.len, digest);
    return memcmp (digest, put->digest, sizeof digest) == 0 ? US_OK : US_ERR_INVALID;
}

static void s_on_refused (const usi_reply_t *reply, void *arg)
{
    put_t *put = arg;
    (void) reply;
    s_put_end (put, put->err);
}

void store_blob_put (store_t *self, const uint8_t digest[USI_DIGEST_LEN],
                     uint32_t index, uint64_t size, usi_bytes_t chunk,
                     store_code_fn *fn, void *arg)
{
    put_t *put = usi_new (put_t);
    *put = (put_t){
        .self = self, .size = size, .asked_ms = usi_now_ms (), .fn = fn, .arg = arg};
    memcpy (put->digest, digest, USI_DIGEST_LEN);
    put->err = s_judge_chunk (put, index, chunk);
    if (put->err)
        command_text (self, s_on_refused, put, "ECHO", "us", NULL);
    else
        s_put_send (put, index, chunk);
}

/* SPDX-License-Identifier: MIT
 *
 * Blobs: plain pipelined commands, never part of a transition. A blob is there when its
 * digest stands in us:blobs, which happens last; the collector takes it out of there
 * first. Its score says when it was last put, asked for or named; the collector only
 * looks at those that nobody touched for an hour, so what a broker has touched within
 * the last ten minutes needs no second look. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "proto/limits.h"
#include "store/store_internal.h"

#define KNOWN_MS      600000
#define KNOWN_MAX     100000
#define UNNAMED_MS    3600000
#define COLLECT_MS    60000
#define FIRST_MS      5000 /* a broker may not live for longer than a minute */
#define COLLECT_COUNT "16"
#define UPLOAD_S      "86400" /* chunks of a blob that never became whole */
#define HEX_LEN       (2 * USI_DIGEST_LEN)
#define KEY_LEN       96
#define GETS_MAX      16 /* chunks of 1 MiB */

typedef struct blob_key {
    char text[KEY_LEN];
} blob_key_t;

static blob_key_t s_key (const uint8_t *digest, const char *what)
{
    blob_key_t key;
    char hex[HEX_LEN + 1];
    usi_hex (digest, USI_DIGEST_LEN, hex);
    snprintf (key.text, sizeof key.text, "us:{b:%s}:%s", hex, what);
    return key;
}

static blob_key_t s_chunk_key (const uint8_t *digest, uint32_t index)
{
    char number[16];
    snprintf (number, sizeof number, "%u", index);
    return s_key (digest, number);
}

static const char *s_score (const store_t *self, char text[24])
{
    snprintf (text, 24, "%lld", (long long) store_now_ms (self));
    return text;
}

/* ZADD us:blobs [XX] now digest */
static void s_touch (store_t *self, const uint8_t *digest, bool only_if_there,
                     usi_reply_fn *fn, void *arg)
{
    char score[24];
    usi_bytes_t args[5] = {text_of ("ZADD"), text_of ("us:blobs")};
    size_t count = 2;
    if (only_if_there)
        args[count++] = text_of ("XX");
    args[count++] = text_of (s_score (self, score));
    args[count++] = usi_bytes (digest, USI_DIGEST_LEN);
    store_command (self, args, count, fn, arg);
}

static void s_ask_score (store_t *self, const uint8_t *digest, usi_reply_fn *fn,
                         void *arg)
{
    usi_bytes_t args[] = {text_of ("ZSCORE"), text_of ("us:blobs"),
                          usi_bytes (digest, USI_DIGEST_LEN)};
    store_command (self, args, 3, fn, arg);
}

/* --- those seen lately ------------------------------------------------------------ */

static size_t s_hash (const void *key)
{
    return (size_t) usi_get_be (key, 8);
}

static int s_compare (const void *a, const void *b)
{
    return memcmp (a, b, USI_DIGEST_LEN);
}

static int s_compare_ids (const void *a, const void *b)
{
    return memcmp (a, b, US_ID_LEN);
}

static void *s_dup (const void *key)
{
    return (void *) usi_bytes_dup (usi_bytes (key, USI_DIGEST_LEN)).data;
}

static void s_free (void **key)
{
    free (*key);
    *key = NULL;
}

void blobs_new (store_t *self)
{
    self->blobs = zhashx_new ();
    zhashx_set_key_hasher (self->blobs, s_hash);
    zhashx_set_key_comparator (self->blobs, s_compare);
    zhashx_set_key_duplicator (self->blobs, s_dup);
    zhashx_set_key_destructor (self->blobs, s_free);
    self->guards = zhashx_new ();
    zhashx_set_key_hasher (self->guards, s_hash);
    zhashx_set_key_comparator (self->guards, s_compare_ids);
    zhashx_set_key_duplicator (self->guards, NULL); /* the id within the operation */
    zhashx_set_key_destructor (self->guards, NULL);
}

void blobs_forget (store_t *self)
{
    zhashx_purge (self->blobs);
}

void blobs_destroy (store_t *self)
{
    zhashx_destroy (&self->blobs);
    zhashx_destroy (&self->guards);
}

static void s_know (store_t *self, const uint8_t *digest)
{
    if (zhashx_size (self->blobs) >= KNOWN_MAX)
        zhashx_purge (self->blobs);
    zhashx_update (self->blobs, digest, (void *) (intptr_t) (usi_now_ms () + 1));
}

static bool s_is_known (const store_t *self, const uint8_t *digest)
{
    intptr_t when = (intptr_t) zhashx_lookup (self->blobs, digest);
    return when && usi_now_ms () - when < KNOWN_MS;
}

/* --- what names blobs waits until they are known to be there ---------------------- */

typedef struct guard {
    store_t *self;
    op_t *op;
    op_t *behind, **tail; /* came later and are about the same job */
    us_err_t err;
    unsigned waiting;
} guard_t;

typedef struct guarded {
    guard_t *guard;
    uint8_t digest[USI_DIGEST_LEN];
} guarded_t;

bool blobs_put_behind (store_t *self, op_t *op)
{
    if (zhashx_size (self->guards) == 0)
        return false;
    guard_t *guard = zhashx_lookup (self->guards, op->id.bytes);
    if (!guard)
        return false;
    op->next = NULL;
    *guard->tail = op;
    guard->tail = &op->next;
    return true;
}

static guard_t *s_guard_new (store_t *self, op_t *op)
{
    guard_t *guard = usi_new (guard_t);
    *guard = (guard_t){.self = self, .op = op};
    guard->tail = &guard->behind;
    /* An earlier one ends before this one. */
    zhashx_delete (self->guards, op->id.bytes);
    zhashx_insert (self->guards, op->id.bytes, guard);
    op_count (self, op);
    return guard;
}

static void s_guard_end (guard_t *guard)
{
    store_t *self = guard->self;
    if (zhashx_lookup (self->guards, guard->op->id.bytes) == guard)
        zhashx_delete (self->guards, guard->op->id.bytes);
    if (guard->err)
        op_finish (self, guard->op, guard->err, NULL);
    else
        op_queue_now (self, guard->op);
    while (guard->behind) {
        op_t *op = guard->behind;
        guard->behind = op->next;
        op_queue_now (self, op);
    }
    free (guard);
}

static void s_on_guarded (const usi_reply_t *reply, void *arg)
{
    guarded_t *guarded = arg;
    guard_t *guard = guarded->guard;
    if (!reply || usi_reply_is (reply, USI_REPLY_ERROR))
        guard->err = US_ERR_STORE;
    else if (usi_reply_is (reply, USI_REPLY_NIL))
        guard->err = guard->err ? guard->err : US_ERR_MISSING_BLOB;
    else
        s_know (guard->self, guarded->digest);
    free (guarded);
    if (--guard->waiting == 0)
        s_guard_end (guard);
}

void blobs_guard (store_t *self, op_t *op, usi_bytes_t blobs)
{
    guard_t *guard = NULL;
    for (size_t at = 0; at + USI_DIGEST_LEN <= blobs.len; at += USI_DIGEST_LEN) {
        const uint8_t *digest = blobs.data + at;
        if (s_is_known (self, digest))
            continue;
        if (!guard)
            guard = s_guard_new (self, op);
        guard->waiting++;
        guarded_t *guarded = usi_new (guarded_t);
        guarded->guard = guard;
        memcpy (guarded->digest, digest, USI_DIGEST_LEN);
        s_touch (self, digest, true, NULL, NULL);
        s_ask_score (self, digest, s_on_guarded, guarded);
    }
    if (!guard)
        op_queue (self, op);
}

/* --- find and get ----------------------------------------------------------------- */

typedef struct find {
    store_t *self;
    uint8_t digest[USI_DIGEST_LEN];
    bool there;
    store_size_fn *fn;
    void *arg;
} find_t;

static void s_on_find_score (const usi_reply_t *reply, void *arg)
{
    find_t *find = arg;
    find->there = usi_reply_is (reply, USI_REPLY_BYTES);
}

static void s_on_find_size (const usi_reply_t *reply, void *arg)
{
    find_t *find = arg;
    usi_bytes_t packed = usi_reply_bytes (reply);
    us_err_t err =
        !reply || usi_reply_is (reply, USI_REPLY_ERROR) ? US_ERR_STORE : US_OK;
    bool there = !err && find->there && packed.len == 6;
    if (there)
        s_know (find->self, find->digest);
    find->fn (err, there ? usi_get_be (packed.data, 6) : 0, find->arg);
    free (find);
}

void store_blob_find (store_t *self, const uint8_t digest[32], store_size_fn *fn,
                      void *arg)
{
    find_t *find = usi_new (find_t);
    *find = (find_t){.self = self, .fn = fn, .arg = arg};
    memcpy (find->digest, digest, USI_DIGEST_LEN);
    s_touch (self, digest, true, NULL, NULL);
    s_ask_score (self, digest, s_on_find_score, find);
    store_text (self, s_on_find_size, find, "GET", s_key (digest, "m").text, NULL);
}

struct get {
    get_t *next;
    store_t *self;
    uint8_t digest[USI_DIGEST_LEN];
    uint32_t index;
    store_read_fn *fn;
    void *arg;
    uint64_t size;
    bool there;
};

static void s_on_get_size (const usi_reply_t *reply, void *arg)
{
    get_t *get = arg;
    usi_bytes_t packed = usi_reply_bytes (reply);
    get->there = packed.len == 6;
    if (get->there)
        get->size = usi_get_be (packed.data, 6);
}

static void s_get_more (store_t *self);

static void s_on_get_chunk (const usi_reply_t *reply, void *arg)
{
    get_t *get = arg;
    store_t *self = get->self;
    us_err_t err = US_OK;
    if (!reply || usi_reply_is (reply, USI_REPLY_ERROR))
        err = US_ERR_STORE;
    else if (!get->there || !usi_reply_is (reply, USI_REPLY_BYTES))
        err = US_ERR_MISSING_BLOB;
    self->gets_in_flight--;
    self->backlog_ops--;
    get->fn (err, err ? usi_bytes ("", 0) : usi_reply_bytes (reply), get->size,
             get->arg);
    free (get);
    s_get_more (self);
}

/* A few at a time: Redis and we hold what is under way, and chunks are large. Without a
 * connection all fail at once. */
static void s_get_more (store_t *self)
{
    while (self->gets &&
           (self->gets_in_flight < GETS_MAX || !usi_redis_is_connected (self->redis))) {
        get_t *get = self->gets;
        self->gets = get->next;
        self->gets_in_flight++;
        store_text (self, s_on_get_size, get, "GET", s_key (get->digest, "m").text,
                    NULL);
        store_text (self, s_on_get_chunk, get, "GET",
                    s_chunk_key (get->digest, get->index).text, NULL);
    }
}

void store_blob_get (store_t *self, const uint8_t digest[32], uint32_t index,
                     store_read_fn *fn, void *arg)
{
    get_t *get = usi_new (get_t);
    *get = (get_t){.self = self, .index = index, .fn = fn, .arg = arg};
    memcpy (get->digest, digest, USI_DIGEST_LEN);
    if (!self->gets)
        self->gets_tail = &self->gets;
    *self->gets_tail = get;
    self->gets_tail = &get->next;
    self->backlog_ops++;
    s_get_more (self);
}

/* --- put -------------------------------------------------------------------------- */

typedef struct put {
    store_t *self;
    uint8_t digest[USI_DIGEST_LEN];
    uint64_t size;
    uint32_t chunks;
    us_err_t err;
    store_code_fn *fn;
    void *arg;
} put_t;

static void s_put_end (put_t *put, us_err_t err)
{
    if (!err)
        s_know (put->self, put->digest);
    put->fn (err, put->arg);
    free (put);
}

static void s_put_check (put_t *put, const usi_reply_t *reply)
{
    if (usi_reply_is_error (reply, "OOM"))
        put->err = US_ERR_BUSY;
    else if (!reply || usi_reply_is (reply, USI_REPLY_ERROR))
        put->err = US_ERR_STORE;
}

static void s_on_step (const usi_reply_t *reply, void *arg)
{
    s_put_check (arg, reply);
}

static void s_on_named (const usi_reply_t *reply, void *arg)
{
    put_t *put = arg;
    s_put_check (put, reply);
    s_put_end (put, put->err);
}

static void s_on_whole (const usi_reply_t *reply, void *arg)
{
    put_t *put = arg;
    s_put_check (put, reply);
    if (put->err)
        s_put_end (put, put->err);
    else
        s_touch (put->self, put->digest, false, s_on_named, put);
}

static void s_write_size (put_t *put)
{
    uint8_t size[6];
    usi_put_be (size, put->size, sizeof size);
    blob_key_t key = s_key (put->digest, "m");
    usi_bytes_t args[] = {text_of ("SET"), text_of (key.text),
                          usi_bytes (size, sizeof size)};
    store_command (put->self, args, 3, s_on_whole, put);
}

static void s_on_count (const usi_reply_t *reply, void *arg)
{
    put_t *put = arg;
    store_t *self = put->self;
    s_put_check (put, reply);
    if (put->err || usi_reply_int (reply) < (int64_t) put->chunks) {
        put->fn (put->err, put->arg); /* kept; the blob is not whole yet */
        free (put);
        return;
    }
    for (uint32_t i = 0; i < put->chunks; i++)
        store_text (self, s_on_step, put, "PERSIST", s_chunk_key (put->digest, i).text,
                    NULL);
    store_text (self, s_on_step, put, "DEL", s_key (put->digest, "p").text, NULL);
    s_write_size (put);
}

static void s_put_part (put_t *put, uint32_t index, usi_bytes_t chunk)
{
    store_t *self = put->self;
    char number[16];
    blob_key_t key = s_chunk_key (put->digest, index), parts = s_key (put->digest, "p");
    usi_bytes_t args[] = {text_of ("SET"), text_of (key.text), chunk, text_of ("EX"),
                          text_of (UPLOAD_S)};
    snprintf (number, sizeof number, "%u", index);
    store_command (self, args, 5, s_on_step, put);
    store_text (self, s_on_step, put, "SETBIT", parts.text, number, "1", NULL);
    store_text (self, s_on_step, put, "EXPIRE", parts.text, UPLOAD_S, NULL);
    store_text (self, s_on_count, put, "BITCOUNT", parts.text, NULL);
}

static void s_put_only (put_t *put, usi_bytes_t chunk)
{
    blob_key_t key = s_chunk_key (put->digest, 0);
    usi_bytes_t args[] = {text_of ("SET"), text_of (key.text), chunk};
    store_command (put->self, args, 3, s_on_step, put);
    s_write_size (put);
}

/* A single chunk can be checked here; larger blobs are by whoever puts them
 * together. */
static us_err_t s_judge_chunk (const put_t *put, uint32_t index, usi_bytes_t chunk)
{
    uint8_t digest[USI_DIGEST_LEN];
    if (index >= put->chunks)
        return US_ERR_INVALID;
    uint64_t expected = put->size - (uint64_t) index * USI_MAX_CHUNK;
    if (expected > USI_MAX_CHUNK)
        expected = USI_MAX_CHUNK;
    if (chunk.len != expected)
        return US_ERR_INVALID;
    if (put->chunks > 1)
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

void store_blob_put (store_t *self, const uint8_t digest[32], uint32_t index,
                     uint64_t size, usi_bytes_t chunk, store_code_fn *fn, void *arg)
{
    put_t *put = usi_new (put_t);
    uint64_t chunks = size ? (size + USI_MAX_CHUNK - 1) / USI_MAX_CHUNK : 1;
    *put = (put_t){.self = self, .size = size, .fn = fn, .arg = arg};
    put->chunks = chunks > 65536 ? 0 : (uint32_t) chunks;
    memcpy (put->digest, digest, USI_DIGEST_LEN);
    put->err = s_judge_chunk (put, index, chunk);
    if (put->err)
        store_text (self, s_on_refused, put, "ECHO", "us", NULL);
    else if (put->chunks == 1)
        s_put_only (put, chunk);
    else
        s_put_part (put, index, chunk);
}

/* --- the collector ---------------------------------------------------------------- */

typedef struct collect {
    store_t *self;
    uint8_t digest[USI_DIGEST_LEN];
    unsigned waiting;
    bool keep;
} collect_t;

static void s_on_dropped_size (const usi_reply_t *reply, void *arg)
{
    collect_t *collect = arg;
    store_t *self = collect->self;
    usi_bytes_t packed = usi_reply_bytes (reply);
    uint64_t size = packed.len == 6 ? usi_get_be (packed.data, 6) : 0;
    store_text (self, NULL, NULL, "DEL", s_key (collect->digest, "m").text, NULL);
    for (uint32_t i = 0; i == 0 || (uint64_t) i * USI_MAX_CHUNK < size; i++)
        store_text (self, NULL, NULL, "UNLINK", s_chunk_key (collect->digest, i).text,
                    NULL);
    free (collect);
}

static void s_on_taken_out (const usi_reply_t *reply, void *arg)
{
    collect_t *collect = arg;
    if (usi_reply_int (reply) != 1) {
        free (collect); /* somebody touched it meanwhile */
        return;
    }
    zhashx_delete (collect->self->blobs, collect->digest);
    store_text (collect->self, s_on_dropped_size, collect, "GET",
                s_key (collect->digest, "m").text, NULL);
}

static void s_take_out (collect_t *collect)
{
    static const char script[] = "local at = redis.call ('ZSCORE', KEYS[1], ARGV[1])\n"
                                 "if at and tonumber (at) < tonumber (ARGV[2]) then\n"
                                 "    return redis.call ('ZREM', KEYS[1], ARGV[1])\n"
                                 "end\n"
                                 "return 0";
    char before[24];
    snprintf (before, sizeof before, "%lld",
              (long long) (store_now_ms (collect->self) - UNNAMED_MS));
    usi_bytes_t args[] = {text_of ("EVAL"),
                          text_of (script),
                          text_of ("1"),
                          text_of ("us:blobs"),
                          usi_bytes (collect->digest, USI_DIGEST_LEN),
                          text_of (before)};
    store_command (collect->self, args, 6, s_on_taken_out, collect);
}

static void s_on_named_in (const usi_reply_t *reply, void *arg)
{
    collect_t *collect = arg;
    if (!usi_reply_is (reply, USI_REPLY_INT) || usi_reply_int (reply) != 0)
        collect->keep = true;
    if (--collect->waiting)
        return;
    if (!collect->keep) {
        s_take_out (collect);
        return;
    }
    s_touch (collect->self, collect->digest, true, NULL, NULL);
    free (collect);
}

static void s_look_for_names (store_t *self, usi_bytes_t digest)
{
    collect_t *collect = usi_new (collect_t);
    collect->self = self;
    memcpy (collect->digest, digest.data, USI_DIGEST_LEN);
    for (unsigned i = 0; i < PARTITIONS; i++)
        collect->waiting += self->partitions[i].channels.len > 0;
    if (!collect->waiting) {
        free (collect); /* channels are not known yet */
        return;
    }
    for (unsigned i = 0; i < PARTITIONS; i++) {
        char key[24];
        if (!self->partitions[i].channels.len)
            continue;
        snprintf (key, sizeof key, "us:{%02x}:blobs", i);
        usi_bytes_t args[] = {text_of ("HEXISTS"), text_of (key), digest};
        store_command (self, args, 3, s_on_named_in, collect);
    }
}

static void s_on_old (const usi_reply_t *reply, void *arg)
{
    store_t *self = arg;
    for (size_t i = 0; i < usi_reply_count (reply); i++) {
        usi_bytes_t digest = usi_reply_bytes (usi_reply_at (reply, i));
        if (digest.len == USI_DIGEST_LEN)
            s_look_for_names (self, digest);
    }
}

/* What was touched before the clock stepped cannot be told from what is old, and brokers
 * take for granted for a while that what they have touched is there. */
void blobs_stepped (store_t *self)
{
    self->collected_ms = usi_now_ms () + UNNAMED_MS;
}

void blobs_collect (store_t *self)
{
    char before[24];
    int64_t now_ms = usi_now_ms ();
    if (self->collected_ms && now_ms - self->collected_ms < COLLECT_MS)
        return;
    if (!self->collected_ms) { /* channels are being learnt */
        self->collected_ms = now_ms - COLLECT_MS + FIRST_MS;
        return;
    }
    self->collected_ms = now_ms;
    snprintf (before, sizeof before, "%lld",
              (long long) (store_now_ms (self) - UNNAMED_MS));
    store_text (self, s_on_old, self, "ZRANGEBYSCORE", "us:blobs", "-inf", before,
                "LIMIT", "0", COLLECT_COUNT, NULL);
}

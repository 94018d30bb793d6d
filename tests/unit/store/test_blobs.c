/* SPDX-License-Identifier: MIT
 *
 * Blobs in the store: what was accepted stays as it is, whoever puts what over it, and
 * what is lost is told as lost by every broker. */
#include "proto/limits.h"
#include "store/blobs.h"
#include "harness.h"

#define CHUNKS 3
#define SIZE   ((size_t) 2 * USI_MAX_CHUNK + 10)

static uint8_t s_big[SIZE], s_other[SIZE];
static uint8_t s_digest[USI_DIGEST_LEN];

static int s_setup (void **state)
{
    for (size_t i = 0; i < SIZE; i++) {
        s_big[i] = (uint8_t) (i * 7 + i / 255);
        s_other[i] = (uint8_t) ~s_big[i];
    }
    return harness_begin (state, redis_start);
}

/* Another blob each time: nothing is left of the test before. */
static int s_begin_blob (void **state)
{
    harness_t *h = *state;
    usi_put_be (s_big, usi_random64 (), 8);
    usi_sha256 (s_big, SIZE, s_digest);
    return harness_empty ((void **) &h);
}

static void s_on_size (us_err_t code, uint64_t size, void *arg)
{
    got_number (code, size, arg);
}

static us_err_t s_put_blob (harness_t *h, const uint8_t *digest, uint32_t index,
                            uint64_t size, usi_bytes_t chunk)
{
    store_blob_put (h->store, digest, index, size, chunk, got_code, got_begin (h));
    pump (h, got_answer);
    return h->got.code;
}

static us_err_t s_put_from (harness_t *h, const uint8_t *bytes, uint32_t index)
{
    size_t at = (size_t) index * USI_MAX_CHUNK;
    size_t len = SIZE - at < USI_MAX_CHUNK ? SIZE - at : USI_MAX_CHUNK;
    return s_put_blob (h, s_digest, index, SIZE, usi_bytes (bytes + at, len));
}

static us_err_t s_put_all (harness_t *h)
{
    us_err_t err = US_OK;
    for (uint32_t i = 0; i < CHUNKS && !err; i++)
        err = s_put_from (h, s_big, i);
    return err;
}

static uint64_t s_find_blob (harness_t *h, store_t *store, const uint8_t *digest)
{
    store_blob_find (store, digest, s_on_size, got_begin (h));
    pump (h, got_answer);
    return h->got.number;
}

static us_err_t s_read_blob (harness_t *h, uint32_t index)
{
    store_blob_get (h->store, s_digest, index, got_read, got_begin (h));
    pump (h, got_answer);
    return h->got.code;
}

static us_err_t s_submit_naming (harness_t *h, store_t *store, const uint8_t *digest)
{
    usi_id_t id = new_id ();
    store_submit_t job = a_job (&id);
    job.blobs = usi_bytes (digest, USI_DIGEST_LEN);
    store_submit (store, &job, got_submit, got_begin (h));
    pump (h, got_answer);
    return h->got.code;
}

typedef struct blob_name {
    char text[96];
} blob_name_t;

static blob_name_t s_name (const char *what)
{
    blob_name_t name;
    char hex[2 * USI_DIGEST_LEN + 1];
    usi_hex (s_digest, USI_DIGEST_LEN, hex);
    snprintf (name.text, sizeof name.text, "us:{b:%s}:%s", hex, what);
    return name;
}

static int64_t s_ask_int (harness_t *h, const char *command, const char *what)
{
    return usi_reply_int (usi_ask (h->ask, command, s_name (what).text, NULL));
}

/* All chunks are as they were put, and none ever expires. */
static void assert_intact (harness_t *h)
{
    static const char *const keys[] = {"m", "0", "1", "2"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_int_equal (s_ask_int (h, "TTL", keys[i]), -1);
    assert_int_equal (s_ask_int (h, "EXISTS", "p"), 0);
    assert_int_equal (s_find_blob (h, h->store, s_digest), SIZE);
    for (uint32_t i = 0; i < CHUNKS; i++) {
        char number[8];
        snprintf (number, sizeof number, "%u", i);
        usi_bytes_t chunk =
            usi_reply_bytes (usi_ask (h->ask, "GET", s_name (number).text, NULL));
        size_t at = (size_t) i * USI_MAX_CHUNK;
        assert_int_equal (chunk.len, i < CHUNKS - 1 ? USI_MAX_CHUNK : SIZE - at);
        assert_memory_equal (chunk.data, s_big + at, chunk.len);
    }
}

static void assert_gone (harness_t *h)
{
    static const char *const keys[] = {"m", "p", "0", "1", "2"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_int_equal (s_ask_int (h, "EXISTS", keys[i]), 0);
    assert_int_equal (s_find_blob (h, h->store, s_digest), 0);
}

/* --- one who puts ----------------------------------------------------------------- */

static void test_blobs (void **state)
{
    harness_t *h = *state;
    static uint8_t big[USI_MAX_CHUNK + 10];
    uint8_t digest[32], big_digest[32];
    usi_sha256 ("blob", 4, digest);
    usi_sha256 (big, sizeof big, big_digest);
    usi_id_t id = new_id ();
    store_submit_t job = a_job (&id);
    job.blobs = usi_bytes (digest, 32);
    assert_int_equal (s_find_blob (h, h->store, digest), 0);
    assert_int_equal (do_submit (h, &job)->code, US_ERR_MISSING_BLOB);
    assert_int_equal (s_put_blob (h, digest, 0, 4, usi_bytes_of ("boom")),
                      US_ERR_INVALID);
    assert_int_equal (s_put_blob (h, digest, 0, 4, usi_bytes_of ("blob")), US_OK);
    assert_int_equal (s_find_blob (h, h->store, digest), 4);
    assert_int_equal (do_submit (h, &job)->code, US_OK);
    store_blob_get (h->store, digest, 0, got_read, got_begin (h));
    pump (h, got_answer);
    assert_string_equal (h->got.text, "blob");
    assert_int_equal (h->got.length, 4);

    usi_bytes_t last = usi_bytes (big + USI_MAX_CHUNK, 10);
    assert_int_equal (s_put_blob (h, big_digest, 1, sizeof big, last), US_OK);
    assert_int_equal (s_find_blob (h, h->store, big_digest), 0); /* not whole yet */
    s_put_blob (h, big_digest, 0, sizeof big, usi_bytes (big, USI_MAX_CHUNK));
    assert_int_equal (s_find_blob (h, h->store, big_digest), sizeof big);
    assert_int_equal (s_put_blob (h, big_digest, 2, sizeof big, last), US_ERR_INVALID);

    store_fence_t fence = claim_one (h, &id); /* a result that is a blob */
    store_done_t done = a_result (&fence, USI_SUCCEEDED, 0, "");
    done.blob = usi_bytes (big_digest, 32);
    done.size = sizeof big;
    assert_int_equal (do_done (h, &done)->code, US_OK);
    do_get (h, &id);
    assert_int_equal (h->got.result.size, sizeof big);
    char key[32];
    snprintf (key, sizeof key, "us:{%02x}:blobs", usi_id_partition (&id));
    assert_int_equal (usi_reply_int (usi_ask (h->ask, "HLEN", key, NULL)), 2);
    store_purge (h->store, NULL, 0, 0, got_number, got_begin (h));
    pump (h, got_answer);
    assert_int_equal (usi_reply_int (usi_ask (h->ask, "HLEN", key, NULL)), 0);
}

/* --- several who put -------------------------------------------------------------- */

static void test_the_last_chunk_comes_twice (void **state)
{
    harness_t *h = *state;
    assert_int_equal (s_put_all (h), US_OK);
    assert_int_equal (s_put_from (h, s_big, 2), US_OK);
    assert_intact (h);
}

static void test_two_put_at_the_same_time (void **state)
{
    harness_t *h = *state;
    got_t all = {0};
    for (uint32_t i = 0; i < 2 * CHUNKS; i++) {
        size_t at = (size_t) (i % CHUNKS) * USI_MAX_CHUNK;
        size_t len = SIZE - at < USI_MAX_CHUNK ? SIZE - at : USI_MAX_CHUNK;
        store_blob_put (h->store, s_digest, i % CHUNKS, SIZE,
                        usi_bytes (s_big + at, len), got_code, &all);
    }
    while (all.calls < 2 * CHUNKS)
        s_find_blob (h, h->store, s_digest);
    assert_int_equal (all.code, US_OK);
    assert_intact (h);
}

static void test_other_bytes_over_a_whole_blob (void **state)
{
    harness_t *h = *state;
    assert_int_equal (s_put_all (h), US_OK);
    for (uint32_t i = 0; i < CHUNKS; i++)
        assert_int_equal (s_put_from (h, s_other, i), US_OK); /* not looked at */
    assert_intact (h);
    assert_int_equal (s_put_blob (h, s_digest, 40, 50 * (uint64_t) USI_MAX_CHUNK,
                                  usi_bytes (s_other, USI_MAX_CHUNK)),
                      US_OK);
    assert_int_equal (s_ask_int (h, "EXISTS", "40"), 0);
    assert_intact (h);
}

static void test_other_bytes_before_it_is_whole (void **state)
{
    harness_t *h = *state;
    assert_int_equal (s_put_from (h, s_other, 1), US_OK);
    assert_int_equal (s_put_from (h, s_big, 0), US_OK);
    assert_int_equal (s_put_from (h, s_big, 1), US_OK); /* written once */
    assert_int_equal (s_put_from (h, s_big, 2), US_ERR_MISSING_BLOB);
    assert_gone (h);
    assert_int_equal (s_submit_naming (h, h->store, s_digest), US_ERR_MISSING_BLOB);
    assert_int_equal (s_put_all (h), US_OK);
    assert_intact (h);
}

static void test_a_chunk_of_a_larger_blob (void **state)
{
    harness_t *h = *state;
    assert_int_equal (s_put_blob (h, s_digest, 9, 10 * (uint64_t) USI_MAX_CHUNK,
                                  usi_bytes (s_other, USI_MAX_CHUNK)),
                      US_OK);
    assert_int_equal (s_put_from (h, s_big, 0), US_OK);
    assert_int_equal (s_put_from (h, s_big, 1), US_OK);
    assert_int_equal (s_find_blob (h, h->store, s_digest),
                      0); /* three, but not those */
    assert_int_equal (s_put_from (h, s_big, 2), US_OK);
    assert_intact (h);
}

static void test_a_part_expires_before_the_last_comes (void **state)
{
    harness_t *h = *state;
    s_put_from (h, s_big, 0);
    s_put_from (h, s_big, 1);
    assert_in_range (s_ask_int (h, "TTL", "0"), 86000, 86400);
    assert_int_equal (s_ask_int (h, "DEL", "0"), 1);
    assert_int_equal (s_put_from (h, s_big, 2), US_ERR_MISSING_BLOB);
    assert_int_equal (s_put_all (h), US_OK);
    assert_intact (h);
}

/* --- the sum ---------------------------------------------------------------------- */

#define MANY 24

/* All chunks of a blob of zeros but the first. */
static uint64_t s_put_many (harness_t *h, const uint8_t *chunk, uint8_t digest[32])
{
    const uint64_t size = (uint64_t) MANY * USI_MAX_CHUNK;
    uint8_t *zeros = usi_alloc (size);
    memcpy (zeros, chunk, USI_MAX_CHUNK);
    usi_sha256 (zeros, size, digest);
    for (uint32_t i = 1; i < MANY; i++)
        assert_int_equal (s_put_blob (h, digest, i, size,
                                      usi_bytes (zeros + USI_MAX_CHUNK, USI_MAX_CHUNK)),
                          US_OK);
    free (zeros);
    return size;
}

/* The sum of a large blob is made between other things. */
static void test_others_are_served_while_a_sum_is_made (void **state)
{
    harness_t *h = *state;
    uint8_t digest[32];
    got_t put = {0};
    unsigned served = 0;
    usi_id_t id = submit_one (h);
    uint64_t size = s_put_many (h, s_big, digest);
    store_blob_put (h->store, digest, 0, size, usi_bytes (s_big, USI_MAX_CHUNK),
                    got_code, &put);
    while (put.calls == 0) {
        do_get (h, &id);
        served += put.calls == 0;
    }
    assert_int_equal (put.code, US_OK);
    assert_true (served >= MANY / 2);
    assert_int_equal (s_find_blob (h, h->store, digest), size);
}

static bool s_is_checking (harness_t *h)
{
    return h->store->is_checking;
}

static bool s_is_lost (harness_t *h)
{
    return h->told.lost > 0;
}

static void test_the_connection_goes_while_a_sum_is_made (void **state)
{
    harness_t *h = *state;
    uint8_t digest[32];
    got_t puts = {0};
    uint64_t size = s_put_many (h, s_other, digest);
    for (int i = 0; i < 3; i++)
        store_blob_put (h->store, digest, 0, size, usi_bytes (s_other, USI_MAX_CHUNK),
                        got_code, &puts);
    pump (h, s_is_checking);
    assert_int_equal (puts.calls, 0);
    usi_ask (h->ask, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", NULL);
    pump (h, s_is_lost);
    pump (h, harness_is_ready);
    assert_int_equal (puts.calls, 3);
    assert_int_equal (puts.code, US_ERR_STORE);
    assert_false (h->store->is_checking);
    assert_int_equal (s_put_blob (h, digest, 0, size,
                                  usi_bytes (s_other, USI_MAX_CHUNK)),
                      US_OK);
    assert_int_equal (s_find_blob (h, h->store, digest), size);
}

/* --- the functions, step by step -------------------------------------------------- */

static const usi_reply_t *s_call (harness_t *h, const char *function,
                                  const usi_bytes_t *args, size_t count)
{
    char name[48], hash[9];
    blob_name_t mark = s_name ("m");
    store_library_hash (hash);
    snprintf (name, sizeof name, "us_%s_%s", hash, function);
    usi_bytes_t all[8] = {usi_bytes_of ("FCALL"), usi_bytes_of (name),
                          usi_bytes_of ("1"), usi_bytes_of (mark.text)};
    memcpy (all + 4, args, count * sizeof *args);
    const usi_reply_t *reply = usi_ask_bytes (h->ask, all, 4 + count);
    if (usi_reply_is (reply, USI_REPLY_ERROR))
        fail_msg ("%s", (const char *) usi_reply_bytes (reply).data);
    return reply;
}

static const usi_reply_t *s_call_put (harness_t *h, const char *index,
                                      const uint8_t *bytes, const char *token)
{
    uint8_t size[6];
    size_t at = (size_t) (*index - '0') * USI_MAX_CHUNK;
    usi_put_be (size, SIZE, sizeof size);
    usi_bytes_t args[] = {usi_bytes_of (index),
                          usi_bytes (bytes + at, SIZE - at < USI_MAX_CHUNK
                                                     ? SIZE - at
                                                     : USI_MAX_CHUNK),
                          usi_bytes (size, sizeof size), usi_bytes_of (token)};
    return s_call (h, "blob_put", args, 4);
}

static int64_t s_call_settle (harness_t *h, const char *function, const char *token)
{
    uint8_t size[6];
    usi_put_be (size, SIZE, sizeof size);
    usi_bytes_t args[] = {usi_bytes_of (token), usi_bytes (size, sizeof size)};
    return usi_reply_int (s_call (h, function, args, 2));
}

/* Between the check of the sum and the mark a part went and came back as another. */
static void test_a_part_changes_while_it_is_checked (void **state)
{
    harness_t *h = *state;
    s_call_put (h, "0", s_big, "token--0");
    s_call_put (h, "1", s_big, "token--1");
    usi_bytes_t token = usi_reply_bytes (s_call_put (h, "2", s_big, "token--2"));
    assert_true (usi_bytes_equal (token, usi_bytes_of ("token--2")));
    s_ask_int (h, "DEL", "1");
    assert_int_equal (s_call_settle (h, "blob_whole", "token--2"), 0);
    s_call_put (h, "1", s_other, "token--3");
    assert_int_equal (s_call_settle (h, "blob_whole", "token--2"), 0);
    s_call_settle (h, "blob_drop", "token--2"); /* not these */
    assert_int_equal (s_ask_int (h, "EXISTS", "1"), 1);
    assert_int_equal (s_ask_int (h, "EXISTS", "m"), 0);
    s_call_settle (h, "blob_drop", "token--3");
    assert_gone (h);
}

static void test_the_collector_meets_one_who_puts (void **state)
{
    harness_t *h = *state;
    usi_bytes_t mine = usi_bytes_of ("collector");
    assert_int_equal (s_put_all (h), US_OK);
    usi_ask (h->ask, "SET", s_name ("g").text, "collector", NULL);
    usi_bytes_t out[] = {usi_bytes_of ("ZREM"), usi_bytes_of ("us:blobs"),
                         usi_bytes (s_digest, USI_DIGEST_LEN)};
    usi_ask_bytes (h->ask, out, 3);
    assert_int_equal (s_put_from (h, s_big, 0), US_OK);
    assert_int_equal (usi_reply_int (s_call (h, "blob_collect", &mine, 1)), 0);
    assert_intact (h);
    assert_int_equal (s_submit_naming (h, h->store, s_digest), US_OK);

    usi_ask (h->ask, "SET", s_name ("g").text, "collector", NULL);
    assert_int_equal (usi_reply_int (s_call (h, "blob_collect", &mine, 1)), 1);
    assert_gone (h);
}

/* --- what is lost ----------------------------------------------------------------- */

static bool s_has_forgotten (harness_t *h)
{
    return !blob_is_known (h->store, s_digest);
}

static void test_a_lost_chunk (void **state)
{
    harness_t *h = *state;
    told_t told = {0};
    store_t *mine = h->store, *other = harness_store (h, 0x22, LEASE_MS, &told);
    h->store = other;
    pump (h, harness_is_ready);
    h->store = mine;
    assert_int_equal (s_put_all (h), US_OK);
    assert_int_equal (s_find_blob (h, other, s_digest), SIZE);
    assert_int_equal (s_submit_naming (h, other, s_digest), US_OK);
    assert_int_equal (s_read_blob (h, 3),
                      US_ERR_MISSING_BLOB); /* there never was one */
    assert_intact (h);

    assert_int_equal (s_ask_int (h, "DEL", "1"), 1);
    assert_int_equal (s_read_blob (h, 0), US_OK);
    assert_int_equal (s_read_blob (h, 1), US_ERR_MISSING_BLOB);
    h->store = other;
    pump (h, s_has_forgotten); /* it was told */
    h->store = mine;
    assert_int_equal (s_submit_naming (h, other, s_digest), US_ERR_MISSING_BLOB);
    assert_int_equal (s_submit_naming (h, mine, s_digest), US_ERR_MISSING_BLOB);
    assert_int_equal (s_find_blob (h, other, s_digest), 0);
    assert_gone (h);
    assert_int_equal (s_put_all (h), US_OK);
    assert_intact (h);
    assert_int_equal (s_submit_naming (h, other, s_digest), US_OK);
    store_destroy (&other);
}

/* What has gone from Redis without anybody's word is found out by the next question. */
static void test_a_lost_mark (void **state)
{
    harness_t *h = *state;
    assert_int_equal (s_put_all (h), US_OK);
    assert_int_equal (s_ask_int (h, "DEL", "m"), 1);
    assert_int_equal (s_find_blob (h, h->store, s_digest), 0);
    assert_int_equal (s_submit_naming (h, h->store, s_digest), US_ERR_MISSING_BLOB);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup (test_blobs, s_begin_blob),
        cmocka_unit_test_setup (test_the_last_chunk_comes_twice, s_begin_blob),
        cmocka_unit_test_setup (test_two_put_at_the_same_time, s_begin_blob),
        cmocka_unit_test_setup (test_other_bytes_over_a_whole_blob, s_begin_blob),
        cmocka_unit_test_setup (test_other_bytes_before_it_is_whole, s_begin_blob),
        cmocka_unit_test_setup (test_a_chunk_of_a_larger_blob, s_begin_blob),
        cmocka_unit_test_setup (test_a_part_expires_before_the_last_comes,
                                s_begin_blob),
        cmocka_unit_test_setup (test_others_are_served_while_a_sum_is_made,
                                s_begin_blob),
        cmocka_unit_test_setup (test_the_connection_goes_while_a_sum_is_made,
                                s_begin_blob),
        cmocka_unit_test_setup (test_a_part_changes_while_it_is_checked, s_begin_blob),
        cmocka_unit_test_setup (test_the_collector_meets_one_who_puts, s_begin_blob),
        cmocka_unit_test_setup (test_a_lost_chunk, s_begin_blob),
        cmocka_unit_test_setup (test_a_lost_mark, s_begin_blob),
    };
    return cmocka_run_group_tests (tests, s_setup, harness_end);
}

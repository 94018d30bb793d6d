/* SPDX-License-Identifier: MIT
 *
 * Reading stored records: the golden ones, and everything that is not one; and writing
 * them. That the functions still write them so is in test_golden_records.c. */
#include "golden.h"

#include "store/record.h"

#define RECORDS US_TEST_DATA "/records.txt"

static const usi_id_t s_id = {{9}};

static store_record_t s_golden (const char *name, uint8_t *data, size_t size)
{
    store_record_t r;
    usi_bytes_t bytes = golden_get (RECORDS, name, data, size);
    assert_int_equal (record_parse (&r, &s_id, bytes), US_OK);
    assert_true (usi_id_equal (&r.id, &s_id));
    assert_true (usi_bytes_equal (r.channel, usi_bytes_of ("default")));
    assert_true (usi_bytes_equal (r.spec, usi_bytes_of ("spec")));
    assert_true (usi_bytes_equal (r.body, usi_bytes_of ("body")));
    return r;
}

static void test_a_short_record (void **state)
{
    (void) state;
    uint8_t data[512];
    store_record_t r = s_golden ("queued", data, sizeof data);
    assert_int_equal (r.state, US_STATE_QUEUED);
    assert_int_equal (r.flags, 0);
    assert_int_equal (r.retries, 2);
    assert_int_equal (r.class_id, 0x2455e61d);
    assert_int_equal (r.expire_ms, 5000);
    assert_int_equal (r.submitted_ms, 0x019000000001);
    assert_int_equal (r.origin_broker, 0x11);
    assert_int_equal (r.origin_peer, 7);
    assert_int_equal (r.attempt, 0);
    assert_int_equal (r.blobs.len, USI_DIGEST_LEN);
    r = s_golden ("queued_detached", data, sizeof data);
    assert_int_equal (r.flags, RECORD_FLAG_DETACHED);
    assert_int_equal (r.blobs.len, 0);
}

static void test_a_whole_record (void **state)
{
    (void) state;
    uint8_t data[512];
    store_record_t r = s_golden ("leased", data, sizeof data);
    assert_int_equal (r.state, US_STATE_LEASED);
    assert_int_equal (r.holder, 0x11);
    assert_int_equal (r.attempt, 2);
    assert_int_equal (r.crashes, 1);
    assert_int_equal (r.losses + r.failures, 0);
    assert_int_equal (r.node, 5);
    assert_int_equal (r.boot, 6);
    assert_true (r.nonce == 0x0102030405060708);
    assert_int_equal (r.log_base, 11);
    assert_int_equal (r.build_base, 0);
    assert_int_equal (r.ended_ms, 0);
    r = s_golden ("running", data, sizeof data);
    assert_int_equal (r.state, US_STATE_RUNNING);
    assert_int_equal (r.flags, RECORD_FLAG_CANCEL | RECORD_FLAG_WATCHERS);
    assert_int_equal (r.started_ms, 0x019000000002);
    r = s_golden ("ended", data, sizeof data);
    assert_int_equal (r.state, US_STATE_SUCCEEDED);
    assert_int_equal (r.ended_ms, 0x019000000003);
    r = s_golden ("failed", data, sizeof data);
    assert_int_equal (r.state, US_STATE_FAILED);
}

static void test_results (void **state)
{
    (void) state;
    uint8_t data[512];
    store_result_t r;
    usi_bytes_t bytes = golden_get (RECORDS, "result", data, sizeof data);
    assert_int_equal (record_parse_result (&r, bytes), US_OK);
    assert_int_equal (r.state, US_STATE_SUCCEEDED);
    assert_int_equal (r.code, 0);
    assert_int_equal (r.log_end, 11);
    assert_int_equal (r.build_end, 0);
    assert_int_equal (r.dropped, 3);
    assert_int_equal (r.ended_ms, 0x019000000004);
    assert_true (usi_bytes_equal (r.body, usi_bytes_of ("value")));
    assert_int_equal (r.blob.len, 0);
    bytes = golden_get (RECORDS, "result_blob", data, sizeof data);
    assert_int_equal (record_parse_result (&r, bytes), US_OK);
    assert_int_equal (r.code, US_ERR_REMOTE);
    assert_int_equal (r.blob.len, USI_DIGEST_LEN);
    assert_int_equal (r.size, 4);
    assert_int_equal (r.body.len, 0);
}

static void test_without_body (void **state)
{
    (void) state;
    uint8_t data[512];
    store_record_t r;
    usi_bytes_t bytes = golden_get (RECORDS, "running", data, sizeof data);
    bytes.len -= 4;
    assert_int_equal (record_parse (&r, &s_id, bytes), US_OK);
    assert_int_equal (r.body.len, 0);
    assert_int_equal (r.body_len, 4);
}

/* --- not ours --------------------------------------------------------------------- */

static us_err_t s_parse (const char *name, usi_bytes_t bytes)
{
    store_record_t record;
    store_result_t result;
    return strncmp (name, "result", 6) == 0 ? record_parse_result (&result, bytes)
                                            : record_parse (&record, &s_id, bytes);
}

static void s_is_refused (const char *name, usi_bytes_t bytes, void *arg)
{
    (void) arg;
    if (s_parse (name, bytes) != US_ERR_STORE)
        fail_msg ("a corrupt %s of %zu bytes is taken", name, bytes.len);
}

static void test_corrupt (void **state)
{
    (void) state;
    int count = golden_each (US_TEST_DATA "/records_corrupt.txt", s_is_refused, NULL);
    assert_in_range (count, 15, 1000);
    assert_int_equal (s_parse ("record", usi_bytes ("", 0)), US_ERR_STORE);
    assert_int_equal (s_parse ("result", usi_bytes ("", 0)), US_ERR_STORE);
}

/* Cut off at every byte: never read beyond the end (the sanitizers watch), and refused,
 * except where it is a record without its body or a shorter result. */
static void s_cut (const char *name, usi_bytes_t whole, void *arg)
{
    (void) arg;
    bool is_result = strcmp (name, "result") == 0;
    for (size_t len = 0; len < whole.len; len++) {
        uint8_t *copy = malloc (len + 1);
        memcpy (copy, whole.data, len);
        us_err_t err = s_parse (name, usi_bytes (copy, len));
        bool good = is_result
                        ? len >= 32
                        : strncmp (name, "result", 6) != 0 && len == whole.len - 4;
        assert_int_equal (err, good ? US_OK : US_ERR_STORE);
        free (copy);
    }
}

static void s_flip (const char *name, usi_bytes_t whole, void *arg)
{
    (void) arg;
    for (size_t at = 0; at < whole.len; at++)
        for (unsigned value = 0; value < 256; value += 5) {
            uint8_t *copy = malloc (whole.len);
            memcpy (copy, whole.data, whole.len);
            copy[at] = (uint8_t) value;
            s_parse (name, usi_bytes (copy, whole.len));
            free (copy);
        }
}

static void test_damaged (void **state)
{
    (void) state;
    assert_int_equal (golden_each (RECORDS, s_cut, NULL), 8);
    assert_int_equal (golden_each (RECORDS, s_flip, NULL), 8);
}

/* --- writing ---------------------------------------------------------------------- */

/* The functions fill in the state. */
static void test_a_new_record (void **state)
{
    (void) state;
    uint8_t digests[2 * USI_DIGEST_LEN] = {1}, bytes[512];
    const store_submit_t job = {.id = s_id,
                                .class_id = 7,
                                .retries = 3,
                                .detached = true,
                                .expire_ms = 1000,
                                .peer = 9,
                                .channel = "default",
                                .blobs = usi_bytes (digests, sizeof digests),
                                .spec = usi_bytes_of ("spec"),
                                .body = usi_bytes_of ("body")};
    store_record_t r;
    size_t len = record_len (&job);
    memset (bytes, 0xff, sizeof bytes);
    record_write (bytes, &job, 0x11);
    assert_int_equal (bytes[len], 0xff); /* nothing behind its end */
    bytes[1] = US_STATE_QUEUED;
    assert_int_equal (record_parse (&r, &s_id, usi_bytes (bytes, len)), US_OK);
    assert_int_equal (r.class_id, 7);
    assert_int_equal (r.retries, 3);
    assert_int_equal (r.flags, RECORD_FLAG_DETACHED);
    assert_int_equal (r.expire_ms, 1000);
    assert_int_equal (r.origin_broker, 0x11);
    assert_int_equal (r.origin_peer, 9);
    assert_int_equal (r.submitted_ms, 0);
    assert_true (usi_bytes_equal (r.channel, usi_bytes_of ("default")));
    assert_true (usi_bytes_equal (r.blobs, job.blobs));
    assert_true (usi_bytes_equal (r.spec, job.spec));
    assert_true (usi_bytes_equal (r.body, job.body));
}

static void s_write_result (const store_done_t *done, store_result_t *result)
{
    static uint8_t bytes[512];
    size_t len = record_result_len (done, done->blobs);
    record_write_result (bytes, done, done->blobs);
    bytes[1] = US_STATE_SUCCEEDED;
    assert_int_equal (record_parse_result (result, usi_bytes (bytes, len)), US_OK);
}

static void test_a_new_result (void **state)
{
    (void) state;
    const uint8_t digest[USI_DIGEST_LEN] = {5};
    store_done_t done = {.code = -24,
                         .log_end = 100,
                         .build_end = 200,
                         .dropped = 3,
                         .blobs = usi_bytes (digest, sizeof digest),
                         .body = usi_bytes_of ("value")};
    store_result_t result;
    s_write_result (&done, &result);
    assert_int_equal (result.code, -24);
    assert_int_equal (result.log_end, 100);
    assert_int_equal (result.build_end, 200);
    assert_int_equal (result.dropped, 3);
    assert_true (usi_bytes_equal (result.body, done.body));
    assert_int_equal (result.blob.len, 0);
    done.blob = done.blobs;
    done.size = 5000000;
    s_write_result (&done, &result);
    assert_true (usi_bytes_equal (result.blob, done.blob));
    assert_int_equal (result.size, 5000000);
    assert_int_equal (result.body.len, 0);
}

static void test_rows (void **state)
{
    (void) state;
    uint8_t data[512];
    usi_buf_t rows = {0};
    store_record_t record;
    size_t at = 0;
    usi_bytes_t whole = golden_get (RECORDS, "queued", data, sizeof data);
    usi_bytes_t id = usi_bytes (s_id.bytes, US_ID_LEN);
    record_add_row (&rows, id, whole);
    record_add_row (&rows, id, usi_bytes_of ("not a record"));
    record_add_row (&rows, usi_bytes_of ("no id"), whole);
    record_add_row (&rows, id, whole);
    for (int i = 0; i < 2; i++) {
        assert_true (record_next_row (usi_buf_bytes (&rows), &at, &record));
        assert_true (usi_id_equal (&record.id, &s_id));
        assert_int_equal (record.state, US_STATE_QUEUED);
    }
    assert_false (record_next_row (usi_buf_bytes (&rows), &at, &record));
    usi_buf_free (&rows);
}

static void test_peers (void **state)
{
    (void) state;
    static uint8_t packed[4 * (RECORD_MAX_PEERS + 1) + 3];
    uint32_t peers[RECORD_MAX_PEERS];
    usi_put_be (packed + 4, 77, 4);
    assert_int_equal (record_peers (usi_bytes (packed, 0), peers), 0);
    assert_int_equal (record_peers (usi_bytes (packed, 11), peers), 2);
    assert_int_equal (peers[1], 77);
    assert_int_equal (record_peers (usi_bytes (packed, sizeof packed), peers),
                      RECORD_MAX_PEERS);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_a_new_record),   cmocka_unit_test (test_a_new_result),
        cmocka_unit_test (test_rows),           cmocka_unit_test (test_peers),
        cmocka_unit_test (test_a_short_record), cmocka_unit_test (test_a_whole_record),
        cmocka_unit_test (test_results),        cmocka_unit_test (test_without_body),
        cmocka_unit_test (test_corrupt),        cmocka_unit_test (test_damaged),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * What the functions write into Redis is what tests/unit/data/records.txt holds, byte for
 * byte; times and the random nonce of a claim are set to what stands there. With --write it
 * prints the file anew (tests/unit/data/README.md). */
#include "golden.h"
#include "harness.h"

#define RECORDS US_TEST_DATA "/records.txt"

static bool s_writing;

static int s_setup (void **state)
{
    return harness_begin (state, redis_start);
}

/* --- comparing -------------------------------------------------------------------- */

/* What differs from run to run becomes this, unless it is not there yet (all zero). */
static void s_fix (uint8_t *at, size_t size, uint64_t value)
{
    if (usi_get_be (at, (unsigned) size) != 0)
        usi_put_be (at, value, (unsigned) size);
}

static void s_fix_record (uint8_t *at)
{
    s_fix (at + 22, 6, 0x019000000001);
    if (at[2] & 16) /* short */
        return;
    s_fix (at + 39, 6, 0x019000000002);
    s_fix (at + 45, 6, 0x019000000003);
    s_fix (at + 71, 8, 0x0102030405060708);
}

static void s_check (const char *name, const uint8_t *data, size_t len)
{
    char hex[2048];
    uint8_t golden[1024];
    assert_in_range (len, 32, sizeof golden);
    usi_hex (data, len, hex);
    if (s_writing) {
        printf ("%s %s\n", name, hex);
        return;
    }
    usi_bytes_t expected = golden_get (RECORDS, name, golden, sizeof golden);
    if (!usi_bytes_equal (expected, usi_bytes (data, len)))
        fail_msg ("records.txt has another form; written now:\n%s %s", name, hex);
}

static size_t s_read_key (harness_t *h, const char *kind, const usi_id_t *id,
                          uint8_t *data, size_t size)
{
    rkey_t key;
    usi_bytes_t args[] = {usi_bytes_of ("GET"), key_of (&key, kind, id)};
    usi_bytes_t bytes = usi_reply_bytes (usi_ask_bytes (h->ask, args, 2));
    assert_in_range (bytes.len, 32, size);
    memcpy (data, bytes.data, bytes.len);
    return bytes.len;
}

static void s_check_record (harness_t *h, const char *name, const usi_id_t *id)
{
    uint8_t data[1024];
    size_t len = s_read_key (h, "j", id, data, sizeof data);
    s_fix_record (data);
    s_check (name, data, len);
}

static void s_check_result (harness_t *h, const char *name, const usi_id_t *id)
{
    uint8_t data[1024];
    size_t len = s_read_key (h, "r", id, data, sizeof data);
    s_fix (data + 26, 6, 0x019000000004);
    s_check (name, data, len);
}

/* --- two jobs --------------------------------------------------------------------- */

static void s_keep_blob (harness_t *h, uint8_t digest[USI_DIGEST_LEN])
{
    usi_sha256 ("blob", 4, digest);
    store_blob_put (h->store, digest, 0, 4, usi_bytes_of ("blob"), got_code,
                    got_begin (h));
    pump (h, got_answer);
    assert_int_equal (h->got.code, US_OK);
}

/* First attempt: eleven bytes of log, then its worker dies. */
static void s_crash_once (harness_t *h, const usi_id_t *id, store_claim_t *claim)
{
    store_fence_t fence = do_claim (h, claim)->fences[0];
    assert_int_equal (do_started (h, &fence), US_OK);
    assert_int_equal (do_log (h, &fence, 0, 0, "hello world")->number, 11);
    store_done_t done = a_result (&fence, USI_CRASHED, US_ERR_WORKER_DIED, "");
    done.log_end = 11;
    assert_int_equal (do_done (h, &done)->state, US_STATE_BACKOFF);
    set_due (h, id, -1);
    sweep_now (h);
}

static void test_every_state (void **state)
{
    harness_t *h = *state;
    uint8_t digest[USI_DIGEST_LEN];
    usi_id_t id = {{0, 1, 2, 3, 4, 5, 0x86, 7, 0x88, 9, 10, 11, 12, 13, 14, 0x37}};
    store_submit_t job = a_job (&id);
    store_claim_t claim = a_claim (1);
    uint32_t class_id = usi_class (usi_bytes_of ("3.11"), NULL);
    s_keep_blob (h, digest);
    job.class_id = class_id;
    job.needs = "python=3.11";
    job.retries = 2;
    job.expire_ms = 5000;
    job.blobs = usi_bytes (digest, sizeof digest);
    assert_int_equal (do_submit (h, &job)->code, US_OK);
    s_check_record (h, "queued", &id);
    claim.classes = &class_id;
    s_crash_once (h, &id, &claim);
    store_fence_t fence = do_claim (h, &claim)->fences[0];
    s_check_record (h, "leased", &id);
    assert_int_equal (do_started (h, &fence), US_OK);
    do_watch (h, &id, 9, USI_WATCH_LOG);
    assert_int_equal (do_cancel (h, &id, 1)->code, US_OK);
    s_check_record (h, "running", &id);
    store_done_t done = a_result (&fence, USI_SUCCEEDED, 0, "value");
    done.log_end = 11;
    done.dropped = 3;
    assert_int_equal (do_done (h, &done)->state, US_STATE_SUCCEEDED);
    s_check_record (h, "ended", &id);
    s_check_result (h, "result", &id);
}

static void test_a_result_that_is_a_blob (void **state)
{
    harness_t *h = *state;
    uint8_t digest[USI_DIGEST_LEN];
    usi_id_t id = {{0xff, 1, 2, 3, 4, 5, 0x86, 7, 0x88, 9, 10, 11, 12, 13, 14, 0x37}};
    store_submit_t job = a_job (&id);
    s_keep_blob (h, digest);
    job.detached = true;
    assert_int_equal (do_submit (h, &job)->code, US_OK);
    s_check_record (h, "queued_detached", &id);
    store_fence_t fence = claim_one (h, &id);
    store_done_t done = a_result (&fence, USI_FAILED, US_ERR_REMOTE, "");
    done.blobs = done.blob = usi_bytes (digest, sizeof digest);
    done.size = 4;
    assert_int_equal (do_done (h, &done)->state, US_STATE_FAILED);
    s_check_record (h, "failed", &id);
    s_check_result (h, "result_blob", &id);
}

int main (int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup (test_every_state, harness_empty),
        cmocka_unit_test_setup (test_a_result_that_is_a_blob, harness_empty),
    };
    s_writing = argc > 1 && strcmp (argv[1], "--write") == 0;
    return cmocka_run_group_tests (tests, s_setup, harness_end);
}

/* SPDX-License-Identifier: MIT
 *
 * Stored records: golden bytes, and everything that is not one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "store/record.h"

/* As docs/redis-keys.md has them; schema 1. */
static const char s_short[] =
    "01"
    "01"
    "14"
    "07"
    "02"
    "01"
    "0000abcd"
    "00000004"
    "00000003"
    "00001388"
    "019000000001"
    "00000011"
    "00000007"
    "64656661756c74"
    "1111111111111111111111111111111111111111111111111111111111111111"
    "73706563"
    "626f64";
static const char s_full[] = "01"
                             "03"
                             "03"
                             "07"
                             "00"
                             "00"
                             "00000000"
                             "00000004"
                             "00000003"
                             "00000000"
                             "019000000001"
                             "00000011"
                             "00000007"
                             "01"
                             "02"
                             "03"
                             "019000000002"
                             "019000000003"
                             "00000022"
                             "00000004"
                             "0000000000000005"
                             "00000006"
                             "0102030405060708"
                             "000000000100"
                             "000000000200"
                             "64656661756c74"
                             "73706563"
                             "626f64";
static const char s_result[] = "01"
                               "05"
                               "00"
                               "00"
                               "00000000"
                               "00000000000b"
                               "000000000001"
                               "000000000002"
                               "019000000004"
                               "76616c7565";
static const char s_blob_result[] =
    "01"
    "06"
    "01"
    "01"
    "ffffffe8"
    "000000000000"
    "000000000000"
    "000000000000"
    "019000000004"
    "2222222222222222222222222222222222222222222222222222222222222222"
    "2222222222222222222222222222222222222222222222222222222222222222"
    "000000100000";

static usi_bytes_t s_unhex (const char *hex, uint8_t *data, size_t size)
{
    int len = usi_unhex (hex, data, size);
    assert_true (len > 0);
    return usi_bytes (data, (size_t) len);
}

static void test_golden_records (void **state)
{
    (void) state;
    uint8_t data[256];
    usi_id_t id = {{9}};
    store_record_t r;
    assert_int_equal (record_parse (&r, &id, s_unhex (s_short, data, sizeof data)),
                      US_OK);
    assert_int_equal (r.state, US_STATE_QUEUED);
    assert_int_equal (r.flags, RECORD_FLAG_DETACHED);
    assert_int_equal (r.retries, 2);
    assert_int_equal (r.class_id, 0xabcd);
    assert_int_equal (r.expire_ms, 5000);
    assert_int_equal (r.submitted_ms, 0x019000000001);
    assert_int_equal (r.origin_broker, 0x11);
    assert_int_equal (r.origin_peer, 7);
    assert_int_equal (r.attempt, 0);
    assert_int_equal (r.blobs.len, 32);
    assert_true (usi_bytes_equal (r.channel, usi_bytes_of ("default")));
    assert_true (usi_bytes_equal (r.spec, usi_bytes_of ("spec")));
    assert_true (usi_bytes_equal (r.body, usi_bytes_of ("bod")));
    assert_int_equal (record_parse (&r, &id, s_unhex (s_full, data, sizeof data)),
                      US_OK);
    assert_int_equal (r.state, US_STATE_RUNNING);
    assert_int_equal (r.flags, RECORD_FLAG_CANCEL | RECORD_FLAG_WATCHERS);
    assert_int_equal (r.crashes + 10 * r.losses + 100 * r.failures, 321);
    assert_int_equal (r.started_ms, 0x019000000002);
    assert_int_equal (r.ended_ms, 0x019000000003);
    assert_int_equal (r.holder, 0x22);
    assert_int_equal (r.attempt, 4);
    assert_int_equal (r.node, 5);
    assert_int_equal (r.boot, 6);
    assert_true (r.nonce == 0x0102030405060708);
    assert_int_equal (r.log_base, 0x100);
    assert_int_equal (r.build_base, 0x200);
    assert_true (usi_bytes_equal (r.spec, usi_bytes_of ("spec")));
}

static void test_golden_results (void **state)
{
    (void) state;
    uint8_t data[256];
    store_result_t r;
    assert_int_equal (record_parse_result (&r, s_unhex (s_result, data, sizeof data)),
                      US_OK);
    assert_int_equal (r.state, US_STATE_SUCCEEDED);
    assert_int_equal (r.log_end, 11);
    assert_int_equal (r.build_end, 1);
    assert_int_equal (r.dropped, 2);
    assert_true (usi_bytes_equal (r.body, usi_bytes_of ("value")));
    assert_int_equal (r.blob.len, 0);
    assert_int_equal (record_parse_result (&r,
                                           s_unhex (s_blob_result, data, sizeof data)),
                      US_OK);
    assert_int_equal (r.code, US_ERR_REMOTE);
    assert_int_equal (r.blob.len, 32);
    assert_int_equal (r.size, 0x100000);
    assert_int_equal (r.body.len, 0);
}

static void test_without_body (void **state)
{
    (void) state;
    uint8_t data[256];
    usi_id_t id = {{9}};
    store_record_t r;
    usi_bytes_t bytes = s_unhex (s_full, data, sizeof data);
    bytes.len -= 3;
    assert_int_equal (record_parse (&r, &id, bytes), US_OK);
    assert_int_equal (r.body.len, 0);
    assert_int_equal (r.body_len, 3);
}

/* Cut off at every byte, and with every header byte changed: never read beyond the end
 * (the sanitizers watch), refused wherever the lengths do not fit. */
static void test_corrupt (void **state)
{
    (void) state;
    const char *const all[] = {s_short, s_full};
    uint8_t golden[256];
    usi_id_t id = {{9}};
    store_record_t r;
    store_result_t result;
    for (size_t i = 0; i < 2; i++) {
        usi_bytes_t whole = s_unhex (all[i], golden, sizeof golden);
        for (size_t len = 0; len < whole.len; len++) {
            uint8_t *copy = malloc (len + 1);
            memcpy (copy, whole.data, len);
            us_err_t err = record_parse (&r, &id, usi_bytes (copy, len));
            assert_int_equal (err, len == whole.len - 3 ? US_OK : US_ERR_STORE);
            free (copy);
        }
        for (size_t at = 0; at < whole.len; at++)
            for (unsigned value = 0; value < 256; value += 5) {
                uint8_t *copy = malloc (whole.len);
                memcpy (copy, whole.data, whole.len);
                copy[at] = (uint8_t) value;
                record_parse (&r, &id, usi_bytes (copy, whole.len));
                free (copy);
            }
    }
    usi_bytes_t whole = s_unhex (s_blob_result, golden, sizeof golden);
    for (size_t len = 0; len < whole.len; len++)
        assert_int_equal (record_parse_result (&result, usi_bytes (golden, len)),
                          US_ERR_STORE);
    golden[0] = 2;
    assert_int_equal (record_parse_result (&result, whole), US_ERR_STORE);
    assert_int_equal (record_parse (&r, &id, usi_bytes ("", 0)), US_ERR_STORE);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_golden_records),
        cmocka_unit_test (test_golden_results),
        cmocka_unit_test (test_without_body),
        cmocka_unit_test (test_corrupt),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

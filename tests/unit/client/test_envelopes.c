/* SPDX-License-Identifier: MIT
 *
 * The golden envelopes, which Python reads as well: what the library writes is the same,
 * and what it reads is whole. */
#include "golden_envelopes.h"

#include "job.h"
#include "proto/pack.h"
#include "record.h"

#define ENVELOPE_DEPTH 32 /* docs/protocol.md section 6 */

static void test_all_good_ones_are_whole (void **state)
{
    (void) state;
    static const char *const parts[] = {"values", "pickled", "calls", "failures",
                                        "bundles"};
    char *text;
    usi_bytes_t bytes;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *at = golden_part (&text, parts[i]);
        int count = 0;
        for (; golden_next (&at, &bytes); count++) {
            assert_true (usi_pack_check (bytes, ENVELOPE_DEPTH));
            bytes.len--;
            assert_false (usi_pack_check (bytes, ENVELOPE_DEPTH));
            free ((void *) bytes.data);
        }
        assert_in_range (count, 1, 1000);
        free (text);
    }
}

static void test_the_call_of_a_source (void **state)
{
    (void) state;
    usi_bytes_t golden = golden_envelope ("calls", "source");
    us_job_t *job = NULL;
    assert_int_equal (us_job_new (&job, "default"), US_OK);
    assert_int_equal (us_job_set_source (job, "def f(): return 1\n", "f", NULL, 0),
                      US_OK);
    assert_true (usi_bytes_equal (usi_bytes (job->body, job->body_len), golden));
    us_job_destroy (&job);
    free ((void *) golden.data);
}

static us_err_t s_value (usi_bytes_t envelope, usi_bytes_t *value)
{
    us_result_t result = {.state = US_STATE_SUCCEEDED,
                          .body = (uint8_t *) envelope.data,
                          .body_len = envelope.len};
    const void *data;
    us_err_t err = us_result_value (&result, &data, &value->len);
    value->data = data;
    return err;
}

static void test_values (void **state)
{
    (void) state;
    char *text;
    usi_bytes_t bytes, value;
    const char *at = golden_part (&text, "values");
    while (golden_next (&at, &bytes)) {
        assert_int_equal (s_value (bytes, &value), US_OK);
        assert_true (usi_pack_check (value, ENVELOPE_DEPTH));
        assert_ptr_equal (value.data + value.len, bytes.data + bytes.len);
        free ((void *) bytes.data);
    }
    free (text);
    bytes = golden_envelope ("pickled", "tuple and set");
    assert_int_equal (s_value (bytes, &value), US_ERR_SERIALIZATION);
    free ((void *) bytes.data);
    bytes = golden_envelope ("corrupt", "value: not bytes");
    assert_int_equal (s_value (bytes, &value), US_ERR_PROTOCOL);
    free ((void *) bytes.data);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_all_good_ones_are_whole),
        cmocka_unit_test (test_the_call_of_a_source),
        cmocka_unit_test (test_values),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

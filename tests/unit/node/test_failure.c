/* SPDX-License-Identifier: MIT
 *
 * Failure envelopes that the daemon makes: well-formed, and text whatever the tools
 * wrote. */
#include "golden_envelopes.h"

#include "proto/pack.h"
#include "host/failure.h"

/* The value behind a key of the map at the reader. */
static us_value_t s_get (us_reader_t reader, const char *key)
{
    us_value_t map = usi_read (&reader);
    assert_int_equal (map.type, US_TYPE_MAP);
    for (uint32_t i = 0; i < map.as.count; i++) {
        us_value_t name = usi_read (&reader);
        us_reader_t at = reader;
        if (name.len == strlen (key) && memcmp (name.data, key, name.len) == 0) {
            us_value_t value = usi_read (&at);
            return value;
        }
        assert_true (usi_skip (&reader, NULL, NULL));
    }
    return (us_value_t){0};
}

static bool s_contains (const usi_buf_t *buf, const char *text)
{
    return memmem (buf->data, buf->len, text, strlen (text)) != NULL;
}

static void test_fields (void **state)
{
    usi_buf_t out = {0};
    failure_t failure = FAILURE_INIT;
    (void) state;
    failure.code = US_ERR_WORKER_DIED;
    failure.message = "it died";
    failure.node = "here";
    failure.signal = 11;
    failure.log = usi_bytes_of ("last words");
    failure_pack (&out, &failure);
    us_reader_t reader = usi_reader (usi_buf_bytes (&out));
    assert_true (usi_pack_check (usi_buf_bytes (&out), 32));
    assert_int_equal (s_get (reader, "code").as.integer, US_ERR_WORKER_DIED);
    assert_int_equal (s_get (reader, "type").len, strlen ("WorkerDied"));
    assert_int_equal (s_get (reader, "frames").type, US_TYPE_ARRAY);
    assert_int_equal (s_get (reader, "detail").as.count, 3);
    assert_true (s_contains (&out, "last words"));
    assert_int_equal (failure_code (usi_buf_bytes (&out)), US_ERR_WORKER_DIED);
    usi_buf_free (&out);
}

static void s_is_golden (const failure_t *failure, const char *name)
{
    usi_buf_t out = {0};
    usi_bytes_t golden = golden_envelope ("failures", name);
    failure_pack (&out, failure);
    assert_true (usi_bytes_equal (usi_buf_bytes (&out), golden));
    assert_int_equal (failure_code (golden), failure->code);
    usi_buf_free (&out);
    free ((void *) golden.data);
}

/* The daemon writes what Python writes. */
static void test_golden (void **state)
{
    (void) state;
    failure_t build = {.code = US_ERR_ENV_BUILD,
                       .message = "no such package",
                       .node = "a",
                       .command = "pip install x",
                       .output = usi_bytes_of ("none"),
                       .exit_code = -1};
    failure_t died = {.code = US_ERR_WORKER_DIED,
                      .message = "signal 11",
                      .signal = 11,
                      .log = usi_bytes_of ("last\n"),
                      .exit_code = -1};
    s_is_golden (&build, "build");
    s_is_golden (&died, "died");
}

static void test_what_is_no_text (void **state)
{
    static const char wild[] = "a\xff\0b\xe2\x82\xac\xe2\x82";
    usi_buf_t out = {0};
    failure_t failure = FAILURE_INIT;
    (void) state;
    failure.code = US_ERR_ENV_BUILD;
    failure.message = "";
    failure.output = usi_bytes (wild, sizeof wild - 1);
    failure_pack (&out, &failure);
    assert_true (usi_pack_check (usi_buf_bytes (&out), 32));
    assert_true (s_contains (&out, "a\xef\xbf\xbd\xef\xbf\xbd"
                                   "b\xe2\x82\xac\xef\xbf\xbd\xef\xbf\xbd"));
    usi_buf_free (&out);
}

static void test_code_of_what_is_no_envelope (void **state)
{
    (void) state;
    assert_int_equal (failure_code (usi_bytes_of ("")), US_ERR_INTERNAL);
    assert_int_equal (failure_code (usi_bytes_of ("\x81\xa4"
                                                  "code")),
                      US_ERR_INTERNAL);
    assert_int_equal (failure_code (usi_bytes_of ("\x93\x01\x02")), US_ERR_INTERNAL);
}

static void s_expect_tail (const char *printed, size_t max, bool cut,
                           const char *expected)
{
    usi_buf_t out = {0};
    failure_tail (&out, usi_bytes_of (printed), max);
    usi_buf_append (&out, "", 1);
    const char *text = (const char *) out.data;
    assert_int_equal (strncmp (text, "[earlier lines are left out", 27) == 0, cut);
    assert_string_equal (cut ? strchr (text, '\n') + 1 : text, expected);
    usi_buf_free (&out);
}

static void test_a_tail_begins_at_a_line (void **state)
{
    (void) state;
    s_expect_tail ("", 8, false, "");
    s_expect_tail ("one\ntwo\n", 8, false, "one\ntwo\n");
    s_expect_tail ("one\ntwo\n", 7, true, "two\n");
    s_expect_tail ("one\ntwo\n", 4, true, "two\n"); /* begins there by itself */
    s_expect_tail ("one\ntwo\n", 5, true, "two\n");
    s_expect_tail ("0123456789", 4, true, "6789"); /* no line is short enough */
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_fields),
        cmocka_unit_test (test_golden),
        cmocka_unit_test (test_what_is_no_text),
        cmocka_unit_test (test_code_of_what_is_no_envelope),
        cmocka_unit_test (test_a_tail_begins_at_a_line),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

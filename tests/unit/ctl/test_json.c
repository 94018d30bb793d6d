/* SPDX-License-Identifier: MIT
 *
 * Rows, values and calls between msgpack and JSON; the values of options. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"
#include "ctl.h"
#include "json.h"
#include "output.h"
#include "temp.h"

static void s_assert_json (json_t *value, const char *expected)
{
    assert_non_null (value);
    char *text = json_dumps (value, JSON_ENCODE_ANY | JSON_COMPACT);
    assert_string_equal (text, expected);
    free (text);
    json_decref (value);
}

static void s_assert_value (const char *data, size_t len, const char *expected)
{
    s_assert_json (json_from_value (data, len), expected);
}
#define ASSERT_VALUE(data, expected) s_assert_value (data, sizeof (data) - 1, expected)

static void test_values (void **state)
{
    (void) state;
    ASSERT_VALUE ("\xc0", "null");
    ASSERT_VALUE ("\xc3", "true");
    ASSERT_VALUE ("\xff", "-1");
    ASSERT_VALUE ("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "\"18446744073709551615\"");
    ASSERT_VALUE ("\xcb\x3f\xf8\0\0\0\0\0\0", "1.5");
    ASSERT_VALUE ("\xcb\x7f\xf8\0\0\0\0\0\0", "\"NaN\"");
    ASSERT_VALUE ("\xcb\xff\xf0\0\0\0\0\0\0", "\"-Infinity\"");
    ASSERT_VALUE ("\xa2hi", "\"hi\"");
    ASSERT_VALUE ("\xa1\xff", "\"\xef\xbf\xbd\"");
    ASSERT_VALUE ("\xc4\x02\x01\xff", "{\"bytes\":\"01ff\"}");
    ASSERT_VALUE ("\x92\x01\x90", "[1,[]]");
    ASSERT_VALUE ("\x82\xa1k\x01\x02\xa1v", "{\"k\":1,\"2\":\"v\"}");
    ASSERT_VALUE ("\x81\x92\x01\xa1t\x02", "{\"9201a174\":2}");
}

/* Found by fuzzing: with keys as JSON in JSON this took two to the fortieth. */
static void test_keys_in_keys (void **state)
{
    (void) state;
    enum { LEVELS = 40 };
    char data[2 * LEVELS + 1];
    memset (data, '\x81', LEVELS);
    memset (data + LEVELS, '\x01', LEVELS + 1);
    json_t *value = json_from_value (data, sizeof data);
    assert_int_equal (json_object_size (value), 1);
    json_decref (value);
}

static void test_malformed_values (void **state)
{
    (void) state;
    assert_null (json_from_value ("", 0));
    assert_null (json_from_value ("\x92\x01", 2));
    assert_null (json_from_value ("\x81\xa1k", 3));
    assert_null (json_from_value ("\xdd\xff\xff\xff\xff", 5));
    assert_null (json_from_value ("\xa5hi", 3));
    char deep[1000];
    memset (deep, '\x91', sizeof deep);
    assert_null (json_from_value (deep, sizeof deep));
}

static us_writer_t *s_row (void)
{
    us_writer_t *writer = NULL;
    assert_int_equal (us_writer_new (&writer), US_OK);
    us_write_map (writer, 6);
    us_write_str (writer, "id", 2);
    us_write_bin (writer,
                  "\x01\x02\x03\x04\x05\x06\x87\x08\x89\x0a\x0b\x0c\x0d\x0e\x0f\x10",
                  16);
    us_write_str (writer, "state", 5);
    us_write_int (writer, US_STATE_RUNNING);
    us_write_str (writer, "node", 4);
    us_write_uint (writer, UINT64_MAX);
    us_write_str (writer, "broker", 6);
    us_write_int (writer, 255);
    us_write_str (writer, "name", 4);
    us_write_str (writer, "\x1b[2J", 4);
    us_write_str (writer, "channels", 8);
    us_write_array (writer, 2);
    us_write_str (writer, "a", 1);
    us_write_str (writer, "b", 1);
    return writer;
}

static void s_assert_cell (const json_t *row, const char *key, form_t form,
                           const char *expected)
{
    char *cell = output_cell (row, &(column_t){"", key, form});
    assert_string_equal (cell, expected);
    free (cell);
}

static void test_row (void **state)
{
    (void) state;
    us_writer_t *writer = s_row ();
    const void *data = NULL;
    size_t len = 0;
    assert_int_equal (us_writer_data (writer, &data, &len), US_OK);
    json_t *row = json_from_row (data, len);
    s_assert_cell (row, "id", FORM_TEXT, "01020304-0506-8708-890a-0b0c0d0e0f10");
    s_assert_cell (row, "state", FORM_TEXT, us_state_name (US_STATE_RUNNING));
    s_assert_cell (row, "node", FORM_TEXT, "ffffffffffffffff");
    s_assert_cell (row, "broker", FORM_TEXT, "000000ff");
    s_assert_cell (row, "name", FORM_TEXT, "\\x1b[2J");
    s_assert_cell (row, "channels", FORM_TEXT, "a,b");
    s_assert_cell (row, "missing", FORM_TEXT, "-");
    s_assert_cell (row, "missing", FORM_NUMBER, "0");
    s_assert_cell (row, "missing", FORM_TIME, "-");
    json_decref (row);

    /* Cut anywhere, a row is what could be read of it. */
    for (size_t cut = 0; cut < len; cut++) {
        row = json_from_row (data, cut);
        assert_true (json_is_object (row));
        json_decref (row);
    }
    us_writer_destroy (&writer);
}

static char s_path[80];

static void s_write_source (const char *text, size_t len)
{
    FILE *file = fopen (s_path, "w");
    assert_non_null (file);
    assert_int_equal (fwrite (text, 1, len, file), len);
    fclose (file);
}

static int s_parse (call_t *call, const char *function, char *first, char *second)
{
    static char target[128];
    snprintf (target, sizeof target, "%s%s", s_path, function);
    char *args[] = {target, first, second};
    return call_parse (call, args, 1 + (first != NULL) + (second != NULL));
}

static void s_assert_args (const char *expected, char *first, char *second)
{
    call_t call = {0};
    assert_int_equal (s_parse (&call, ":Tool.add", first, second), EXIT_DONE);
    assert_string_equal (call.function, "Tool.add");
    assert_string_equal (call.source, "x = 1\n");
    const void *data = NULL;
    size_t len = 0;
    assert_int_equal (us_writer_data (call.args, &data, &len), US_OK);
    s_assert_json (json_from_value (data, len), expected);
    call_clear (&call);
}

static void test_call (void **state)
{
    (void) state;
    s_write_source ("x = 1\n", 6);
    s_assert_args ("[[],{}]", NULL, NULL);
    s_assert_args ("[[1,\"a\",null,1.5],{}]", "[1, \"a\", null, 1.5]", NULL);
    s_assert_args ("[[],{\"k\":true}]", "{\"k\": true}", NULL);
    s_assert_args ("[[1],{\"k\":[2]}]", "[1]", "{\"k\": [2]}");
}

static void s_assert_bad_call (const char *function, char *first, char *second)
{
    call_t call = {0};
    assert_int_equal (s_parse (&call, function, first, second), EXIT_USAGE);
    call_clear (&call);
}

static void test_bad_calls (void **state)
{
    (void) state;
    s_write_source ("x = 1\n", 6);
    s_assert_bad_call ("", NULL, NULL);
    s_assert_bad_call (":", NULL, NULL);
    s_assert_bad_call (".missing:f", NULL, NULL);
    s_assert_bad_call (":f", "1", NULL);
    s_assert_bad_call (":f", "[1", NULL);
    s_assert_bad_call (":f", "{\"k\": 1}", "[1]");
    s_assert_bad_call (":f", "[1]", "[2]");
    s_assert_bad_call (":f", "{\"k\": 1, \"k\": 2}", NULL);
    s_assert_bad_call (":f", "[99999999999999999999]", NULL);
    s_write_source ("x\0y", 3);
    s_assert_bad_call (":f", NULL, NULL);
    s_write_source ("\xff", 1);
    s_assert_bad_call (":f", NULL, NULL);
}

static void test_option_values (void **state)
{
    (void) state;
    int64_t ms = 0;
    assert_true (parse_ms ("5", &ms) && ms == 5000);
    assert_true (parse_ms ("250ms", &ms) && ms == 250);
    assert_true (parse_ms ("2D", &ms) && ms == 172800000);
    assert_false (parse_ms ("", &ms));
    assert_false (parse_ms ("-1", &ms));
    assert_false (parse_ms ("5 s", &ms));
    assert_false (parse_ms ("200000000000d", &ms));
    unsigned count = 0;
    assert_true (parse_count ("7", 7, &count) && count == 7);
    assert_false (parse_count ("8", 7, &count));
    assert_false (parse_count ("7x", 7, &count));
    int number = 0;
    assert_true (parse_state ("Dead", &number) && number == US_STATE_DEAD);
    assert_false (parse_state ("?", &number));
    assert_false (parse_state ("5", &number));
}

static void test_exit_codes (void **state)
{
    (void) state;
    assert_int_equal (ctl_exit_code (US_OK), 0);
    assert_int_equal (ctl_exit_code (US_ERR_UNKNOWN_JOB), 1);
    assert_int_equal (ctl_exit_code (US_ERR_UNREACHABLE), 69);
    assert_int_equal (ctl_exit_code (US_ERR_REQUIREMENT), 64);
    assert_int_equal (ctl_exit_code (US_ERR_TIMEOUT), 75);
    assert_int_equal (ctl_exit_code (US_ERR_CONFIG), 78);
}

static int s_make_file (void **state)
{
    (void) state;
    temp_template (s_path, sizeof s_path);
    int file = mkstemp (s_path);
    return file < 0 ? -1 : close (file);
}

static int s_remove_file (void **state)
{
    (void) state;
    return unlink (s_path);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_values),
        cmocka_unit_test (test_keys_in_keys),
        cmocka_unit_test (test_malformed_values),
        cmocka_unit_test (test_row),
        cmocka_unit_test (test_call),
        cmocka_unit_test (test_bad_calls),
        cmocka_unit_test (test_option_values),
        cmocka_unit_test (test_exit_codes),
    };
    return cmocka_run_group_tests (tests, s_make_file, s_remove_file);
}

/* SPDX-License-Identifier: MIT
 *
 * What reaches a terminal. */
#include "unit.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

static void s_assert_text (char *text, const char *expected)
{
    assert_string_equal (text, expected);
    free (text);
}

static void test_escape (void **state)
{
    (void) state;
    s_assert_text (text_escape ("plain", 5), "plain");
    s_assert_text (text_escape ("gr\xc3\xb6\xc3\x9f"
                                "e",
                                7),
                   "gr\xc3\xb6\xc3\x9f"
                   "e");
    s_assert_text (text_escape ("\x1b[31m", 5), "\\x1b[31m");
    s_assert_text (text_escape ("a\0b\n\t\r\x7f", 7), "a\\x00b\\n\\t\\r\\x7f");
    s_assert_text (text_escape ("\xc2\x9b"
                                "2J",
                                4),
                   "\\x9b2J"); /* the C1 form of ESC [ */
    s_assert_text (text_escape ("\xe2\x80\xae", 3), "\\u202e");
    s_assert_text (text_escape ("\xf3\xa0\x80\x81", 4), "\\U000e0001");
    s_assert_text (text_escape ("\xff\xc3", 2), "\\xff\\xc3");
    s_assert_text (text_escape ("\xc0\xaf", 2), "\\xc0\\xaf"); /* overlong */
    s_assert_text (text_escape ("\xed\xa0\x80", 3),
                   "\\xed\\xa0\\x80"); /* a surrogate */
    s_assert_text (text_escape (NULL, 0), "");
    s_assert_text (text_escape_log ("a\tb\r\n\x1b", 6), "a\tb\r\n\\x1b");
}

static void test_repair (void **state)
{
    (void) state;
    s_assert_text (text_repair ("a\0\xff", 3), "a\xef\xbf\xbd\xef\xbf\xbd");
    s_assert_text (text_repair ("\xe2\x82\xac", 3), "\xe2\x82\xac");
}

/* Every sequence of two bytes: escaped text holds nothing that cannot be seen. */
static void test_any_bytes (void **state)
{
    (void) state;
    for (int i = 0; i < 65536; i++) {
        char bytes[] = {(char) (i >> 8), (char) i};
        char *escaped = text_escape (bytes, 2);
        for (const char *at = escaped; *at; at++)
            assert_true ((unsigned char) *at >= 0x20 && *at != 0x7f);
        free (escaped);
    }
}

static void test_cut (void **state)
{
    (void) state;
    assert_int_equal (text_cut ("abc", 3), 0);
    assert_int_equal (text_cut ("", 0), 0);
    assert_int_equal (text_cut ("a\xe2", 2), 1);
    assert_int_equal (text_cut ("a\xe2\x82", 3), 2);
    assert_int_equal (text_cut ("a\xe2\x82\xac", 4), 0);
    assert_int_equal (text_cut ("\xf0\x9f\x98", 3), 3);
    assert_int_equal (text_cut ("\xff", 1), 0);
    assert_int_equal (text_cut ("\x80\x80\x80\x80", 4), 0);
}

static void test_one_line (void **state)
{
    (void) state;
    s_assert_text (text_one_line ("", 4), "");
    s_assert_text (text_one_line (" \n", 4), "");
    s_assert_text (text_one_line ("\ta \n b ", 4), "a b");
    s_assert_text (text_one_line ("abcd  ", 4), "abcd");
    s_assert_text (text_one_line ("abcde", 4), "abc\xe2\x80\xa6");
    s_assert_text (text_one_line ("gr\xc3\xb6\xc3\x9f", 4), "gr\xc3\xb6\xc3\x9f");
    s_assert_text (text_one_line ("\xc3\xb6\xc3\xb6\xc3\xb6", 2),
                   "\xc3\xb6\xe2\x80\xa6");
}

static void test_width (void **state)
{
    (void) state;
    setlocale (LC_CTYPE, "C.UTF-8");
    assert_int_equal (text_width ("abc"), 3);
    assert_int_equal (text_width ("gr\xc3\xb6"), 3);
    assert_int_equal (text_width ("\xe6\x97\xa5"), 2); /* a wide character */
}

static void test_numbers (void **state)
{
    (void) state;
    s_assert_text (text_size (0), "0 B");
    s_assert_text (text_size (1023), "1023 B");
    s_assert_text (text_size (1536), "1.5 KiB");
    s_assert_text (text_size ((uint64_t) 10 << 30), "10.0 GiB");
    s_assert_text (text_duration (350), "350 ms");
    s_assert_text (text_duration (15000), "15.0 s");
    s_assert_text (text_duration (90000), "1m 30s");
    s_assert_text (text_duration (7260000), "2h 1m");
    s_assert_text (text_duration (90000000), "1d 1h");
    setenv ("TZ", "UTC", 1);
    s_assert_text (text_time (1700000000123), "2023-11-14 22:13:20");
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_escape),    cmocka_unit_test (test_repair),
        cmocka_unit_test (test_any_bytes), cmocka_unit_test (test_cut),
        cmocka_unit_test (test_width),     cmocka_unit_test (test_numbers),
        cmocka_unit_test (test_one_line),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

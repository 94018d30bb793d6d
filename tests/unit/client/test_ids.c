/* SPDX-License-Identifier: MIT
 *
 * Ids as text, names of states, the exported names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "understudy/understudy.h"

static void test_new_and_text (void **state)
{
    (void) state;
    us_id_t id, again;
    char text[US_ID_TEXT_LEN + 1];
    assert_int_equal (us_id_new (&id, "calculator"), US_OK);
    assert_true (us_id_matches (&id, "calculator"));
    us_id_format (&id, text);
    assert_int_equal (strlen (text), US_ID_TEXT_LEN);
    assert_int_equal (text[14], '8');
    assert_int_equal (us_id_parse (&again, text), US_OK);
    assert_memory_equal (&id, &again, sizeof id);
    for (char *c = text; *c; c++)
        *c = (char) (*c >= 'a' && *c <= 'f' ? *c - 32 : *c);
    assert_int_equal (us_id_parse (&again, text), US_OK);
    assert_memory_equal (&id, &again, sizeof id);
}

static void test_golden (void **state)
{
    (void) state;
    us_id_t id;
    char text[US_ID_TEXT_LEN + 1];
    const char *golden = "00112233-4455-8677-8899-aabbccddeeff";
    static const uint8_t bytes[US_ID_LEN] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55,
                                             0x86, 0x77, 0x88, 0x99, 0xaa, 0xbb,
                                             0xcc, 0xdd, 0xee, 0xff};
    assert_int_equal (us_id_parse (&id, golden), US_OK);
    assert_memory_equal (id.bytes, bytes, sizeof bytes);
    us_id_format (&id, text);
    assert_string_equal (text, golden);
}

static void test_malformed (void **state)
{
    (void) state;
    static const char *const bad[] = {
        "",
        "0",
        "00112233-4455-8677-8899-aabbccddeef",
        "00112233-4455-8677-8899-aabbccddeeff0",
        "00112233-4455-4677-8899-aabbccddeeff", /* version 4 */
        "00112233-4455-8677-c899-aabbccddeeff", /* another variant */
        "0011223344558677-8899-aabbccddeeff--",
        "00112233-4455-8677-8899-aabbccddeegg",
        "{0112233-4455-8677-8899-aabbccddeef}",
    };
    us_id_t id = {{7}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal (us_id_parse (&id, bad[i]), US_ERR_INVALID);
    assert_int_equal (us_id_parse (&id, NULL), US_ERR_INVALID);
    assert_int_equal (id.bytes[0], 7);
    assert_int_equal (us_id_new (&id, "no channel"), US_ERR_INVALID);
    assert_int_equal (us_id_new (&id, NULL), US_ERR_INVALID);
    assert_false (us_id_matches (&id, "-x"));
}

static void test_states (void **state)
{
    (void) state;
    assert_string_equal (us_state_name (US_STATE_QUEUED), "QUEUED");
    assert_string_equal (us_state_name (US_STATE_REFUSED), "REFUSED");
    assert_string_equal (us_state_name (10), "?");
    for (int i = 0; i <= 4; i++)
        assert_false (us_state_is_end (i));
    for (int i = 5; i <= 9; i++)
        assert_true (us_state_is_end (i));
    assert_false (us_state_is_end (10));
    assert_true (us_state_is_end (US_STATE_REFUSED));
}

static char *s_read (const char *path)
{
    FILE *file = fopen (path, "r");
    assert_non_null (file);
    char *text = calloc (1, 1 << 20);
    assert_true (fread (text, 1, (1 << 20) - 1, file) > 0);
    fclose (file);
    return text;
}

/* Everything that a header exports stands in the map, and nothing else does. */
static void s_check_header (const char *header, const char *map, size_t *count)
{
    char *text = s_read (header);
    for (char *at = text; (at = strstr (at, "\nUS_EXPORT "));) {
        char name[80];
        at = strstr (at, "us_");
        while (at && at[strcspn (at, " ;,*\n")] != ' ')
            at = strstr (at + 1, "us_");
        for (;;) { /* the name is what stands before " (" */
            if (!at) {
                fail ();
                return;
            }
            size_t len = strcspn (at, " ;,*()\n");
            if (at[len] == ' ' && at[len + 1] == '(') {
                snprintf (name, sizeof name, "    %.*s;\n", (int) len, at);
                break;
            }
            at = strstr (at + len, "us_");
        }
        if (!strstr (map, name))
            fail_msg ("not in libunderstudy.map: %s", name);
        (*count)++;
    }
    free (text);
}

static void test_map (void **state)
{
    (void) state;
    size_t count = 0, lines = 0;
    char *map = s_read (US_SOURCE_DIR "/client/lib/libunderstudy.map");
    s_check_header (US_SOURCE_DIR "/include/understudy/understudy.h", map, &count);
    s_check_header (US_SOURCE_DIR "/include/understudy/error.h", map, &count);
    for (char *at = map; (at = strstr (at, "    us_")); at++)
        lines++;
    assert_int_equal (lines, count);
    free (map);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_new_and_text), cmocka_unit_test (test_golden),
        cmocka_unit_test (test_malformed),    cmocka_unit_test (test_states),
        cmocka_unit_test (test_map),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * The list of errors: each has a number, a name, a text and a class in Python. */
#include "unit.h"

#include <stdbool.h>
#include <string.h>

#include "understudy/error.h"

typedef struct s_entry {
    int number;
    const char *name, *text, *python;
} s_entry_t;

static const s_entry_t s_all[] = {
#define X(name, number, text, python) {US_ERR_##name, "US_ERR_" #name, text, python},
    US_ERR_MAP (X)
#undef X
};
enum { COUNT = sizeof s_all / sizeof s_all[0] };

static void test_every_error_has_a_number_a_text_and_a_class (void **state)
{
    (void) state;
    for (size_t i = 0; i < COUNT; i++) {
        assert_true (s_all[i].number < 0);
        assert_string_equal (us_err_name (s_all[i].number), s_all[i].name);
        assert_string_equal (us_err_text (s_all[i].number), s_all[i].text);
        assert_string_equal (us_err_python (s_all[i].number), s_all[i].python);
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal (s_all[i].number, s_all[j].number);
            assert_string_not_equal (s_all[i].python, s_all[j].python);
        }
    }
}

static void test_other_numbers_have_words_too (void **state)
{
    (void) state;
    assert_string_equal (us_err_name (US_OK), "US_OK");
    assert_string_equal (us_err_text (-9999), "unknown error");
    assert_string_equal (us_err_name (7), "US_ERR_UNKNOWN");
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_every_error_has_a_number_a_text_and_a_class),
        cmocka_unit_test (test_other_numbers_have_words_too),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * Slips: which names are taken for one that was misspelt. */
#include "../unit.h"

#include <string.h>

#include "base/similar.h"

static void test_slips (void **state)
{
    (void) state;
    assert_int_equal (usi_slips ("calculator", "calculator"), 0);
    assert_int_equal (usi_slips ("calcuator", "calculator"), 1);
    assert_int_equal (usi_slips ("calculatorr", "calculator"), 1);
    assert_int_equal (usi_slips ("clacualtor", "calculator"), 2);
    assert_int_equal (usi_slips ("stauts", "status"), 1);
    assert_int_equal (usi_slips ("", ""), 0);
}

static void test_other_names (void **state)
{
    char longest[130];
    (void) state;
    memset (longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal (usi_slips ("gpu", "cpu"), 1);
    assert_int_equal (usi_slips ("ab", "cd"), USI_NOT_SIMILAR);
    assert_int_equal (usi_slips ("calculator", "default"), USI_NOT_SIMILAR);
    assert_int_equal (usi_slips ("", "abc"), USI_NOT_SIMILAR);
    assert_int_equal (usi_slips (longest, longest), USI_NOT_SIMILAR);
    assert_int_equal (usi_slips (longest + 1, longest + 1), 0);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_slips),
        cmocka_unit_test (test_other_names),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

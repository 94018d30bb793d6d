/* SPDX-License-Identifier: MIT
 *
 * How deep jobs queue in a worker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pool.h"

static void test_depth (void **state)
{
    (void) state;
    assert_int_equal (pool_depth_for (0), 1); /* nothing is known yet */
    assert_int_equal (pool_depth_for (1), 128);
    assert_int_equal (pool_depth_for (30), 128);
    assert_int_equal (pool_depth_for (50), 101);
    assert_int_equal (pool_depth_for (1000), 6);
    assert_int_equal (pool_depth_for (5001), 1);
    assert_int_equal (pool_depth_for (10001), 1);
    assert_int_equal (pool_depth_for (UINT64_MAX), 1);
}

static void test_measure (void **state)
{
    uint64_t ewma = 0;
    (void) state;
    pool_measure (&ewma, 800);
    assert_int_equal (ewma, 800);
    pool_measure (&ewma, 0);
    assert_int_equal (ewma, 700);
    for (int i = 0; i < 200; i++)
        pool_measure (&ewma, 0);
    assert_in_range (ewma, 1, 8); /* never "unknown" again */
    for (int i = 0; i < 200; i++)
        pool_measure (&ewma, 100000);
    assert_in_range (ewma, 99000, 100000);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_depth),
        cmocka_unit_test (test_measure),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * The private Redis: what its program says of its version. That it is started, watched
 * and stopped is tested with the whole broker (tests/integration). */
#include "unit.h"

#include "private_redis.h"

static void test_redis_version (void **state)
{
    (void) state;
    assert_int_equal (private_redis_major ("Redis server v=7.0.15 sha=0"), 7);
    assert_int_equal (private_redis_major ("Valkey server v=8.1.0 sha=0"), 8);
    assert_int_equal (private_redis_major ("something else"), 0);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_redis_version),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

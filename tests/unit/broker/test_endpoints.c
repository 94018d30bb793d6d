/* SPDX-License-Identifier: MIT
 *
 * Addresses: which are of this machine alone, which are none, and what others use of them. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "core/endpoints.h"

static void test_unix (void **state)
{
    (void) state;
    assert_true (endpoint_is_valid ("ipc:///run/x.sock"));
    assert_true (endpoint_is_unix ("ipc:///run/x.sock"));
    assert_true (endpoint_is_valid ("tcp://127.0.0.1:7420"));
    assert_false (endpoint_is_unix ("tcp://127.0.0.1:7420"));
    assert_true (endpoint_is_valid ("tcp://[::1]:*"));
}

static void test_invalid (void **state)
{
    (void) state;
    static const char *const bad[] = {"",
                                      "tcp://",
                                      "tcp://:1",
                                      "tcp://host:",
                                      "udp://127.0.0.1:1",
                                      "127.0.0.1:7420",
                                      "ipc://",
                                      "tcp://127.0.0.1:x",
                                      "tcp://127.0.0.1:70000",
                                      "tcp://127.0.0.1:"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false (endpoint_is_valid (bad[i]));
}

static void test_port_zero_is_any (void **state)
{
    (void) state;
    char *any = endpoint_to_bind ("tcp://127.0.0.1:0");
    char *same = endpoint_to_bind ("tcp://127.0.0.1:10");
    assert_string_equal (any, "tcp://127.0.0.1:*");
    assert_string_equal (same, "tcp://127.0.0.1:10");
    free (any);
    free (same);
}

static void test_all_interfaces_become_addresses (void **state)
{
    (void) state;
    endpoints_t list = {0};
    endpoints_add_bound (&list, "tcp://0.0.0.0:7420");
    assert_true (list.count > 0);
    for (size_t i = 0; i < list.count; i++)
        assert_null (strstr (list.texts[i], "0.0.0.0"));
    size_t before = list.count;
    endpoints_add_bound (&list, "tcp://127.0.0.1:9");
    endpoints_add_bound (&list, "tcp://127.0.0.1:9");
    assert_int_equal (list.count, before + 1);
    char *joined = endpoints_join (&list, ",");
    assert_non_null (strstr (joined, "tcp://127.0.0.1:9"));
    free (joined);
    endpoints_clear (&list);
    assert_int_equal (list.count, 0);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_unix),
        cmocka_unit_test (test_invalid),
        cmocka_unit_test (test_port_zero_is_any),
        cmocka_unit_test (test_all_interfaces_become_addresses),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

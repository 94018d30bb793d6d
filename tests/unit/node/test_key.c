/* SPDX-License-Identifier: MIT
 *
 * Keys of environments: the same for requests that mean the same, else different. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "venv/key.h"

static const python_t s_python = {.path = "/usr/bin/python3",
                                  .executable = "/usr/bin/python3.11",
                                  .version = "3.11.2",
                                  .minor = "3.11",
                                  .platform = "linux-x86_64"};

/* A list of the texts up to the NULL. */
static usi_list_t s_list (usi_buf_t *buf, const char *const *texts)
{
    uint32_t count = 0;
    for (; texts[count]; count++)
        usi_list_add_str (buf, usi_bytes_of (texts[count]));
    return usi_list_of (buf, count);
}

static us_err_t s_key (const char *const *packages, const char *const *constraints,
                       const python_t *python, const char *index, char key[65])
{
    usi_buf_t a = {0}, b = {0};
    usi_list_t one = s_list (&a, packages), two = s_list (&b, constraints);
    env_request_t request;
    char *why = NULL;
    us_err_t err = env_request_make (&request, &one, &two, python, index, &why);
    if (err == US_OK)
        memcpy (key, request.key, sizeof request.key);
    else
        assert_non_null (why);
    env_request_clear (&request);
    free (why);
    usi_buf_free (&a);
    usi_buf_free (&b);
    return err;
}

#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NONE       ((const char *const[]){NULL})

static void test_the_same_request (void **state)
{
    char a[65], b[65];
    (void) state;
    assert_int_equal (s_key (TEXTS ("PyTZ", "six >= 1.0"), NONE, &s_python, NULL, a),
                      0);
    assert_int_equal (s_key (TEXTS ("six>=1.0", "pytz ", "pytz"), NONE, &s_python, NULL,
                             b),
                      0);
    assert_string_equal (a, b);
    assert_int_equal (strlen (a), 64);
}

static void test_different_requests (void **state)
{
    char keys[7][65];
    python_t other = s_python;
    other.version = "3.11.3";
    (void) state;
    assert_int_equal (s_key (NONE, NONE, &s_python, NULL, keys[0]), 0);
    assert_int_equal (s_key (TEXTS ("six"), NONE, &s_python, NULL, keys[1]), 0);
    assert_int_equal (s_key (TEXTS ("six"), NONE, &other, NULL, keys[2]), 0);
    assert_int_equal (s_key (TEXTS ("six"), TEXTS ("six<2"), &s_python, NULL, keys[3]),
                      0);
    assert_int_equal (s_key (TEXTS ("six<2"), NONE, &s_python, NULL, keys[4]), 0);
    assert_int_equal (s_key (TEXTS ("six"), NONE, &s_python, "http://x/", keys[5]), 0);
    other = s_python;
    other.executable = "/opt/python3.11";
    assert_int_equal (s_key (TEXTS ("six"), NONE, &other, NULL, keys[6]), 0);
    for (int i = 0; i < 7; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal (keys[i], keys[j]);
}

static void test_constraints_of_nothing (void **state)
{
    char a[65], b[65];
    (void) state;
    assert_int_equal (s_key (NONE, NONE, &s_python, NULL, a), 0);
    assert_int_equal (s_key (NONE, TEXTS ("six<2"), &s_python, NULL, b), 0);
    assert_string_equal (a, b);
}

static void test_refusals (void **state)
{
    static const char *const bad[] = {
        "--index-url=http://x",   "-r /etc/passwd", "./here",     "git+https://x/y",
        "six @ http://x/six.whl", "; rm -rf /",     "six\n--pre", ""};
    char key[65];
    (void) state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal (s_key (TEXTS (bad[i]), NONE, &s_python, NULL, key),
                          US_ERR_REQUIREMENT);
        assert_int_equal (s_key (TEXTS ("six"), TEXTS (bad[i]), &s_python, NULL, key),
                          US_ERR_REQUIREMENT);
    }
}

static void test_choose_python (void **state)
{
    const python_t pythons[] = {{.minor = "3.12"}, {.minor = "3.11"}};
    (void) state;
    assert_ptr_equal (python_choose (pythons, 2, usi_bytes_of ("")), &pythons[0]);
    assert_ptr_equal (python_choose (pythons, 2, usi_bytes_of ("3.11")), &pythons[1]);
    assert_null (python_choose (pythons, 2, usi_bytes_of ("3.1")));
    assert_null (python_choose (pythons, 0, usi_bytes_of ("")));
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_the_same_request),
        cmocka_unit_test (test_different_requests),
        cmocka_unit_test (test_constraints_of_nothing),
        cmocka_unit_test (test_refusals),
        cmocka_unit_test (test_choose_python),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

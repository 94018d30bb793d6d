/* SPDX-License-Identifier: MIT
 *
 * URLs of Redis: read, refused, and shown without their password. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "redis/url.h"

static void s_same (const char *text, const char *expected)
{
    usi_redis_url_t url;
    assert_int_equal (usi_redis_url_parse (&url, text, NULL, 0), US_OK);
    char *again = usi_redis_url_text (&url);
    assert_string_equal (again, expected);
    free (again);
    usi_redis_url_free (&url);
}

static void test_good (void **state)
{
    (void) state;
    s_same ("redis://", "redis://localhost:6379");
    s_same ("redis://h", "redis://h:6379");
    s_same ("redis://h:1/0", "redis://h:1");
    s_same ("redis://h:65535/3", "redis://h:65535/3");
    s_same ("redis://h/", "redis://h:6379");
    s_same ("redis://[::1]:7/2", "redis://[::1]:7/2");
    s_same ("redis://[::1]", "redis://[::1]:6379");
    s_same ("redis://:p%40ss%2F@h", "redis://:p%40ss%2F@h:6379");
    s_same ("redis://u:p@q@h:5", "redis://u:p%40q@h:5");
    s_same ("redis://u@h", "redis://u:@h:6379");
    s_same ("unix:///run/r.sock", "unix:///run/r.sock");
    s_same ("unix://r.sock?db=2&password=a%26b&username=u",
            "unix://r.sock?db=2&username=u&password=a%26b");
    s_same ("UNIX:///a%3Fb", "unix:///a%3Fb");
}

static void test_bad (void **state)
{
    (void) state;
    static const char *const bad[] = {"",
                                      "h:6379",
                                      "http://h",
                                      "redis://h:0",
                                      "redis://h:65536",
                                      "redis://h:",
                                      "redis://h:x",
                                      "redis://h/x",
                                      "redis://h/-1",
                                      "redis://[::1",
                                      "redis://[::1]x",
                                      "redis://[[1]:7/2",
                                      "redis://h]:7",
                                      "redis://%zz@h",
                                      "redis://:%00@h",
                                      "redis://h?db=1",
                                      "unix://",
                                      "unix:///s?db",
                                      "unix:///s?what=1",
                                      "redis://:%4@h"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        usi_redis_url_t url;
        char why[200] = "";
        assert_int_equal (usi_redis_url_parse (&url, bad[i], why, sizeof why),
                          US_ERR_INVALID);
        assert_non_null (strstr (why, "redis://"));
        usi_redis_url_free (&url);
    }
}

static void s_expect_shown (const char *given, const char *text, const char *shown)
{
    usi_redis_url_t url;
    assert_int_equal (usi_redis_url_parse (&url, given, NULL, 0), US_OK);
    char *got = usi_redis_url_text (&url), *got_shown = usi_redis_url_shown (&url);
    assert_string_equal (got, text);
    assert_string_equal (got_shown, shown);
    free (got);
    free (got_shown);
    usi_redis_url_free (&url);
}

/* As a URL again, and as people may see it. */
static void test_shown (void **state)
{
    (void) state;
    s_expect_shown ("redis://me:a%20b@h/4", "redis://me:a%20b@h:6379/4",
                    "redis://h:6379/4");
    s_expect_shown ("unix:///s?db=4&username=me&password=b",
                    "unix:///s?db=4&username=me&password=b", "unix:///s?db=4");
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_good),
        cmocka_unit_test (test_bad),
        cmocka_unit_test (test_shown),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

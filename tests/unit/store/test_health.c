/* SPDX-License-Identifier: MIT
 *
 * What the broker thinks of a Redis by what INFO and CONFIG GET say. */
#include "unit.h"

#include <stdlib.h>

#include "store/health.h"

static health_t s_health (const char *info)
{
    health_t health = {0};
    health_info (&health, usi_bytes_of (info));
    return health;
}

static void s_is_fatal (const health_t *health, const char *words)
{
    char *line = health_fatal (health, "redis://h:1");
    if (!words) {
        assert_null (line);
        return;
    }
    assert_non_null (line);
    assert_non_null (strstr (line, words));
    free (line);
}

static void test_fatal (void **state)
{
    (void) state;
    health_t health = s_health ("# Server\r\nredis_version:6.2.14\r\nrun_id:abc\r\n");
    s_is_fatal (&health,
                "Redis 6.2.14 at redis://h:1 is too old: 7.0 or newer is needed");
    health = s_health ("redis_version:7.0.0\r\nrole:slave\r\n");
    s_is_fatal (&health, "read-only replica");
    health = s_health ("redis_version:10.1.0\r\nrole:master\r\nloading:0\r\n");
    s_is_fatal (&health, NULL);
    assert_string_equal (health.version, "10.1.0");
    health_config (&health, "maxmemory-policy", usi_bytes_of ("volatile-lru"));
    s_is_fatal (&health, "maxmemory-policy volatile-lru");
    health_config (&health, "maxmemory-policy", usi_bytes_of ("noeviction"));
    s_is_fatal (&health, NULL);
}

static void test_durability (void **state)
{
    (void) state;
    health_t health = s_health ("redis_version:7.0.0\r\naof_enabled:1\r\n");
    assert_string_equal (health_durability (&health),
                         "everysec"); /* CONFIG not permitted */
    health_config (&health, "appendonly", usi_bytes_of ("no"));
    assert_string_equal (health_durability (&health), "memory");
    health_config (&health, "appendonly", usi_bytes_of ("yes"));
    health_config (&health, "appendfsync", usi_bytes_of ("always"));
    assert_string_equal (health_durability (&health), "always");
    health_config (&health, "appendfsync", usi_bytes_of ("no"));
    assert_string_equal (health_durability (&health), "everysec");
}

static unsigned s_weak (const health_t *health, const char *wanted)
{
    char *setting, *verdict;
    bool weak;
    unsigned count = 0;
    for (unsigned i = 0; health_finding (health, wanted, i, &setting, &verdict, &weak);
         i++) {
        count += weak;
        free (setting);
        free (verdict);
    }
    return count;
}

static void test_findings (void **state)
{
    (void) state;
    health_t health =
        s_health ("redis_version:7.0.0\r\naof_enabled:1\r\nmaxmemory:1000\r\n");
    health_config (&health, "appendonly", usi_bytes_of ("yes"));
    health_config (&health, "appendfsync", usi_bytes_of ("everysec"));
    assert_int_equal (health.maxmemory, 1000);
    assert_int_equal (s_weak (&health, "always"), 1);
    assert_int_equal (s_weak (&health, "everysec"), 0);
    health_info (&health, usi_bytes_of ("aof_last_write_status:err\r\n"));
    assert_int_equal (s_weak (&health, "everysec"), 1);
}

/* INFO is text from outside. */
static void test_strange_info (void **state)
{
    (void) state;
    health_t health = s_health ("");
    assert_string_equal (health.version, "");
    health = s_health ("redis_version");
    assert_string_equal (health.version, "");
    health = s_health ("redis_version:");
    assert_string_equal (health.version, "");
    health = s_health ("redis_version:0123456789012345678901234567890123456789");
    assert_int_equal (strlen (health.version), sizeof health.version - 1);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_fatal),
        cmocka_unit_test (test_durability),
        cmocka_unit_test (test_findings),
        cmocka_unit_test (test_strange_info),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

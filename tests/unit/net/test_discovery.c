/* SPDX-License-Identifier: MIT
 *
 * Finding brokers: lists and their order, and the registry of a real Redis. */
#include "../unit.h"

#include <poll.h>
#include <string.h>

#include "base/id.h"
#include "net/discovery.h"
#include "proto/message.h"
#include "redis/redis_server.h"
#include "redis/registry.h"

#define WAIT_MS 20000

/* The addresses of a round, by blank. */
static const char *s_round (usi_discovery_t *discovery)
{
    static char text[512];
    text[0] = '\0';
    usi_discovery_begin (discovery);
    while (!usi_discovery_collect (discovery)) {
        struct pollfd item = {.fd = usi_discovery_fd (discovery), .events = POLLIN};
        assert_true (usi_discovery_is_looking (discovery));
        assert_null (usi_discovery_next (discovery));
        assert_int_equal (poll (&item, 1, WAIT_MS), 1);
    }
    assert_false (usi_discovery_is_looking (discovery));
    for (const char *address; (address = usi_discovery_next (discovery));) {
        strcat (text, text[0] ? " " : "");
        strcat (text, address);
    }
    return text;
}

/* --- lists ------------------------------------------------------------------------ */

static void test_list_keeps_its_order (void **state)
{
    usi_brokers_t brokers = {.endpoints = " tcp://a:1 ,tcp://b:2,, tcp://c:3,"};
    usi_discovery_t *discovery = usi_discovery_new (&brokers);
    (void) state;
    assert_int_equal (usi_discovery_fd (discovery), -1);
    for (int i = 0; i < 3; i++)
        assert_string_equal (s_round (discovery), "tcp://a:1 tcp://b:2 tcp://c:3");
    usi_discovery_begin (discovery);
    assert_string_equal (usi_discovery_next (discovery), "tcp://a:1");
    assert_string_equal (s_round (discovery), "tcp://a:1 tcp://b:2 tcp://c:3");
    assert_int_equal (usi_discovery_count (discovery), 3);
    usi_discovery_destroy (&discovery);
}

static void test_list_in_turn (void **state)
{
    usi_brokers_t brokers = {.endpoints = "tcp://a:1,tcp://b:2,tcp://c:3",
                             .in_turn = true};
    usi_discovery_t *discovery = usi_discovery_new (&brokers);
    (void) state;
    assert_string_equal (s_round (discovery), "tcp://a:1 tcp://b:2 tcp://c:3");
    usi_discovery_begin (discovery);
    assert_string_equal (usi_discovery_next (discovery), "tcp://a:1");
    assert_string_equal (s_round (discovery), "tcp://b:2 tcp://c:3 tcp://a:1");
    usi_discovery_destroy (&discovery);
}

static void s_learn (usi_discovery_t *discovery, const char *one, const char *two)
{
    usi_buf_t buf = {0};
    usi_list_add_str (&buf, usi_bytes_of (one));
    usi_list_add_str (&buf, usi_bytes_of (two));
    usi_list_t list = usi_list_of (&buf, 2);
    usi_discovery_learn (discovery, &list);
    usi_buf_free (&buf);
}

/* Behind those that were given; what is told later counts alone. */
static void test_what_a_broker_tells (void **state)
{
    usi_brokers_t brokers = {.endpoints = "tcp://a:1#K"};
    usi_discovery_t *discovery = usi_discovery_new (&brokers);
    (void) state;
    usi_discovery_begin (discovery);
    const char *in_use = usi_discovery_next (discovery);
    s_learn (discovery, "tcp://b:2#L", "tcp://a:1#K");
    assert_string_equal (in_use, "tcp://a:1#K");
    assert_string_equal (s_round (discovery), "tcp://a:1#K tcp://b:2#L");
    s_learn (discovery, "tcp://c:3#M", "tcp://d:4");
    assert_string_equal (s_round (discovery), "tcp://a:1#K tcp://c:3#M");
    usi_discovery_learn (discovery, &(usi_list_t){0});
    assert_string_equal (s_round (discovery), "tcp://a:1#K tcp://c:3#M");
    usi_discovery_destroy (&discovery);
}

static void test_list_of_nothing (void **state)
{
    usi_brokers_t brokers = {.endpoints = " , "};
    usi_discovery_t *discovery = usi_discovery_new (&brokers);
    (void) state;
    assert_string_equal (s_round (discovery), "");
    assert_int_equal (usi_discovery_error (discovery), US_ERR_UNREACHABLE);
    assert_string_equal (usi_discovery_why (discovery), "none is configured");
    usi_discovery_destroy (&discovery);
}

/* --- the registry ----------------------------------------------------------------- */

/* A broker of this host, refreshed now. */
static void s_register (const redis_server_t *server, const char *name,
                        const char *endpoint)
{
    usi_buf_t list = {0}, value = {0}, entry = {0};
    usi_fields_t fields = {0};
    usi_ask_t *ask = redis_ask (server);
    int64_t now_ms =
        usi_reply_int (usi_reply_at (usi_ask (ask, "TIME", NULL), 0)) * 1000;
    usi_list_add_str (&list, usi_bytes_of (endpoint));
    USI_SET (&fields, HOST, host, usi_bytes_of (usi_host ()));
    USI_SET (&fields, ENDPOINTS, endpoints, usi_list_of (&list, 1));
    usi_fields_encode (&fields, &value);
    assert_int_equal (usi_registry_seal (usi_buf_bytes (&value), now_ms, &entry),
                      US_OK);
    usi_bytes_t args[] = {usi_bytes_of ("HSET"), usi_bytes_of (USI_REGISTRY_BROKERS),
                          usi_bytes_of (name), usi_buf_bytes (&entry)};
    const usi_reply_t *reply = usi_ask_bytes (ask, args, 4);
    assert_int_equal (usi_reply_int (reply), 1);
    usi_ask_close (&ask);
    usi_buf_free (&list);
    usi_buf_free (&value);
    usi_buf_free (&entry);
}

static void test_registry (void **state)
{
    redis_server_t server = {0};
    (void) state;
    redis_start (&server);
    usi_brokers_t brokers = {.redis = server.url, .look_ms = WAIT_MS};
    usi_discovery_t *discovery = usi_discovery_new (&brokers);
    assert_string_equal (s_round (discovery), "");
    assert_int_equal (usi_discovery_error (discovery), US_ERR_UNREACHABLE);
    assert_string_equal (usi_discovery_why (discovery),
                         "no broker is registered there");
    s_register (&server, "one", "tcp://a:1");
    assert_string_equal (s_round (discovery), "tcp://a:1");
    assert_int_equal (usi_discovery_error (discovery), US_OK);
    s_register (&server, "two", "tcp://b:2");
    /* Any of the two comes first, the other one behind it. */
    bool seen[2] = {false, false};
    for (int i = 0; i < 1000 && !(seen[0] && seen[1]); i++) {
        const char *round = s_round (discovery);
        bool first = strcmp (round, "tcp://a:1 tcp://b:2") == 0;
        assert_true (first || strcmp (round, "tcp://b:2 tcp://a:1") == 0);
        seen[first] = true;
    }
    assert_true (seen[0] && seen[1]);
    usi_discovery_destroy (&discovery);
    redis_stop (&server);
}

static void test_registry_fails (void **state)
{
    usi_brokers_t away = {.redis = "unix:///nonexistent/r.sock", .look_ms = WAIT_MS};
    usi_brokers_t wrong = {.redis = "redis://host:port", .look_ms = WAIT_MS};
    usi_discovery_t *discovery = usi_discovery_new (&away);
    (void) state;
    assert_string_equal (s_round (discovery), "");
    assert_int_equal (usi_discovery_error (discovery), US_ERR_UNREACHABLE);
    assert_true (usi_discovery_why (discovery)[0] != '\0');
    usi_discovery_destroy (&discovery);
    discovery = usi_discovery_new (&wrong);
    assert_string_equal (s_round (discovery), "");
    assert_int_equal (usi_discovery_error (discovery), US_ERR_CONFIG);
    usi_discovery_begin (discovery); /* destroyed while it looks */
    usi_discovery_destroy (&discovery);
    assert_null (discovery);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_list_keeps_its_order),
        cmocka_unit_test (test_list_in_turn),
        cmocka_unit_test (test_list_of_nothing),
        cmocka_unit_test (test_what_a_broker_tells),
        cmocka_unit_test (test_registry),
        cmocka_unit_test (test_registry_fails),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * Connections and subscriptions against a real server that is killed, paused and comes
 * back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "redis/connection.h"
#include "redis/subscriber.h"
#include "redis_server.h"

typedef struct fixture {
    redis_server_t server;
    zloop_t *loop;
    unsigned connected, lost, replies, empty, messages;
    int64_t last;
    char why[160];
    const char *wanted; /* a message; others are not counted */
    bool (*until) (struct fixture *f);
    int64_t deadline_ms;
} fixture_t;

static int s_tick (zloop_t *loop, int timer, void *arg)
{
    (void) loop;
    (void) timer;
    fixture_t *f = arg;
    return f->until (f) || usi_now_ms () > f->deadline_ms ? -1 : 0;
}

static bool s_pump_for (fixture_t *f, bool (*until) (fixture_t *f), int64_t ms)
{
    f->until = until;
    f->deadline_ms = usi_now_ms () + ms;
    int timer = zloop_timer (f->loop, 1, 0, s_tick, f);
    while (!until (f) && usi_now_ms () <= f->deadline_ms)
        zloop_start (f->loop);
    zloop_timer_end (f->loop, timer);
    return until (f);
}

static void s_pump (fixture_t *f, bool (*until) (fixture_t *f))
{
    assert_true (s_pump_for (f, until, 15000));
}

static bool s_has_connected (fixture_t *f)
{
    return f->connected > 0;
}

static bool s_has_lost (fixture_t *f)
{
    return f->lost > 0;
}

static bool s_has_replies (fixture_t *f)
{
    return f->replies >= 1000;
}

static bool s_has_message (fixture_t *f)
{
    return f->messages > 0;
}

static void s_on_connected (void *arg)
{
    ((fixture_t *) arg)->connected++;
}

static void s_on_lost (void *arg, const char *why)
{
    fixture_t *f = arg;
    f->lost++;
    snprintf (f->why, sizeof f->why, "%s", why);
}

static void s_on_reply (const usi_reply_t *reply, void *arg)
{
    fixture_t *f = arg;
    f->replies++;
    f->empty += reply == NULL;
    if (reply)
        f->last = usi_reply_int (reply);
}

static void s_on_message (usi_bytes_t topic, usi_bytes_t message, void *arg)
{
    fixture_t *f = arg;
    (void) topic;
    f->messages += usi_bytes_equal (message, usi_bytes_of (f->wanted));
}

static usi_redis_t *s_open (fixture_t *f, const char *suffix)
{
    usi_redis_url_t url;
    char text[256];
    snprintf (text, sizeof text, "%s%s", f->server.url, suffix);
    assert_int_equal (usi_redis_url_parse (&url, text, NULL, 0), US_OK);
    usi_redis_events_t events = {s_on_connected, s_on_lost, f};
    usi_redis_t *redis = usi_redis_new (f->loop, &url, &events);
    usi_redis_url_free (&url);
    return redis;
}

static int s_setup (void **state)
{
    fixture_t *f = calloc (1, sizeof *f);
    zsys_handler_set (NULL);
    redis_start (&f->server);
    f->loop = zloop_new ();
    *state = f;
    return 0;
}

static int s_teardown (void **state)
{
    fixture_t *f = *state;
    zloop_destroy (&f->loop);
    redis_stop (&f->server);
    free (f);
    return 0;
}

static void test_many_commands (void **state)
{
    fixture_t *f = *state;
    usi_redis_t *redis = s_open (f, "?db=3");
    assert_int_equal (usi_redis_text (redis, s_on_reply, f, "INCR", "n", NULL), -1);
    s_pump (f, s_has_connected);
    for (int i = 0; i < 1000; i++)
        assert_int_equal (usi_redis_text (redis, s_on_reply, f, "INCR", "n", NULL), 0);
    s_pump (f, s_has_replies);
    assert_int_equal (f->last, 1000);
    assert_int_equal (f->empty, 0);
    usi_redis_destroy (&redis);
}

/* More than a socket takes at once. */
static void test_large_commands (void **state)
{
    fixture_t *f = *state;
    static char value[4000000];
    usi_redis_t *redis = s_open (f, "");
    s_pump (f, s_has_connected);
    memset (value, 'x', sizeof value);
    usi_bytes_t args[] = {usi_bytes_of ("APPEND"), usi_bytes_of ("big"),
                          usi_bytes (value, sizeof value)};
    for (int i = 0; i < 10; i++)
        usi_redis_send (redis, args, 3, s_on_reply, f);
    f->replies = 990;
    s_pump (f, s_has_replies);
    assert_int_equal (f->last, 10 * (int) sizeof value);
    usi_redis_destroy (&redis);
}

static void test_lost_and_back (void **state)
{
    fixture_t *f = *state;
    usi_redis_t *redis = s_open (f, "");
    s_pump (f, s_has_connected);
    redis_pause (&f->server);
    usi_redis_text (redis, s_on_reply, f, "PING", NULL);
    usi_redis_flush (redis);
    redis_kill (&f->server);
    s_pump (f, s_has_lost);
    assert_int_equal (f->replies, 1); /* once, with nothing */
    assert_int_equal (f->empty, 1);
    assert_int_equal (usi_redis_text (redis, s_on_reply, f, "PING", NULL), -1);
    f->connected = 0;
    redis_launch (&f->server);
    s_pump (f, s_has_connected);
    usi_redis_destroy (&redis);
}

/* A server that hangs is given up after the time limit. */
static void test_silent (void **state)
{
    fixture_t *f = *state;
    usi_redis_t *redis = s_open (f, "");
    s_pump (f, s_has_connected);
    redis_pause (&f->server);
    int64_t began_ms = usi_now_ms ();
    usi_redis_text (redis, s_on_reply, f, "PING", NULL);
    s_pump (f, s_has_lost);
    kill (f->server.pid, SIGCONT);
    assert_true (usi_now_ms () - began_ms >= USI_REDIS_TIMEOUT_MS - 100);
    assert_string_equal (f->why, "no answer");
    assert_int_equal (f->empty, 1);
    usi_redis_destroy (&redis);
}

static void test_wrong_password (void **state)
{
    fixture_t *f = *state;
    usi_redis_t *redis = s_open (f, "?username=me&password=wrong");
    s_pump (f, s_has_lost);
    assert_non_null (strstr (f->why, "WRONGPASS"));
    assert_int_equal (f->connected, 0);
    usi_redis_destroy (&redis);
}

static void test_destroy_while_connecting (void **state)
{
    fixture_t *f = *state;
    s_pump_for (f, s_has_lost,
                1); /* zloop removes timers at once only after a first run */
    for (int i = 0; i < 5; i++) {
        usi_redis_t *redis = s_open (f, "");
        if (i)
            s_pump_for (f, s_has_lost, i);
        usi_redis_destroy (&redis);
    }
    assert_int_equal (f->lost, 0);
}

static void s_publish_until_heard (fixture_t *f, const char *topic, const char *text)
{
    usi_ask_t *ask = redis_ask (&f->server);
    f->messages = 0;
    f->wanted = text; /* one of before may still be under way */
    for (unsigned tries = 0; !f->messages; tries++) {
        assert_true (tries < 1000);
        usi_ask (ask, "PUBLISH", topic, text, NULL);
        s_pump_for (f, s_has_message, 30);
    }
    usi_ask_close (&ask);
}

static void test_subscriber (void **state)
{
    fixture_t *f = *state;
    usi_subscriber_t *subscriber =
        usi_subscriber_new (f->loop, f->server.url, s_on_message, f);
    assert_null (usi_subscriber_new (f->loop, "nonsense", s_on_message, f));
    usi_subscriber_add (subscriber, "one");
    usi_subscriber_add (subscriber, "one");
    s_publish_until_heard (f, "one", "first");
    assert_true (usi_subscriber_is_live (subscriber));
    usi_subscriber_add (subscriber, "two");
    s_publish_until_heard (f, "two", "second");
    redis_kill (&f->server); /* all topics come back by themselves */
    redis_launch (&f->server);
    s_publish_until_heard (f, "two", "third");
    s_publish_until_heard (f, "one", "fourth");
    usi_subscriber_remove (subscriber, "one");
    s_publish_until_heard (f, "two", "fifth");
    usi_subscriber_remove (subscriber, "two");
    usi_subscriber_add (subscriber, "three");
    s_publish_until_heard (f, "three", "sixth");
    usi_subscriber_destroy (&subscriber);
}

/* Each two seconds it asks whether Redis is still there. Until the answer comes it is as
 * live as before: here for two seconds and more, as Redis stands still. */
static void test_subscriber_of_a_slow_redis (void **state)
{
    fixture_t *f = *state;
    usi_subscriber_t *subscriber =
        usi_subscriber_new (f->loop, f->server.url, s_on_message, f);
    usi_subscriber_add (subscriber, "one");
    s_publish_until_heard (f, "one", "first");
    redis_pause (&f->server);
    int64_t paused_ms = usi_now_ms ();
    f->messages = 0;
    while (usi_now_ms () - paused_ms < 2500) {
        s_pump_for (f, s_has_message, 50);
        assert_true (usi_subscriber_is_live (subscriber));
    }
    usi_subscriber_destroy (&subscriber);
}

/* The user a node subscribes with may do nothing else. */
static void test_subscriber_with_few_rights (void **state)
{
    fixture_t *f = *state;
    char url[256];
    usi_ask_t *ask = redis_ask (&f->server);
    usi_ask (ask, "ACL", "SETUSER", "wake", "reset", "on", ">pw", NULL);
    usi_ask (ask, "ACL", "SETUSER", "wake", "&topic", "+subscribe", "+echo", NULL);
    usi_ask_close (&ask);
    snprintf (url, sizeof url, "%s?username=wake&password=pw", f->server.url);
    usi_subscriber_t *subscriber = usi_subscriber_new (f->loop, url, s_on_message, f);
    usi_subscriber_add (subscriber, "topic");
    s_publish_until_heard (f, "topic", "wake up");
    usi_subscriber_destroy (&subscriber);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown (test_many_commands, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown (test_large_commands, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown (test_lost_and_back, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown (test_silent, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown (test_wrong_password, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown (test_destroy_while_connecting, s_setup,
                                         s_teardown),
        cmocka_unit_test_setup_teardown (test_subscriber, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown (test_subscriber_of_a_slow_redis, s_setup,
                                         s_teardown),
        cmocka_unit_test_setup_teardown (test_subscriber_with_few_rights, s_setup,
                                         s_teardown),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * What nodes and brokers hear by topics: wakes, and what another broker has done. */
#include "harness.h"

#include "redis/subscriber.h"

static int s_setup (void **state)
{
    return harness_begin (state, redis_start);
}

/* --- wakes ------------------------------------------------------------------------ */

static bool s_woken (harness_t *h)
{
    return h->told.wakes > 0;
}

static void s_until_subscribed (harness_t *h, uint64_t node)
{
    char topic[USI_MAX_TOPIC + 1];
    int64_t end_ms = usi_now_ms () + WAIT_MS;
    store_wake_topic (h->store, node, topic);
    while (!redis_has_subscriber (h->ask, topic)) {
        assert_true (usi_now_ms () < end_ms);
        pump_for (h, s_woken, 5);
    }
}

static uint64_t waiting (harness_t *h)
{
    return counters (h).waiting;
}

static void test_wake (void **state)
{
    harness_t *h = *state;
    store_relay (h->store, 5, true);
    store_claim_t claim = a_claim (2);
    assert_int_equal (do_claim (h, &claim)->count, 0);
    s_until_subscribed (h, 5);
    submit_one (h);
    pump (h, s_woken);
    assert_int_equal (h->told.node, 5);
    assert_int_equal (waiting (h), 0); /* taken out: nobody is woken twice */
    claim.count = 1;
    claim.waiting = true;
    do_claim (h, &claim);
    assert_int_equal (waiting (h), 0);
    store_relay (h->store, 5, false);
}

static void s_wait_until_waiting (harness_t *h, uint64_t number)
{
    for (unsigned tries = 0; waiting (h) != number; tries++) {
        assert_true (tries < 1000);
        pump_for (h, s_woken, 10);
    }
}

/* It cannot take its topic out of the sets, and is not counted for that. */
static void test_a_node_that_is_gone_does_not_wait (void **state)
{
    harness_t *h = *state;
    store_claim_t claim = a_claim (2);
    store_relay (h->store, 5, true);
    assert_int_equal (do_claim (h, &claim)->count, 0);
    s_wait_until_waiting (h, 1);
    store_relay (h->store, 5, false);
    s_wait_until_waiting (h, 0);
}

static void s_on_wake_message (usi_bytes_t topic, usi_bytes_t message, void *arg)
{
    told_t *told = arg;
    (void) topic;
    told->wakes += message.len == 0;
}

/* As a node does: by the address of WELCOME, whose user may do nothing else. */
static void test_wake_by_its_own_subscription (void **state)
{
    harness_t *h = *state;
    char topic[USI_MAX_TOPIC + 1];
    usi_redis_url_t url;
    usi_ask_t *ask = NULL;
    store_wake_topic (h->store, 5, topic);
    usi_subscriber_t *subscriber =
        usi_subscriber_new (h->loop, store_wake_url (h->store), s_on_wake_message,
                            &h->told);
    assert_non_null (subscriber);
    usi_subscriber_add (subscriber, topic);
    store_claim_t claim = a_claim (1000);
    do_claim (h, &claim);
    s_until_subscribed (h, 5);
    submit_one (h);
    pump (h, s_woken);
    usi_subscriber_destroy (&subscriber);
    usi_redis_url_parse (&url, store_wake_url (h->store), NULL, 0);
    assert_int_equal (usi_ask_open (&ask, &url, WAIT_MS, NULL, 0), US_OK);
    assert_true (
        usi_reply_is_error (usi_ask (ask, "GET", "us:cluster", NULL), "NOPERM"));
    assert_true (
        usi_reply_is_error (usi_ask (ask, "PUBLISH", topic, "", NULL), "NOPERM"));
    usi_ask_close (&ask);
    usi_redis_url_free (&url);
}

/* --- others ----------------------------------------------------------------------- */

static bool s_ended_there (harness_t *h)
{
    return h->told.ended > 0;
}

static bool s_started_there (harness_t *h)
{
    return h->told.started > 0;
}

static bool s_logged_there (harness_t *h)
{
    return h->told.logged > 0;
}

static bool s_stopped_there (harness_t *h)
{
    return h->told.stops > 0;
}

/* Submitted here, run by a node of another broker. */
static void test_two_brokers (void **state)
{
    harness_t *h = *state;
    told_t other_told = {0};
    store_t *mine = h->store, *other = harness_other (h, 0x22, &other_told);
    usi_id_t id = submit_one (h);
    do_watch (h, &id, 8, USI_WATCH_LOG);
    assert_int_equal (h->got.state, US_STATE_QUEUED);

    h->store = other;
    store_fence_t fence = claim_one (h, &id);
    for (unsigned tries = 0; !h->told.logged; tries++) { /* until we are subscribed */
        char text[16];
        snprintf (text, sizeof text, "%04u", tries);
        do_log (h, &fence, 0, 4 * tries, text);
        assert_int_equal (h->got.peers_len, 0);
        pump_for (h, s_logged_there, 50);
        assert_true (tries < 1000);
    }
    assert_int_equal (h->told.peers[0], 8);
    assert_int_equal (do_started (h, &fence), US_OK);
    pump (h, s_started_there);
    assert_int_equal (h->told.peers_len, 2); /* origin and watcher */

    h->store = mine;
    do_cancel (h, &id, 1);
    assert_int_equal (h->got.holder, 0x22);
    h->store = other;
    h->told = (told_t){0};
    for (unsigned tries = 0; !other_told.stops; tries++) {
        h->store = mine;
        do_cancel (h, &id, 1);
        h->store = other;
        pump_for (h, s_stopped_there, 20);
        assert_true (tries < 1000);
    }
    assert_int_equal (other_told.node, 5);
    assert_int_equal (other_told.attempt, 1);
    finish_one (h, &fence, USI_STOPPED, US_ERR_CANCELLED);
    assert_int_equal (h->got.peers_len, 0); /* none of them is the other broker's */
    pump (h, s_ended_there);
    assert_true (usi_id_equal (&h->told.id, &id));
    assert_int_equal (h->told.peers_len, 2);

    store_destroy (&other);
    h->store = mine;
}

static void test_watchers (void **state)
{
    harness_t *h = *state;
    usi_id_t id = submit_one (h);
    do_watch (h, &id, 8, 0);
    do_watch (h, &id, 9, USI_WATCH_BUILD);
    do_watch (h, &id, 9, USI_WATCH_LOG); /* in place of the other */
    do_watch (h, &id, 10, USI_WATCH_LOG);
    store_unwatch (h->store, &id, 10, got_code, got_begin (h));
    pump (h, got_answer);
    do_watch (h, &id, 3, USI_WATCH_ORIGIN);
    store_fence_t fence = claim_one (h, &id);
    do_log (h, &fence, 0, 0, "x");
    assert_int_equal (h->got.peers_len, 1);
    assert_int_equal (h->got.peers[0], 9);
    assert_int_equal (do_log (h, &fence, 1, 0, "x")->peers_len, 0);
    finish_one (h, &fence, USI_SUCCEEDED, 0);
    assert_int_equal (h->got.peers_len, 3);
    assert_int_equal (h->got.peers[0] + h->got.peers[1] + h->got.peers[2], 8 + 9 + 3);
    do_watch (h, &id, 8, 0);
    assert_int_equal (h->got.state, US_STATE_SUCCEEDED);
    assert_string_equal (h->got.text, "result");
    usi_id_t unknown = new_id ();
    assert_int_equal (do_watch (h, &unknown, 8, 0)->code, US_ERR_UNKNOWN_JOB);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup (test_wake, harness_empty),
        cmocka_unit_test_setup (test_a_node_that_is_gone_does_not_wait, harness_empty),
        cmocka_unit_test_setup (test_wake_by_its_own_subscription, harness_empty),
        cmocka_unit_test_setup (test_two_brokers, harness_empty),
        cmocka_unit_test_setup (test_watchers, harness_empty),
    };
    return cmocka_run_group_tests (tests, s_setup, harness_end);
}

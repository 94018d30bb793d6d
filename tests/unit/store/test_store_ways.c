/* SPDX-License-Identifier: MIT
 *
 * What happens around the jobs: sweeps, wakes, watchers, other brokers, retention,
 * lists, the registry, and a Redis that comes and goes. On a plain server. */
#include "proto/limits.h"
#include "redis/registry.h"
#include "redis/subscriber.h"
#include "store/sweep.h"
#include "harness.h"

static int s_setup (void **state)
{
    return harness_begin (state, redis_start);
}

static bool s_is_lost (harness_t *h)
{
    return h->told.lost > 0;
}

static store_t *s_open_other (harness_t *h, uint32_t broker, told_t *told)
{
    store_t *mine = h->store;
    h->store = harness_store (h, broker, LEASE_MS, told);
    pump (h, harness_is_ready);
    store_t *other = h->store;
    h->store = mine;
    return other;
}

#define HOUR_MS        3600000LL
#define TEN_MINUTES_MS 600000LL

/* --- the clock -------------------------------------------------------------------- */

static void s_set_swept (harness_t *h, int64_t ago_ms)
{
    char key[24], value[32];
    const usi_reply_t *time = usi_ask (h->ask, "TIME", NULL);
    int64_t now_ms = usi_reply_int (usi_reply_at (time, 0)) * 1000;
    snprintf (key, sizeof key, "us:{%02x}:clock",
              usi_partition (usi_bytes_of (CHANNEL)));
    snprintf (value, sizeof value, "%lld", (long long) (now_ms - ago_ms));
    usi_ask (h->ask, "HSET", key, "swept", value, NULL);
}

static void test_nobody_swept_for_long (void **state)
{
    harness_t *h = *state;
    usi_id_t id = submit_one (h);
    claim_one (h, &id);
    set_due (h, &id, -1);
    s_set_swept (h, LEASE_MS);
    int64_t began_ms = usi_now_ms ();
    sweep_now (h);
    assert_int_equal (state_of (h, &id), US_STATE_LEASED); /* nodes could not renew */
    int64_t next_ms = usi_reply_int (usi_reply_at (sweep_now (h), 2));
    int64_t took_ms = usi_now_ms () - began_ms;
    assert_in_range (next_ms, LEASE_MS - 100 - took_ms, LEASE_MS);
}

static void test_broker_says_hold (void **state)
{
    harness_t *h = *state;
    usi_id_t id = submit_one (h);
    claim_one (h, &id);
    set_due (h, &id, -1);
    sweep_with (h, 2000, LEASE_MS, "100");
    assert_int_equal (state_of (h, &id), US_STATE_LEASED);
    set_due (h, &id, -1);
    sweep_now (h); /* still within the hold */
    assert_int_equal (state_of (h, &id), US_STATE_LEASED);
}

static void test_clock_went_back (void **state)
{
    harness_t *h = *state;
    usi_id_t id = submit_one (h);
    claim_one (h, &id);
    set_due (h, &id, HOUR_MS + LEASE_MS); /* an hour ahead, after the last sweep */
    s_set_swept (h, -HOUR_MS + 500);
    int64_t next_ms = usi_reply_int (usi_reply_at (sweep_now (h), 2));
    assert_in_range (next_ms, 0, LEASE_MS + 1000); /* does not wait for an hour */
}

/* A job that must start within ten minutes, handed in so long ago by the clock as it goes
 * now. */
static usi_id_t s_submitted (harness_t *h, int64_t ago_ms)
{
    usi_id_t id = new_id ();
    store_submit_t job = a_job (&id);
    rkey_t key;
    uint8_t at[6];
    job.expire_ms = TEN_MINUTES_MS;
    do_submit (h, &job);
    usi_put_be (at, (uint64_t) (redis_now_ms (h) - ago_ms), 6);
    usi_bytes_t args[] = {usi_bytes_of ("SETRANGE"), key_of (&key, "j", &id),
                          usi_bytes_of ("22"), usi_bytes (at, 6)};
    usi_ask_bytes (h->ask, args, 4);
    set_due (h, &id, TEN_MINUTES_MS - ago_ms);
    return id;
}

static void test_times_to_start_after_a_step_back (void **state)
{
    harness_t *h = *state;
    s_submitted (h, -HOUR_MS);
    s_set_swept (h, -HOUR_MS + 500);
    int64_t next_ms = usi_reply_int (usi_reply_at (sweep_now (h), 2));
    assert_in_range (next_ms, TEN_MINUTES_MS - 1000, TEN_MINUTES_MS);
}

static void test_times_to_start_after_a_step_forward (void **state)
{
    harness_t *h = *state;
    usi_id_t id = s_submitted (h, HOUR_MS);
    sweep_with (h, HOUR_MS, LEASE_MS, "100");
    int64_t next_ms = usi_reply_int (usi_reply_at (sweep_now (h), 2));
    assert_in_range (next_ms, TEN_MINUTES_MS - 1000, TEN_MINUTES_MS);
    assert_int_equal (state_of (h, &id), US_STATE_QUEUED);
    claim_one (h, &id);
}

/* The broker has lost nothing and seen no step: then time has passed. */
static void test_times_to_start_after_a_pause (void **state)
{
    harness_t *h = *state;
    usi_id_t id = s_submitted (h, HOUR_MS);
    s_set_swept (h, HOUR_MS);
    sweep_now (h);
    assert_int_equal (state_of (h, &id), US_STATE_EXPIRED);
}

static bool s_has_ended (harness_t *h)
{
    return h->told.ended > 0;
}

static void test_rounds_of_a_store (void **state)
{
    harness_t *h = *state;
    store_sweep_start (h->store);
    usi_id_t id = new_id ();
    store_submit_t job = a_job (&id);
    job.expire_ms = 30;
    do_submit (h, &job);
    pump (h, s_has_ended); /* expiry, without anybody's help */
    assert_int_equal (h->told.peers[0], 7);
    assert_int_equal (state_of (h, &id), US_STATE_EXPIRED);

    /* A worker dies: the next attempt does not wait for the next round. One may come
     * meanwhile, but not each time. */
    unsigned round, tries = 0;
    do {
        assert_true (tries++ < 20);
        id = submit_one (h);
        store_fence_t fence = claim_one (h, &id);
        round = h->store->sweep_round;
        finish_one (h, &fence, USI_CRASHED, US_ERR_WORKER_DIED);
        while (state_of (h, &id) == US_STATE_BACKOFF)
            redis_nap ();
        assert_int_equal (h->got.state, US_STATE_QUEUED);
        claim_one (h, &id);
    } while (h->store->sweep_round != round);
    sweep_stop (h->store);
}

/* --- wakes ------------------------------------------------------------------------ */

static void s_until_subscribed (harness_t *h, uint64_t node)
{
    char topic[USI_MAX_TOPIC + 1];
    int64_t end_ms = usi_now_ms () + WAIT_MS;
    store_wake_topic (h->store, node, topic);
    while (!redis_has_subscriber (h->ask, topic)) {
        assert_true (usi_now_ms () < end_ms);
        pump_for (h, s_is_lost, 5);
    }
}

static bool s_woken (harness_t *h)
{
    return h->told.wakes > 0;
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
    store_t *mine = h->store, *other = s_open_other (h, 0x22, &other_told);
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

/* --- looking around --------------------------------------------------------------- */

static void s_end_one (harness_t *h, uint8_t outcome)
{
    usi_id_t id = submit_one (h);
    store_fence_t fence = claim_one (h, &id);
    finish_one (h, &fence, outcome, outcome == USI_SUCCEEDED ? 0 : US_ERR_REMOTE);
}

static void test_list_and_purge (void **state)
{
    harness_t *h = *state;
    for (int i = 0; i < 6; i++)
        s_end_one (h, i % 2 ? USI_FAILED : USI_SUCCEEDED);
    usi_id_t running = submit_one (h);
    claim_one (h, &running);
    for (int i = 0; i < 3; i++)
        submit_one (h);
    assert_int_equal (do_list (h, 0, 100, "")->count, 10);
    assert_string_equal (h->got.cursor, "");
    assert_int_equal (do_list (h, US_STATE_QUEUED, 100, "")->count, 3);
    assert_int_equal (do_list (h, US_STATE_LEASED, 100, "")->count, 1);
    assert_int_equal (do_list (h, US_STATE_FAILED, 100, "")->count, 3);
    unsigned seen = 0;
    char cursor[256] = "";
    do { /* page by page, nothing twice */
        do_list (h, 0, 3, cursor);
        assert_true (h->got.count <= 3);
        seen += (unsigned) h->got.count;
        strcpy (cursor, h->got.cursor);
    } while (*cursor);
    assert_int_equal (seen, 10);

    uint8_t prefix[16];
    memcpy (prefix, running.bytes, 16);
    store_find (h->store, prefix, 5, 10, got_rows, got_begin (h));
    pump (h, got_answer);
    assert_int_equal (h->got.count, 1);
    assert_true (usi_id_equal (&h->got.fences[0].id, &running));

    store_purge (h->store, CHANNEL, US_STATE_FAILED, 0, got_number, got_begin (h));
    pump (h, got_answer);
    assert_int_equal (h->got.number, 3);
    assert_int_equal (do_list (h, 0, 100, "")->count, 7);
    store_purge (h->store, NULL, 0, 3600000, got_number, got_begin (h));
    pump (h, got_answer);
    assert_int_equal (h->got.number, 0); /* none is that old */
    store_purge (h->store, NULL, 0, 0, got_number, got_begin (h));
    pump (h, got_answer);
    assert_int_equal (h->got.number, 3);
    assert_int_equal (do_list (h, 0, 100, "")->count, 4);
    store_purge (h->store, "no-such-channel", 0, 0, got_number, got_begin (h));
    pump (h, got_answer);
    assert_int_equal (h->got.code, US_ERR_UNKNOWN_CHANNEL);
}

/* The queue shrinks between two pages, and a cursor may be anybody's: both end. */
static void test_list_of_a_queue_that_shrinks (void **state)
{
    harness_t *h = *state;
    char cursor[256];
    for (int i = 0; i < 250; i++)
        submit_one (h);
    do_list (h, US_STATE_QUEUED, 5, "");
    assert_int_equal (h->got.count, 5);
    strcpy (cursor, h->got.cursor);
    assert_true (*cursor);
    for (int i = 0; i < 248; i += 8) {
        store_claim_t claim = a_claim (8);
        do_claim (h, &claim);
        assert_int_equal (h->got.count, 8);
    }
    assert_int_equal (do_list (h, US_STATE_QUEUED, 10, cursor)->count, 2);
    assert_string_equal (h->got.cursor, "");
    do_list (h, US_STATE_QUEUED, 10, CHANNEL "/1.99999999999999999999");
    assert_int_equal (h->got.count, 2);
    assert_string_equal (h->got.cursor, "");
    assert_int_equal (do_list (h, 0, 10, CHANNEL "/9.")->count, 0);
}

static void test_retention (void **state)
{
    harness_t *h = *state;
    for (int i = 0; i < 8; i++)
        s_end_one (h, USI_SUCCEEDED);
    sweep_with (h, 0, LEASE_MS, "5");
    assert_int_equal (do_list (h, 0, 100, "")->count, 5);
    const usi_reply_t *left = usi_ask (h->ask, "KEYS", "us:{*:[jr]:*", NULL);
    assert_int_equal (usi_reply_count (left), 10); /* record and result of five */
    assert_int_equal (counters (h).succeeded, 8);
}

static void test_memory (void **state)
{
    harness_t *h = *state;
    const unsigned jobs = 20000;
    char body[40] = "body", spec[60] = "spec";
    got_begin (h);
    const usi_reply_t *before = usi_ask (h->ask, "MEMORY", "STATS", NULL);
    int64_t used = 0;
    for (int pass = 0; pass < 2; pass++) {
        const char *info =
            (const char *) usi_reply_bytes (usi_ask (h->ask, "INFO", "memory", NULL))
                .data;
        used = strtoll (strstr (info, "used_memory:") + 12, NULL, 10) - used;
        for (unsigned i = 0; pass == 0 && i < jobs; i++) {
            usi_id_t id = new_id ();
            store_submit_t job = a_job (&id);
            job.spec = usi_bytes (spec, sizeof spec);
            job.body = usi_bytes (body, sizeof body);
            store_submit (h->store, &job, got_submit, &h->got);
            while (h->got.calls + 4096 < i)
                pump_for (h, s_woken, 1);
        }
        while (pass == 0 && h->got.calls < jobs)
            pump_for (h, s_woken, 1);
    }
    (void) before;
    print_message ("a queued job takes %.0f bytes over its body and spec\n",
                   (double) used / jobs - sizeof body - sizeof spec);
    assert_true ((double) used / jobs - sizeof body <= 300);
}

/* --- registry --------------------------------------------------------------------- */

static void s_on_entries (us_err_t code, const usi_bytes_t *values, size_t count,
                          void *arg)
{
    got_t *got = arg;
    got->calls++;
    got->code = code;
    got->count = count;
    if (count)
        got_keep_text (got, values[0]);
}

static void test_registry (void **state)
{
    harness_t *h = *state;
    usi_fields_t fields = {0};
    usi_buf_t value = {0}, list = {0}, found = {0};
    usi_list_add_str (&list, usi_bytes_of ("tcp://10.1.2.3:7420"));
    usi_list_add_str (&list, usi_bytes_of ("tcp://127.0.0.1:7420"));
    USI_SET (&fields, ENDPOINTS, endpoints, usi_list_of (&list, 2));
    USI_SET (&fields, HOST, host, usi_bytes_of ("elsewhere/1"));
    usi_fields_encode (&fields, &value);
    store_register_broker (h->store, usi_buf_bytes (&value));
    store_brokers (h->store, s_on_entries, got_begin (h));
    pump (h, got_answer);
    assert_int_equal (h->got.count, 1);
    char why[128];
    assert_int_equal (usi_registry_brokers (h->server.url, WAIT_MS, &found, why,
                                            sizeof why),
                      US_OK);
    usi_buf_append (&found, "", 1);
    assert_string_equal ((char *) found.data, "tcp://10.1.2.3:7420");
    store_unregister_broker (h->store);
    store_register_node (h->store, 77, usi_buf_bytes (&value));
    store_nodes (h->store, s_on_entries, got_begin (h));
    pump (h, got_answer);
    assert_int_equal (h->got.count, 1);
    assert_int_equal (usi_registry_brokers (h->server.url, WAIT_MS, &found, why,
                                            sizeof why),
                      US_ERR_UNREACHABLE);
    assert_string_equal (why, "no broker is registered there");
    usi_buf_free (&value);
    usi_buf_free (&list);
    usi_buf_free (&found);
}

static usi_buf_t s_node_entry (uint32_t broker)
{
    usi_fields_t fields = {0};
    usi_buf_t value = {0};
    USI_SET (&fields, NODE, node, 77);
    USI_SET (&fields, BROKER, broker, broker);
    usi_fields_encode (&fields, &value);
    return value;
}

/* A node has gone to another broker; the first one notices only afterwards. */
static void test_the_registry_entry_of_a_node_that_moved (void **state)
{
    harness_t *h = *state;
    told_t told = {0};
    usi_buf_t first = s_node_entry (BROKER), second = s_node_entry (0x22);
    store_t *other = s_open_other (h, 0x22, &told);
    store_register_node (h->store, 77, usi_buf_bytes (&first));
    store_nodes (h->store, s_on_entries, got_begin (h));
    pump (h, got_answer);
    store_register_node (other, 77, usi_buf_bytes (&second));
    store_nodes (other, s_on_entries, got_begin (h));
    pump (h, got_answer);
    store_unregister_node (h->store, 77);
    store_nodes (h->store, s_on_entries, got_begin (h));
    pump (h, got_answer);
    assert_int_equal (h->got.count, 1);
    store_unregister_node (other, 77);
    store_nodes (other, s_on_entries, got_begin (h));
    pump (h, got_answer);
    assert_int_equal (h->got.count, 0);
    store_destroy (&other);
    usi_buf_free (&first);
    usi_buf_free (&second);
}

/* --- a Redis that comes and goes -------------------------------------------------- */

static void test_function_flush (void **state)
{
    harness_t *h = *state;
    usi_ask (h->ask, "FUNCTION", "FLUSH", NULL);
    usi_id_t id = submit_one (h);
    claim_one (h, &id);
    assert_int_equal (h->told.lost, 0);
}

static void test_redis_is_full (void **state)
{
    harness_t *h = *state;
    usi_id_t id = submit_one (h);
    usi_ask (h->ask, "CONFIG", "SET", "maxmemory", "1000000", NULL);
    usi_id_t other = new_id ();
    store_submit_t job = a_job (&other);
    got_t refused = {0};
    store_submit (h->store, &job, got_submit, &refused);
    store_fence_t fence = claim_one (h, &id); /* the same call: only the submit fails */
    assert_int_equal (refused.calls, 1);
    assert_int_equal (refused.code, US_ERR_BUSY);
    assert_int_equal (finish_one (h, &fence, USI_SUCCEEDED, 0)->code, US_OK);
    usi_ask (h->ask, "CONFIG", "SET", "maxmemory", "0", NULL);
    assert_int_equal (do_submit (h, &job)->code, US_OK);
}

static void test_connection_is_cut (void **state)
{
    harness_t *h = *state;
    usi_ask (h->ask, "CONFIG", "SET", "busy-reply-threshold", "1", NULL);
    usi_id_t id = new_id ();
    store_submit_t job = a_job (&id);
    store_submit (h->store, &job, got_submit, got_begin (h));
    usi_ask (h->ask, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", NULL);
    pump (h, s_is_lost);
    pump (h, got_answer);
    assert_int_equal (h->got.calls, 1);
    pump (h, harness_is_ready);
    do_submit (h, &job); /* the same again is safe */
    assert_int_equal (h->got.code, US_OK);
    claim_one (h, &id);
}

/* Reads that wait for their turn, and what waits behind a guarded submit. */
static void test_what_waits_is_answered_too (void **state)
{
    harness_t *h = *state;
    const uint8_t digest[USI_DIGEST_LEN] = {1};
    got_t reads = {0}, submitted = {0}, watched = {0};
    usi_id_t id = new_id ();
    store_submit_t job = a_job (&id);
    job.blobs = usi_bytes (digest, sizeof digest);
    usi_ask (h->ask, "CLIENT", "PAUSE", "10000", "ALL", NULL);
    for (uint32_t i = 0; i < 100; i++)
        store_blob_get (h->store, digest, i, got_read, &reads);
    store_submit (h->store, &job, got_submit, &submitted);
    store_watch (h->store, &id, 7, 0, got_job, &watched);
    assert_int_equal (store_backlog (h->store, NULL), 102); /* both that wait count */
    redis_kill (&h->server);
    pump (h, s_is_lost);
    do_submit (h, &job);
    assert_int_equal (reads.calls, 100);
    assert_int_equal (submitted.calls, 1);
    assert_int_equal (watched.calls, 1);
    assert_int_equal (watched.code, US_ERR_STORE);
    assert_int_equal (store_backlog (h->store, NULL), 0);
    redis_launch (&h->server);
    usi_ask_close (&h->ask);
    h->ask = redis_ask (&h->server);
    pump (h, harness_is_ready);
}

static void test_redis_restarts_empty (void **state)
{
    harness_t *h = *state;
    char cluster[64];
    snprintf (cluster, sizeof cluster, "%s", store_cluster (h->store));
    redis_kill (&h->server);
    pump (h, s_is_lost);
    store_submit_t job = a_job (&(usi_id_t){{0}});
    usi_id_t id = new_id ();
    job = a_job (&id);
    assert_int_equal (do_submit (h, &job)->code, US_ERR_STORE);
    redis_launch (&h->server);
    usi_ask_close (&h->ask);
    h->ask = redis_ask (&h->server);
    pump (h, harness_is_ready);
    assert_string_not_equal (store_cluster (h->store),
                             cluster); /* not the same store */
    assert_int_equal (do_submit (h, &job)->code, US_OK);
    claim_one (h, &id);
}

static bool s_new_cluster (harness_t *h)
{
    return h->told.ready > 0;
}

static void test_flushall (void **state)
{
    harness_t *h = *state;
    store_sweep_start (h->store);
    usi_ask (h->ask, "FLUSHALL", NULL);
    pump (h, s_new_cluster); /* noticed within a round */
    usi_id_t id = submit_one (h);
    claim_one (h, &id);
    sweep_stop (h->store);
}

/* --- check ------------------------------------------------------------------------ */

static us_err_t s_check (harness_t *h, const char *url, char text[512])
{
    store_options_t options = {.url = url,
                               .durability = "always",
                               .broker = 1,
                               .lease_ms = LEASE_MS,
                               .keep_ms = 1000,
                               .keep_jobs = 10};
    store_events_t events = {0};
    char *line = NULL;
    store_t *store = store_new (h->loop, &options, &events);
    us_err_t err = store_check (store, WAIT_MS, &line);
    snprintf (text, 512, "%s", line ? line : "");
    free (line);
    store_destroy (&store);
    return err;
}

static void test_check (void **state)
{
    harness_t *h = *state;
    char text[512], url[256];
    assert_int_equal (s_check (h, h->server.url, text), US_OK);
    assert_int_equal (s_check (h, "unix:///nonexistent/r.sock", text),
                      US_ERR_UNREACHABLE);
    assert_non_null (strstr (text, "no Redis answers at unix:///nonexistent/r.sock"));
    usi_ask (h->ask, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru", NULL);
    assert_int_equal (s_check (h, h->server.url, text), US_ERR_CONFIG);
    assert_non_null (strstr (text, "CONFIG SET maxmemory-policy noeviction"));
    usi_ask (h->ask, "CONFIG", "SET", "maxmemory-policy", "noeviction", NULL);
    usi_ask (h->ask, "CONFIG", "SET", "requirepass", "secret", NULL);
    assert_int_equal (s_check (h, h->server.url, text), US_ERR_CONFIG);
    assert_non_null (strstr (text, "user or password"));
    snprintf (url, sizeof url, "%s?password=wrong", h->server.url);
    assert_int_equal (s_check (h, url, text), US_ERR_CONFIG);
    assert_null (strstr (text, "wrong@"));
    snprintf (url, sizeof url, "%s?password=secret", h->server.url);
    assert_int_equal (s_check (h, url, text), US_OK);
    usi_ask (h->ask, "CONFIG", "SET", "requirepass", "", NULL);
    usi_ask (h->ask, "REPLICAOF", "127.0.0.1", "1", NULL);
    assert_int_equal (s_check (h, h->server.url, text), US_ERR_CONFIG);
    assert_non_null (strstr (text, "replica"));
    usi_ask (h->ask, "REPLICAOF", "NO", "ONE", NULL);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup (test_nobody_swept_for_long, harness_empty),
        cmocka_unit_test_setup (test_broker_says_hold, harness_empty),
        cmocka_unit_test_setup (test_times_to_start_after_a_step_back, harness_empty),
        cmocka_unit_test_setup (test_times_to_start_after_a_step_forward,
                                harness_empty),
        cmocka_unit_test_setup (test_times_to_start_after_a_pause, harness_empty),
        cmocka_unit_test_setup (test_clock_went_back, harness_empty),
        cmocka_unit_test_setup (test_rounds_of_a_store, harness_empty),
        cmocka_unit_test_setup (test_wake, harness_empty),
        cmocka_unit_test_setup (test_a_node_that_is_gone_does_not_wait, harness_empty),
        cmocka_unit_test_setup (test_wake_by_its_own_subscription, harness_empty),
        cmocka_unit_test_setup (test_two_brokers, harness_empty),
        cmocka_unit_test_setup (test_watchers, harness_empty),
        cmocka_unit_test_setup (test_list_and_purge, harness_empty),
        cmocka_unit_test_setup (test_list_of_a_queue_that_shrinks, harness_empty),
        cmocka_unit_test_setup (test_retention, harness_empty),
        cmocka_unit_test_setup (test_memory, harness_empty),
        cmocka_unit_test_setup (test_registry, harness_empty),
        cmocka_unit_test_setup (test_the_registry_entry_of_a_node_that_moved,
                                harness_empty),
        cmocka_unit_test_setup (test_function_flush, harness_empty),
        cmocka_unit_test_setup (test_redis_is_full, harness_empty),
        cmocka_unit_test_setup (test_connection_is_cut, harness_empty),
        cmocka_unit_test_setup (test_what_waits_is_answered_too, harness_empty),
        cmocka_unit_test_setup (test_redis_restarts_empty, harness_empty),
        cmocka_unit_test_setup (test_flushall, harness_empty),
        cmocka_unit_test_setup (test_check, harness_empty),
    };
    return cmocka_run_group_tests (tests, s_setup, harness_end);
}

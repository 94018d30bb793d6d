/* SPDX-License-Identifier: MIT
 *
 * Rounds of the sweep: leases under a clock that steps, times to start within, retries,
 * and how many ended jobs are kept. */
#include "harness.h"

#include "store/sweep.h"

static int s_setup (void **state)
{
    return harness_begin (state, redis_start);
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

/* --- retention -------------------------------------------------------------------- */

static void test_retention (void **state)
{
    harness_t *h = *state;
    for (int i = 0; i < 8; i++)
        end_one (h, USI_SUCCEEDED);
    sweep_with (h, 0, LEASE_MS, "5");
    assert_int_equal (do_list (h, 0, 100, "")->count, 5);
    const usi_reply_t *left = usi_ask (h->ask, "KEYS", "us:{*:[jr]:*", NULL);
    assert_int_equal (usi_reply_count (left), 10); /* record and result of five */
    assert_int_equal (counters (h).succeeded, 8);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup (test_nobody_swept_for_long, harness_empty),
        cmocka_unit_test_setup (test_broker_says_hold, harness_empty),
        cmocka_unit_test_setup (test_clock_went_back, harness_empty),
        cmocka_unit_test_setup (test_times_to_start_after_a_step_back, harness_empty),
        cmocka_unit_test_setup (test_times_to_start_after_a_step_forward,
                                harness_empty),
        cmocka_unit_test_setup (test_times_to_start_after_a_pause, harness_empty),
        cmocka_unit_test_setup (test_rounds_of_a_store, harness_empty),
        cmocka_unit_test_setup (test_retention, harness_empty),
    };
    return cmocka_run_group_tests (tests, s_setup, harness_end);
}

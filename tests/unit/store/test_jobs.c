/* SPDX-License-Identifier: MIT
 *
 * The life of jobs through the store, on a one-node cluster so that a key outside of
 * its slot is noticed. */
#include "harness.h"

static int s_setup (void **state)
{
    return harness_begin (state, redis_start_cluster);
}

static void assert_now (harness_t *h, uint64_t queued, uint64_t leased,
                        uint64_t running, uint64_t backoff)
{
    store_channel_t c = counters (h);
    assert_int_equal (c.queued, queued);
    assert_int_equal (c.leased, leased);
    assert_int_equal (c.running, running);
    assert_int_equal (c.backoff, backoff);
}

static void test_life (void **state)
{
    harness_t *h = *state;
    usi_id_t id = submit_one (h);
    assert_now (h, 1, 0, 0, 0);
    store_fence_t fence = claim_one (h, &id);
    assert_int_equal (fence.attempt, 1);
    assert_int_equal (fence.node, 5);
    assert_now (h, 0, 1, 0, 0);
    assert_int_equal (do_started (h, &fence), US_OK);
    assert_int_equal (h->told.started, 1); /* our own peer hears of it */
    assert_int_equal (h->told.peers[0], 7);
    assert_now (h, 0, 0, 1, 0);
    assert_int_equal (do_log (h, &fence, 0, 0, "hello ")->number, 6);
    assert_int_equal (do_log (h, &fence, 0, 6, "world")->number, 11);
    store_done_t done = a_result (&fence, USI_SUCCEEDED, 0, "value");
    done.log_end = 11;
    done.dropped = 3;
    do_done (h, &done);
    assert_int_equal (h->got.code, US_OK);
    assert_int_equal (h->got.state, US_STATE_SUCCEEDED);
    assert_int_equal (h->got.peers_len, 1);
    assert_int_equal (h->got.peers[0], 7);
    do_get (h, &id);
    assert_int_equal (h->got.state, US_STATE_SUCCEEDED);
    assert_string_equal (h->got.text, "value");
    assert_int_equal (h->got.result.log_end, 11);
    assert_int_equal (h->got.result.dropped, 3);
    assert_int_equal (h->got.log_len, 11);
    assert_string_equal (do_read (h, &id, 0, 6, 100)->text, "world");
    assert_int_equal (h->got.length, 11);
    assert_now (h, 0, 0, 0, 0);
    assert_int_equal (counters (h).succeeded, 1);
    assert_int_equal (counters (h).submitted, 1);
}

static void test_submit_and_claim_in_one_turn (void **state)
{
    harness_t *h = *state;
    usi_id_t id = new_id ();
    store_submit_t job = a_job (&id);
    store_claim_t claim = a_claim (3);
    got_t submitted = {0};
    store_submit (h->store, &job, got_submit, &submitted);
    store_claim (h->store, &claim, got_claim, got_begin (h));
    pump (h, got_answer);
    assert_int_equal (submitted.calls, 1);
    assert_int_equal (h->got.count, 1);
    assert_true (usi_id_equal (&h->got.fences[0].id, &id));
}

/* In one call: what waits goes before what is new, a job that comes twice is one job, and
 * what follows finds each where it is by then. */
static void test_new_jobs_meet_claims (void **state)
{
    harness_t *h = *state;
    usi_id_t old = submit_one (h), ids[4];
    got_t submitted[4] = {0}, claimed = {0}, none = {0}, dropped = {0};
    store_claim_t some = a_claim (3), more = a_claim (1);
    for (int i = 0; i < 4; i++) {
        ids[i] = i < 3 ? new_id () : ids[0];
        store_submit_t job = a_job (&ids[i]);
        store_submit (h->store, &job, got_submit, &submitted[i]);
    }
    store_claim (h->store, &some, got_claim, &claimed);
    store_cancel (h->store, &ids[2], US_CANCEL_QUEUED, got_cancel, &dropped);
    store_claim (h->store, &more, got_claim, &none);
    do_get (h, &ids[2]); /* the last of the batch */
    assert_int_equal (h->got.state, US_STATE_CANCELLED);
    for (int i = 0; i < 4; i++)
        assert_int_equal (submitted[i].code, US_OK);
    assert_int_equal (submitted[3].state, US_STATE_LEASED);
    assert_int_equal (claimed.count, 3);
    assert_true (usi_id_equal (&claimed.fences[0].id, &old));
    assert_true (usi_id_equal (&claimed.fences[1].id, &ids[0]));
    assert_true (usi_id_equal (&claimed.fences[2].id, &ids[1]));
    assert_int_equal (dropped.code, US_OK);
    assert_int_equal (none.count, 0);
    assert_now (h, 0, 3, 0, 0);
    assert_int_equal (counters (h).submitted, 4);
    assert_int_equal (counters (h).cancelled, 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal (finish_one (h, &claimed.fences[i], USI_SUCCEEDED, 0)->code,
                          US_OK);
}

static void test_same_job_again (void **state)
{
    harness_t *h = *state;
    usi_id_t id = submit_one (h);
    store_submit_t job = a_job (&id);
    job.peer = 9;
    assert_int_equal (do_submit (h, &job)->code, US_OK);
    assert_int_equal (h->got.state, US_STATE_QUEUED);
    store_fence_t fence = claim_one (h, &id);
    assert_int_equal (h->got.record.origin_peer, 9);
    assert_int_equal (do_submit (h, &job)->state, US_STATE_LEASED);
    job.body = usi_bytes_of ("another");
    assert_int_equal (do_submit (h, &job)->code, US_ERR_CONFLICT);
    finish_one (h, &fence, USI_SUCCEEDED, 0);
    assert_int_equal (h->got.peers_len, 2); /* who submitted first hears of it too */
    assert_int_equal (h->got.peers[0] + h->got.peers[1], 7 + 9);
    job.body = usi_bytes_of ("body");
    assert_int_equal (do_submit (h, &job)->state, US_STATE_SUCCEEDED);
    assert_int_equal (counters (h).submitted, 1);
}

static void test_fence (void **state)
{
    harness_t *h = *state;
    usi_id_t id = submit_one (h);
    store_fence_t good = claim_one (h, &id);
    store_fence_t bad[5] = {good, good, good, good, good};
    bad[0].node++;
    bad[1].boot++;
    bad[2].attempt++;
    bad[3].nonce++;
    bad[4].id = new_id ();
    usi_buf_t before = dump (h, &id);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal (do_started (h, &bad[i]), US_ERR_STALE);
        assert_int_equal (do_renew (h, &bad[i], true), US_ERR_STALE);
        assert_int_equal (do_hand_back (h, &bad[i]), US_ERR_STALE);
        assert_int_equal (do_log (h, &bad[i], 0, 0, "x")->code, US_ERR_STALE);
        assert_int_equal (finish_one (h, &bad[i], USI_SUCCEEDED, 0)->code,
                          US_ERR_STALE);
    }
    usi_buf_t after = dump (h, &id);
    assert_true (usi_bytes_equal (usi_buf_bytes (&before), usi_buf_bytes (&after)));
    usi_buf_free (&before);
    usi_buf_free (&after);
    assert_int_equal (finish_one (h, &good, USI_SUCCEEDED, 0)->code, US_OK);
}

static void test_everything_twice (void **state)
{
    harness_t *h = *state;
    usi_id_t id = submit_one (h);
    store_fence_t fence = claim_one (h, &id);
    for (int i = 0; i < 2; i++)
        assert_int_equal (do_started (h, &fence), US_OK);
    assert_int_equal (h->told.started, 1);
    for (int i = 0; i < 2; i++)
        assert_int_equal (do_renew (h, &fence, true), US_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal (do_log (h, &fence, 0, 0, "line\n")->number, 5);
    store_done_t done = a_result (&fence, USI_SUCCEEDED, 0, "value");
    done.log_end = 5;
    for (int i = 0; i < 2; i++) {
        do_done (h, &done);
        assert_int_equal (h->got.code, US_OK);
        assert_int_equal (h->got.state, US_STATE_SUCCEEDED);
        assert_int_equal (h->got.peers[0], 7);
    }
    usi_buf_t before = dump (h, &id);
    done.body = usi_bytes_of ("other");
    assert_int_equal (do_done (h, &done)->code, US_ERR_STALE);
    done = a_result (&fence, USI_FAILED, US_ERR_REMOTE, "value");
    assert_int_equal (do_done (h, &done)->code, US_ERR_STALE);
    assert_int_equal (do_started (h, &fence), US_ERR_STALE);
    assert_int_equal (do_hand_back (h, &fence), US_ERR_STALE);
    assert_int_equal (do_log (h, &fence, 0, 5, "more")->code, US_ERR_STALE);
    assert_int_equal (do_log (h, &fence, 0, 0, "line\n")->code, US_OK); /* covered */
    usi_buf_t after = dump (h, &id);
    assert_true (usi_bytes_equal (usi_buf_bytes (&before), usi_buf_bytes (&after)));
    usi_buf_free (&before);
    usi_buf_free (&after);
    assert_int_equal (counters (h).succeeded, 1);
    assert_now (h, 0, 0, 0, 0);
}

static void test_hand_back (void **state)
{
    harness_t *h = *state;
    usi_id_t first = submit_one (h), second = submit_one (h);
    store_fence_t fence = claim_one (h, &first);
    assert_int_equal (do_hand_back (h, &fence), US_OK);
    assert_int_equal (do_hand_back (h, &fence), US_ERR_STALE);
    assert_int_equal (finish_one (h, &fence, USI_SUCCEEDED, 0)->code, US_ERR_STALE);
    assert_now (h, 2, 0, 0, 0);
    store_fence_t again = claim_one (h, &first); /* it kept its place */
    assert_int_equal (again.attempt, 2);         /* a claim has its number alone */
    claim_one (h, &second);
}

/* Of a claim whose answer was lost: all its jobs, and no others. */
static void test_recover_claim (void **state)
{
    harness_t *h = *state;
    usi_id_t ids[5];
    for (size_t i = 0; i < 5; i++)
        ids[i] = submit_one (h);
    store_fence_t other = claim_one (h, &ids[0]);
    store_claim_t claim = a_claim (3);
    assert_int_equal (do_claim (h, &claim)->count, 3);
    store_fence_t lost = h->got.fences[0];
    assert_int_equal (do_cancel (h, &ids[2], 1)->code, US_OK);
    const usi_reply_t *answer = recover_claim (h, &lost);
    assert_int_equal (usi_reply_int (usi_reply_at (answer, 0)), 3);
    const usi_reply_t *ended = usi_reply_at (answer, 1);
    assert_int_equal (usi_reply_count (ended), 3);
    assert_memory_equal (usi_reply_bytes (usi_reply_at (ended, 0)).data, ids[2].bytes,
                         US_ID_LEN);
    assert_int_equal (usi_reply_int (usi_reply_at (ended, 1)), US_STATE_CANCELLED);
    assert_now (h, 3, 1, 0, 0);
    assert_int_equal (usi_reply_int (usi_reply_at (recover_claim (h, &lost), 0)), 0);
    assert_int_equal (do_renew (h, &lost, false), US_ERR_STALE);
    claim_one (h, &ids[1]); /* they kept their places */
    claim_one (h, &ids[3]);
    claim_one (h, &ids[4]);
    do_get (h, &ids[1]);
    assert_int_equal (h->got.record.losses, 0);
    assert_int_equal (finish_one (h, &other, USI_SUCCEEDED, 0)->code, US_OK);
}

static void test_crashes (void **state)
{
    harness_t *h = *state;
    usi_id_t id = submit_one (h);
    for (int crash = 1; crash <= 3; crash++) {
        store_fence_t fence = claim_one (h, &id);
        assert_int_equal (fence.attempt, crash);
        finish_one (h, &fence, USI_CRASHED, US_ERR_WORKER_DIED);
        assert_int_equal (h->got.code, US_OK);
        assert_int_equal (h->got.state, crash < 3 ? US_STATE_BACKOFF : US_STATE_DEAD);
        if (crash == 3)
            break;
        assert_now (h, 0, 0, 0, 1);
        /* reported again (the answer was lost): not counted again */
        assert_int_equal (finish_one (h, &fence, USI_CRASHED, US_ERR_WORKER_DIED)->code,
                          US_ERR_STALE);
        set_due (h, &id, -1);
        sweep_now (h);
        assert_now (h, 1, 0, 0, 0);
    }
    do_get (h, &id);
    assert_int_equal (h->got.record.crashes, 3);
    assert_int_equal (h->got.result.code, US_ERR_WORKER_DIED);
    assert_int_equal (counters (h).dead, 1);
}

/* The code of an end is never empty, whatever the node said and the store still has. */
static void test_the_code_of_an_end (void **state)
{
    harness_t *h = *state;
    usi_id_t id = submit_one (h);
    for (int crash = 1; crash <= 3; crash++) {
        store_fence_t fence = claim_one (h, &id);
        finish_one (h, &fence, USI_CRASHED, US_OK);
        set_due (h, &id, -1);
        sweep_now (h);
    }
    do_get (h, &id);
    assert_int_equal (h->got.state, US_STATE_DEAD);
    assert_int_equal (h->got.result.code, US_ERR_WORKER_DIED);
    rkey_t key;
    usi_bytes_t del[] = {usi_bytes_of ("DEL"), key_of (&key, "r", &id)};
    usi_ask_bytes (h->ask, del, 2);
    do_get (h, &id);
    assert_int_equal (h->got.result.code, US_ERR_WORKER_DIED);

    id = submit_one (h);
    store_fence_t fence = claim_one (h, &id);
    finish_one (h, &fence, USI_SUCCEEDED, US_OK);
    do_get (h, &id);
    assert_int_equal (h->got.result.code, US_OK);
    del[1] = key_of (&key, "r", &id);
    usi_ask_bytes (h->ask, del, 2);
    do_get (h, &id);
    assert_int_equal (h->got.result.code, US_ERR_STORE);
}

static void test_retries (void **state)
{
    harness_t *h = *state;
    usi_id_t id = new_id ();
    store_submit_t job = a_job (&id);
    job.retries = 1;
    do_submit (h, &job);
    store_fence_t fence = claim_one (h, &id);
    assert_int_equal (finish_one (h, &fence, USI_FAILED, US_ERR_REMOTE)->state,
                      US_STATE_BACKOFF);
    set_due (h, &id, -1);
    sweep_now (h);
    fence = claim_one (h, &id);
    assert_int_equal (finish_one (h, &fence, USI_FAILED, US_ERR_REMOTE)->state,
                      US_STATE_FAILED);
    id = job.id =
        new_id (); /* what cannot be mended by another try is not tried again */
    do_submit (h, &job);
    fence = claim_one (h, &id);
    assert_int_equal (finish_one (h, &fence, USI_FAILED, US_ERR_ENV_BUILD)->state,
                      US_STATE_FAILED);
}

static void test_late_result (void **state)
{
    harness_t *h = *state;
    usi_id_t id = submit_one (h);
    store_fence_t late = claim_one (h, &id);
    set_due (h, &id, -1);
    sweep_now (h);
    assert_int_equal (state_of (h, &id), US_STATE_QUEUED);
    assert_int_equal (do_renew (h, &late, false), US_ERR_STALE);
    assert_int_equal (finish_one (h, &late, USI_SUCCEEDED, 0)->code, US_OK);
    assert_int_equal (state_of (h, &id), US_STATE_SUCCEEDED);
    assert_now (h, 0, 0, 0, 0);
    store_claim_t claim = a_claim (1);
    assert_int_equal (do_claim (h, &claim)->count, 0); /* its entry is dead */

    id = submit_one (h); /* claimed anew: too late */
    late = claim_one (h, &id);
    set_due (h, &id, -1);
    sweep_now (h);
    store_fence_t fresh = claim_one (h, &id);
    assert_int_equal (fresh.attempt, 2);
    assert_int_equal (finish_one (h, &late, USI_SUCCEEDED, 0)->code, US_ERR_STALE);
    assert_int_equal (finish_one (h, &fresh, USI_SUCCEEDED, 0)->code, US_OK);

    id = submit_one (h); /* from BACKOFF, and a holder that comes back */
    late = claim_one (h, &id);
    poke (h, &id, 1, US_STATE_BACKOFF, 1);
    assert_int_equal (do_renew (h, &late, true), US_OK);
    assert_int_equal (state_of (h, &id), US_STATE_RUNNING);
    poke (h, &id, 1, US_STATE_BACKOFF, 1);
    assert_int_equal (finish_one (h, &late, USI_SUCCEEDED, 0)->code, US_OK);
    assert_int_equal (state_of (h, &id), US_STATE_SUCCEEDED);
}

static void test_losses (void **state)
{
    harness_t *h = *state;
    usi_id_t id = submit_one (h);
    for (int loss = 1; loss <= 10; loss++) {
        claim_one (h, &id);
        set_due (h, &id, -1);
        const usi_reply_t *answer = sweep_now (h);
        assert_int_equal (usi_reply_int (usi_reply_at (answer, 0)), 1);
        assert_int_equal (usi_reply_count (usi_reply_at (answer, 1)),
                          loss < 10 ? 0 : 3);
    }
    do_get (h, &id);
    assert_int_equal (h->got.state, US_STATE_DEAD);
    assert_int_equal (h->got.result.code, US_ERR_NODE_LOST);
    assert_int_equal (h->got.record.losses, 10);
    assert_now (h, 0, 0, 0, 0);
}

static void test_cancel (void **state)
{
    harness_t *h = *state;
    usi_id_t id = submit_one (h);
    do_cancel (h, &id, 0);
    assert_int_equal (h->got.code, US_OK);
    assert_int_equal (h->got.state, US_STATE_CANCELLED);
    assert_int_equal (h->got.peers[0], 7);
    assert_int_equal (do_cancel (h, &id, 1)->code, US_ERR_ENDED);
    assert_int_equal (h->got.state, US_STATE_CANCELLED);
    do_get (h, &id);
    assert_int_equal (h->got.result.code, US_ERR_CANCELLED);

    id = submit_one (h);
    store_fence_t fence = claim_one (h, &id);
    assert_int_equal (do_cancel (h, &id, 0)->state, US_STATE_LEASED);
    assert_int_equal (h->got.node, 5);
    assert_int_equal (h->got.holder, BROKER);
    assert_int_equal (do_renew (h, &fence, false), US_ERR_CANCELLED);
    assert_int_equal (do_hand_back (h, &fence), US_OK);
    assert_int_equal (state_of (h, &id), US_STATE_CANCELLED);

    id = submit_one (h);
    fence = claim_one (h, &id);
    do_started (h, &fence);
    assert_int_equal (do_cancel (h, &id, 0)->code, US_ERR_RUNNING);
    assert_int_equal (do_cancel (h, &id, 1)->code, US_OK);
    assert_int_equal (h->got.state, US_STATE_RUNNING);
    assert_int_equal (do_renew (h, &fence, true), US_ERR_CANCELLED);
    assert_int_equal (finish_one (h, &fence, USI_STOPPED, US_ERR_CANCELLED)->state,
                      US_STATE_CANCELLED);

    id = submit_one (h); /* its worker dies of the cancel */
    fence = claim_one (h, &id);
    do_started (h, &fence);
    do_cancel (h, &id, 1);
    assert_int_equal (finish_one (h, &fence, USI_CRASHED, US_ERR_WORKER_DIED)->state,
                      US_STATE_CANCELLED);

    id = submit_one (h); /* its node vanishes */
    claim_one (h, &id);
    do_cancel (h, &id, 1);
    set_due (h, &id, -1);
    sweep_now (h);
    assert_int_equal (state_of (h, &id), US_STATE_CANCELLED);

    id = submit_one (h); /* it ends by itself first */
    fence = claim_one (h, &id);
    do_cancel (h, &id, 1);
    assert_int_equal (finish_one (h, &fence, USI_SUCCEEDED, 0)->state,
                      US_STATE_SUCCEEDED);

    id = submit_one (h);
    fence = claim_one (h, &id);
    finish_one (h, &fence, USI_CRASHED, US_ERR_WORKER_DIED);
    assert_int_equal (do_cancel (h, &id, 0)->state,
                      US_STATE_CANCELLED); /* from BACKOFF */
    id = new_id ();
    assert_int_equal (do_cancel (h, &id, 0)->code, US_ERR_UNKNOWN_JOB);
    assert_now (h, 0, 0, 0, 0);
}

static void test_log (void **state)
{
    harness_t *h = *state;
    usi_id_t id = submit_one (h);
    store_fence_t fence = claim_one (h, &id);
    assert_int_equal (do_log (h, &fence, 0, 0, "abc")->number, 3);
    assert_int_equal (do_log (h, &fence, 0, 1, "bcdef")->number, 6); /* overlap */
    assert_int_equal (do_log (h, &fence, 0, 0, "XXXXXX")->number,
                      6);                                          /* never over it */
    assert_int_equal (do_log (h, &fence, 0, 9, "xyz")->number, 6); /* gap */
    assert_int_equal (h->got.code, US_OK);
    assert_int_equal (do_log (h, &fence, 1, 0, "build")->number, 5);
    assert_string_equal (do_read (h, &id, 0, 0, 100)->text, "abcdef");
    assert_string_equal (do_read (h, &id, 1, 0, 2)->text, "bu");
    assert_int_equal (h->got.length, 5);
    finish_one (h, &fence, USI_CRASHED, US_ERR_WORKER_DIED);
    set_due (h, &id, -1);
    sweep_now (h);
    fence = claim_one (h, &id); /* the next attempt goes on behind the first */
    assert_int_equal (h->got.log_len, 6);
    assert_int_equal (h->got.build_len, 5);
    assert_int_equal (do_log (h, &fence, 0, 6, "!")->number, 7);
    store_done_t done = a_result (&fence, USI_SUCCEEDED, 0, "v");
    done.log_end = 100; /* more than is kept cannot be waited for */
    do_done (h, &done);
    assert_int_equal (do_get (h, &id)->result.log_end, 7);
    assert_int_equal (do_log (h, &fence, 0, 0, "XXXXXXXXX")->code, US_ERR_STALE);
    assert_string_equal (do_read (h, &id, 0, 0, 100)->text, "abcdef!");
    usi_id_t unknown = new_id ();
    assert_int_equal (do_read (h, &unknown, 0, 0, 10)->code, US_ERR_UNKNOWN_JOB);
}

static void test_expire (void **state)
{
    harness_t *h = *state;
    usi_id_t id = new_id ();
    store_submit_t job = a_job (&id);
    job.expire_ms = 60000;
    do_submit (h, &job);
    sweep_now (h);
    assert_int_equal (state_of (h, &id), US_STATE_QUEUED);
    poke (h, &id, 22, 1000, 6); /* submitted in 1970 */
    set_due (h, &id, -1);
    const usi_reply_t *answer = sweep_now (h);
    assert_int_equal (usi_reply_count (usi_reply_at (answer, 1)), 3);
    assert_int_equal (state_of (h, &id), US_STATE_EXPIRED);
    assert_int_equal (h->got.result.code, US_ERR_EXPIRED);

    id = job.id = new_id (); /* met by a claim before the sweep */
    do_submit (h, &job);
    poke (h, &id, 22, 1000, 6);
    store_claim_t claim = a_claim (1);
    assert_int_equal (do_claim (h, &claim)->count, 0);
    assert_int_equal (state_of (h, &id), US_STATE_EXPIRED);

    id = job.id = new_id (); /* what has started once does not expire any more */
    do_submit (h, &job);
    store_fence_t fence = claim_one (h, &id);
    do_started (h, &fence);
    do_hand_back (h, &fence);
    poke (h, &id, 22, 1000, 6);
    claim_one (h, &id);
    assert_now (h, 0, 1, 0, 0);
}

static void test_classes (void **state)
{
    harness_t *h = *state;
    uint32_t class_id = usi_class (usi_bytes_of ("3.11"), NULL);
    usi_id_t ids[4];
    for (int i = 0; i < 4; i++) {
        ids[i] = new_id ();
        store_submit_t job = a_job (&ids[i]);
        job.class_id = i % 2 ? class_id : 0;
        job.needs = i % 2 ? "python=3.11" : "";
        do_submit (h, &job);
        redis_nap (); /* the order of one millisecond is nobody's */
    }
    store_claim_t claim = a_claim (1);
    assert_true (usi_id_equal (&do_claim (h, &claim)->fences[0].id, &ids[0]));
    uint32_t both[] = {0, class_id};
    claim.classes = both;
    claim.classes_len = 2;
    claim.count = 10;
    do_claim (h, &claim);
    assert_int_equal (h->got.count, 3);
    for (int i = 0; i < 3; i++)
        assert_true (usi_id_equal (&h->got.fences[i].id, &ids[i + 1]));
}

static void test_large_claim (void **state)
{
    harness_t *h = *state;
    static char body[200000];
    memset (body, 'x', sizeof body);
    for (int i = 0; i < 20; i++) {
        usi_id_t id = new_id ();
        store_submit_t job = a_job (&id);
        job.body = usi_bytes (body, sizeof body);
        do_submit (h, &job);
    }
    store_claim_t claim = a_claim (18); /* answers of a megabyte, one callback */
    assert_int_equal (do_claim (h, &claim)->count, 18);
    assert_int_equal (h->got.calls, 1);
    /* each part has a nonce of its own: one may be lost while another is with a node */
    assert_true (h->got.fences[0].nonce != h->got.fences[17].nonce);
    assert_now (h, 2, 18, 0, 0);
}

static void test_many_jobs_at_once (void **state)
{
    harness_t *h = *state;
    got_t submitted = {0};
    for (unsigned i = 0; i < 5000; i++) {
        usi_id_t id = new_id ();
        store_submit_t job = a_job (&id);
        store_submit (h->store, &job, got_submit, &submitted);
    }
    store_claim_t claim = a_claim (4500);
    store_claim (h->store, &claim, got_claim, got_begin (h));
    pump (h, got_answer);
    assert_int_equal (submitted.calls, 5000);
    assert_int_equal (h->got.count, 4500);
    store_fence_t first = h->got.fences[0];
    assert_now (h, 500, 4500, 0, 0);
    recover_claim (h, &first);
    assert_now (h, 500 + 1024, 4500 - 1024, 0, 0);
}

static void s_foreign (harness_t *h, const char *command, usi_bytes_t key)
{
    usi_bytes_t del[] = {usi_bytes_of ("DEL"), key};
    usi_ask_bytes (h->ask, del, 2);
    usi_bytes_t args[] = {usi_bytes_of (command), key, usi_bytes_of ("junk"),
                          usi_bytes_of ("junk")};
    usi_ask_bytes (h->ask, args, strcmp (command, "SET") == 0 ? 3 : 4);
}

static void test_foreign_data (void **state)
{
    harness_t *h = *state;
    usi_id_t bad = submit_one (h), wrong = submit_one (h), good = submit_one (h);
    rkey_t key;
    s_foreign (h, "SET", key_of (&key, "j", &bad));
    s_foreign (h, "HSET", key_of (&key, "j", &wrong));
    assert_int_equal (do_get (h, &bad)->code, US_ERR_STORE);
    assert_int_equal (do_get (h, &wrong)->code, US_ERR_STORE);
    assert_int_equal (do_cancel (h, &wrong, 1)->code, US_ERR_STORE);
    set_due (h, &bad, -1);
    set_due (h, &wrong, -1);
    sweep_now (h);
    claim_one (h, &good); /* the batch goes on; dead entries are dropped */
    char name[64];
    snprintf (name, sizeof name, "us:{%02x}:q:00000000:" CHANNEL,
              usi_id_partition (&good));
    s_foreign (h, "SET", usi_bytes_of (name));
    usi_id_t id = new_id ();
    store_submit_t job = a_job (&id);
    assert_int_equal (do_submit (h, &job)->code, US_ERR_STORE);
    assert_int_equal (do_get (h, &id)->code,
                      US_ERR_UNKNOWN_JOB); /* nothing half done */
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup (test_life, harness_empty),
        cmocka_unit_test_setup (test_submit_and_claim_in_one_turn, harness_empty),
        cmocka_unit_test_setup (test_new_jobs_meet_claims, harness_empty),
        cmocka_unit_test_setup (test_same_job_again, harness_empty),
        cmocka_unit_test_setup (test_fence, harness_empty),
        cmocka_unit_test_setup (test_everything_twice, harness_empty),
        cmocka_unit_test_setup (test_hand_back, harness_empty),
        cmocka_unit_test_setup (test_recover_claim, harness_empty),
        cmocka_unit_test_setup (test_crashes, harness_empty),
        cmocka_unit_test_setup (test_the_code_of_an_end, harness_empty),
        cmocka_unit_test_setup (test_retries, harness_empty),
        cmocka_unit_test_setup (test_late_result, harness_empty),
        cmocka_unit_test_setup (test_losses, harness_empty),
        cmocka_unit_test_setup (test_cancel, harness_empty),
        cmocka_unit_test_setup (test_log, harness_empty),
        cmocka_unit_test_setup (test_expire, harness_empty),
        cmocka_unit_test_setup (test_classes, harness_empty),
        cmocka_unit_test_setup (test_large_claim, harness_empty),
        cmocka_unit_test_setup (test_many_jobs_at_once, harness_empty),
        cmocka_unit_test_setup (test_foreign_data, harness_empty),
    };
    return cmocka_run_group_tests (tests, s_setup, harness_end);
}

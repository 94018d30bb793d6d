/* SPDX-License-Identifier: MIT
 *
 * A Redis that comes and goes, is full, is emptied or forgets its functions; and what the
 * check at start says of one. */
#include "harness.h"

#include "store/sweep.h"

static int s_setup (void **state)
{
    return harness_begin (state, redis_start);
}

static bool s_is_lost (harness_t *h)
{
    return h->told.lost > 0;
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

/* SPDX-License-Identifier: MIT
 *
 * Pools: the table of their states, what their jobs wait for, how deep jobs queue in a
 * worker, and when a pool is dropped. */
#include "stage.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "blob_cache.h"
#include "fake_zygote.h"

#define CONTENT "the bytes of a bundle"

static int s_setup (void **state)
{
    *state = stage_new (1);
    return 0;
}

static int s_teardown (void **state)
{
    stage_destroy (*state);
    return 0;
}

/* --- numbers ---------------------------------------------------------------------- */

static void test_depth (void **state)
{
    (void) state;
    assert_int_equal (pool_depth_for (0), 1); /* nothing is known yet */
    assert_int_equal (pool_depth_for (1), 128);
    assert_int_equal (pool_depth_for (30), 128);
    assert_int_equal (pool_depth_for (50), 101);
    assert_int_equal (pool_depth_for (1000), 6);
    assert_int_equal (pool_depth_for (5001), 1);
    assert_int_equal (pool_depth_for (10001), 1);
    assert_int_equal (pool_depth_for (UINT64_MAX), 1);
}

static void test_measure (void **state)
{
    uint64_t ewma = 0;
    (void) state;
    pool_measure (&ewma, 800);
    assert_int_equal (ewma, 800);
    pool_measure (&ewma, 0);
    assert_int_equal (ewma, 700);
    for (int i = 0; i < 200; i++)
        pool_measure (&ewma, 0);
    assert_in_range (ewma, 1, 8); /* never "unknown" again */
    for (int i = 0; i < 200; i++)
        pool_measure (&ewma, 100000);
    assert_in_range (ewma, 99000, 100000);
}

/* --- states ----------------------------------------------------------------------- */

static void test_every_state_and_event (void **state)
{
    static const int expected[POOL_STATES][POOL_EVENTS] = {
        /* WANTED, FILLED, FAILED, COOLED */
        [POOL_COLD] = {POOL_PREPARING, -1, -1, -1},
        [POOL_PREPARING] = {-1, POOL_READY, POOL_COLD, -1},
        [POOL_READY] = {-1, -1, POOL_COLD, POOL_COLD},
    };
    (void) state;
    for (int from = 0; from < POOL_STATES; from++)
        for (int event = 0; event < POOL_EVENTS; event++)
            assert_int_equal (pool_next ((pool_state_t) from, (pool_event_t) event),
                              expected[from][event]);
}

/* --- bundles ---------------------------------------------------------------------- */

static usi_buf_t s_bundles;
static uint8_t s_digest[USI_DIGEST_LEN];

static job_t *s_job_with_bundle (stage_t *stage, unsigned number)
{
    usi_fields_t fields = {0};
    usi_sha256 (CONTENT, strlen (CONTENT), s_digest);
    s_bundles.len = 0;
    usi_list_add_bin (&s_bundles, usi_bytes (s_digest, sizeof s_digest));
    USI_SET (&fields, KIND, kind, usi_bytes_of ("call"));
    USI_SET (&fields, BLOBS, blobs, usi_list_of (&s_bundles, 1));
    job_t *job = stage_job_of (stage, number, &fields, "echo");
    usi_buf_free (&s_bundles);
    return job;
}

/* The broker's answer to BLOB_GET. */
static void s_bring (stage_t *stage, us_err_t code)
{
    usi_msg_begin (&stage->msg, USI_BLOB_DATA);
    usi_fields_t *item = usi_msg_add (&stage->msg);
    USI_SET (item, BLOB, blob, usi_bytes (s_digest, sizeof s_digest));
    USI_SET (item, INDEX, index, 0);
    USI_SET (item, SIZE, size, strlen (CONTENT));
    USI_SET (item, CODE, code, code);
    usi_msg_body (&stage->msg, CONTENT, code == US_OK ? strlen (CONTENT) : 0);
    stage_hear (stage, &stage->msg);
}

static void test_jobs_wait_for_their_bundle (void **state)
{
    stage_t *stage = *state;
    job_t *job = s_job_with_bundle (stage, 1);
    assert_int_equal (job->state, JOB_WAITING);
    assert_int_equal (job->pool->state, POOL_PREPARING);
    assert_int_equal (job->pool->missing, 1);
    s_bring (stage, US_OK);
    assert_int_equal (job->state, JOB_READY);
    assert_int_equal (job->pool->state, POOL_READY);
    assert_true (pools_use_blob (&stage->node, s_digest));
    stage_until_ended (stage, job);
    stage_check_result (job, "echo");
}

static void test_a_bundle_that_is_gone_fails_the_jobs (void **state)
{
    stage_t *stage = *state;
    job_t *a = s_job_with_bundle (stage, 1), *b = s_job_with_bundle (stage, 2);
    pool_t *pool = a->pool;
    s_bring (stage, US_ERR_MISSING_BLOB);
    stage_check_end (a, USI_FAILED, US_ERR_MISSING_BLOB);
    stage_check_end (b, USI_FAILED, US_ERR_MISSING_BLOB);
    assert_int_equal (pool->state, POOL_COLD);
    /* The next job asks again. */
    job_t *c = s_job_with_bundle (stage, 3);
    assert_ptr_equal (c->pool, pool);
    assert_int_equal (pool->state, POOL_PREPARING);
    s_bring (stage, US_OK);
    stage_until_ended (stage, c);
    stage_check_result (c, "echo");
}

/* Removed from the cache between the last job and a new worker. */
static void test_a_bundle_is_fetched_again (void **state)
{
    stage_t *stage = *state;
    job_t *job = s_job_with_bundle (stage, 1);
    pool_t *pool = job->pool;
    char *path = blob_cache_path (stage->node.blobs, s_digest);
    s_bring (stage, US_OK);
    unlink (path);
    slots_schedule (stage->node.slots); /* which cannot start a worker */
    assert_int_equal (stage_count_workers (stage), 0);
    assert_int_equal (pool->state, POOL_PREPARING);
    assert_int_equal (job->state, JOB_WAITING);
    s_bring (stage, US_OK);
    assert_int_equal (job->state, JOB_READY);
    stage_until_ended (stage, job);
    free (path);
}

/* --- jobs ------------------------------------------------------------------------- */

static void test_one_pool_for_the_same (void **state)
{
    stage_t *stage = *state;
    usi_fields_t fields = {0};
    job_t *a = stage_job (stage, 1, "echo");
    USI_SET (&fields, KIND, kind, usi_bytes_of ("shell"));
    job_t *b = stage_job_of (stage, 2, &fields, "echo");
    USI_SET (&fields, ISOLATION, isolation, usi_bytes_of ("fresh"));
    job_t *c = stage_job_of (stage, 3, &fields, "echo");
    assert_ptr_equal (a->pool, b->pool);
    assert_ptr_not_equal (a->pool, c->pool);
    assert_ptr_not_equal (a->pool->program, c->pool->program);
    assert_ptr_equal (a->pool->program->env, c->pool->program->env);
    assert_int_equal (pool_depth (c->pool), 1);
}

static void test_what_comes_back_goes_first (void **state)
{
    stage_t *stage = *state;
    job_t *a = stage_job (stage, 1, "echo"), *b = stage_job (stage, 2, "echo");
    pool_t *pool = a->pool;
    list_remove (&a->place);
    assert_ptr_equal (job_at (pool->queue.first), b);
    pool_take_back (a);
    assert_ptr_equal (job_at (pool->queue.first), a);
    assert_ptr_equal (job_behind (a), b);
    assert_int_equal (a->state, JOB_READY);
}

static void test_unused_pools_are_dropped (void **state)
{
    stage_t *stage = *state;
    node_t *node = &stage->node;
    job_t *job = stage_job (stage, 1, "echo");
    pool_t *pool = job->pool;
    pool->used_ms -= 60 * 60 * 1000;
    pools_tidy (node);
    assert_ptr_equal (node->pools, pool); /* a job waits in it */
    job_destroy (node, job);
    pool->used_ms -= 60 * 60 * 1000;
    pools_tidy (node);
    assert_ptr_equal (node->pools, pool); /* its specification is still known */
    job_specs_destroy (&node->specs);
    node->specs = intake_specs_new (node);
    pools_tidy (node);
    assert_null (node->pools);
    assert_null (node->programs);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, s_setup, s_teardown)

int main (int argc, char **argv)
{
    fake_zygote (argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_depth),
        cmocka_unit_test (test_measure),
        cmocka_unit_test (test_every_state_and_event),
        TEST (test_jobs_wait_for_their_bundle),
        TEST (test_a_bundle_that_is_gone_fails_the_jobs),
        TEST (test_a_bundle_is_fetched_again),
        TEST (test_one_pool_for_the_same),
        TEST (test_what_comes_back_goes_first),
        TEST (test_unused_pools_are_dropped),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

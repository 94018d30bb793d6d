/* SPDX-License-Identifier: MIT
 *
 * The table of jobs and their ends. No worker runs here: the node has no slot. */
#include "stage.h"

#include <stdlib.h>

#include "blob_cache.h"
#include "fake_zygote.h"

static int s_setup (void **state)
{
    *state = stage_new (0);
    return 0;
}

static int s_teardown (void **state)
{
    stage_destroy (*state);
    return 0;
}

static usi_buf_t s_bytes (size_t len)
{
    usi_buf_t bytes = {0};
    usi_buf_reserve (&bytes, len);
    memset (bytes.data, 'x', len);
    bytes.len = len;
    return bytes;
}

static void test_table (void **state)
{
    stage_t *stage = *state;
    jobs_t *jobs = stage->node.jobs;
    usi_id_t id = stage_id (1), other = stage_id (2);
    job_t *job = stage_job (stage, 1, "body");
    assert_int_equal (jobs_count (jobs), 1);
    assert_ptr_equal (jobs_find (jobs, &id, 1), job);
    assert_null (jobs_find (jobs, &id, 2)); /* another attempt */
    assert_ptr_equal (jobs_find_any (jobs, &id), job);
    assert_null (jobs_find_any (jobs, &other));
    assert_int_equal (job->body.len, 4);
    assert_int_equal (jobs_in_state (jobs, JOB_READY), 1);
    job_set_state (&stage->node, job, JOB_GIVEN);
    assert_int_equal (jobs_in_state (jobs, JOB_READY), 0);
    assert_int_equal (jobs_in_state (jobs, JOB_GIVEN), 1);
    job_destroy (&stage->node, job);
    assert_int_equal (jobs_count (jobs), 0);
    assert_int_equal (jobs_in_state (jobs, JOB_GIVEN), 0);
    assert_null (jobs_find_any (jobs, &id));
}

static void test_end (void **state)
{
    stage_t *stage = *state;
    jobs_t *jobs = stage->node.jobs;
    usi_buf_t result = s_bytes (10);
    job_t *job = stage_job (stage, 1, "body");
    pool_t *pool = job->pool;
    assert_int_equal (pool->queue.len, 1);
    job_end (&stage->node, job, USI_SUCCEEDED, US_OK, &result);
    stage_check_end (job, USI_SUCCEEDED, US_OK);
    assert_int_equal (job->result.len, 10);
    assert_true (job->started);
    assert_int_equal (pool->queue.len, 0); /* it has left its pool */
    assert_null (job->pool);
    assert_int_equal (job->body.len, 0);
    assert_ptr_equal (job->out.list, &jobs->results);
}

static void test_failure (void **state)
{
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "body");
    job_fail (&stage->node, job, USI_FAILED, US_ERR_SYSTEM, "the disk is gone");
    stage_check_end (job, USI_FAILED, US_ERR_SYSTEM);
    stage_check_says (job, "the disk is gone");
    stage_check_says (job, "tester"); /* the node's name */
}

static void test_result_over_the_limit (void **state)
{
    stage_t *stage = *state;
    usi_buf_t result = s_bytes (1001);
    job_t *job = stage_job (stage, 1, "body");
    stage->node.limits.max_payload = 1000;
    job_end (&stage->node, job, USI_SUCCEEDED, US_OK, &result);
    stage_check_end (job, USI_FAILED, US_ERR_TOO_LARGE);
    stage_check_says (job, "the result has 1001 bytes, the limit is 1000");
}

static void test_large_result_waits_for_its_blob (void **state)
{
    stage_t *stage = *state;
    usi_buf_t result = s_bytes (1001);
    job_t *job = stage_job (stage, 1, "body");
    stage->node.limits.max_body = 1000;
    job_end (&stage->node, job, USI_SUCCEEDED, US_OK, &result);
    stage_check_end (job, USI_SUCCEEDED, US_OK);
    assert_null (job->out.list); /* not told before the blob is kept */
    assert_false (job_is_put (job));
}

static void test_hand_back (void **state)
{
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "body");
    job_hand_back (&stage->node, job);
    assert_int_equal (job->state, JOB_RETURNED);
    assert_ptr_equal (job->out.list, &stage->node.jobs->returns);
    assert_null (job->place.list);
}

static void test_forget (void **state)
{
    stage_t *stage = *state;
    jobs_t *jobs = stage->node.jobs;
    usi_id_t id = stage_id (2);
    assert_true (job_forget (&stage->node, stage_job (stage, 1, "body")));
    assert_int_equal (jobs_count (jobs), 0);
    /* One that a worker has is out of the table at once, and freed at its end, of which
     * nobody is told. */
    job_t *job = stage_job (stage, 2, "body");
    job_set_state (&stage->node, job, JOB_GIVEN);
    assert_false (job_forget (&stage->node, job));
    assert_null (jobs_find_any (jobs, &id));
    assert_int_equal (jobs_in_state (jobs, JOB_GIVEN), 0);
    job_write_log (&stage->node, job, 0, "text", 4);
    assert_null (jobs->logs.first);
    job_end (&stage->node, job, USI_SUCCEEDED, US_OK, NULL);
    assert_null (jobs->results.first);
}

static void test_start_is_announced_once (void **state)
{
    stage_t *stage = *state;
    list_t *starts = &stage->node.jobs->starts;
    job_t *job = stage_job (stage, 1, "body");
    job_announce_start (&stage->node, job);
    job_announce_start (&stage->node, job);
    assert_int_equal (starts->len, 1);
    job_end (&stage->node, job, USI_SUCCEEDED, US_OK, NULL);
    assert_int_equal (starts->len, 0); /* its result says as much */
}

static void test_log_without_a_broker_is_bounded (void **state)
{
    static const uint8_t bytes[1024 * 1024];
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "body");
    for (int i = 0; i < 12; i++)
        job_write_log (&stage->node, job, 0, bytes, sizeof bytes);
    assert_int_equal (job->logs[0].dropped, 4 * sizeof bytes);
    assert_ptr_equal (job->log.list, &stage->node.jobs->logs);
    assert_false (job_log_is_full (&stage->node, job)); /* nothing waits for nobody */
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, s_setup, s_teardown)

int main (int argc, char **argv)
{
    fake_zygote (argc, argv);
    const struct CMUnitTest tests[] = {
        TEST (test_table),
        TEST (test_end),
        TEST (test_failure),
        TEST (test_result_over_the_limit),
        TEST (test_large_result_waits_for_its_blob),
        TEST (test_hand_back),
        TEST (test_forget),
        TEST (test_start_is_announced_once),
        TEST (test_log_without_a_broker_is_bounded),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * A worker from its start to its end: what it sends, how its jobs end, and what becomes
 * of it when it breaks the protocol, dies, or does not start. */
#include "stage.h"

#include <dirent.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fake_zygote.h"

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

/* --- results ---------------------------------------------------------------------- */

static void test_result (void **state)
{
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "echo a");
    stage_until_ended (stage, job);
    stage_check_result (job, "echo a");
    assert_null (job->pool);
    assert_null (job->worker);
    assert_int_equal (job->body.len, 0);
}

static void test_one_worker_runs_many (void **state)
{
    stage_t *stage = *state;
    job_t *jobs[20];
    for (unsigned i = 0; i < 20; i++)
        jobs[i] = stage_job (stage, i, "echo");
    for (unsigned i = 0; i < 20; i++)
        stage_until_ended (stage, jobs[i]);
    assert_int_equal (stage_count_workers (stage), 1);
    assert_int_equal (stage->node.slots->workers->done, 20);
    assert_true (worker_is_idle (stage->node.slots->workers));
}

static void test_log_is_the_jobs_own (void **state)
{
    stage_t *stage = *state;
    job_t *a = stage_job (stage, 1, "say one\n");
    job_t *b = stage_job (stage, 2, "echo");
    job_t *c = stage_job (stage, 3, "say three\n");
    stage_until_ended (stage, c);
    stage_check_log (a, "one\n");
    stage_check_log (b, "");
    stage_check_log (c, "three\n");
}

static void test_large_body_and_result (void **state)
{
    stage_t *stage = *state;
    char *body = usi_alloc (100001);
    memset (body, 'x', 100000);
    body[100000] = 0;
    job_t *large = stage_job (stage, 1, "large 300000");
    stage_until_ended (stage, large);
    stage_check_end (large, USI_SUCCEEDED, US_OK);
    assert_int_equal (large->result.len, 300000);
    /* The fake does not look into the memfd that the body goes in. */
    job_t *job = stage_job (stage, 2, body);
    stage_until_ended (stage, job);
    stage_check_result (job, "");
    free (body);
}

static void test_worker_that_wants_to_be_replaced (void **state)
{
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "echo");
    stage_until_ended (stage, job);
    pid_t pid = stage->node.slots->workers->pid;
    job = stage_job (stage, 2, "replace");
    stage_until_ended (stage, job);
    stage_check_result (job, "replace");
    stage_until_quiet (stage);
    job = stage_job (stage, 3, "echo");
    stage_until_ended (stage, job);
    assert_int_not_equal (stage->node.slots->workers->pid, pid);
}

/* --- breaches --------------------------------------------------------------------- */

static unsigned s_descriptors (void)
{
    unsigned count = 0;
    DIR *dir = opendir ("/proc/self/fd");
    assert_non_null (dir);
    while (readdir (dir))
        count++;
    closedir (dir);
    return count;
}

/* Issue 6: of two descriptors one stayed open, and nobody noticed. */
static void s_check_flood (stage_t *stage, const char *body)
{
    job_t *first = stage_job (stage, 1, "echo");
    stage_until_ended (stage, first);
    stage_job (stage, 2, "die");
    stage_until_quiet (stage);
    unsigned before = s_descriptors ();
    job_t *job = stage_job (stage, 3, body);
    stage_until_ended (stage, job);
    stage_check_end (job, USI_CRASHED, US_ERR_WORKER_DIED);
    stage_check_says (job, "a message with descriptors that it should not have");
    stage_until_quiet (stage);
    assert_int_equal (s_descriptors (), before);
}

static void test_one_descriptor_that_is_not_wanted (void **state)
{
    s_check_flood (*state, "descriptors 1");
}

static void test_two_descriptors (void **state)
{
    s_check_flood (*state, "descriptors 2");
}

static void test_eight_descriptors (void **state)
{
    s_check_flood (*state, "descriptors 8");
}

static void s_check_breach (stage_t *stage, const char *body, const char *what)
{
    job_t *job = stage_job (stage, 1, body);
    job_t *behind = stage_job (stage, 2, "echo");
    stage_until_ended (stage, job);
    stage_check_end (job, USI_CRASHED, US_ERR_WORKER_DIED);
    stage_check_says (job, what);
    stage_until_ended (stage, behind);
    stage_check_result (behind, "echo");
}

static void test_ready_by_a_job (void **state)
{
    s_check_breach (*state, "send W1234", "a second beginning");
}

/* Limits do not run while the initializer does: a job that said so would have none. */
static void test_setting_up_by_a_job (void **state)
{
    s_check_breach (*state, "send S\x02", "a second setting up");
}

static void test_empty_message (void **state)
{
    s_check_breach (*state, "send ", "an empty message");
}

/* At its end the node read empty messages without an end, and did nothing else any
 * more. */
static void test_socket_that_is_shut_down (void **state)
{
    s_check_breach (*state, "shut down", "an empty message");
}

/* A sparse file costs a job nothing; the node would read it all. */
static void test_result_over_the_limit (void **state)
{
    stage_t *stage = *state;
    stage->node.limits.max_payload = 1000000;
    job_t *job = stage_job (stage, 1, "large 100000000000000");
    stage_until_ended (stage, job);
    stage_check_end (job, USI_FAILED, US_ERR_TOO_LARGE);
    stage_check_says (job,
                      "the result has 100000000000000 bytes, the limit is 1000000");
}

static void test_result_of_another_job (void **state)
{
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "early");
    stage_until_ended (stage, job);
    stage_check_end (job, USI_CRASHED, US_ERR_WORKER_DIED);
    stage_check_says (job, "a result that does not belong to its job");
}

/* --- ends ------------------------------------------------------------------------- */

static void test_death (void **state)
{
    stage_t *stage = *state;
    job_t *victim = stage_job (stage, 1, "die");
    job_t *next = stage_job (stage, 2, "echo");
    stage_until_ended (stage, victim);
    stage_check_end (victim, USI_CRASHED, US_ERR_WORKER_DIED);
    stage_check_says (victim, "exit code 9");
    stage_until_ended (stage, next); /* in another worker */
    stage_check_result (next, "echo");
}

static void test_interrupt (void **state)
{
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "wait");
    stage_until_begun (stage, job);
    slots_cancel (stage->node.slots, job, false);
    assert_int_equal (job->worker->state, WORKER_STOPPING);
    stage_until_ended (stage, job);
    stage_check_end (job, USI_STOPPED, US_OK);
}

static void test_kill_at_once (void **state)
{
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "deaf");
    stage_until_begun (stage, job);
    slots_cancel (stage->node.slots, job, true);
    stage_until_ended (stage, job);
    stage_check_end (job, USI_STOPPED, US_ERR_CANCELLED);
}

static void test_time_limit (void **state)
{
    stage_t *stage = *state;
    usi_fields_t fields = {0};
    USI_SET (&fields, KIND, kind, usi_bytes_of ("call"));
    USI_SET (&fields, HARD_MS, hard_ms, 50);
    job_t *job = stage_job_of (stage, 1, &fields, "deaf");
    stage_until_begun (stage, job);
    stage_until_ended (stage, job);
    stage_check_end (job, USI_FAILED, US_ERR_TIME_LIMIT);
    stage_check_says (job, "the job ran over its limit of 50 ms and was killed");
}

static void test_soft_limit (void **state)
{
    stage_t *stage = *state;
    usi_fields_t fields = {0};
    USI_SET (&fields, KIND, kind, usi_bytes_of ("call"));
    USI_SET (&fields, SOFT_MS, soft_ms, 100);
    job_t *job = stage_job_of (stage, 1, &fields, "wait");
    stage_until_ended (stage, job);
    stage_check_end (job, USI_STOPPED, US_OK);
}

static void test_worker_that_does_not_start (void **state)
{
    stage_t *stage = *state;
    stage_touch (stage, "no-worker");
    job_t *job = stage_job (stage, 1, "echo");
    stage_until_ended (stage, job);
    stage_check_end (job, USI_CRASHED, US_ERR_WORKER_DIED);
    stage_check_says (job, "no worker could be started");
    stage_remove (stage, "no-worker");
    job = stage_job (stage, 2, "echo");
    stage_until_ended (stage, job);
    stage_check_result (job, "echo");
}

static void test_retire (void **state)
{
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "echo");
    stage_until_ended (stage, job);
    worker_t *worker = stage->node.slots->workers;
    program_t *program = worker->program;
    assert_int_equal (program->workers, 1);
    worker_retire (worker);
    assert_int_equal (worker->state, WORKER_ENDING);
    assert_false (worker_has_slot (worker));
    assert_int_equal (program->workers, 0);
    stage_until_quiet (stage);
}

static void test_take_back (void **state)
{
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "wait");
    stage_until_begun (stage, job);
    job_t *behind[3];
    for (unsigned i = 0; i < 3; i++) {
        behind[i] = stage_job (stage, 2 + i, "echo");
        assert_true (worker_give (job->worker, behind[i]));
    }
    assert_int_equal (job->worker->jobs.len, 4);
    worker_take_back (job->worker);
    assert_int_equal (job->worker->jobs.len, 1);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal (behind[i]->state, JOB_READY);
    assert_ptr_equal (job_at (job->pool->queue.first), behind[0]); /* in order */
    assert_ptr_equal (job_behind (behind[0]), behind[1]);
    assert_ptr_equal (job_behind (behind[1]), behind[2]);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, s_setup, s_teardown)

int main (int argc, char **argv)
{
    fake_zygote (argc, argv);
    const struct CMUnitTest tests[] = {
        TEST (test_result),
        TEST (test_one_worker_runs_many),
        TEST (test_log_is_the_jobs_own),
        TEST (test_large_body_and_result),
        TEST (test_worker_that_wants_to_be_replaced),
        TEST (test_one_descriptor_that_is_not_wanted),
        TEST (test_two_descriptors),
        TEST (test_eight_descriptors),
        TEST (test_ready_by_a_job),
        TEST (test_setting_up_by_a_job),
        TEST (test_empty_message),
        TEST (test_socket_that_is_shut_down),
        TEST (test_result_over_the_limit),
        TEST (test_result_of_another_job),
        TEST (test_death),
        TEST (test_interrupt),
        TEST (test_kill_at_once),
        TEST (test_time_limit),
        TEST (test_soft_limit),
        TEST (test_worker_that_does_not_start),
        TEST (test_retire),
        TEST (test_take_back),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

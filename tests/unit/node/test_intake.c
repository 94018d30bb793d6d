/* SPDX-License-Identifier: MIT
 *
 * What the broker says about jobs, and what becomes of them. */
#include "stage.h"

#include <stdlib.h>

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

static usi_fields_t s_call (void)
{
    usi_fields_t fields = {0};
    USI_SET (&fields, KIND, kind, usi_bytes_of ("call"));
    return fields;
}

/* One item: the fence of a job, and a code. */
static void s_say (stage_t *stage, usi_type_t type, unsigned number, unsigned attempt,
                   us_err_t code)
{
    usi_msg_begin (&stage->msg, type);
    usi_fields_t *item = usi_msg_add (&stage->msg);
    USI_SET (item, ID, id, stage_id (number));
    USI_SET (item, ATTEMPT, attempt, attempt);
    if (type != USI_STOP)
        USI_SET (item, CODE, code, code);
    stage_hear (stage, &stage->msg);
}

static void s_say_kept (stage_t *stage, unsigned number, uint64_t offset, us_err_t code)
{
    usi_msg_begin (&stage->msg, USI_LOG_KEPT);
    usi_fields_t *item = usi_msg_add (&stage->msg);
    USI_SET (item, ID, id, stage_id (number));
    USI_SET (item, ATTEMPT, attempt, 1);
    USI_SET (item, STREAM, stream, 0);
    USI_SET (item, OFFSET, offset, offset);
    USI_SET (item, CODE, code, code);
    stage_hear (stage, &stage->msg);
}

static job_t *s_attempt (stage_t *stage, unsigned number, unsigned attempt,
                         const char *body)
{
    usi_fields_t fields = s_call ();
    return stage_attempt (stage, number, attempt, &fields, body);
}

/* --- JOBS ------------------------------------------------------------------------- */

static void test_a_python_that_is_not_there (void **state)
{
    usi_fields_t fields = s_call ();
    USI_SET (&fields, PYTHON, python, usi_bytes_of ("3.99"));
    job_t *job = stage_job_of (*state, 1, &fields, "echo");
    stage_check_end (job, USI_FAILED, US_ERR_PYTHON_VERSION);
    stage_check_says (job, "this node has no Python 3.99");
}

static void test_a_requirement_that_is_none (void **state)
{
    usi_buf_t packages = {0};
    usi_fields_t fields = s_call ();
    usi_list_add_str (&packages, usi_bytes_of ("--index-url=http://x/"));
    USI_SET (&fields, PACKAGES, packages, usi_list_of (&packages, 1));
    job_t *job = stage_job_of (*state, 1, &fields, "echo");
    stage_check_end (job, USI_FAILED, US_ERR_REQUIREMENT);
    stage_check_says (job, "is not a package requirement");
    usi_buf_free (&packages);
}

static void test_a_kind_that_is_unknown (void **state)
{
    usi_fields_t fields = {0};
    USI_SET (&fields, KIND, kind, usi_bytes_of ("dance"));
    job_t *job = stage_job_of (*state, 1, &fields, "echo");
    stage_check_end (job, USI_FAILED, US_ERR_UNSUPPORTED);
}

static void test_jobs_spend_credit (void **state)
{
    stage_t *stage = *state;
    assert_int_equal (slots_credit (stage->node.slots), 1);
    stage_job (stage, 1, "echo");
    assert_int_equal (stage->node.slots->given_credit, 0);
}

static void test_told_twice (void **state)
{
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "echo");
    assert_ptr_equal (stage_job (stage, 1, "echo"), job);
    assert_int_equal (jobs_count (stage->node.jobs), 1);
    assert_int_equal (job->pool->queue.len, 1);
}

static void test_a_newer_attempt_takes_its_place (void **state)
{
    stage_t *stage = *state;
    usi_id_t id = stage_id (1);
    stage_job (stage, 1, "echo 1");
    job_t *job = s_attempt (stage, 1, 2, "echo 2");
    assert_int_equal (jobs_count (stage->node.jobs), 1);
    assert_null (jobs_find (stage->node.jobs, &id, 1));
    stage_until_ended (stage, job);
    stage_check_result (job, "echo 2");
}

static void test_a_newer_attempt_of_what_runs (void **state)
{
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "deaf");
    stage_until_begun (stage, job);
    job = s_attempt (stage, 1, 2, "echo 2"); /* the old one is killed, without a word */
    assert_int_equal (jobs_count (stage->node.jobs), 1);
    stage_until_ended (stage, job);
    stage_check_result (job, "echo 2");
    assert_int_equal (stage->node.jobs->results.len, 1);
}

static void test_a_node_that_drains_hands_back (void **state)
{
    stage_t *stage = *state;
    stage->node.draining = true;
    job_t *job = stage_job (stage, 1, "echo");
    assert_int_equal (job->state, JOB_RETURNED);
}

/* --- COMMITTED -------------------------------------------------------------------- */

static void test_committed (void **state)
{
    static const us_err_t gone[] = {US_OK, US_ERR_STALE, US_ERR_UNKNOWN_JOB,
                                    US_ERR_ENDED};
    stage_t *stage = *state;
    for (unsigned i = 0; i < 4; i++) {
        job_t *job = stage_job (stage, i, "echo");
        s_say (stage, USI_COMMITTED, i, 1, gone[i]); /* not yet ended: not believed */
        assert_int_equal (jobs_count (stage->node.jobs), 1);
        stage_until_ended (stage, job);
        s_say (stage, USI_COMMITTED, i, 2, gone[i]); /* another attempt */
        assert_int_equal (jobs_count (stage->node.jobs), 1);
        s_say (stage, USI_COMMITTED, i, 1, gone[i]);
        assert_int_equal (jobs_count (stage->node.jobs), 0);
    }
}

static void test_not_committed_for_now (void **state)
{
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "echo");
    stage_until_ended (stage, job);
    job->sent_ms = 99;
    s_say (stage, USI_COMMITTED, 1, 1, US_ERR_STORE);
    assert_int_equal (jobs_count (stage->node.jobs), 1);
    assert_int_equal (job->sent_ms, 0); /* it is sent again */
}

static void test_a_refused_result_becomes_a_failure (void **state)
{
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "echo");
    stage_until_ended (stage, job);
    s_say (stage, USI_COMMITTED, 1, 1, US_ERR_TOO_LARGE);
    stage_check_end (job, USI_FAILED, US_ERR_TOO_LARGE);
    stage_check_says (job, "the broker refused the result");
    s_say (stage, USI_COMMITTED, 1, 1, US_ERR_TOO_LARGE);
    assert_int_equal (jobs_count (stage->node.jobs), 0);
}

/* --- RENEWED and STOP ------------------------------------------------------------- */

static void test_a_lost_lease (void **state)
{
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "deaf");
    stage_until_begun (stage, job);
    s_say (stage, USI_RENEWED, 1, 1, US_ERR_STALE);
    assert_int_equal (jobs_count (stage->node.jobs), 0);
    stage_until_quiet (stage); /* its worker is killed */
    assert_int_equal (stage->node.jobs->results.len, 0);
}

static void test_cancelled_while_it_runs (void **state)
{
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "wait");
    stage_until_begun (stage, job);
    s_say (stage, USI_RENEWED, 1, 1, US_ERR_CANCELLED);
    stage_until_ended (stage, job);
    assert_int_equal (job->outcome, USI_STOPPED);
}

static void test_stop (void **state)
{
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "echo");
    s_say (stage, USI_STOP, 1, 2, US_OK); /* another attempt */
    assert_int_equal (job->state, JOB_READY);
    s_say (stage, USI_STOP, 1, 1, US_OK);
    stage_check_end (job, USI_STOPPED, US_ERR_CANCELLED);
    s_say (stage, USI_STOP, 7, 1, US_OK); /* nobody's */
}

/* --- LOG_KEPT --------------------------------------------------------------------- */

static void test_log_kept (void **state)
{
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "say 0123456789");
    stage_until_ended (stage, job);
    job_log_t *log = &job->logs[0];
    assert_int_equal (log->end, 10);
    s_say_kept (stage, 1, 4, US_OK);
    assert_int_equal (log->kept, 4);
    assert_false (job->log_again);
    s_say_kept (stage, 1, 4, US_OK); /* no step forward: there was a gap */
    assert_true (job->log_again);
    job->log_again = false;
    s_say_kept (stage, 1, 6, US_ERR_STORE);
    assert_true (job->log_again);
    s_say_kept (stage, 1, 0, US_ERR_STALE);
    assert_int_equal (log->kept, 10); /* nobody wants it */
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, s_setup, s_teardown)

int main (int argc, char **argv)
{
    fake_zygote (argc, argv);
    const struct CMUnitTest tests[] = {
        TEST (test_a_python_that_is_not_there),
        TEST (test_a_requirement_that_is_none),
        TEST (test_a_kind_that_is_unknown),
        TEST (test_jobs_spend_credit),
        TEST (test_told_twice),
        TEST (test_a_newer_attempt_takes_its_place),
        TEST (test_a_newer_attempt_of_what_runs),
        TEST (test_a_node_that_drains_hands_back),
        TEST (test_committed),
        TEST (test_not_committed_for_now),
        TEST (test_a_refused_result_becomes_a_failure),
        TEST (test_a_lost_lease),
        TEST (test_cancelled_while_it_runs),
        TEST (test_stop),
        TEST (test_log_kept),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

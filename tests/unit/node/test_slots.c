/* SPDX-License-Identifier: MIT
 *
 * Which worker runs which job: one to each worker first, short ones behind each other,
 * none behind a long one; credit; who makes room, and what goes back to the broker. */
#include "stage.h"

#include <stdlib.h>

#include "base/clock.h"
#include "fake_zygote.h"
#include "host/process.h"

static int s_setup (void **state)
{
    *state = stage_new (2);
    return 0;
}

static int s_setup_one (void **state)
{
    *state = stage_new (1);
    return 0;
}

static int s_teardown (void **state)
{
    stage_destroy (*state);
    return 0;
}

static job_t *s_fresh_job (stage_t *stage, unsigned number, const char *body)
{
    usi_fields_t fields = {0};
    USI_SET (&fields, KIND, kind, usi_bytes_of ("call"));
    USI_SET (&fields, ISOLATION, isolation, usi_bytes_of ("fresh"));
    return stage_job_of (stage, number, &fields, body);
}

static bool s_is_in_state (const job_t *job, job_state_t state)
{
    return job->state == state;
}

static bool s_is_ready (stage_t *stage, const void *arg)
{
    (void) stage;
    return s_is_in_state (arg, JOB_READY);
}

static bool s_is_returned (stage_t *stage, const void *arg)
{
    (void) stage;
    return s_is_in_state (arg, JOB_RETURNED);
}

/* --- giving ----------------------------------------------------------------------- */

static void test_each_worker_gets_one_first (void **state)
{
    stage_t *stage = *state;
    job_t *jobs[3];
    for (unsigned i = 0; i < 3; i++)
        jobs[i] = stage_job (stage, i, "deaf");
    stage_until_begun (stage, jobs[0]);
    stage_until_begun (stage, jobs[1]);
    assert_int_equal (stage_count_workers (stage), 2);
    assert_ptr_not_equal (jobs[0]->worker, jobs[1]->worker);
    assert_null (jobs[2]->worker); /* a long job never waits behind another */
    assert_int_equal (slots_busy (stage->node.slots), 3);
}

static void test_short_jobs_queue_in_a_worker (void **state)
{
    stage_t *stage = *state;
    job_t *first = stage_job (stage, 1, "echo"), *jobs[5];
    stage_until_ended (stage, first);
    worker_t *worker = stage->node.slots->workers;
    stage->node.pools->ewma_us = 50; /* whatever this machine took */
    for (unsigned i = 0; i < 5; i++)
        jobs[i] = stage_job (stage, 2 + i, "echo");
    slots_schedule (stage->node.slots);
    assert_int_equal (stage_count_workers (stage), 1);
    assert_int_equal (worker->jobs.len, 5);
    for (unsigned i = 0; i < 5; i++)
        stage_until_ended (stage, jobs[i]);
}

/* The first turns out to be a long one: what waits behind it is taken back. */
static void test_nothing_waits_behind_a_long_job (void **state)
{
    stage_t *stage = *state;
    job_t *first = stage_job (stage, 1, "echo");
    stage_until_ended (stage, first);
    worker_t *worker = stage->node.slots->workers;
    stage->node.pools->ewma_us = 50;
    job_t *job = stage_job (stage, 2, "deaf"), *behind = stage_job (stage, 3, "echo");
    slots_schedule (stage->node.slots);
    assert_ptr_equal (job->worker, worker);
    stage_until_ended (stage, behind); /* in the other slot */
    assert_int_equal (worker->jobs.len, 1);
    assert_true (worker->long_head);
    assert_int_equal (stage_count_workers (stage), 2);
}

static void test_fresh_jobs_get_a_process_each (void **state)
{
    stage_t *stage = *state;
    job_t *a = s_fresh_job (stage, 1, "echo a");
    stage_until_ended (stage, a);
    stage_until_quiet (stage); /* its worker is used no more */
    job_t *b = s_fresh_job (stage, 2, "echo b");
    stage_until_ended (stage, b);
    stage_check_result (b, "echo b");
}

/* --- several programs -------------------------------------------------------------- */

static job_t *s_job_of_program (stage_t *stage, unsigned number, const char *key,
                                const char *body)
{
    usi_fields_t fields = {0};
    USI_SET (&fields, KIND, kind, usi_bytes_of ("call"));
    USI_SET (&fields, KEY, key, usi_bytes_of (key));
    return stage_job_of (stage, number, &fields, body);
}

static worker_t *s_run_program (stage_t *stage, unsigned number, const char *key)
{
    job_t *job = s_job_of_program (stage, number, key, "echo");
    program_t *program = job->pool->program;
    stage_until_ended (stage, job);
    worker_t *worker = stage->node.slots->workers;
    while (worker && worker->program != program)
        worker = worker->next;
    assert_non_null (worker);
    return worker;
}

static void test_an_idle_worker_holds_no_slot (void **state)
{
    stage_t *stage = *state;
    worker_t *a = s_run_program (stage, 1, "a"), *b = s_run_program (stage, 2, "b");
    assert_ptr_not_equal (a, b);
    assert_int_equal (stage_count_workers (stage), 2);
    assert_ptr_equal (s_run_program (stage, 3, "a"), a); /* it was kept */
    assert_ptr_equal (s_run_program (stage, 4, "b"), b);
    assert_int_equal (a->done, 2);
}

static void test_slots_bound_what_runs (void **state)
{
    stage_t *stage = *state;
    s_run_program (stage, 1, "a");
    s_run_program (stage, 2, "b");
    job_t *running = s_job_of_program (stage, 3, "a", "wait");
    stage_until_begun (stage, running);
    job_t *waiting = s_job_of_program (stage, 4, "b", "echo");
    stage_until (stage, s_is_ready, waiting);
    assert_null (waiting->worker);
    slots_cancel (stage->node.slots, running, false);
    stage_until_ended (stage, waiting);
}

static void test_a_turn_ends_where_others_wait (void **state)
{
    stage_t *stage = *state;
    worker_t *a = s_run_program (stage, 1, "a");
    s_run_program (stage, 2, "b");
    job_t *running = s_job_of_program (stage, 3, "a", "deaf"), *more, *other;
    stage_until_begun (stage, running);
    running->pool->ewma_us = 50;
    a->long_head = false; /* as if it were a row of short ones */
    other = s_job_of_program (stage, 4, "b", "echo");
    more = s_job_of_program (stage, 5, "a", "echo");
    a->turn_since_us = usi_now_us ();
    slots_schedule (stage->node.slots);
    assert_ptr_equal (more->worker, a); /* it is still its turn */
    worker_take_back (a);
    a->turn_since_us -= 1000000;
    slots_schedule (stage->node.slots);
    assert_null (more->worker);
    slots_cancel (stage->node.slots, other, false);
    slots_schedule (stage->node.slots);
    assert_ptr_equal (more->worker, a);
}

static worker_t *s_spare (const stage_t *stage)
{
    worker_t *worker = stage->node.slots->workers;
    while (worker && worker->program)
        worker = worker->next;
    return worker;
}

static bool s_has_spare (stage_t *stage, const void *arg)
{
    (void) arg;
    return s_spare (stage) != NULL;
}

static void test_a_spare_worker_is_taken (void **state)
{
    stage_t *stage = *state;
    stage->node.options.idle_memory = UINT64_MAX;
    s_run_program (stage, 1, "a");
    stage_until (stage, s_has_spare, NULL);
    worker_t *spare = s_spare (stage);
    assert_ptr_equal (s_run_program (stage, 2, "b"), spare);
    stage_until (stage, s_has_spare, NULL); /* another one */
    assert_int_equal (stage_count_workers (stage), 3);
    slots_tidy (stage->node.slots);
    assert_int_equal (stage->node.programs->workers, 1);
}

static bool s_is_prepared (stage_t *stage, const void *arg)
{
    const job_t *last = arg;
    worker_t *worker = stage->node.slots->workers;
    while (worker && !(worker->program && worker->program->fresh &&
                       worker_is_idle (worker) && worker->done == 0))
        worker = worker->next;
    return worker && worker->sets_len == 1 && worker->sets[0] == last->spec->pool &&
           worker->program->workers == 1; /* the last one has gone */
}

/* The process for the next job of its program is made ready, and knows what it needs. */
static void test_the_next_fresh_worker_is_prepared (void **state)
{
    stage_t *stage = *state;
    stage->node.options.idle_memory = UINT64_MAX;
    for (unsigned i = 1; i < 4; i++) {
        job_t *job = s_fresh_job (stage, i, "echo");
        stage_until_ended (stage, job);
        stage_check_result (job, "echo");
        stage_until (stage, s_is_prepared, job);
    }
}

static void test_who_was_used_least_goes (void **state)
{
    stage_t *stage = *state;
    worker_t *a = s_run_program (stage, 1, "a"), *b = s_run_program (stage, 2, "b");
    s_run_program (stage, 3, "a");
    stage->node.options.idle_memory = process_own_memory (a->pid) * 3 / 2;
    slots_tidy (stage->node.slots);
    assert_int_equal (a->state, WORKER_LIVE);
    assert_int_equal (b->state, WORKER_ENDING);
    stage->node.options.idle_memory = 0;
    slots_tidy (stage->node.slots);
    stage_until_quiet (stage);
}

/* --- credit ----------------------------------------------------------------------- */

static void test_credit (void **state)
{
    stage_t *stage = *state;
    slots_t *slots = stage->node.slots;
    assert_int_equal (slots_credit (slots), 2); /* nothing is known of jobs yet */
    assert_int_equal (slots_credit (slots), 0); /* given, and not spent */
    slots_spend_credit (slots, 1);
    assert_int_equal (slots_credit (slots), 1);
    slots_spend_credit (slots, 99);
    assert_int_equal (slots_credit (slots), 2);
    slots_forget_credit (slots);
    slots->ewma_us = 50;
    assert_int_equal (slots_credit (slots), 2 * pool_depth_for (50));
    slots_forget_credit (slots);
    stage->node.draining = true;
    assert_int_equal (slots_credit (slots), 0);
}

static void test_held_jobs_take_credit (void **state)
{
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "deaf");
    stage_until_begun (stage, job);
    assert_int_equal (slots_credit (stage->node.slots), 1);
}

/* --- going back ------------------------------------------------------------------- */

static void test_a_waiting_job_goes_back_where_all_are_busy (void **state)
{
    stage_t *stage = *state;
    job_t *running = stage_job (stage, 1, "deaf"), *waiting;
    stage_until_begun (stage, running);
    waiting = stage_job (stage, 2, "echo");
    stage_until (stage, s_is_ready, waiting);
    stage_until (stage, s_is_returned, waiting);
    assert_int_equal (running->state, JOB_GIVEN);
}

static void test_cancel_of_a_job_that_waits (void **state)
{
    stage_t *stage = *state;
    job_t *running = stage_job (stage, 1, "deaf");
    stage_until_begun (stage, running);
    job_t *waiting = stage_job (stage, 2, "echo");
    slots_cancel (stage->node.slots, waiting, false);
    stage_check_end (waiting, USI_STOPPED, US_ERR_CANCELLED);
    assert_int_equal (running->state, JOB_GIVEN);
}

/* It has been taken by the worker, or may have been, and has not begun. */
static void test_cancel_of_a_job_behind_another (void **state)
{
    stage_t *stage = *state;
    job_t *running = stage_job (stage, 1, "deaf");
    stage_until_begun (stage, running);
    job_t *behind = stage_job (stage, 2, "echo");
    assert_true (worker_give (running->worker, behind));
    slots_cancel (stage->node.slots, behind, false);
    stage_check_end (behind, USI_STOPPED, US_ERR_CANCELLED);
    assert_int_equal (running->worker->jobs.len, 1);
}

/* The environment was found broken meanwhile: a job that comes back to its pool ends
 * there, and this one is freed, since nobody wants it. */
static void test_a_lost_lease_behind_another_in_a_broken_environment (void **state)
{
    stage_t *stage = *state;
    job_t *running = stage_job (stage, 1, "deaf");
    stage_until_begun (stage, running);
    job_t *behind = stage_job (stage, 2, "echo");
    assert_true (worker_give (running->worker, behind));
    env_broken (running->pool->program->env, "it does not start");
    assert_false (job_forget (&stage->node, behind));
    slots_cancel (stage->node.slots, behind, true);
    assert_int_equal (running->worker->jobs.len, 1);
    assert_int_equal (stage->node.jobs->results.len, 0);
}

static void test_a_drain_hands_running_jobs_back (void **state)
{
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "wait");
    stage_until_begun (stage, job);
    slots_stop_all (stage->node.slots);
    stage_until (stage, s_is_returned, job);
}

static void test_idle_workers_retire (void **state)
{
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "echo");
    stage_until_ended (stage, job);
    stage->node.options.idle_memory = UINT64_MAX;
    slots_tidy (stage->node.slots);
    assert_int_equal (stage_count_workers (stage), 1); /* it was in use just now */
    assert_true (worker_is_idle (stage->node.slots->workers));
    stage->node.slots->workers->turn_since_us -= 10 * 60 * 1000000LL;
    slots_tidy (stage->node.slots);
    stage_until_quiet (stage);
    assert_true (slots_are_quiet (stage->node.slots));
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, s_setup, s_teardown)
#define ONE(name)  cmocka_unit_test_setup_teardown (name, s_setup_one, s_teardown)

int main (int argc, char **argv)
{
    fake_zygote (argc, argv);
    const struct CMUnitTest tests[] = {
        TEST (test_each_worker_gets_one_first),
        TEST (test_short_jobs_queue_in_a_worker),
        TEST (test_nothing_waits_behind_a_long_job),
        TEST (test_fresh_jobs_get_a_process_each),
        ONE (test_an_idle_worker_holds_no_slot),
        ONE (test_slots_bound_what_runs),
        ONE (test_a_turn_ends_where_others_wait),
        ONE (test_a_spare_worker_is_taken),
        ONE (test_the_next_fresh_worker_is_prepared),
        ONE (test_who_was_used_least_goes),
        TEST (test_credit),
        TEST (test_held_jobs_take_credit),
        ONE (test_a_waiting_job_goes_back_where_all_are_busy),
        ONE (test_cancel_of_a_job_that_waits),
        ONE (test_cancel_of_a_job_behind_another),
        ONE (test_a_lost_lease_behind_another_in_a_broken_environment),
        ONE (test_a_drain_hands_running_jobs_back),
        TEST (test_idle_workers_retire),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

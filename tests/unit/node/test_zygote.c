/* SPDX-License-Identifier: MIT
 *
 * Zygotes: started before they are needed, started again when they have died, and an
 * environment that is found broken where they do not start. */
#include "stage.h"

#include <signal.h>
#include <stdlib.h>

#include "fake_zygote.h"
#include "host/process.h"

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

static pid_t s_pid_of (stage_t *stage, pid_t other)
{
    static pid_t pids[64];
    size_t count = process_children (pids, 64);
    for (size_t i = 0; i < count; i++)
        if (pids[i] != other && zygotes_have (&stage->node, pids[i]))
            return pids[i];
    return 0;
}

static bool s_is_gone (stage_t *stage, const void *arg)
{
    return !zygotes_have (&stage->node, *(const pid_t *) arg);
}

static void test_it_is_loaded_with_the_environment (void **state)
{
    stage_t *stage = *state;
    assert_int_equal (s_pid_of (stage, 0), 0);
    job_t *job = stage_job (stage, 1, "echo"); /* whose environment is ready at once */
    assert_int_not_equal (s_pid_of (stage, 0), 0);
    stage_until_ended (stage, job);
}

static void test_it_is_started_again (void **state)
{
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "echo");
    stage_until_ended (stage, job);
    pid_t pid = s_pid_of (stage, 0);
    kill (pid, SIGKILL);
    stage_until (stage, s_is_gone, &pid);
    stage_job (stage, 2, "die"); /* its worker outlived the zygote */
    stage_until_quiet (stage);
    job = stage_job (stage, 3, "echo");
    stage_until_ended (stage, job);
    stage_check_result (job, "echo");
    assert_int_not_equal (s_pid_of (stage, 0), pid);
}

static void test_it_ends_when_it_is_told (void **state)
{
    stage_t *stage = *state;
    job_t *job = stage_job (stage, 1, "echo");
    env_t *env = job->pool->program->env;
    stage_until_ended (stage, job);
    pid_t pid = s_pid_of (stage, 0);
    zygote_end (&stage->node, env);
    stage_until (stage, s_is_gone, &pid);
    zygote_prepare (&stage->node, env);
    assert_int_not_equal (s_pid_of (stage, 0), 0);
}

static bool s_is_broken (stage_t *stage, const void *arg)
{
    env_t *env = (env_t *) (uintptr_t) arg;
    zygote_fork_t request = {.job_socket = 0, .log_pipe = 1};
    if (env->state == ENV_READY && s_pid_of (stage, 0) == 0)
        zygote_fork (&stage->node, env, &request); /* asks for another one */
    return env->state == ENV_FAILED;
}

static void test_an_interpreter_that_does_not_start (void **state)
{
    stage_t *stage = *state;
    usi_list_t none = {0};
    env_request_t request;
    char *why = NULL;
    stage_touch (stage, "no-zygote");
    env_request_make (&request, &none, &none, &stage->python, NULL, &why);
    env_t *env = envs_get (stage->node.envs, &request);
    env_want (env);
    assert_int_equal (env->state, ENV_READY);
    stage_until (stage, s_is_broken, env);
    /* A job that comes now is told so, in what the zygote said last. */
    job_t *job = stage_job (stage, 1, "echo");
    stage_check_end (job, USI_FAILED, US_ERR_ENV_BUILD);
    stage_check_says (job, "the interpreter of the environment does not start");
    stage_check_says (job, "it has no wings");
    assert_int_equal (stage->node.pools->state, POOL_COLD);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, s_setup, s_teardown)

int main (int argc, char **argv)
{
    fake_zygote (argc, argv);
    const struct CMUnitTest tests[] = {
        TEST (test_it_is_loaded_with_the_environment),
        TEST (test_it_is_started_again),
        TEST (test_it_ends_when_it_is_told),
        TEST (test_an_interpreter_that_does_not_start),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

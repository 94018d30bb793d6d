/* SPDX-License-Identifier: MIT
 *
 * Who takes the engine's turns: callers with one job, others beside them, nobody, and
 * the thread again (drive.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "client.h"
#include "fake_broker.h"
#include "understudy/understudy.h"

#define WAIT 20000

static fake_broker_t s_broker;
static us_client_t *s_client;

static void s_pause (void)
{
    usleep (1000);
}

static us_result_t *s_submit (const char *command)
{
    us_job_t *job;
    us_result_t *result;
    US_ASSERT (us_job_new (&job, "default") == US_OK);
    US_ASSERT (us_job_set_shell (job, command) == US_OK);
    US_ASSERT (us_submit (s_client, &job, &result) == US_OK);
    return result;
}

static unsigned s_drives (void)
{
    client_lock (s_client);
    unsigned drives = s_client->drives;
    client_unlock (s_client);
    return drives;
}

static bool s_is_driven_by (driver_t driver)
{
    client_lock (s_client);
    bool is =
        s_client->driver == driver && (driver != DRIVER_THREAD || s_client->asleep);
    client_unlock (s_client);
    return is;
}

static void s_await_driver (driver_t driver)
{
    while (!s_is_driven_by (driver))
        s_pause ();
}

static int s_setup (void **state)
{
    us_options_t *options;
    (void) state;
    memset (&s_broker, 0, sizeof s_broker);
    fake_start (&s_broker, NULL);
    setenv ("UNDERSTUDY_CONFIG", "/dev/null", 1);
    US_ASSERT (us_options_new (&options, NULL, 0) == US_OK);
    US_ASSERT (us_options_set_broker (options, s_broker.endpoint) == US_OK);
    US_ASSERT (us_client_new (&s_client, options) == US_OK);
    us_options_destroy (&options);
    US_ASSERT (us_client_connect (s_client) == US_OK);
    s_await_driver (DRIVER_THREAD);
    return 0;
}

static int s_teardown (void **state)
{
    (void) state;
    us_client_destroy (&s_client);
    fake_stop (&s_broker);
    fake_free (&s_broker);
    return 0;
}

static us_err_t s_finish (us_result_t *result)
{
    us_err_t err = us_result_wait (result, WAIT);
    us_result_destroy (&result);
    return err;
}

/* In short waits: the engine may be at work just when one begins, which then does not
 * drive. */
static void *s_wait_in_thread (void *arg)
{
    us_err_t err;
    do
        err = us_result_wait (arg, 100);
    while (err == US_ERR_TIMEOUT);
    return (void *) (intptr_t) err;
}

static void *s_round_in_thread (void *arg)
{
    int rounds = *(int *) arg;
    for (int i = 0; i < rounds; i++)
        US_ASSERT (s_finish (s_submit ("x")) == US_OK);
    return NULL;
}

static us_err_t s_join (pthread_t thread)
{
    void *err;
    pthread_join (thread, &err);
    return (us_err_t) (intptr_t) err;
}

/* Some caller waits for a job that is held back, and drives. */
static us_result_t *s_hold (pthread_t *thread)
{
    atomic_store (&s_broker.hold, true);
    us_result_t *result = s_submit ("held");
    US_ASSERT (us_result_accepted (result, WAIT) == US_OK);
    s_await_driver (DRIVER_THREAD);
    pthread_create (thread, NULL, s_wait_in_thread, result);
    s_await_driver (DRIVER_CALLER);
    return result;
}

/* Submitting and waiting by turns needs no other thread (200 rounds could drive 400
 * times; the thread may be awake just then), which has the engine back once
 * nothing more comes. */
static void test_alone (void **state)
{
    int rounds = 200;
    (void) state;
    unsigned before = s_drives ();
    s_round_in_thread (&rounds);
    assert_true (s_drives () - before >= 50);
    s_await_driver (DRIVER_THREAD);
}

/* Nobody waits, and yet the end is seen. */
static void test_nobody_waits (void **state)
{
    (void) state;
    us_result_t *result = s_submit ("x");
    while (us_result_state (result) != US_STATE_SUCCEEDED)
        s_pause ();
    us_result_destroy (&result);
}

static void test_subscribed (void **state)
{
    (void) state;
    for (int i = 0; i < 50; i++) {
        us_result_t *result = s_submit ("x");
        us_event_t event = {0};
        size_t count = 0;
        assert_int_equal (us_result_subscribe (result, US_EVENT_ENDED, NULL), US_OK);
        assert_false (s_is_driven_by (DRIVER_NOBODY));
        while (us_client_events (s_client, &event, 1, &count) == US_OK && count == 0)
            s_pause ();
        assert_ptr_equal (event.result, result);
        us_result_destroy (&event.result);
        us_result_destroy (&result);
    }
}

/* Beside one who drives: others who submit, wait for the same, ask. */
static void test_beside_a_driver (void **state)
{
    pthread_t first, second;
    us_state_t before;
    (void) state;
    us_result_t *held = s_hold (&first);
    pthread_create (&second, NULL, s_wait_in_thread, held);
    us_result_t *other = s_submit ("other");
    assert_int_equal (us_result_accepted (other, WAIT), US_OK);
    assert_int_equal (us_result_cancel (other, US_CANCEL_QUEUED, &before, WAIT), US_OK);
    assert_int_equal (s_finish (other), US_OK);
    atomic_store (&s_broker.hold, false);
    assert_int_equal (s_join (first), US_OK);
    assert_int_equal (s_join (second), US_OK);
    us_result_destroy (&held);
}

/* What is left when the driver leaves is the thread's. */
static void test_left_to_the_thread (void **state)
{
    (void) state;
    atomic_store (&s_broker.hold, true);
    us_result_t *result = s_submit ("x");
    assert_int_equal (us_result_accepted (result, WAIT), US_OK);
    s_await_driver (DRIVER_THREAD);
    unsigned before = s_drives ();
    while (s_drives () == before)
        assert_int_equal (us_result_wait (result, 20), US_ERR_TIMEOUT);
    atomic_store (&s_broker.hold, false);
    while (us_result_state (result) != US_STATE_SUCCEEDED)
        s_pause ();
    us_result_destroy (&result);
}

static void test_outage (void **state)
{
    pthread_t thread;
    char endpoint[64];
    (void) state;
    us_result_t *held = s_hold (&thread);
    memcpy (endpoint, s_broker.endpoint, sizeof endpoint);
    fake_stop (&s_broker);
    atomic_store (&s_broker.hold, false);
    fake_start (&s_broker, endpoint);
    assert_int_equal (s_join (thread), US_OK);
    us_result_destroy (&held);
}

static void test_destroyed_under_a_driver (void **state)
{
    pthread_t thread;
    (void) state;
    us_result_t *held = s_hold (&thread);
    us_client_destroy (&s_client);
    assert_int_equal (s_join (thread), US_ERR_CLOSED);
    us_result_destroy (&held);
}

static void test_fork_under_a_driver (void **state)
{
    pthread_t thread;
    int status = 1;
    (void) state;
    us_result_t *held = s_hold (&thread);
    pid_t pid = fork ();
    if (pid == 0) {
        bool good = us_result_wait (held, WAIT) == US_OK &&
                    s_finish (s_submit ("child")) == US_OK;
        us_result_destroy (&held);
        us_client_destroy (&s_client);
        _exit (good ? 0 : 1);
    }
    atomic_store (&s_broker.hold, false);
    assert_int_equal (waitpid (pid, &status, 0), pid);
    assert_int_equal (status, 0);
    assert_int_equal (s_join (thread), US_OK);
    us_result_destroy (&held);
}

/* Threads that are alone at times, and at times not. */
static void test_by_turns (void **state)
{
    pthread_t threads[3];
    int rounds = 300;
    (void) state;
    for (int i = 0; i < 3; i++)
        pthread_create (&threads[i], NULL, s_round_in_thread, &rounds);
    for (int i = 0; i < 3; i++)
        pthread_join (threads[i], NULL);
    s_await_driver (DRIVER_THREAD);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, s_setup, s_teardown)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_alone),
        TEST (test_nobody_waits),
        TEST (test_subscribed),
        TEST (test_beside_a_driver),
        TEST (test_left_to_the_thread),
        TEST (test_outage),
        TEST (test_destroyed_under_a_driver),
        TEST (test_fork_under_a_driver),
        TEST (test_by_turns),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

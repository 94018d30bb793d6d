/* SPDX-License-Identifier: MIT
 *
 * Who takes the engine's turns: callers with one job, others beside them, nobody, and
 * the thread again (drive.c). */
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "drive.h"
#include "engine_internal.h"
#include "fake_broker.h"
#include "shared.h"
#include "understudy/understudy.h"

#define WAIT 20000

static fake_broker_t s_broker;
static us_client_t *s_client;

static void s_pause (void)
{
    usleep (1000);
}

/* --- seams ------------------------------------------------------------------------ */

/* A sleeper that is woken late: it looks once more at what there is, later. */
typedef struct late {
    atomic_bool armed;
    sem_t woken, go_on;
    atomic_int seen; /* descriptors at the second look */
} late_t;

static late_t s_late_thread, s_late_caller;

static int s_real_ppoll (struct pollfd *items, nfds_t count,
                         const struct timespec *timeout, const sigset_t *signals)
{
    struct timespec left = timeout ? *timeout : (struct timespec){0};
    return (int) syscall (SYS_ppoll, items, count, timeout ? &left : NULL, signals,
                          _NSIG / 8);
}

/* Instead of the system's, for the engine: the thread's first descriptor is its own, a
 * caller has none. */
/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
int ppoll (struct pollfd *items, nfds_t count, const struct timespec *timeout,
           const sigset_t *signals)
{
    int rc = s_real_ppoll (items, count, timeout, signals);
    int error = errno;
    late_t *late = items[0].fd >= 0 ? &s_late_thread : &s_late_caller;
    if (rc > 0 && atomic_exchange (&late->armed, false)) {
        struct timespec at_once = {0};
        sem_post (&late->woken);
        sem_wait (&late->go_on);
        rc = s_real_ppoll (items, count, &at_once, signals);
        atomic_store (&late->seen, rc);
    }
    errno = error;
    return rc;
}

static atomic_bool s_raise;
static pthread_t s_waiting;
static atomic_bool s_sought_by_caller;

static void s_on_signal (int number)
{
    (void) number;
}

static void s_on_log (us_log_level_t level, const char *text, void *arg)
{
    (void) level;
    (void) arg;
    if (atomic_load (&s_broker.flood))
        s_pause (); /* slower than the broker sends */
    if (strstr (text, "-> GREETING") && pthread_equal (pthread_self (), s_waiting))
        atomic_store (&s_sought_by_caller, true);
    /* In a turn of its own: between two waits it would be lost. */
    if (pthread_equal (pthread_self (), s_waiting) && atomic_exchange (&s_raise, false))
        pthread_kill (s_waiting, SIGUSR1);
}

/* --- helpers ---------------------------------------------------------------------- */

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
    fake_start (&s_broker);
    fake_no_settings ();
    US_ASSERT (us_options_new (&options, NULL, 0) == US_OK);
    US_ASSERT (us_options_set_broker (options, s_broker.endpoint) == US_OK);
    us_options_set_log (options, s_on_log, NULL);
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
    s_waiting = pthread_self ();
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

/* Nobody waits, and yet the end is seen: whoever looks has it watched for. */
static void test_nobody_waits (void **state)
{
    (void) state;
    us_result_t *result = s_submit ("x");
    us_result_state (result);
    assert_false (s_is_driven_by (DRIVER_NOBODY));
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
    (void) state;
    us_result_t *held = s_hold (&thread);
    atomic_store (&s_sought_by_caller, false);
    fake_stop (&s_broker);
    atomic_store (&s_broker.hold, false);
    fake_start (&s_broker);
    assert_int_equal (s_join (thread), US_OK);
    us_result_destroy (&held);
    /* To ask a registry for brokers takes longer than a caller may have. */
    assert_false (atomic_load (&s_sought_by_caller));
}

/* Messages that never end do not keep a caller beyond its time. */
static void test_flood (void **state)
{
    pthread_t thread;
    (void) state;
    us_result_t *held = s_hold (&thread);
    int64_t end = usi_now_ms () + WAIT;
    atomic_store (&s_broker.flood, true);
    while (s_is_driven_by (DRIVER_CALLER) && usi_now_ms () < end)
        s_pause ();
    bool in_time = usi_now_ms () < end;
    atomic_store (&s_broker.flood, false);
    atomic_store (&s_broker.hold, false);
    assert_int_equal (s_join (thread), US_OK);
    us_result_destroy (&held);
    assert_true (in_time);
}

/* A signal ends the wait also when it comes while the caller takes a turn; unless its
 * time is over with that turn: then in the next wait. */
static void test_signal_in_a_turn (void **state)
{
    pthread_t thread;
    struct sigaction action = {.sa_handler = s_on_signal};
    int64_t end = usi_now_ms () + WAIT;
    void *err;
    (void) state;
    sigaction (SIGUSR1, &action, NULL);
    us_result_t *held = s_hold (&thread);
    while (pthread_tryjoin_np (thread, &err) != 0) {
        atomic_store (&s_raise, true);
        if (s_is_driven_by (DRIVER_CALLER)) /* what the client logs */
            atomic_store (&s_broker.forget_peer, true);
        if (usi_now_ms () > end)
            atomic_store (&s_broker.hold, false);
        s_pause ();
    }
    atomic_store (&s_raise, false);
    assert_int_equal ((intptr_t) err, US_ERR_INTERRUPTED);
    us_result_destroy (&held);
}

static void *s_sleep_once (void *arg)
{
    us_client_t *client = arg;
    sigset_t signals;
    pthread_sigmask (SIG_SETMASK, NULL, &signals);
    client_lock (client);
    while (!drive_begin (client, 1)) {
        client_unlock (client);
        s_pause ();
        client_lock (client);
    }
    drive_sleep (client, -1, &signals);
    drive_end (client, 0);
    client_unlock (client);
    return NULL;
}

static bool s_stands_by (void)
{
    client_lock (s_client);
    bool is = s_client->engine->drives == s_client->drives;
    client_unlock (s_client);
    return is;
}

/* The thread leaves its sleep so late that the caller who drives sleeps already: it
 * must not take the word that somebody has for the caller. */
static void test_late_thread (void **state)
{
    pthread_t thread;
    (void) state;
    sem_init (&s_late_thread.woken, 0, 0);
    sem_init (&s_late_thread.go_on, 0, 0);
    sem_init (&s_late_caller.woken, 0, 0);
    sem_init (&s_late_caller.go_on, 0, 0);
    atomic_store (&s_late_thread.armed, true);
    pthread_create (&thread, NULL, s_sleep_once, s_client);
    sem_wait (&s_late_thread.woken);
    client_lock (s_client);
    while (s_client->driver != DRIVER_CALLER || !s_client->asleep) {
        client_unlock (s_client);
        s_pause ();
        client_lock (s_client);
    }
    atomic_store (&s_late_caller.armed, true);
    drive_wake (s_client);
    client_unlock (s_client);
    sem_wait (&s_late_caller.woken);
    sem_post (&s_late_thread.go_on);
    while (!s_stands_by ())
        s_pause ();
    sem_post (&s_late_caller.go_on);
    pthread_join (thread, NULL);
    assert_true (atomic_load (&s_late_caller.seen) > 0);
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
        TEST (test_flood),
        TEST (test_signal_in_a_turn),
        TEST (test_late_thread),
        TEST (test_destroyed_under_a_driver),
        TEST (test_fork_under_a_driver),
        TEST (test_by_turns),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

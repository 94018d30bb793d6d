/* SPDX-License-Identifier: MIT
 *
 * Many threads on one client: submitting, waiting, cancelling, reading events. Meant
 * for ThreadSanitizer (US_SANITIZER=thread); libzmq is not instrumented, so what only
 * passes through it is suppressed (fake_broker.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_broker.h"
#include "understudy/understudy.h"

#define WAIT    60000
#define THREADS 4
#define ROUNDS  300

static fake_broker_t s_broker;
static us_client_t *s_client;
static atomic_int s_events_seen;
static atomic_bool s_done;

/* An envelope is an array, and more is not looked at. */
#define CALL "\x90"

static us_result_t *s_submit (const char *call, bool stream)
{
    us_job_t *job;
    us_result_t *result = NULL;
    US_ASSERT (us_job_new (&job, "default") == US_OK);
    US_ASSERT (us_job_set_call (job, call, strlen (call)) == US_OK);
    us_job_set_stream_log (job, stream);
    US_ASSERT (us_submit (s_client, &job, &result) == US_OK);
    return result;
}

static void *s_work (void *arg)
{
    char *large = arg;
    for (int i = 0; i < ROUNDS; i++) {
        us_result_t *result = s_submit (i % 50 == 0 ? large : CALL, i % 3 == 0);
        us_result_t *other = us_result_dup (result);
        char buffer[16];
        size_t len;
        us_result_info_t info;
        us_state_t state;
        us_result_subscribe (result, US_EVENT_ACCEPTED | US_EVENT_ENDED | US_EVENT_LOG,
                             NULL);
        if (i % 7 == 0)
            us_result_cancel (result, US_CANCEL_QUEUED, &state, WAIT);
        if (i % 5 == 0)
            us_result_read_log (result, 0, 0, buffer, sizeof buffer, &len, WAIT);
        US_ASSERT (us_result_wait (other, WAIT) == US_OK);
        us_result_info (other, &info);
        us_result_destroy (&result);
        us_result_destroy (&other);
    }
    return NULL;
}

static void *s_listen (void *arg)
{
    (void) arg;
    while (!atomic_load (&s_done)) {
        us_event_t events[16];
        size_t count = 0;
        zmq_pollitem_t item = {.fd = us_client_event_fd (s_client),
                               .events = ZMQ_POLLIN};
        zmq_poll (&item, 1, 20);
        us_client_events (s_client, events, 16, &count);
        for (size_t i = 0; i < count; i++) {
            if (events[i].types & US_EVENT_ENDED)
                atomic_fetch_add (&s_events_seen, 1);
            us_result_destroy (&events[i].result);
        }
    }
    return NULL;
}

static void test_threads (void **state)
{
    (void) state;
    enum { LARGE = 1500000 };
    pthread_t workers[THREADS], listener;
    us_options_t *options;
    char *large = calloc (1, LARGE + 1);
    memset (large, 'y', LARGE);
    large[0] = *CALL;
    s_broker.log = "a line\n";
    fake_start (&s_broker);
    fake_no_settings ();
    assert_int_equal (us_options_new (&options, NULL, 0), US_OK);
    assert_int_equal (us_options_set_broker (options, s_broker.endpoint), US_OK);
    assert_int_equal (us_client_new (&s_client, options), US_OK);
    us_options_destroy (&options);
    pthread_create (&listener, NULL, s_listen, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_create (&workers[i], NULL, s_work, large);
    for (int i = 0; i < THREADS; i++)
        pthread_join (workers[i], NULL);
    while (atomic_load (&s_events_seen) < THREADS * ROUNDS)
        usleep (1000);
    atomic_store (&s_done, true);
    pthread_join (listener, NULL);
    us_client_destroy (&s_client);
    fake_stop (&s_broker);
    fake_free (&s_broker);
    free (large);
}

int main (void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test (test_threads)};
    return cmocka_run_group_tests (tests, NULL, NULL);
}

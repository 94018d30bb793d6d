/* SPDX-License-Identifier: MIT
 *
 * The whole client against a small broker in a thread (fake_broker.h). */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fake_broker.h"
#include "understudy/understudy.h"

#define WAIT 20000

static fake_broker_t s_broker;

static us_client_t *s_client_at (const char *endpoint, int64_t connect_ms)
{
    us_options_t *options;
    us_client_t *client;
    fake_no_settings ();
    assert_int_equal (us_options_new (&options, NULL, 0), US_OK);
    assert_int_equal (us_options_set_broker (options, endpoint), US_OK);
    assert_int_equal (us_options_set_connect_timeout_ms (options, connect_ms), US_OK);
    assert_int_equal (us_client_new (&client, options), US_OK);
    us_options_destroy (&options);
    return client;
}

static us_client_t *s_client (void)
{
    return s_client_at (s_broker.endpoint, WAIT);
}

static us_job_t *s_job (const char *command)
{
    us_job_t *job;
    assert_int_equal (us_job_new (&job, "default"), US_OK);
    assert_int_equal (us_job_set_shell (job, command), US_OK);
    return job;
}

static us_result_t *s_submit (us_client_t *client, const char *command)
{
    us_job_t *job = s_job (command);
    us_result_t *result;
    assert_int_equal (us_submit (client, &job, &result), US_OK);
    assert_null (job);
    return result;
}

static void s_expect_body (us_result_t *result, const char *expected)
{
    const void *data;
    size_t len;
    assert_int_equal (us_result_wait (result, WAIT), US_OK);
    assert_int_equal (us_result_body (result, &data, &len), US_OK);
    assert_int_equal (len, strlen (expected));
    assert_memory_equal (data, expected, len);
}

static int s_setup (void **state)
{
    (void) state;
    memset (&s_broker, 0, sizeof s_broker);
    fake_start (&s_broker);
    return 0;
}

static int s_teardown (void **state)
{
    (void) state;
    fake_stop (&s_broker);
    fake_free (&s_broker);
    return 0;
}

static void test_round_trip (void **state)
{
    (void) state;
    us_client_t *client = s_client ();
    size_t lost = 7;
    assert_int_equal (us_client_connect (client), US_OK);
    assert_string_equal (us_client_endpoint (client), s_broker.endpoint);
    us_result_t *result = s_submit (client, "hello");
    assert_int_equal (us_result_accepted (result, WAIT), US_OK);
    s_expect_body (result, "hello");
    assert_int_equal (us_result_state (result), US_STATE_SUCCEEDED);
    assert_int_equal (us_result_code (result), US_OK);
    assert_string_equal (us_result_text (result), "");
    us_result_drop_body (result);
    s_expect_body (result, "");
    assert_int_equal (us_result_state (result), US_STATE_SUCCEEDED);
    us_result_drop_body (NULL);
    assert_int_equal (us_client_flush (client, 0, &lost), US_OK);
    assert_int_equal (lost, 0);
    us_result_destroy (&result);
    us_client_destroy (&client);
}

static void test_many (void **state)
{
    (void) state;
    enum { COUNT = 20000 };
    us_client_t *client = s_client ();
    us_result_t **results = calloc (COUNT, sizeof *results);
    for (int i = 0; i < COUNT; i++)
        results[i] = s_submit (client, "x");
    assert_int_equal (us_client_flush (client, WAIT, NULL), US_OK);
    for (int i = 0; i < COUNT; i++) {
        s_expect_body (results[i], "x");
        us_result_destroy (&results[i]);
    }
    assert_true (atomic_load (&s_broker.submits) < COUNT);
    us_client_destroy (&client);
    free (results);
}

/* The last handle goes before the broker has answered: the engine alone holds the job
 * then, and lets go of it at the answer. */
static void test_destroyed_before_accepted (void **state)
{
    (void) state;
    us_client_t *client = s_client ();
    for (int i = 0; i < 100; i++) {
        us_result_t *result = s_submit (client, "x");
        us_result_destroy (&result);
    }
    assert_int_equal (us_client_flush (client, WAIT, NULL), US_OK);
    us_client_destroy (&client);
    int64_t deadline =
        usi_now_ms () + WAIT; /* the broker ends them after it accepted */
    while (atomic_load (&s_broker.finished) < 100 && usi_now_ms () < deadline)
        usleep (1000);
    assert_true (atomic_load (&s_broker.finished) >= 100);
}

static void test_unreachable (void **state)
{
    (void) state;
    us_client_t *client = s_client_at ("tcp://127.0.0.1:1", 300);
    int64_t start = usi_now_ms ();
    us_result_t *result = s_submit (client, "x");
    assert_int_equal (us_result_accepted (result, WAIT), US_ERR_UNREACHABLE);
    assert_true (usi_now_ms () - start < 5000); /* the default */
    assert_int_equal (us_result_state (result), US_STATE_REFUSED);
    assert_non_null (strstr (us_result_text (result), "tcp://127.0.0.1:1"));
    assert_non_null (strstr (us_result_text (result), "understudy-broker"));
    assert_int_equal (us_client_connect (client), US_ERR_UNREACHABLE);
    assert_non_null (strstr (us_client_error_text (client), "understudy-broker"));
    us_result_destroy (&result);
    us_client_destroy (&client);
}

/* The second address answers, the first does not. */
static void test_second_address (void **state)
{
    (void) state;
    char both[200];
    snprintf (both, sizeof both, "tcp://127.0.0.1:1, %s", s_broker.endpoint);
    us_client_t *client = s_client_at (both, WAIT);
    assert_int_equal (us_client_connect (client), US_OK);
    assert_string_equal (us_client_endpoint (client), s_broker.endpoint);
    us_client_destroy (&client);
}

static void test_refusals (void **state)
{
    (void) state;
    us_client_t *client = s_client ();
    atomic_store (&s_broker.refuse, US_ERR_INVALID);
    us_result_t *result = s_submit (client, "x");
    assert_int_equal (us_result_accepted (result, WAIT), US_ERR_INVALID);
    assert_string_equal (us_result_text (result), "the fake broker refuses");
    us_result_destroy (&result);
    atomic_store (&s_broker.refuse, US_ERR_STORE); /* tried again until it works */
    result = s_submit (client, "y");
    assert_int_equal (us_result_accepted (result, 600), US_ERR_TIMEOUT);
    atomic_store (&s_broker.refuse, 0);
    s_expect_body (result, "y");
    us_result_destroy (&result);
    us_client_destroy (&client);
}

static void test_log (void **state)
{
    (void) state;
    us_client_t *client = s_client ();
    s_broker.log = "one\ntwo\n";
    char buffer[100];
    size_t len;
    us_job_t *job = s_job ("x");
    us_result_t *result;
    us_job_set_stream_log (job, true);
    assert_int_equal (us_submit (client, &job, &result), US_OK);
    assert_int_equal (us_result_read_log (result, 0, 0, buffer, sizeof buffer, &len,
                                          WAIT),
                      US_OK);
    assert_int_equal (len, 8);
    assert_int_equal (us_result_wait (result, WAIT), US_OK);
    assert_int_equal (us_result_read_log (result, 0, 8, buffer, sizeof buffer, &len,
                                          WAIT),
                      US_OK);
    assert_int_equal (len, 0);
    us_result_destroy (&result);

    result = s_submit (client, "x"); /* asked for after the end */
    assert_int_equal (us_result_wait (result, WAIT), US_OK);
    assert_int_equal (us_result_read_log (result, 0, 4, buffer, sizeof buffer, &len,
                                          WAIT),
                      US_OK);
    assert_int_equal (len, 4);
    assert_memory_equal (buffer, "two\n", 4);
    us_result_destroy (&result);
    us_client_destroy (&client);
}

/* The hint and the answer to a WATCH both tell the end: neither is the end of a log that
 * was asked for between them. */
static void test_log_after_two_ends (void **state)
{
    (void) state;
    us_client_t *client = s_client ();
    s_broker.log = "one\ntwo\n";
    atomic_store (&s_broker.stutter, true);
    char buffer[100];
    size_t len;
    us_result_t *result = s_submit (client, "x");
    assert_int_equal (us_result_wait (result, WAIT), US_OK);
    assert_int_equal (us_result_read_log (result, 0, 0, buffer, sizeof buffer, &len,
                                          WAIT),
                      US_OK);
    assert_int_equal (len, 8);
    atomic_store (&s_broker.stutter, false);
    us_result_destroy (&result);
    us_client_destroy (&client);
}

static void test_open (void **state)
{
    (void) state;
    us_client_t *client = s_client ();
    us_result_t *result = s_submit (client, "again");
    us_id_t id = us_result_id (result);
    assert_int_equal (us_result_wait (result, WAIT), US_OK);
    us_result_t *opened;
    assert_int_equal (us_result_open (client, &id, &opened), US_OK);
    s_expect_body (opened, "again");
    us_result_destroy (&opened);
    us_id_new (&id, "default");
    assert_int_equal (us_result_open (client, &id, &opened), US_OK);
    assert_int_equal (us_result_wait (opened, WAIT), US_OK);
    assert_int_equal (us_result_code (opened), US_ERR_UNKNOWN_JOB);
    assert_int_equal (us_result_state (opened), US_STATE_REFUSED);
    us_result_destroy (&opened);
    us_result_destroy (&result);
    us_client_destroy (&client);
}

static void test_cancel (void **state)
{
    (void) state;
    us_client_t *client = s_client ();
    us_state_t now;
    atomic_store (&s_broker.hold, true);
    us_result_t *result = s_submit (client, "x");
    assert_int_equal (us_result_accepted (result, WAIT), US_OK);
    assert_int_equal (us_result_cancel (result, US_CANCEL_QUEUED, &now, WAIT), US_OK);
    assert_int_equal (now, US_STATE_CANCELLED);
    assert_int_equal (us_result_wait (result, WAIT), US_OK);
    assert_int_equal (us_result_code (result), US_ERR_CANCELLED);
    assert_string_equal (us_result_text (result), "the job was cancelled");
    assert_int_equal (us_result_cancel (result, US_CANCEL_QUEUED, &now, WAIT),
                      US_ERR_ENDED);
    us_result_destroy (&result);
    us_client_destroy (&client);
}

static void test_query (void **state)
{
    (void) state;
    us_client_t *client = s_client ();
    us_query_t *query;
    const void *data;
    size_t len;
    assert_int_equal (us_query_new (&query, "jobs"), US_OK);
    assert_int_equal (us_query_run (client, query, WAIT), US_OK);
    assert_int_equal (us_query_rows (query), 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal (us_query_row (query, i, &data, &len), US_OK);
        assert_int_equal (len, 4);
        assert_int_equal (((const uint8_t *) data)[3], i);
    }
    assert_int_equal (us_query_set_limit (query, 3), US_OK);
    assert_int_equal (us_query_run (client, query, WAIT), US_OK);
    assert_int_equal (us_query_rows (query), 3);
    us_query_destroy (&query);
    assert_int_equal (us_query_new (&query, "nothing"), US_OK);
    assert_int_equal (us_query_run (client, query, WAIT), US_ERR_UNKNOWN_NODE);
    assert_string_equal (us_client_error_text (client), "no node is called so");
    us_query_destroy (&query);
    us_client_destroy (&client);
}

/* A body of several chunks goes as a blob, and so does its result. */
static void test_blobs (void **state)
{
    (void) state;
    enum { LEN = 5 * 1024 * 1024 + 17 };
    us_client_t *client = s_client ();
    us_blob_t *code;
    char *call = malloc (LEN + 1);
    call[0] = '\x90'; /* an envelope is an array, and more is not looked at */
    for (size_t i = 1; i < LEN; i++)
        call[i] = (char) ('a' + i * 7 % 26);
    call[LEN] = '\0';
    assert_int_equal (us_blob_new (&code, "some code", 9), US_OK);
    for (int i = 0; i < 3; i++) {
        us_job_t *job;
        us_result_t *result;
        assert_int_equal (us_job_new (&job, "default"), US_OK);
        assert_int_equal (us_job_set_call (job, call, LEN), US_OK);
        assert_int_equal (us_job_add_blob (job, code), US_OK);
        assert_int_equal (us_submit (client, &job, &result), US_OK);
        s_expect_body (result, call);
        us_result_destroy (&result);
    }
    assert_int_equal (atomic_load (&s_broker.puts), 7); /* each chunk once */
    us_blob_destroy (&code);
    us_client_destroy (&client);
    free (call);
}

/* Others have put other bytes under the name of the blob: it is put again, but not for
 * ever. */
static void test_a_blob_that_others_spoil (void **state)
{
    (void) state;
    us_client_t *client = s_client ();
    for (int times = 2; times <= 100; times += 98) {
        us_job_t *job = s_job ("body");
        us_result_t *result;
        us_blob_t *blob;
        atomic_store (&s_broker.spoil, times);
        assert_int_equal (us_blob_new (&blob, times < 100 ? "one" : "two", 3), US_OK);
        assert_int_equal (us_job_add_blob (job, blob), US_OK);
        assert_int_equal (us_submit (client, &job, &result), US_OK);
        if (times < 100) {
            s_expect_body (result, "body");
        } else {
            assert_int_equal (us_result_wait (result, WAIT), US_OK);
            assert_int_equal (us_result_code (result), US_ERR_MISSING_BLOB);
        }
        us_result_destroy (&result);
        us_blob_destroy (&blob);
    }
    assert_int_equal (atomic_load (&s_broker.puts), 3 + 5);
    us_client_destroy (&client);
}

static void test_too_large (void **state)
{
    (void) state;
    us_options_t *options;
    us_client_t *client;
    us_result_t *result;
    assert_int_equal (us_options_new (&options, NULL, 0), US_OK);
    us_options_set_max_payload (options, 10);
    assert_int_equal (us_client_new (&client, options), US_OK);
    us_options_destroy (&options);
    us_job_t *job = s_job ("eleven byte");
    assert_int_equal (us_submit (client, &job, &result), US_ERR_TOO_LARGE);
    assert_non_null (job);
    assert_null (result);
    assert_non_null (strstr (us_client_error_text (client), "11 bytes"));
    assert_int_equal (us_client_max_payload (client), 10);
    us_job_destroy (&job);
    us_client_destroy (&client);
}

/* Known with the first WELCOME; what was submitted before is refused by the broker. */
static void test_limit_of_the_broker (void **state)
{
    (void) state;
    us_client_t *client = s_client ();
    us_result_t *result = NULL;
    us_job_t *job = s_job ("eleven byte");
    atomic_store (&s_broker.max_payload, 10);
    assert_true (us_client_max_payload (client) > 10);
    assert_int_equal (us_client_connect (client), US_OK);
    assert_int_equal (us_client_max_payload (client), 10);
    assert_int_equal (us_submit (client, &job, &result), US_ERR_TOO_LARGE);
    us_job_destroy (&job);
    us_client_destroy (&client);
}

static void test_blob_over_the_limit_of_the_broker (void **state)
{
    (void) state;
    us_client_t *client = s_client ();
    us_job_t *job = s_job ("x");
    us_result_t *result;
    us_blob_t *blob;
    atomic_store (&s_broker.max_payload, 10);
    assert_int_equal (us_blob_new (&blob, "eleven byte", 11), US_OK);
    assert_int_equal (us_job_add_blob (job, blob), US_OK);
    assert_int_equal (us_submit (client, &job, &result), US_OK);
    assert_int_equal (us_result_wait (result, WAIT), US_OK);
    assert_int_equal (us_result_code (result), US_ERR_TOO_LARGE);
    assert_string_equal (us_result_text (result),
                         "a blob is 11 bytes; the broker's limit is 10");
    us_result_destroy (&result);
    us_blob_destroy (&blob);
    us_client_destroy (&client);
}

/* The broker goes away and comes back on the same address. */
static void test_outage (void **state)
{
    (void) state;
    us_client_t *client = s_client ();
    atomic_store (&s_broker.hold, true);
    us_result_t *accepted = s_submit (client, "before");
    assert_int_equal (us_result_accepted (accepted, WAIT), US_OK);
    fake_stop (&s_broker);
    us_result_t *during = s_submit (client, "during");
    assert_int_equal (us_result_accepted (during, 300), US_ERR_TIMEOUT);
    atomic_store (&s_broker.hold, false);
    fake_start (&s_broker);
    s_expect_body (during, "during");
    s_expect_body (accepted, "before");
    us_result_destroy (&accepted);
    us_result_destroy (&during);
    us_client_destroy (&client);
}

/* The store came back empty: what was accepted is submitted again. */
static void test_lost_store (void **state)
{
    (void) state;
    us_client_t *client = s_client ();
    atomic_store (&s_broker.hold, true);
    us_result_t *result = s_submit (client, "kept");
    assert_int_equal (us_result_accepted (result, WAIT), US_OK);
    fake_stop (&s_broker);
    fake_lose_jobs (&s_broker);
    atomic_store (&s_broker.hold, false);
    fake_start (&s_broker);
    s_expect_body (result, "kept");
    us_result_destroy (&result);
    us_client_destroy (&client);
}

static void test_unknown_peer (void **state)
{
    (void) state;
    us_client_t *client = s_client ();
    assert_int_equal (us_client_connect (client), US_OK);
    atomic_store (&s_broker.forget_peer, true);
    us_result_t *result = s_submit (client, "still here");
    s_expect_body (result, "still here");
    assert_true (atomic_load (&s_broker.hellos) >= 2);
    us_result_destroy (&result);
    us_client_destroy (&client);
}

/* A broker that reads but never speaks is given up by the heartbeat. */
static void test_silence (void **state)
{
    (void) state;
    /* A HELLO that was not answered is said again after the connect timeout. */
    us_client_t *client = s_client_at (s_broker.endpoint, 5000);
    assert_int_equal (us_client_connect (client), US_OK);
    atomic_store (&s_broker.mute, true);
    us_result_t *result = s_submit (client, "patience");
    assert_int_equal (us_result_wait (result, 1500), US_ERR_TIMEOUT);
    atomic_store (&s_broker.mute, false);
    s_expect_body (result, "patience");
    us_result_destroy (&result);
    us_client_destroy (&client);
}

static void test_events (void **state)
{
    (void) state;
    us_client_t *client = s_client ();
    us_event_t events[8];
    unsigned seen = 0;
    int cookie;
    us_result_t *result = s_submit (client, "x");
    assert_int_equal (us_result_subscribe (result, US_EVENT_ACCEPTED | US_EVENT_ENDED,
                                           &cookie),
                      US_OK);
    while (!(seen & US_EVENT_ENDED)) {
        struct pollfd item = {.fd = us_client_event_fd (client), .events = POLLIN};
        size_t count;
        assert_int_equal (poll (&item, 1, WAIT), 1);
        assert_int_equal (us_client_events (client, events, 8, &count), US_OK);
        for (size_t i = 0; i < count; i++) {
            assert_ptr_equal (events[i].result, result);
            assert_ptr_equal (events[i].user, &cookie);
            seen |= events[i].types;
            us_result_destroy (&events[i].result);
        }
    }
    assert_int_equal (seen, US_EVENT_ACCEPTED | US_EVENT_ENDED);
    struct pollfd item = {.fd = us_client_event_fd (client), .events = POLLIN};
    assert_int_equal (poll (&item, 1, 0), 0);
    us_result_destroy (&result);
    us_client_destroy (&client);
}

static void s_on_alarm (int signal)
{
    (void) signal;
}

static void test_interrupted (void **state)
{
    (void) state;
    us_client_t *client = s_client ();
    struct sigaction action = {.sa_handler = s_on_alarm, .sa_flags = SA_RESTART},
                     before;
    atomic_store (&s_broker.hold, true);
    us_result_t *result = s_submit (client, "x");
    assert_int_equal (us_result_accepted (result, WAIT), US_OK);
    sigaction (SIGALRM, &action, &before);
    ualarm (50000, 50000);
    us_err_t err = us_result_wait (result, WAIT);
    ualarm (0, 0);
    sigaction (SIGALRM, &before, NULL);
    assert_int_equal (err, US_ERR_INTERRUPTED);
    us_result_destroy (&result);
    us_client_destroy (&client);
}

/* Results outlive their client; they just do not go on. */
static void test_closed (void **state)
{
    (void) state;
    us_client_t *client = s_client ();
    atomic_store (&s_broker.hold, true);
    us_result_t *result = s_submit (client, "x");
    us_result_t *other = us_result_dup (result);
    assert_int_equal (us_result_accepted (result, WAIT), US_OK);
    us_client_destroy (&client);
    assert_int_equal (us_result_wait (result, WAIT), US_ERR_CLOSED);
    assert_int_equal (us_result_state (result), US_STATE_QUEUED);
    us_result_destroy (&result);
    us_result_destroy (&other);
}

static void test_detached (void **state)
{
    (void) state;
    us_client_t *client = s_client ();
    us_job_t *job = s_job ("alone");
    us_result_t *result;
    us_job_set_detached (job, true);
    assert_int_equal (us_submit (client, &job, &result), US_OK);
    while (us_result_state (result) == US_STATE_UNSENT)
        usleep (1000); /* to wait would be to ask */
    assert_int_equal (us_result_state (result), US_STATE_QUEUED);
    assert_int_equal (atomic_load (&s_broker.watches), 0);
    s_expect_body (result, "alone"); /* asked for after all */
    us_result_destroy (&result);
    us_client_destroy (&client);
}

/* The child asks about the parent's result and submits its own; the parent goes on. */
static void test_fork (void **state)
{
    (void) state;
    us_client_t *client = s_client ();
    us_result_t *result = s_submit (client, "parent");
    assert_int_equal (us_result_accepted (result, WAIT), US_OK);
    atomic_store (&s_broker.hold, true);
    us_result_t *held = s_submit (client, "held");
    assert_int_equal (us_result_accepted (held, WAIT), US_OK);
    pid_t pid = fork ();
    if (pid == 0) {
        us_job_t *job;
        us_result_t *mine = NULL;
        us_job_new (&job, "default");
        us_job_set_shell (job, "child");
        bool good = us_result_wait (held, WAIT) == US_OK &&
                    us_result_state (held) == US_STATE_SUCCEEDED &&
                    us_submit (client, &job, &mine) == US_OK &&
                    us_result_wait (mine, WAIT) == US_OK &&
                    us_result_code (mine) == US_OK;
        us_result_destroy (&mine);
        us_result_destroy (&held);
        us_result_destroy (&result);
        us_client_destroy (&client);
        _exit (good ? 0 : 1);
    }
    atomic_store (&s_broker.hold, false);
    int status = 1;
    assert_int_equal (waitpid (pid, &status, 0), pid);
    assert_int_equal (status, 0);
    s_expect_body (held, "held");
    us_result_t *after = s_submit (client, "after");
    s_expect_body (after, "after");
    us_result_destroy (&after);
    us_result_destroy (&held);
    us_result_destroy (&result);
    us_client_destroy (&client);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, s_setup, s_teardown)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_round_trip),
        TEST (test_many),
        TEST (test_destroyed_before_accepted),
        TEST (test_unreachable),
        TEST (test_second_address),
        TEST (test_refusals),
        TEST (test_log),
        TEST (test_log_after_two_ends),
        TEST (test_open),
        TEST (test_cancel),
        TEST (test_query),
        TEST (test_blobs),
        TEST (test_a_blob_that_others_spoil),
        TEST (test_too_large),
        TEST (test_limit_of_the_broker),
        TEST (test_blob_over_the_limit_of_the_broker),
        TEST (test_outage),
        TEST (test_lost_store),
        TEST (test_unknown_peer),
        TEST (test_silence),
        TEST (test_events),
        TEST (test_interrupted),
        TEST (test_closed),
        TEST (test_detached),
        TEST (test_fork),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

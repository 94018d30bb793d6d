/* SPDX-License-Identifier: MIT
 *
 * Options: defaults, variables, the file; jobs and what they refuse. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "job.h"
#include "temp.h"
#include "base/place.h"
#include "options.h"

#define KEY usi_bytes_of ("8 bytes!")

static const job_limits_t s_limits_1000 = {1000, 0, 0};
static const job_limits_t s_limits_1000000 = {1000000, 3 << 20, 5 << 20};

static int s_clean (void **state)
{
    (void) state;
    unsetenv ("UNDERSTUDY_BROKER");
    unsetenv ("UNDERSTUDY_REDIS");
    unsetenv ("UNDERSTUDY_CONNECT_TIMEOUT");
    unsetenv ("UNDERSTUDY_MAX_PAYLOAD");
    setenv ("UNDERSTUDY_CONFIG", "/dev/null", 1);
    return 0;
}

static void test_defaults (void **state)
{
    (void) state;
    us_options_t *options;
    struct sigaction before, after;
    sigaction (SIGINT, NULL, &before);
    assert_int_equal (us_options_new (&options, NULL, 0), US_OK);
    sigaction (SIGINT, NULL, &after);
    assert_ptr_equal (before.sa_handler, after.sa_handler);
    char *own = usi_place_endpoint ();
    assert_string_equal (options->endpoints, own);
    free (own);
    assert_null (options->redis);
    assert_int_equal (options->connect_timeout_ms, 5000);
    assert_int_equal (options->max_payload, 64 * 1024 * 1024);
    assert_true (strlen (options->name) > 0);
    us_options_destroy (&options);
    assert_null (options);
}

static void test_variables (void **state)
{
    (void) state;
    us_options_t *options;
    setenv ("UNDERSTUDY_BROKER", "tcp://a:1,tcp://b:2", 1);
    setenv ("UNDERSTUDY_REDIS", "redis://c", 1);
    setenv ("UNDERSTUDY_CONNECT_TIMEOUT", "250ms", 1);
    assert_int_equal (us_options_new (&options, NULL, 0), US_OK);
    assert_string_equal (options->endpoints, "tcp://a:1,tcp://b:2");
    assert_null (options->redis); /* an address is the more exact wish */
    assert_int_equal (options->connect_timeout_ms, 250);
    us_options_destroy (&options);
    unsetenv ("UNDERSTUDY_BROKER");
    assert_int_equal (us_options_new (&options, NULL, 0), US_OK);
    assert_string_equal (options->redis, "redis://c");
    assert_int_equal (us_options_set_broker (options, "ipc:///tmp/x"), US_OK);
    assert_null (options->redis);
    us_options_destroy (&options);
}

static void test_bad_values (void **state)
{
    (void) state;
    us_options_t *options;
    char text[200];
    setenv ("UNDERSTUDY_CONNECT_TIMEOUT", "soon", 1);
    assert_int_equal (us_options_new (&options, text, sizeof text), US_ERR_CONFIG);
    assert_null (options);
    assert_non_null (strstr (text, "soon"));
    s_clean (NULL);
    setenv ("UNDERSTUDY_BROKER", "localhost", 1);
    assert_int_equal (us_options_new (&options, text, sizeof text), US_ERR_CONFIG);
    assert_non_null (strstr (text, "tcp://"));
    s_clean (NULL);
    setenv ("UNDERSTUDY_CONFIG", "/nowhere/at/all", 1);
    assert_int_equal (us_options_new (&options, text, sizeof text), US_ERR_CONFIG);
    assert_non_null (strstr (text, "/nowhere/at/all"));
}

static void test_file (void **state)
{
    (void) state;
    us_options_t *options;
    char path[80];
    temp_template (path, sizeof path);
    int fd = mkstemp (path);
    static const char text[] = "client\n    broker = tcp://filed:7\n    unknown = 1\n";
    assert_int_equal (write (fd, text, sizeof text - 1), (ssize_t) (sizeof text - 1));
    close (fd);
    setenv ("UNDERSTUDY_CONFIG", path, 1);
    us_err_t err = us_options_new (&options, NULL, 0);
    unlink (path);
    assert_int_equal (err, US_OK);
    assert_string_equal (options->endpoints, "tcp://filed:7");
    us_options_destroy (&options);
}

static void test_setters (void **state)
{
    (void) state;
    us_options_t *options;
    char shown[100];
    assert_int_equal (us_options_new (&options, NULL, 0), US_OK);
    assert_int_equal (us_options_set_broker (options, ""), US_ERR_INVALID);
    assert_int_equal (us_options_set_broker (options, "tcp://"), US_ERR_INVALID);
    assert_int_equal (us_options_set_broker (options, "tcp://h"), US_ERR_INVALID);
    assert_int_equal (us_options_set_broker (options, "tcp://h:1, http://x:1"),
                      US_ERR_INVALID);
    assert_int_equal (us_options_set_broker (options, "tcp://h:1, tcp://[::1]:2"),
                      US_OK);
    assert_int_equal (us_options_set_redis (options, "http://x"), US_ERR_INVALID);
    assert_int_equal (us_options_set_redis (options, "redis://u:p@w@h:1/2"), US_OK);
    options_show_redis (options->redis, shown, sizeof shown);
    assert_string_equal (shown, "redis://h:1/2");
    options_show_redis ("unix:///a/b?db=1&password=x", shown, sizeof shown);
    assert_string_equal (shown, "unix:///a/b");
    assert_int_equal (us_options_set_max_payload (options, 0), US_ERR_INVALID);
    assert_int_equal (us_options_set_connect_timeout_ms (options, -1), US_ERR_INVALID);
    assert_int_equal (us_options_set_name (options, "\xff"), US_ERR_INVALID);
    us_options_destroy (&options);
}

static void test_job_refusals (void **state)
{
    (void) state;
    us_job_t *job;
    us_id_t id;
    assert_int_equal (us_job_new (&job, "not a channel"), US_ERR_INVALID);
    assert_null (job);
    assert_int_equal (us_job_new (&job, "default"), US_OK);
    static const char *const bad[] = {"--index-url=x", "-r x",   "; rm -rf /",
                                      "a @ https://x", "./here", "git+https://x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal (us_job_add_package (job, bad[i]), US_ERR_REQUIREMENT);
        assert_non_null (strstr (us_job_error_text (job), bad[i]));
    }
    assert_int_equal (us_job_set_python (job, "three"), US_ERR_INVALID);
    assert_int_equal (us_job_set_python (job, "3.11"), US_OK);
    assert_int_equal (us_job_set_python (job, NULL), US_OK);
    assert_int_equal (us_job_set_retries (job, 101), US_ERR_INVALID);
    assert_int_equal (us_job_set_limits_ms (job, -1, 0), US_ERR_INVALID);
    assert_int_equal (us_job_set_call (job, "\x80", 1), US_ERR_INVALID);
    assert_int_equal (us_job_set_source (job, "x", "f", "\x01", 1), US_ERR_INVALID);
    assert_int_equal (us_job_set_source (job, "x", "f", "\x92\x90\x80\x01", 4),
                      US_ERR_INVALID);
    assert_int_equal (us_id_new (&id, "default"), US_OK);
    id.bytes[8] ^= 0x40; /* no variant that the broker takes */
    assert_int_equal (us_job_set_id (job, &id), US_ERR_INVALID);
    memset (&id, 0, sizeof id);
    assert_int_equal (us_job_set_id (job, &id), US_ERR_INVALID);
    assert_int_equal (job_seal (job, KEY, &s_limits_1000),
                      US_ERR_INVALID); /* nothing to run */
    us_job_destroy (&job);
}

static void test_a_key_tells_programs_and_owners_apart (void **state)
{
    (void) state;
    us_options_t *options;
    uint8_t keys[4][OPTIONS_KEY_LEN], again[OPTIONS_KEY_LEN];
    assert_int_equal (us_options_new (&options, NULL, 0), US_OK);
    options_key (options, keys[0]);
    assert_int_equal (us_options_set_program (options, "a", 0), US_ERR_INVALID);
    assert_int_equal (us_options_set_program (options, "a", 1), US_OK);
    options_key (options, keys[1]);
    assert_int_equal (us_options_set_program (options, "b", 1), US_OK);
    options_key (options, keys[2]);
    assert_int_equal (us_options_set_owner (options, ""), US_ERR_INVALID);
    assert_int_equal (us_options_set_owner (options, "somebody else"), US_OK);
    options_key (options, keys[3]);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++)
            assert_memory_not_equal (keys[i], keys[j], OPTIONS_KEY_LEN);
    options_key (options, again);
    assert_memory_equal (keys[3], again, OPTIONS_KEY_LEN);
    us_options_destroy (&options);
}

static us_blob_t *s_buffer (size_t len, int first)
{
    us_blob_t *blob;
    uint8_t *bytes = calloc (1, len);
    bytes[0] = (uint8_t) first;
    assert_int_equal (us_blob_new (&blob, bytes, len), US_OK);
    free (bytes);
    return blob;
}

/* One array that is given to many jobs is copied once. */
static void test_the_same_bytes_are_one_blob (void **state)
{
    (void) state;
    us_blob_t *one = s_buffer (2 << 20, 1), *other = s_buffer (2 << 20, 2);
    us_blob_t *again = s_buffer (2 << 20, 1);
    size_t len;
    assert_ptr_equal (one, again);
    assert_ptr_not_equal (one, other);
    us_blob_destroy (&one);
    assert_memory_equal (us_blob_data (again, &len), "\1", 1);
    assert_int_equal (len, 2 << 20);
    us_blob_destroy (&again);
    us_blob_destroy (&other);
    one = s_buffer (3, 1);
    again = s_buffer (3, 1);
    assert_ptr_not_equal (one, again);
    us_blob_destroy (&one);
    us_blob_destroy (&again);
}

static void test_job_with_buffers (void **state)
{
    (void) state;
    us_job_t *job;
    usi_fields_t spec;
    us_blob_t *buffers[] = {s_buffer (2 << 20, 1), s_buffer (1 << 20, 2)};
    job_limits_t limits = s_limits_1000000;
    assert_int_equal (us_job_new (&job, "default"), US_OK);
    assert_int_equal (us_job_set_call (job, "\x90", 1), US_OK);
    assert_int_equal (us_job_add_buffer (job, buffers[0]), US_OK);
    assert_int_equal (us_job_add_buffer (job, buffers[1]), US_OK);
    assert_int_equal (us_job_add_buffer (job, buffers[0]), US_OK);
    assert_int_equal (job_seal (job, KEY, &limits), US_OK);
    assert_int_equal (usi_fields_decode (&spec, usi_buf_bytes (&job->spec), NULL),
                      US_OK);
    assert_int_equal (spec.buffers.count, 3);
    assert_int_equal (spec.blobs.count, 0);
    assert_int_equal (job->all_len, 2); /* each is put and counted once */
    assert_true (job->cost > 5 << 20);
    limits.buffers -= 1;
    assert_int_equal (job_seal (job, KEY, &limits), US_ERR_TOO_LARGE);
    assert_non_null (strstr (us_job_error_text (job), "5242880 bytes"));
    limits.buffer = (1 << 20) + 1;
    assert_int_equal (job_seal (job, KEY, &limits), US_ERR_TOO_LARGE);
    assert_non_null (strstr (us_job_error_text (job), "2097152 bytes"));
    limits.buffer = 0;
    assert_int_equal (job_seal (job, KEY, &limits), US_ERR_UNSUPPORTED);
    us_job_destroy (&job);
    us_blob_destroy (&buffers[0]);
    us_blob_destroy (&buffers[1]);
}

static void test_a_job_names_fifteen_blobs (void **state)
{
    (void) state;
    us_job_t *job;
    assert_int_equal (us_job_new (&job, "default"), US_OK);
    for (int i = 0; i < 16; i++) {
        us_blob_t *blob = s_buffer (1, i);
        us_err_t err =
            i % 2 ? us_job_add_buffer (job, blob) : us_job_add_blob (job, blob);
        assert_int_equal (err, i < 15 ? US_OK : US_ERR_INVALID);
        us_blob_destroy (&blob);
    }
    us_job_destroy (&job);
}

static void test_job_sealed (void **state)
{
    (void) state;
    us_job_t *job;
    us_blob_t *blob;
    usi_fields_t spec;
    char *large = calloc (1, 300000);
    memset (large, 'x', 299999);
    assert_int_equal (us_job_new (&job, "default"), US_OK);
    assert_int_equal (us_blob_new (&blob, "", 0), US_ERR_INVALID);
    assert_int_equal (us_blob_new (&blob, "code", 4), US_OK);
    assert_int_equal (us_job_add_blob (job, blob), US_OK);
    us_blob_destroy (&blob);
    assert_int_equal (us_job_set_shell (job, large), US_ERR_TOO_LARGE);
    assert_non_null (strstr (us_job_error_text (job), "299999 bytes"));
    large[0] = '\x90'; /* an envelope is an array, and more is not looked at */
    assert_int_equal (us_job_set_call (job, large, 299999), US_OK);
    assert_int_equal (us_job_add_package (job, "PyTZ  >= 1"), US_OK);
    assert_int_equal (us_job_set_name (job, "a name"), US_OK);
    assert_int_equal (job_seal (job, KEY, &s_limits_1000), US_ERR_TOO_LARGE);
    assert_non_null (strstr (us_job_error_text (job), "299999"));
    assert_int_equal (job_seal (job, KEY, &s_limits_1000000), US_OK);
    assert_int_equal (usi_fields_decode (&spec, usi_buf_bytes (&job->spec), NULL),
                      US_OK);
    assert_true (usi_bytes_equal (spec.kind, usi_bytes_of ("call")));
    assert_true (usi_bytes_equal (spec.key, KEY));
    assert_int_equal (spec.blobs.count, 1);
    assert_int_equal (spec.size, 299999);
    assert_true (usi_has (&spec, USI_F_BLOB));
    assert_int_equal (job->all_len, 2);
    assert_null (job->body);
    size_t position = 0;
    usi_bytes_t package;
    assert_true (usi_list_next (&spec.packages, &position, &package));
    assert_true (usi_bytes_equal (package, usi_bytes_of ("pytz>=1")));
    us_job_destroy (&job);
    free (large);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup (test_defaults, s_clean),
        cmocka_unit_test_setup (test_variables, s_clean),
        cmocka_unit_test_setup (test_bad_values, s_clean),
        cmocka_unit_test_setup (test_file, s_clean),
        cmocka_unit_test_setup (test_setters, s_clean),
        cmocka_unit_test (test_job_refusals),
        cmocka_unit_test (test_a_key_tells_programs_and_owners_apart),
        cmocka_unit_test (test_the_same_bytes_are_one_blob),
        cmocka_unit_test (test_job_with_buffers),
        cmocka_unit_test (test_a_job_names_fifteen_blobs),
        cmocka_unit_test (test_job_sealed),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

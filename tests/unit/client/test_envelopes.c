/* SPDX-License-Identifier: MIT
 *
 * The golden envelopes of tests/unit/data/envelopes.json, which Python reads as well: what
 * the library writes is the same, and what it reads is whole. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "job.h"
#include "proto/pack.h"

#define ENVELOPE_DEPTH 32 /* docs/protocol.md section 6 */

static char s_file[65536];

static int s_load (void **state)
{
    (void) state;
    FILE *file = fopen (US_TEST_DATA "/envelopes.json", "r");
    assert_non_null (file);
    size_t len = fread (s_file, 1, sizeof s_file - 1, file);
    fclose (file);
    assert_in_range (len, 1000, sizeof s_file - 2);
    s_file[len] = '\0';
    return 0;
}

/* The bytes of the next "hex" from *at on, on the heap so that a sanitizer sees a byte too
 * far; false behind the last before end. */
static bool s_next (const char **at, const char *end, usi_bytes_t *bytes)
{
    static const char key[] = "\"hex\": \"";
    const char *found = strstr (*at, key);
    if (!found || found >= end)
        return false;
    found += sizeof key - 1;
    size_t digits = strcspn (found, "\"");
    char *hex = strndup (found, digits);
    uint8_t *data = malloc (digits / 2 + 1);
    assert_int_equal (usi_unhex (hex, data, digits / 2), digits / 2);
    free (hex);
    *bytes = usi_bytes (data, digits / 2);
    *at = found + digits;
    return true;
}

static void test_all_good_ones_are_whole (void **state)
{
    (void) state;
    const char *at = s_file, *end = strstr (s_file, "\"corrupt\"");
    usi_bytes_t bytes;
    int count = 0;
    assert_non_null (end);
    for (; s_next (&at, end, &bytes); count++) {
        assert_true (usi_pack_check (bytes, ENVELOPE_DEPTH));
        bytes.len--;
        assert_false (usi_pack_check (bytes, ENVELOPE_DEPTH));
        free ((void *) bytes.data);
    }
    assert_in_range (count, 20, 1000);
}

static void test_the_call_of_a_source (void **state)
{
    (void) state;
    const char *at = strstr (s_file, "\"name\": \"source\"");
    usi_bytes_t golden = {0};
    us_job_t *job = NULL;
    assert_non_null (at);
    assert_true (s_next (&at, s_file + sizeof s_file, &golden));
    assert_int_equal (us_job_new (&job, "default"), US_OK);
    assert_int_equal (us_job_set_source (job, "def f(): return 1\n", "f", NULL, 0),
                      US_OK);
    assert_true (usi_bytes_equal (usi_bytes (job->body, job->body_len), golden));
    us_job_destroy (&job);
    free ((void *) golden.data);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_all_good_ones_are_whole),
        cmocka_unit_test (test_the_call_of_a_source),
    };
    return cmocka_run_group_tests (tests, s_load, NULL);
}

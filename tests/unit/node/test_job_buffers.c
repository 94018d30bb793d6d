/* SPDX-License-Identifier: MIT
 *
 * Buffers of results: only memory files that nobody can change any more. */
#include "../unit.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "job_buffers.h"

#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)

static int s_file (size_t len, int seals)
{
    int fd = memfd_create ("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal (ftruncate (fd, (off_t) len), 0);
    assert_int_equal (fcntl (fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static bool s_add (job_buffers_t *buffers, size_t len, int seals)
{
    int fd = s_file (len, seals);
    bool added = job_buffers_add (buffers, fd);
    close (fd);
    return added;
}

static void test_only_what_is_sealed (void **state)
{
    (void) state;
    job_buffers_t buffers = {0};
    assert_false (s_add (&buffers, 3, 0));
    assert_false (s_add (&buffers, 3, F_SEAL_SHRINK | F_SEAL_GROW));
    assert_false (s_add (&buffers, 3, F_SEAL_WRITE | F_SEAL_GROW));
    assert_false (s_add (&buffers, 0, SEALS));
    int ends[2];
    assert_int_equal (pipe (ends), 0);
    assert_false (job_buffers_add (&buffers, ends[0]));
    assert_false (job_buffers_add (&buffers, -1));
    close (ends[0]);
    close (ends[1]);
    assert_true (s_add (&buffers, 3, SEALS));
    assert_int_equal (buffers.len, 1);
    assert_int_equal (buffers.all[0].bytes.len, 3);
    assert_memory_equal (buffers.all[0].bytes.data, "\0\0\0", 3);
    job_buffers_free (&buffers);
    assert_int_equal (buffers.len, 0);
}

static void test_not_more_than_a_result_may_name (void **state)
{
    (void) state;
    job_buffers_t buffers = {0};
    for (int i = 0; i < JOB_BUFFERS_MAX; i++)
        assert_true (s_add (&buffers, 1, SEALS));
    assert_false (s_add (&buffers, 1, SEALS));
    job_buffers_free (&buffers);
}

static void test_limits (void **state)
{
    (void) state;
    job_buffers_t buffers = {0};
    node_limits_t limits = {.max_buffer = 10, .max_buffers = 15};
    uint64_t limit;
    assert_int_equal (job_buffers_excess (&buffers, &limits, &limit), 0);
    assert_true (s_add (&buffers, 10, SEALS));
    assert_int_equal (job_buffers_excess (&buffers, &limits, &limit), 0);
    assert_true (s_add (&buffers, 6, SEALS));
    assert_int_equal (job_buffers_excess (&buffers, &limits, &limit), 16);
    assert_int_equal (limit, 15);
    limits.max_buffer = 9;
    assert_int_equal (job_buffers_excess (&buffers, &limits, &limit), 10);
    assert_int_equal (limit, 9);
    job_buffers_free (&buffers);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_only_what_is_sealed),
        cmocka_unit_test (test_not_more_than_a_result_may_name),
        cmocka_unit_test (test_limits),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

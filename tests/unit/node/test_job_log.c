/* SPDX-License-Identifier: MIT
 *
 * Bytes of a log between pipe and broker: order, offsets, repetition, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "job_log.h"
#include "proto/limits.h"

#define MIB ((size_t) 1024 * 1024)

/* Sends all that is there, and checks that it comes in order. */
static void s_send_all (job_log_t *log, usi_buf_t *out)
{
    for (usi_bytes_t piece; (piece = job_log_next (log)).len > 0;) {
        assert_true (piece.len <= USI_MAX_LOG);
        usi_buf_append (out, piece.data, piece.len);
        job_log_advance (log, piece.len);
    }
    assert_int_equal (log->sent, log->end);
}

static void s_expect (const usi_buf_t *out, const char *text)
{
    assert_int_equal (out->len, strlen (text));
    assert_memory_equal (out->data, text, out->len);
}

static void test_order_and_offsets (void **state)
{
    job_log_t log = {0};
    usi_buf_t out = {0};
    (void) state;
    assert_int_equal (job_log_next (&log).len, 0);
    job_log_append (&log, "one ", 4, UINT64_MAX);
    job_log_append (&log, "two", 3, UINT64_MAX);
    s_send_all (&log, &out);
    job_log_append (&log, " three", 6, UINT64_MAX);
    assert_int_equal (log.sent, 7);
    s_send_all (&log, &out);
    s_expect (&out, "one two three");
    assert_int_equal (job_log_unkept (&log), 13);
    job_log_keep (&log, 5);
    assert_int_equal (job_log_unkept (&log), 8);
    usi_buf_free (&out);
    job_log_free (&log);
}

static void test_rewind_sends_from_what_is_kept (void **state)
{
    job_log_t log = {0};
    usi_buf_t out = {0};
    (void) state;
    job_log_append (&log, "abcdefgh", 8, UINT64_MAX);
    s_send_all (&log, &out);
    job_log_keep (&log, 3);
    job_log_rewind (&log);
    out.len = 0;
    s_send_all (&log, &out);
    s_expect (&out, "defgh");
    job_log_keep (&log, 2); /* an old answer */
    assert_int_equal (log.kept, 3);
    job_log_keep (&log, 1000); /* nonsense */
    assert_int_equal (log.kept, 8);
    usi_buf_free (&out);
    job_log_free (&log);
}

static void test_many_chunks (void **state)
{
    job_log_t log = {0};
    usi_buf_t in = {0}, out = {0};
    (void) state;
    for (uint32_t i = 0; i < 200000; i++) {
        usi_buf_append (&in, &i, sizeof i);
        job_log_append (&log, &i, sizeof i, UINT64_MAX);
        if (i % 1000 == 0)
            s_send_all (&log, &out);
        if (i % 7000 == 0)
            job_log_keep (&log, log.sent / 2);
    }
    s_send_all (&log, &out);
    assert_int_equal (out.len, in.len);
    assert_memory_equal (out.data, in.data, in.len);
    usi_buf_free (&in);
    usi_buf_free (&out);
    job_log_free (&log);
}

static void test_a_gap_is_told (void **state)
{
    job_log_t log = {0};
    usi_buf_t out = {0};
    (void) state;
    job_log_append (&log, "0123456789", 10, 8);
    job_log_append (&log, "x", 1, 8);
    assert_int_equal (log.dropped, 3);
    s_send_all (&log, &out);
    job_log_keep (&log, 8);
    job_log_append (&log, "more", 4, 100);
    s_send_all (&log, &out);
    s_expect (&out, "01234567\n[understudy: 3 bytes dropped]\nmore");
    assert_int_equal (log.dropped, 3);
    usi_buf_free (&out);
    job_log_free (&log);
}

static void test_a_gap_at_the_end_is_told (void **state)
{
    job_log_t log = {0};
    usi_buf_t out = {0};
    (void) state;
    job_log_append (&log, "0123456789", 10, 4);
    job_log_finish (&log);
    s_send_all (&log, &out);
    s_expect (&out, "0123\n[understudy: 6 bytes dropped]\n");
    usi_buf_free (&out);
    job_log_free (&log);
}

/* 80 MiB: the head, a line that counts, the last MiB. */
static void test_head_and_tail (void **state)
{
    job_log_t log = {0};
    usi_buf_t out = {0};
    char *block = malloc (MIB);
    uint64_t taken = 0;
    (void) state;
    for (int i = 0; i < 80; i++) {
        memset (block, 'a' + i % 26, MIB);
        job_log_append (&log, block, MIB, UINT64_MAX);
        out.len = 0;
        s_send_all (&log, &out);
        taken += out.len;
        job_log_keep (&log, log.sent);
    }
    assert_int_equal (taken, JOB_LOG_HEAD);
    job_log_append (&log, "the end", 7, UINT64_MAX);
    job_log_finish (&log);
    out.len = 0;
    s_send_all (&log, &out);
    uint64_t dropped = 80 * MIB + 7 - JOB_LOG_HEAD - JOB_LOG_TAIL;
    char line[80];
    int len = snprintf (line, sizeof line, "\n[understudy: %llu bytes dropped]\n",
                        (unsigned long long) dropped);
    assert_int_equal (log.dropped, dropped);
    assert_int_equal (out.len, (size_t) len + JOB_LOG_TAIL);
    assert_memory_equal (out.data, line, (size_t) len);
    assert_memory_equal (out.data + out.len - 9, "bbthe end", 9);
    free (block);
    usi_buf_free (&out);
    job_log_free (&log);
}

static void test_last_lines (void **state)
{
    job_log_t log = {0};
    usi_buf_t out = {0};
    (void) state;
    for (int i = 0; i < 50000; i++) {
        char line[32];
        int len = snprintf (line, sizeof line, "line %d\n", i);
        job_log_append (&log, line, (size_t) len, UINT64_MAX);
        s_send_all (&log, &out);
        job_log_keep (&log, log.sent);
        out.len = 0;
    }
    job_log_last (&log, 4096, 3, &out);
    s_expect (&out, "line 49997\nline 49998\nline 49999\n");
    out.len = 0;
    job_log_last (&log, 8, 3, &out);
    s_expect (&out, "e 49999\n");
    usi_buf_free (&out);
    job_log_free (&log);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_order_and_offsets),
        cmocka_unit_test (test_rewind_sends_from_what_is_kept),
        cmocka_unit_test (test_many_chunks),
        cmocka_unit_test (test_a_gap_is_told),
        cmocka_unit_test (test_a_gap_at_the_end_is_told),
        cmocka_unit_test (test_head_and_tail),
        cmocka_unit_test (test_last_lines),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

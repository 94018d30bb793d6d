/* SPDX-License-Identifier: MIT
 *
 * Markers in log pipes: whole, split at every place, look-alikes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "log_pipe.h"

static const uint8_t s_token[LOG_TOKEN_LEN] = "0123456789abcdef";

typedef struct seen {
    usi_buf_t text; /* bytes, and "<SEQ>" for a marker */
} seen_t;

static void s_bytes (void *arg, const uint8_t *data, size_t len)
{
    usi_buf_append (&((seen_t *) arg)->text, data, len);
}

static void s_marker (void *arg, uint32_t seq)
{
    usi_buf_printf (&((seen_t *) arg)->text, "<%u>", seq);
}

/* Feeds text in pieces of at most step bytes. */
static void s_feed (log_pipe_t *log, seen_t *seen, const void *text, size_t len,
                    size_t step)
{
    const log_pipe_sink_t sink = {s_bytes, s_marker, seen};
    uint8_t room[LOG_MARKER_LEN + 512];
    for (size_t at = 0; at < len; at += step) {
        size_t part = len - at < step ? len - at : step;
        memcpy (room + LOG_MARKER_LEN, (const uint8_t *) text + at, part);
        log_pipe_feed (log, room + LOG_MARKER_LEN, part, &sink);
    }
}

static void s_expect (const seen_t *seen, const char *text)
{
    assert_int_equal (seen->text.len, strlen (text));
    assert_memory_equal (seen->text.data, text, strlen (text));
}

static void s_split_everywhere (const char *text, size_t len, const char *expected)
{
    for (size_t step = 1; step <= len; step++) {
        log_pipe_t log;
        seen_t seen = {0};
        log_pipe_init (&log, s_token);
        s_feed (&log, &seen, text, len, step);
        s_expect (&seen, expected);
        usi_buf_free (&seen.text);
    }
}

static void test_every_split (void **state)
{
    static const char text[] =
        "one0123456789abcdef\0\0\0\1two\n0123456789abcdef\0\0\1\2";
    (void) state;
    s_split_everywhere (text, sizeof text - 1, "one<1>two\n<258>");
}

static void test_look_alikes (void **state)
{
    static const char text[] =
        "0120123456789abcde0123456789abcdeX01230123456789abcdef\0\0\0\7";
    (void) state;
    s_split_everywhere (text, sizeof text - 1,
                        "0120123456789abcde0123456789abcdeX0123<7>");
}

static void test_two_markers_without_bytes (void **state)
{
    static const char text[] = "0123456789abcdef\0\0\0\1"
                               "0123456789abcdef\0\0\0\2";
    log_pipe_t log;
    seen_t seen = {0};
    (void) state;
    log_pipe_init (&log, s_token);
    s_feed (&log, &seen, text, sizeof text - 1, sizeof text);
    s_expect (&seen, "<1><2>");
    usi_buf_free (&seen.text);
}

static void test_end_gives_what_was_held (void **state)
{
    log_pipe_t log;
    seen_t seen = {0};
    const log_pipe_sink_t sink = {s_bytes, s_marker, &seen};
    (void) state;
    log_pipe_init (&log, s_token);
    s_feed (&log, &seen, "tail 0123456789abcdef\0\0", 23, 5);
    s_expect (&seen, "tail ");
    log_pipe_end (&log, &sink);
    assert_int_equal (seen.text.len, 23);
    usi_buf_free (&seen.text);
}

/* Whatever the token: a line is given as soon as it is written. */
static void test_text_is_never_held (void **state)
{
    (void) state;
    for (int i = 0; i < 2000; i++) {
        uint8_t token[LOG_TOKEN_LEN];
        log_pipe_t log;
        seen_t seen = {0};
        log_pipe_token (token);
        log_pipe_init (&log, token);
        s_feed (&log, &seen, "a line\n", 7, 7);
        s_expect (&seen, "a line\n");
        usi_buf_free (&seen.text);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_every_split),
        cmocka_unit_test (test_look_alikes),
        cmocka_unit_test (test_two_markers_without_bytes),
        cmocka_unit_test (test_end_gives_what_was_held),
        cmocka_unit_test (test_text_is_never_held),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * Streams of bytes that come twice, late or with gaps; the table of results. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "record.h"
#include "table.h"

static void s_take (stream_t *stream, uint64_t offset, const char *text)
{
    stream_take (stream, offset, usi_bytes_of (text));
}

static void test_stream (void **state)
{
    (void) state;
    stream_t stream = {0};
    s_take (&stream, 0, "one ");
    s_take (&stream, 8, "gap"); /* dropped: asked for again */
    assert_int_equal (stream_end (&stream), 4);
    s_take (&stream, 0, "one "); /* twice */
    s_take (&stream, 2, "e two");
    s_take (&stream, 7, "");
    assert_int_equal (stream_end (&stream), 7);
    assert_memory_equal (stream.data.data, "one two", 7);
    usi_buf_free (&stream.data);
    stream.base = 7; /* a reader began anew here */
    s_take (&stream, 0, "one");
    assert_int_equal (stream.data.len, 0);
    s_take (&stream, 0, "one two three");
    assert_int_equal (stream_end (&stream), 13);
    assert_memory_equal (stream.data.data, " three", 6);
    usi_buf_free (&stream.data);
}

/* Over the bound nothing is taken until the reader begins anew. */
static void test_stream_full (void **state)
{
    (void) state;
    stream_t stream = {0};
    size_t len = 1024 * 1024;
    uint8_t *block = calloc (1, len);
    for (size_t at = 0; at < STREAM_KEEP; at += len)
        stream_take (&stream, at, usi_bytes (block, len));
    assert_false (stream.full);
    assert_int_equal (stream_end (&stream), STREAM_KEEP);
    s_take (&stream, STREAM_KEEP, "x");
    assert_true (stream.full);
    assert_int_equal (stream_end (&stream), STREAM_KEEP);
    usi_buf_free (&stream.data);
    free (block);
}

static void test_complete (void **state)
{
    (void) state;
    stream_t stream = {0};
    us_result_t result = {.info = {.log_len = 5}};
    assert_true (result_stream_complete (&result, 0)); /* not wanted */
    result.streams[0] = &stream;
    assert_false (result_stream_complete (&result, 0));
    s_take (&stream, 0, "12345");
    assert_true (result_stream_complete (&result, 0));
    stream.full = true;
    assert_false (result_stream_complete (&result, 0));
    stream.full = false;
    result.info.log_len = 9; /* lost in the store: closed by the broker's last word */
    assert_false (result_stream_complete (&result, 0));
    stream.closed = true;
    assert_true (result_stream_complete (&result, 0));
    usi_buf_free (&stream.data);
}

static void test_table (void **state)
{
    (void) state;
    enum { COUNT = 1000 };
    table_t table = {0};
    us_result_t *results = calloc (COUNT + 1, sizeof *results);
    us_id_t id;
    us_id_new (&id, "other");
    assert_null (table_find (&table, &id));
    assert_null (table_any (&table));
    table_remove (&table, &results[0]);
    for (int i = 0; i < COUNT; i++) {
        us_id_new (&results[i].id, "default");
        assert_true (table_add (&table, &results[i]));
    }
    results[COUNT].id = results[7].id; /* the same job, twice */
    assert_true (table_add (&table, &results[COUNT]));
    assert_int_equal (table.len, COUNT + 1);
    assert_null (table_find (&table, &id));
    us_result_t *first = table_find (&table, &results[7].id);
    us_result_t *second = table_next (first);
    assert_true ((first == &results[7]) != (second == &results[7]));
    assert_null (table_next (second));
    for (int i = 0; i <= COUNT; i++) {
        assert_non_null (table_find (&table, &results[i].id));
        table_remove (&table, &results[i]);
    }
    assert_int_equal (table.len, 0);
    assert_null (table_any (&table));
    table_free (&table);
    free (results);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_stream),
        cmocka_unit_test (test_stream_full),
        cmocka_unit_test (test_complete),
        cmocka_unit_test (test_table),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

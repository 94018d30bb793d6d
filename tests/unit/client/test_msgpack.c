/* SPDX-License-Identifier: MIT
 *
 * The public msgpack writer and reader: golden bytes, and bytes that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "understudy/understudy.h"

static void s_expect (us_writer_t *writer, const void *golden, size_t len)
{
    const void *data;
    size_t data_len;
    assert_int_equal (us_writer_data (writer, &data, &data_len), US_OK);
    assert_int_equal (data_len, len);
    assert_memory_equal (data, golden, len);
}

static void test_golden (void **state)
{
    (void) state;
    us_writer_t *writer;
    assert_int_equal (us_writer_new (&writer), US_OK);
    us_write_array (writer, 8);
    us_write_nil (writer);
    us_write_bool (writer, true);
    us_write_int (writer, -1);
    us_write_int (writer, 300);
    us_write_uint (writer, UINT64_MAX);
    us_write_double (writer, 1.5);
    us_write_str (writer, "hi", 2);
    us_write_map (writer, 1);
    us_write_str (writer, "k", 1);
    us_write_bin (writer, "\0\1", 2);
    static const uint8_t golden[] = {0x98, 0xc0, 0xc3, 0xff, 0xcd, 0x01, 0x2c,
                                     0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                     0xff, 0xff, 0xcb, 0x3f, 0xf8, 0,    0,
                                     0,    0,    0,    0,    0xa2, 'h',  'i',
                                     0x81, 0xa1, 'k',  0xc4, 0x02, 0x00, 0x01};
    s_expect (writer, golden, sizeof golden);
    us_writer_destroy (&writer);
    assert_null (writer);
    us_writer_destroy (&writer);
}

/* Integers at every border read back as what was written. */
static void test_integers (void **state)
{
    (void) state;
    for (int bit = 0; bit < 64; bit++) {
        for (int off = -1; off <= 1; off++) {
            uint64_t value = ((uint64_t) 1 << bit) + (uint64_t) (int64_t) off;
            us_writer_t *writer;
            const void *data;
            size_t len;
            assert_int_equal (us_writer_new (&writer), US_OK);
            us_write_uint (writer, value);
            us_write_int (writer, (int64_t) value);
            us_writer_data (writer, &data, &len);
            us_reader_t reader = us_reader (data, len);
            us_value_t read = us_read (&reader);
            if (value > INT64_MAX) {
                assert_int_equal (read.type, US_TYPE_UINT);
                assert_true (read.as.uinteger == value);
            } else {
                assert_int_equal (read.type, US_TYPE_INT);
                assert_true (read.as.integer == (int64_t) value);
            }
            read = us_read (&reader);
            assert_int_equal (read.type, US_TYPE_INT);
            assert_true (read.as.integer == (int64_t) value);
            assert_int_equal (us_read (&reader).type, US_TYPE_END);
            assert_false (reader.malformed);
            us_writer_destroy (&writer);
        }
    }
}

static void test_skip (void **state)
{
    (void) state;
    static const uint8_t bytes[] = {0x93, 0x01, 0x82, 0xa1, 'a', 0x90,
                                    0xa1, 'b',  0xc0, 0xa1, 'x', 0x07};
    us_reader_t reader = us_reader (bytes, sizeof bytes);
    const void *data;
    size_t len;
    assert_true (us_skip (&reader, &data, &len));
    assert_ptr_equal (data, bytes);
    assert_int_equal (len, sizeof bytes - 1);
    assert_int_equal (us_read (&reader).as.integer, 7);
    assert_false (us_skip (&reader, NULL, NULL));
}

static void test_corrupt (void **state)
{
    (void) state;
    static const struct {
        uint8_t bytes[6];
        size_t len;
    } bad[] = {
        {{0xc1}, 1},                         /* never used */
        {{0xc4}, 1},                         /* length is missing */
        {{0xc6, 0xff, 0xff, 0xff, 0xff}, 5}, /* 4 GiB in 0 bytes */
        {{0xa2, 'h'}, 2},
        {{0xcd, 0x01}, 2},
        {{0xdd, 0xff, 0xff, 0xff, 0xff}, 5}, /* 4 milliard elements */
        {{0xdf, 0x80, 0x00, 0x00, 0x00}, 5},
        {{0x92, 0x01}, 2},
        {{0x81, 0x01}, 2},
        {{0xc7, 0x04, 0x01, 0x02}, 4},
        {{0xd8, 0x01}, 2},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        us_reader_t reader = us_reader (bad[i].bytes, bad[i].len);
        assert_false (us_skip (&reader, NULL, NULL));
        assert_true (reader.malformed);
    }
    us_reader_t empty = us_reader (NULL, 0);
    assert_int_equal (us_read (&empty).type, US_TYPE_END);
    assert_false (empty.malformed);
}

/* Every way to cut or flip a good message ends without reading outside of it. */
static void test_damaged (void **state)
{
    (void) state;
    static const uint8_t good[] = {0x94, 0xcd, 0x01, 0x2c, 0xda, 0x00, 0x03, 'a',
                                   'b',  'c',  0x82, 0x01, 0xc4, 0x01, 0x00, 0x02,
                                   0xcb, 0,    0,    0,    0,    0,    0,    0,
                                   0,    0xc7, 0x01, 0x05, 0x09};
    for (size_t len = 0; len < sizeof good; len++) {
        uint8_t *copy = malloc (len + 1);
        memcpy (copy, good, len);
        us_reader_t reader = us_reader (copy, len);
        assert_false (us_skip (&reader, NULL, NULL));
        free (copy);
    }
    for (size_t at = 0; at < sizeof good; at++) {
        for (int byte = 0; byte < 256; byte++) {
            uint8_t *copy = malloc (sizeof good);
            memcpy (copy, good, sizeof good);
            copy[at] = (uint8_t) byte;
            us_reader_t reader = us_reader (copy, sizeof good);
            us_skip (&reader, NULL, NULL);
            assert_true (reader.at <= reader.end);
            free (copy);
        }
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_golden),  cmocka_unit_test (test_integers),
        cmocka_unit_test (test_skip),    cmocka_unit_test (test_corrupt),
        cmocka_unit_test (test_damaged),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * The arithmetic of chunks, at its edges. */
#include "unit.h"

#include "proto/chunk.h"

#define MIB ((uint64_t) USI_MAX_CHUNK)

static void test_counts (void **state)
{
    (void) state;
    assert_int_equal (usi_chunk_count (0), 1);
    assert_int_equal (usi_chunk_count (1), 1);
    assert_int_equal (usi_chunk_count (MIB), 1);
    assert_int_equal (usi_chunk_count (MIB + 1), 2);
    assert_int_equal (usi_chunk_count (65536 * MIB), 65536);
    assert_int_equal (usi_chunk_count (UINT64_MAX), UINT64_MAX / MIB + 1);
}

static void test_lengths (void **state)
{
    (void) state;
    assert_int_equal (usi_chunk_len (0, 0), 0);
    assert_int_equal (usi_chunk_len (1, 0), 1);
    assert_int_equal (usi_chunk_len (MIB, 0), MIB);
    assert_int_equal (usi_chunk_len (MIB, 1), 0);
    assert_int_equal (usi_chunk_len (MIB + 10, 0), MIB);
    assert_int_equal (usi_chunk_len (MIB + 10, 1), 10);
    assert_int_equal (usi_chunk_len (MIB + 10, 2), 0);
    assert_int_equal (usi_chunk_len (MIB + 10, UINT64_MAX), 0);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_counts),
        cmocka_unit_test (test_lengths),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

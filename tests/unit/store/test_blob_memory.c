/* SPDX-License-Identifier: MIT
 *
 * What a broker remembers of blobs, and what makes it forget. */
#include "unit.h"

#include "base/clock.h"
#include "store/blob_memory.h"

static const uint8_t s_one[USI_DIGEST_LEN] = {1}, s_two[USI_DIGEST_LEN] = {2};

static void test_it_remembers (void **state)
{
    (void) state;
    blob_memory_t *memory = blob_memory_new ();
    int64_t now_ms = usi_now_ms ();
    assert_false (blob_memory_has (memory, s_one, 0));
    blob_memory_add (memory, s_one, now_ms);
    assert_true (blob_memory_has (memory, s_one, 0));
    assert_false (blob_memory_has (memory, s_two, 0));
    blob_memory_forget (memory, s_one);
    assert_false (blob_memory_has (memory, s_one, 0));
    blob_memory_add (memory, s_one, now_ms);
    blob_memory_clear (memory);
    assert_false (blob_memory_has (memory, s_one, 0));
    blob_memory_destroy (&memory);
    assert_null (memory);
    blob_memory_destroy (&memory);
}

static void test_ten_minutes (void **state)
{
    (void) state;
    blob_memory_t *memory = blob_memory_new ();
    blob_memory_add (memory, s_one, usi_now_ms () - 590000);
    blob_memory_add (memory, s_two, usi_now_ms () - 600001);
    assert_true (blob_memory_has (memory, s_one, -1000000));
    assert_false (blob_memory_has (memory, s_two, -1000000));
    blob_memory_destroy (&memory);
}

/* While nobody listened, news may have been missed. */
static void test_since (void **state)
{
    (void) state;
    blob_memory_t *memory = blob_memory_new ();
    int64_t now_ms = usi_now_ms ();
    blob_memory_add (memory, s_one, now_ms);
    assert_true (blob_memory_has (memory, s_one, now_ms - 1));
    assert_false (blob_memory_has (memory, s_one, now_ms));
    blob_memory_destroy (&memory);
}

/* An answer may be older than the news, although it comes later. */
static void test_an_answer_from_before_the_news (void **state)
{
    (void) state;
    blob_memory_t *memory = blob_memory_new ();
    int64_t asked_ms = usi_now_ms ();
    blob_memory_add (memory, s_two, asked_ms);
    blob_memory_lost (memory, s_one);
    blob_memory_add (memory, s_one, asked_ms);
    assert_false (blob_memory_has (memory, s_one, 0));
    assert_true (blob_memory_has (memory, s_two, 0)); /* another blob is as it was */
    blob_memory_add (memory, s_one, usi_now_ms () + 1);
    assert_true (blob_memory_has (memory, s_one, 0));
    blob_memory_destroy (&memory);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_it_remembers),
        cmocka_unit_test (test_ten_minutes),
        cmocka_unit_test (test_since),
        cmocka_unit_test (test_an_answer_from_before_the_news),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * The list of what a slow peer has missed. */
#include "unit.h"

#include <string.h>

#include "peers/missed.h"

static peer_t s_peer;

static int s_teardown (void **state)
{
    (void) state;
    missed_free (&s_peer);
    return 0;
}

/* What an item becomes when it is missed and sent later. */
static usi_fields_t s_again (usi_type_t type, const usi_fields_t *item, arena_t *arena)
{
    missed_t missed;
    usi_fields_t again = {0};
    assert_true (missed_of (type, item, &missed));
    missed_fill (&missed, &again, arena);
    return again;
}

static void test_ids_and_codes_survive (void **state)
{
    (void) state;
    arena_t arena = {0};
    const usi_fields_t item = {.id = {{9}},
                               .attempt = 7,
                               .code = -13,
                               .state = US_STATE_FAILED,
                               .stream = 1,
                               .offset = 99};
    usi_fields_t again = s_again (USI_COMMITTED, &item, &arena);
    assert_int_equal (again.id.bytes[0], 9);
    assert_int_equal (again.attempt, 7);
    assert_int_equal (again.code, -13);
    assert_int_equal (again.state, US_STATE_FAILED);
    again = s_again (USI_LOG_KEPT, &item, &arena);
    assert_int_equal (again.stream, 1);
    assert_int_equal (again.offset, 99);
    assert_false (usi_has (&again, USI_F_STATE));
    again = s_again (USI_STOP, &item, &arena);
    assert_int_equal (again.attempt, 7);
    assert_false (usi_has (&again, USI_F_CODE));
    arena_free (&arena);
}

static void test_digests_survive (void **state)
{
    (void) state;
    arena_t arena = {0};
    uint8_t digest[USI_DIGEST_LEN] = {1, 2, 3};
    const usi_fields_t item = {.blob = usi_bytes (digest, sizeof digest),
                               .size = 5,
                               .index = 4,
                               .code = -2};
    usi_fields_t again = s_again (USI_BLOB_FOUND, &item, &arena);
    assert_int_equal (again.size, 5);
    assert_memory_equal (again.blob.data, digest, sizeof digest);
    again = s_again (USI_BLOB_KEPT, &item, &arena);
    assert_int_equal (again.index, 4);
    assert_int_equal (again.code, -2);
    arena_free (&arena);
}

static void test_what_is_asked_again_soon_is_not_kept (void **state)
{
    (void) state;
    const usi_fields_t item = {.attempt = 1};
    missed_t missed;
    assert_false (missed_of (USI_RENEWED, &item, &missed));
    assert_false (missed_of (USI_LOGGED, &item, &missed));
}

static void test_the_list_is_bounded_and_in_order (void **state)
{
    (void) state;
    usi_fields_t item = {0};
    missed_t missed, out[2];
    for (size_t i = 0; i < MISSED_MAX; i++) {
        item.id.bytes[0] = (uint8_t) i;
        assert_true (missed_of (USI_COMMITTED, &item, &missed));
        assert_true (missed_add (&s_peer, &missed));
    }
    assert_false (missed_add (&s_peer, &missed));
    assert_int_equal (missed_take (&s_peer, out, 2), 2);
    assert_int_equal (out[1].key[0], 1);
    assert_int_equal (missed_take (&s_peer, out, 1), 1);
    assert_int_equal (out[0].key[0], 2);
    missed_free (&s_peer);
    assert_int_equal (missed_take (&s_peer, out, 2), 0);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_ids_and_codes_survive),
        cmocka_unit_test (test_digests_survive),
        cmocka_unit_test (test_what_is_asked_again_soon_is_not_kept),
        cmocka_unit_test_teardown (test_the_list_is_bounded_and_in_order, s_teardown),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

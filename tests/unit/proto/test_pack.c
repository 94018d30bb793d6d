/* SPDX-License-Identifier: MIT
 *
 * Looking up one key of a msgpack map. */
#include "unit.h"

#include "proto/pack.h"

static usi_buf_t s_map;

static int s_setup (void **state)
{
    (void) state;
    usi_pack_map (&s_map, 3);
    usi_pack_array (&s_map, 2); /* a key that is not a string is passed over whole */
    usi_pack_str (&s_map, "code", 4);
    usi_pack_uint (&s_map, 1);
    usi_pack_uint (&s_map, 2);
    usi_pack_str (&s_map, "type", 4);
    usi_pack_map (&s_map, 1);
    usi_pack_str (&s_map, "code", 4);
    usi_pack_uint (&s_map, 3);
    usi_pack_str (&s_map, "code", 4);
    usi_pack_uint (&s_map, 4);
    return 0;
}

static int s_teardown (void **state)
{
    (void) state;
    usi_buf_free (&s_map);
    return 0;
}

static us_value_t s_find (usi_bytes_t map, const char *key)
{
    us_reader_t at = usi_map_find (map, key);
    return usi_read (&at);
}

static void test_finds_a_key_of_the_outer_map (void **state)
{
    (void) state;
    us_value_t code = s_find (usi_buf_bytes (&s_map), "code");
    assert_int_equal (code.type, US_TYPE_INT);
    assert_int_equal (code.as.integer, 4);
    assert_int_equal (s_find (usi_buf_bytes (&s_map), "type").type, US_TYPE_MAP);
}

static void test_says_where_there_is_none (void **state)
{
    (void) state;
    assert_int_equal (s_find (usi_buf_bytes (&s_map), "cod").type, US_TYPE_END);
    assert_int_equal (s_find (usi_bytes (NULL, 0), "code").type, US_TYPE_END);
    assert_int_equal (s_find (usi_bytes_of ("\xa4"
                                            "code"),
                              "code")
                          .type,
                      US_TYPE_END);
}

static void test_cut_off_maps_end_the_search (void **state)
{
    (void) state;
    for (size_t len = 0; len < s_map.len; len++)
        assert_int_equal (s_find (usi_bytes (s_map.data, len), "code").type,
                          US_TYPE_END);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown (test_finds_a_key_of_the_outer_map, s_setup,
                                         s_teardown),
        cmocka_unit_test_setup_teardown (test_says_where_there_is_none, s_setup,
                                         s_teardown),
        cmocka_unit_test_setup_teardown (test_cut_off_maps_end_the_search, s_setup,
                                         s_teardown),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

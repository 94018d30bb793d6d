/* SPDX-License-Identifier: MIT
 *
 * Ids, the names of channels and Pythons, hex. */
#include "unit.h"

#include "base/clock.h"
#include "base/id.h"

static usi_bytes_t s_text (const char *text)
{
    return usi_bytes_of (text);
}

static void test_an_id_belongs_to_its_channel (void **state)
{
    (void) state;
    usi_id_t id, other;
    usi_id_make (&id, s_text ("default"));
    usi_id_make (&other, s_text ("default"));
    assert_int_equal (id.bytes[6] >> 4, 8);
    assert_int_equal (id.bytes[8] >> 6, 2);
    assert_int_equal (usi_id_partition (&id),
                      0x37); /* sha-256("default") = 37a8eec1… */
    assert_int_equal (usi_id_partition (&id), usi_partition (s_text ("default")));
    assert_false (usi_id_equal (&id, &other));
}

static void test_channel_names (void **state)
{
    (void) state;
    char longest[130];
    memset (longest, 'a', sizeof longest);
    assert_true (usi_channel_valid (s_text ("default")));
    assert_true (usi_channel_valid (s_text ("9.a_b-C")));
    assert_true (usi_channel_valid (usi_bytes (longest, 128)));
    assert_false (usi_channel_valid (usi_bytes (longest, 129)));
    static const char *const bad[] = {"",    ".",   "..",      "a/b",  "-a",
                                      "a b", "a\n", "{t}",     "*",    "job:x",
                                      "%n",  "é",   "../../e", "a\x01"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false (usi_channel_valid (s_text (bad[i])));
    assert_false (usi_channel_valid (usi_bytes ("a\0b", 3)));
}

static void test_python_versions_make_classes (void **state)
{
    (void) state;
    char needs[64];
    assert_int_equal (usi_class (s_text (""), needs), 0);
    assert_string_equal (needs, "");
    assert_int_not_equal (usi_class (s_text ("3.11"), needs), 0);
    assert_string_equal (needs, "python=3.11");
    assert_int_not_equal (usi_class (s_text ("3.11"), NULL),
                          usi_class (s_text ("3.12"), NULL));
    assert_true (usi_python_valid (s_text ("3.9")));
    static const char *const bad[] = {"",      "3",   "3.",  ".9",
                                      "3.9.1", "3,9", "3.x", "-3.9"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false (usi_python_valid (s_text (bad[i])));
}

static void test_hex (void **state)
{
    (void) state;
    uint8_t bytes[4];
    char text[9];
    assert_int_equal (usi_unhex ("00fFa1", bytes, sizeof bytes), 3);
    usi_hex (bytes, 3, text);
    assert_string_equal (text, "00ffa1");
    assert_int_equal (usi_unhex ("abc", bytes, sizeof bytes), -1);
    assert_int_equal (usi_unhex ("zz", bytes, sizeof bytes), -1);
    assert_int_equal (usi_unhex ("0011223344", bytes, sizeof bytes), -1);
}

static void test_sha256 (void **state)
{
    (void) state;
    uint8_t digest[USI_DIGEST_LEN];
    char text[2 * USI_DIGEST_LEN + 1];
    usi_sha256 ("abc", 3, digest);
    usi_hex (digest, sizeof digest, text);
    assert_string_equal (text,
                         "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61"
                         "f20015ad"); /* FIPS 180-2, appendix B.1 */
}

static void test_buffers_grow_and_give_back (void **state)
{
    (void) state;
    usi_buf_t buf = {0};
    for (int i = 0; i < 1000; i++)
        usi_buf_printf (&buf, "%04d", i);
    assert_int_equal (buf.len, 4000);
    usi_buf_consume (&buf, 3996);
    assert_memory_equal (buf.data, "0999", 4);
    usi_buf_consume (&buf, 100);
    assert_int_equal (buf.len, 0);
    usi_buf_free (&buf);
    assert_null (buf.data);
}

static void test_jitter_stays_near (void **state)
{
    (void) state;
    for (int i = 0; i < 1000; i++)
        assert_in_range (usi_jitter_ms (1000), 800, 1200);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_an_id_belongs_to_its_channel),
        cmocka_unit_test (test_channel_names),
        cmocka_unit_test (test_python_versions_make_classes),
        cmocka_unit_test (test_hex),
        cmocka_unit_test (test_sha256),
        cmocka_unit_test (test_buffers_grow_and_give_back),
        cmocka_unit_test (test_jitter_stays_near),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * A file that was found sound stays so until it is written to or replaced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "sound_blobs.h"

static const uint8_t s_one[USI_DIGEST_LEN] = {1}, s_two[USI_DIGEST_LEN] = {2};

static const struct stat s_file = {.st_dev = 1,
                                   .st_ino = 2,
                                   .st_size = 3,
                                   .st_mtim = {.tv_sec = 4, .tv_nsec = 5},
                                   .st_atim = {.tv_sec = 6}};

static void test_each_change_counts_but_use (void **state)
{
    (void) state;
    sound_blobs_t *sound = sound_blobs_new ();
    struct stat changed[5] = {s_file, s_file, s_file, s_file, s_file}, used = s_file;
    changed[0].st_dev++;
    changed[1].st_ino++;
    changed[2].st_size++;
    changed[3].st_mtim.tv_sec++;
    changed[4].st_mtim.tv_nsec++;
    used.st_atim.tv_sec++;
    assert_false (sound_blobs_has (sound, s_one, &s_file));
    sound_blobs_add (sound, s_one, &s_file);
    for (size_t i = 0; i < 5; i++)
        assert_false (sound_blobs_has (sound, s_one, &changed[i]));
    assert_true (sound_blobs_has (sound, s_one, &used));
    sound_blobs_add (sound, s_one, &changed[3]); /* fetched anew */
    assert_true (sound_blobs_has (sound, s_one, &changed[3]));
    assert_false (sound_blobs_has (sound, s_one, &s_file));
    sound_blobs_destroy (&sound);
    assert_null (sound);
}

static void test_one_is_removed (void **state)
{
    (void) state;
    sound_blobs_t *sound = sound_blobs_new ();
    sound_blobs_add (sound, s_one, &s_file);
    sound_blobs_add (sound, s_two, &s_file);
    sound_blobs_remove (sound, s_one);
    sound_blobs_remove (sound, s_one);
    assert_false (sound_blobs_has (sound, s_one, &s_file));
    assert_true (sound_blobs_has (sound, s_two, &s_file));
    sound_blobs_destroy (&sound);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_each_change_counts_but_use),
        cmocka_unit_test (test_one_is_removed),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

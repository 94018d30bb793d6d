/* SPDX-License-Identifier: MIT
 *
 * Golden data: files of tests/unit/data whose lines are "NAME HEX"; lines that begin with '#'
 * are comments. Each value is handed over on the heap, so that a sanitizer sees a
 * byte too far. */
#ifndef TESTS_UNIT_GOLDEN_H
#define TESTS_UNIT_GOLDEN_H

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/id.h"

typedef void golden_fn (const char *name, usi_bytes_t bytes, void *arg);

/* Calls fn with each value of the file: how many there are. */
__attribute__ ((unused)) static int golden_each (const char *path, golden_fn *fn,
                                                 void *arg)
{
    static char line[16384];
    int count = 0;
    FILE *file = fopen (path, "r");
    assert_non_null (file);
    while (fgets (line, sizeof line, file)) {
        char *hex = strchr (line, ' ');
        if (line[0] == '#' || !hex)
            continue;
        assert_non_null (strchr (hex, '\n')); /* else the line is longer than ours */
        *hex++ = '\0';
        hex[strcspn (hex, "\n")] = '\0';
        assert_int_equal (strlen (hex) % 2, 0);
        size_t len = strlen (hex) / 2;
        uint8_t *data = malloc (len ? len : 1);
        assert_int_equal (usi_unhex (hex, data, len), len);
        fn (line, usi_bytes (data, len), arg);
        free (data);
        count++;
    }
    fclose (file);
    return count;
}

typedef struct golden_wanted {
    const char *name;
    uint8_t *data;
    size_t size, len;
} golden_wanted_t;

__attribute__ ((unused)) static void golden_take (const char *name, usi_bytes_t bytes,
                                                  void *arg)
{
    golden_wanted_t *wanted = arg;
    if (strcmp (name, wanted->name) != 0)
        return;
    assert_in_range (bytes.len, 1, wanted->size);
    memcpy (wanted->data, bytes.data, bytes.len);
    wanted->len = bytes.len;
}

/* The value of this name, copied into data. */
__attribute__ ((unused)) static usi_bytes_t golden_get (const char *path,
                                                        const char *name, uint8_t *data,
                                                        size_t size)
{
    golden_wanted_t wanted = {name, data, size, 0};
    golden_each (path, golden_take, &wanted);
    if (wanted.len == 0)
        fail_msg ("%s has no %s", path, name);
    return usi_bytes (data, wanted.len);
}

#endif

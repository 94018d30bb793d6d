/* SPDX-License-Identifier: MIT
 *
 * The golden envelopes of tests/unit/data/envelopes.json, without a JSON reader: the
 * file writes "name" before "hex", and one part after the other. */
#ifndef TESTS_UNIT_GOLDEN_ENVELOPES_H
#define TESTS_UNIT_GOLDEN_ENVELOPES_H

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/id.h"

/* The file, from the line of this part on ("values", …); the caller frees *text. */
__attribute__ ((unused)) static const char *golden_part (char **text, const char *part)
{
    char line[64];
    FILE *file = fopen (US_TEST_DATA "/envelopes.json", "r");
    assert_non_null (file);
    *text = calloc (1, 65536);
    assert_in_range (fread (*text, 1, 65535, file), 1000, 65534);
    fclose (file);
    snprintf (line, sizeof line, "\n \"%s\": [", part);
    const char *at = strstr (*text, line);
    assert_non_null (at);
    return at + 1;
}

/* The bytes of the next "hex" of the part that *at is in, on the heap so that a
 * sanitizer sees a byte too far; false where there is none. */
__attribute__ ((unused)) static bool golden_next (const char **at, usi_bytes_t *bytes)
{
    static const char key[] = "\"hex\": \"";
    const char *end = strstr (*at, "\n ]"), *found = strstr (*at, key);
    if (!found || !end || found > end)
        return false;
    found += sizeof key - 1;
    size_t digits = strcspn (found, "\"");
    char *hex = strndup (found, digits);
    uint8_t *data = malloc (digits / 2 + 1);
    assert_int_equal (usi_unhex (hex, data, digits / 2), digits / 2);
    free (hex);
    *bytes = usi_bytes (data, digits / 2);
    *at = found + digits;
    return true;
}

/* The one of this name; the caller frees the data. */
__attribute__ ((unused)) static usi_bytes_t golden_envelope (const char *part,
                                                             const char *name)
{
    char *text, line[64];
    usi_bytes_t bytes = {0};
    const char *at = golden_part (&text, part);
    snprintf (line, sizeof line, "\"name\": \"%s\"", name);
    at = strstr (at, line);
    assert_non_null (at);
    assert_true (golden_next (&at, &bytes));
    free (text);
    return bytes;
}

#endif

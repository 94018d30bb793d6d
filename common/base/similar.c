/* SPDX-License-Identifier: MIT
 *
 * See similar.h: the distance of Damerau and Levenshtein, in its restricted form, over three
 * rows of the table. */
#include "base/similar.h"

#include <string.h>

#define LONGEST 128

static unsigned s_least (unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned s_distance (const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][LONGEST + 1];
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= b_len; j++)
        last[j] = (unsigned) j;
    for (size_t i = 1; i <= a_len; i++) {
        now[0] = (unsigned) i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned wrong = last[j - 1] + (a[i - 1] != b[j - 1]);
            now[j] = s_least (wrong, s_least (last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = s_least (now[j], before[j - 2] + 1);
        }
        unsigned *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b_len];
}

unsigned usi_slips (const char *given, const char *meant)
{
    size_t given_len = strlen (given), meant_len = strlen (meant);
    if (given_len > LONGEST || meant_len > LONGEST)
        return USI_NOT_SIMILAR;
    size_t longer = given_len > meant_len ? given_len : meant_len;
    size_t shorter = given_len > meant_len ? meant_len : given_len;
    if ((longer - shorter) * 3 > longer)
        return USI_NOT_SIMILAR;
    unsigned slips = s_distance (given, given_len, meant, meant_len);
    return slips * 3 <= longer ? slips : USI_NOT_SIMILAR;
}

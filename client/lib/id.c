/* SPDX-License-Identifier: MIT
 *
 * Job ids as callers see them, and the version. */
#include <string.h>

#include "base/id.h"

const char *us_version (void)
{
    return US_VERSION_STRING;
}

us_err_t us_id_new (us_id_t *id, const char *channel)
{
    if (!id || !channel || !usi_channel_valid (usi_bytes_of (channel)))
        return US_ERR_INVALID;
    usi_id_make (id, usi_bytes_of (channel));
    return US_OK;
}

us_err_t us_id_parse (us_id_t *id, const char *text)
{
    char digits[2 * US_ID_LEN + 1];
    size_t len = 0;
    us_id_t parsed;
    if (!id || !text || strlen (text) != US_ID_TEXT_LEN)
        return US_ERR_INVALID;
    for (size_t i = 0; i < US_ID_TEXT_LEN; i++) {
        bool is_hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_hyphen != (text[i] == '-'))
            return US_ERR_INVALID;
        if (!is_hyphen)
            digits[len++] = text[i];
    }
    digits[len] = '\0';
    if (usi_unhex (digits, parsed.bytes, sizeof parsed.bytes) != US_ID_LEN ||
        !usi_id_valid (&parsed))
        return US_ERR_INVALID;
    *id = parsed;
    return US_OK;
}

void us_id_format (const us_id_t *id, char text[US_ID_TEXT_LEN + 1])
{
    static const size_t starts[] = {0, 4, 6, 8, 10, US_ID_LEN};
    char *at = text;
    for (size_t i = 0; i < 5; i++) {
        size_t len = starts[i + 1] - starts[i];
        usi_hex (id->bytes + starts[i], len, at);
        at += 2 * len;
        *at++ = i < 4 ? '-' : '\0';
    }
}

bool us_id_matches (const us_id_t *id, const char *channel)
{
    return id && channel && usi_channel_valid (usi_bytes_of (channel)) &&
           usi_id_partition (id) == usi_partition (usi_bytes_of (channel));
}

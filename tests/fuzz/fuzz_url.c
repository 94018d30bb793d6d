/* SPDX-License-Identifier: MIT
 *
 * Redis URLs: what is accepted can be written, and is then the same. */
#include <stdbool.h>

#include "fuzz.h"
#include "redis/url.h"

/* The URL written anew; NULL where it is refused. */
static char *s_again (const char *text)
{
    usi_redis_url_t url;
    char why[256] = "", *again = NULL;
    if (usi_redis_url_parse (&url, text, why, sizeof why) == US_OK) {
        again = usi_redis_url_text (&url);
        free (usi_redis_url_shown (&url));
    } else {
        US_ASSERT (*why);
    }
    usi_redis_url_free (&url);
    return again;
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    char *text = usi_bytes_dup_text (usi_bytes (data, len));
    char *once = s_again (text);
    if (once) {
        char *twice = s_again (once);
        US_ASSERT (twice && strcmp (once, twice) == 0);
        free (twice);
    }
    free (once);
    free (text);
    return 0;
}

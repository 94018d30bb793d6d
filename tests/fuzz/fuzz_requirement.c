/* SPDX-License-Identifier: MIT
 *
 * Package requirements: the canonical form is its own canonical form, else one set of
 * packages would have two environments. */
#include "fuzz.h"
#include "proto/requirement.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    usi_buf_t once = {0}, twice = {0};
    const char *why = NULL;
    if (usi_requirement_normalise (usi_bytes (data, len), &once, &why) == US_OK) {
        US_ASSERT (usi_requirement_normalise (usi_buf_bytes (&once), &twice, &why) ==
                   US_OK);
        US_ASSERT (usi_bytes_equal (usi_buf_bytes (&once), usi_buf_bytes (&twice)));
        US_ASSERT (!memchr (once.data, '\n', once.len));
        US_ASSERT (once.data[0] != '-'); /* an option to pip */
    } else {
        US_ASSERT (why);
    }
    usi_buf_free (&once);
    usi_buf_free (&twice);
    return 0;
}

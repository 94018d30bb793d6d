/* SPDX-License-Identifier: MIT
 *
 * Records and results as somebody may have left them in Redis: every part lies inside. */
#include "fuzz.h"
#include "store/record.h"

static void s_inside (usi_bytes_t part, usi_bytes_t whole)
{
    US_ASSERT (part.len == 0 || (part.data >= whole.data &&
                                 part.data + part.len <= whole.data + whole.len));
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    const usi_id_t id = {{1}};
    usi_bytes_t bytes = usi_bytes (data, len);
    store_record_t record;
    store_result_t result;
    if (record_parse (&record, &id, bytes) == US_OK) {
        s_inside (record.channel, bytes);
        s_inside (record.blobs, bytes);
        s_inside (record.spec, bytes);
        s_inside (record.body, bytes);
        US_ASSERT (record.blobs.len % USI_DIGEST_LEN == 0);
    }
    if (record_parse_result (&result, bytes) == US_OK) {
        s_inside (result.body, bytes);
        s_inside (result.blob, bytes);
        US_ASSERT (result.blob.len == 0 || result.blob.len == USI_DIGEST_LEN);
    }
    return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * What users read: the value of a result, and rows and values as JSON. */
#include "fuzz.h"
#include "json.h"
#include "record.h"

static void s_json (const void *data, size_t len)
{
    us_writer_t *writer;
    json_t *value = json_from_value (data, len);
    if (value && us_writer_new (&writer) == US_OK) {
        json_write (writer, value);
        us_writer_destroy (&writer);
    }
    json_decref (value);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    const void *value;
    size_t value_len;
    us_result_t result = {.state = US_STATE_SUCCEEDED,
                          .body = (uint8_t *) data,
                          .body_len = len};
    if (us_result_value (&result, &value, &value_len) == US_OK)
        s_json (value, value_len);
    s_json (data, len);
    json_decref (json_from_row (data, len));
    return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * The msgpack reader, and maps of fields: job specifications and registry entries. */
#include "fuzz.h"
#include "proto/fields.h"
#include "proto/message.h"
#include "proto/pack.h"
#include "redis/registry.h"

#define ENVELOPE_DEPTH 32
#define SEEN_MS        1700000000000

/* Value by value to the end: every view lies inside the bytes. */
static void s_walk (usi_bytes_t bytes)
{
    us_reader_t reader = usi_reader (bytes);
    for (;;) {
        us_value_t value = usi_read (&reader);
        US_ASSERT (reader.at >= bytes.data && reader.at <= reader.end);
        if (value.type == US_TYPE_END)
            break;
        if (value.len > 0)
            US_ASSERT ((const uint8_t *) value.data >= bytes.data &&
                       (const uint8_t *) value.data + value.len <= reader.at);
    }
}

static void s_check (usi_bytes_t bytes)
{
    const void *data;
    size_t len;
    if (!usi_pack_check (bytes, ENVELOPE_DEPTH))
        return;
    us_reader_t reader = usi_reader (bytes);
    US_ASSERT (usi_skip (&reader, &data, &len) && len == bytes.len);
    US_ASSERT (!reader.malformed && reader.at == reader.end);
}

static void s_walk_list (const usi_list_t *list)
{
    uint32_t count = 0;
    size_t position = 0;
    usi_bytes_t element;
    while (usi_list_next (list, &position, &element))
        count++;
    US_ASSERT (count == list->count);
}

static void s_fields (usi_bytes_t bytes)
{
    usi_fields_t fields, back;
    usi_buf_t once = {0}, twice = {0}, sealed = {0};
    if (usi_fields_decode (&fields, bytes, NULL) != US_OK)
        return;
    s_walk_list (&fields.packages);
    s_walk_list (&fields.endpoints);
    usi_fields_encode (&fields, &once);
    US_ASSERT (usi_fields_decode (&back, usi_buf_bytes (&once), NULL) == US_OK);
    usi_fields_encode (&back, &twice);
    US_ASSERT (usi_bytes_equal (usi_buf_bytes (&once), usi_buf_bytes (&twice)));
    US_ASSERT (usi_registry_seal (usi_buf_bytes (&once), SEEN_MS, &sealed) == US_OK);
    US_ASSERT (usi_registry_seen (usi_buf_bytes (&sealed)) == SEEN_MS);
    US_ASSERT (usi_fields_decode (&back, usi_buf_bytes (&sealed), NULL) == US_OK);
    usi_buf_free (&once);
    usi_buf_free (&twice);
    usi_buf_free (&sealed);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    usi_bytes_t bytes = usi_bytes (data, len);
    s_walk (bytes);
    s_check (bytes);
    s_fields (bytes);
    usi_registry_seen (bytes);
    return 0;
}

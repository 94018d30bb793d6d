/* SPDX-License-Identifier: MIT
 *
 * msgpack: see pack.h. */
#include "proto/pack.h"

#include <msgpack.h>

#include "base/mem.h"

/* --- writing --------------------------------------------------------------------- */

static int s_write (void *data, const char *bytes, size_t len)
{
    usi_buf_t *buf = data;
    usi_buf_append (buf, bytes, len);
    return buf->failed ? -1 : 0;
}

static inline msgpack_packer s_packer (usi_buf_t *buf)
{
    msgpack_packer packer;
    msgpack_packer_init (&packer, buf, s_write);
    return packer;
}

void usi_pack_nil (usi_buf_t *buf)
{
    msgpack_packer packer = s_packer (buf);
    msgpack_pack_nil (&packer);
}

void usi_pack_bool (usi_buf_t *buf, bool value)
{
    msgpack_packer packer = s_packer (buf);
    if (value)
        msgpack_pack_true (&packer);
    else
        msgpack_pack_false (&packer);
}

void usi_pack_int (usi_buf_t *buf, int64_t value)
{
    msgpack_packer packer = s_packer (buf);
    msgpack_pack_int64 (&packer, value);
}

void usi_pack_uint (usi_buf_t *buf, uint64_t value)
{
    msgpack_packer packer = s_packer (buf);
    msgpack_pack_uint64 (&packer, value);
}

void usi_pack_double (usi_buf_t *buf, double value)
{
    msgpack_packer packer = s_packer (buf);
    msgpack_pack_double (&packer, value);
}

void usi_pack_str (usi_buf_t *buf, const void *text, size_t len)
{
    msgpack_packer packer = s_packer (buf);
    msgpack_pack_str (&packer, len);
    msgpack_pack_str_body (&packer, text, len);
}

void usi_pack_bin (usi_buf_t *buf, const void *data, size_t len)
{
    msgpack_packer packer = s_packer (buf);
    msgpack_pack_bin (&packer, len);
    msgpack_pack_bin_body (&packer, data, len);
}

void usi_pack_array (usi_buf_t *buf, uint32_t count)
{
    msgpack_packer packer = s_packer (buf);
    msgpack_pack_array (&packer, count);
}

void usi_pack_map (usi_buf_t *buf, uint32_t count)
{
    msgpack_packer packer = s_packer (buf);
    msgpack_pack_map (&packer, count);
}

/* --- reading --------------------------------------------------------------------- */

us_reader_t usi_reader (usi_bytes_t bytes)
{
    static const uint8_t nothing[1];
    const uint8_t *start = bytes.data ? bytes.data : nothing;
    return (us_reader_t){.at = start, .end = start + bytes.len, .malformed = false};
}

static us_value_t s_malformed (us_reader_t *reader)
{
    reader->malformed = true;
    reader->at = reader->end;
    return (us_value_t){.type = US_TYPE_END};
}

static size_t s_left (const us_reader_t *reader)
{
    return (size_t) (reader->end - reader->at);
}

/* A big endian integer of size bytes; the caller has checked that they are there. */
static uint64_t s_take (us_reader_t *reader, unsigned size)
{
    uint64_t value = usi_get_be (reader->at, size);
    reader->at += size;
    return value;
}

static us_value_t s_bytes (us_reader_t *reader, us_type_t type, uint64_t len)
{
    if (len > s_left (reader))
        return s_malformed (reader);
    us_value_t value = {.type = type,
                        .data = (const char *) reader->at,
                        .len = (uint32_t) len};
    reader->at += len;
    return value;
}

/* Every element takes a byte at least, which bounds a lying count. */
static us_value_t s_container (us_reader_t *reader, us_type_t type, uint64_t count)
{
    uint64_t least = type == US_TYPE_MAP ? count * 2 : count;
    if (least > s_left (reader))
        return s_malformed (reader);
    return (us_value_t){.type = type, .as.count = (uint32_t) count};
}

static us_value_t s_signed (int64_t number)
{
    return (us_value_t){.type = US_TYPE_INT, .as.integer = number};
}

static us_value_t s_unsigned (uint64_t number)
{
    if (number <= INT64_MAX)
        return s_signed ((int64_t) number);
    return (us_value_t){.type = US_TYPE_UINT, .as.uinteger = number};
}

static us_value_t s_float (us_reader_t *reader, unsigned size)
{
    us_value_t value = {.type = US_TYPE_DOUBLE};
    uint64_t bits = s_take (reader, size);
    if (size == 4) {
        uint32_t half = (uint32_t) bits;
        float number;
        memcpy (&number, &half, sizeof number);
        value.as.number = (double) number;
    } else
        memcpy (&value.as.number, &bits, sizeof value.as.number);
    return value;
}

/* An extension: type byte and len bytes of data. */
static us_value_t s_ext (us_reader_t *reader, uint64_t len)
{
    if (s_left (reader) < 1)
        return s_malformed (reader);
    reader->at++;
    return s_bytes (reader, US_TYPE_EXT, len);
}

/* Bytes of argument that follow the format bytes 0xc4 to 0xdf. */
static const uint8_t s_argument[28] = {1, 2, 4, 1, 2, 4, 4, 8, 1, 2, 4, 8, 1, 2,
                                       4, 8, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4};

static us_value_t s_read_long (us_reader_t *reader, uint8_t format)
{
    unsigned size = s_argument[format - 0xc4];
    if (s_left (reader) < size)
        return s_malformed (reader);
    if (format == 0xca || format == 0xcb)
        return s_float (reader, size);
    uint64_t argument = size ? s_take (reader, size) : 0;
    switch (format) {
    case 0xc4:
    case 0xc5:
    case 0xc6: return s_bytes (reader, US_TYPE_BIN, argument);
    case 0xc7:
    case 0xc8:
    case 0xc9: return s_ext (reader, argument);
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf: return s_unsigned (argument);
    case 0xd0: return s_signed ((int8_t) argument);
    case 0xd1: return s_signed ((int16_t) argument);
    case 0xd2: return s_signed ((int32_t) argument);
    case 0xd3: return s_signed ((int64_t) argument);
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8: return s_ext (reader, (uint64_t) 1 << (format - 0xd4));
    case 0xd9:
    case 0xda:
    case 0xdb: return s_bytes (reader, US_TYPE_STR, argument);
    case 0xdc:
    case 0xdd: return s_container (reader, US_TYPE_ARRAY, argument);
    default: /* 0xde, 0xdf */ return s_container (reader, US_TYPE_MAP, argument);
    }
}

us_value_t usi_read (us_reader_t *reader)
{
    if (reader->at >= reader->end)
        return (us_value_t){.type = US_TYPE_END};
    uint8_t format = *reader->at++;
    if (format < 0x80)
        return s_signed (format);
    if (format >= 0xe0)
        return s_signed ((int8_t) format);
    if (format < 0x90)
        return s_container (reader, US_TYPE_MAP, format & 0x0f);
    if (format < 0xa0)
        return s_container (reader, US_TYPE_ARRAY, format & 0x0f);
    if (format < 0xc0)
        return s_bytes (reader, US_TYPE_STR, format & 0x1f);
    if (format == 0xc0)
        return (us_value_t){.type = US_TYPE_NIL};
    if (format == 0xc1)
        return s_malformed (reader);
    if (format < 0xc4)
        return (us_value_t){.type = US_TYPE_BOOL, .as.boolean = format == 0xc3};
    return s_read_long (reader, format);
}

bool usi_skip (us_reader_t *reader, const void **data, size_t *len)
{
    const uint8_t *start = reader->at;
    uint64_t left = 1;
    while (left > 0) {
        us_value_t value = usi_read (reader);
        if (value.type == US_TYPE_END) {
            reader->malformed = true;
            return false;
        }
        left--;
        if (value.type == US_TYPE_ARRAY)
            left += value.as.count;
        else if (value.type == US_TYPE_MAP)
            left += (uint64_t) value.as.count * 2;
    }
    if (data)
        *data = start;
    if (len)
        *len = (size_t) (reader->at - start);
    return true;
}

us_reader_t usi_map_find (usi_bytes_t map, const char *key)
{
    us_reader_t reader = usi_reader (map);
    us_value_t outer = usi_read (&reader);
    for (uint32_t i = 0; outer.type == US_TYPE_MAP && i < outer.as.count; i++) {
        us_reader_t at = reader;
        us_value_t name = usi_read (&at);
        if (!usi_skip (&reader, NULL, NULL))
            break;
        if (name.type == US_TYPE_STR &&
            usi_bytes_equal (usi_bytes (name.data, name.len), usi_bytes_of (key)))
            return reader;
        if (!usi_skip (&reader, NULL, NULL))
            break;
    }
    reader.at = reader.end;
    return reader;
}

/* Length of the UTF-8 sequence at the start of text, 0 where malformed. */
static size_t s_utf8 (const uint8_t *text, size_t len)
{
    uint8_t lead = text[0];
    size_t need = lead < 0x80   ? 1
                  : lead < 0xc2 ? 0
                  : lead < 0xe0 ? 2
                  : lead < 0xf0 ? 3
                  : lead < 0xf5 ? 4
                                : 0;
    if (need == 0 || need > len)
        return 0;
    for (size_t i = 1; i < need; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    bool overlong =
        (lead == 0xe0 && text[1] < 0xa0) || (lead == 0xf0 && text[1] < 0x90);
    bool outside = (lead == 0xed && text[1] > 0x9f) || (lead == 0xf4 && text[1] > 0x8f);
    return overlong || outside ? 0 : need;
}

bool usi_is_text (const void *data, size_t len)
{
    const uint8_t *text = data;
    while (len > 0) {
        size_t step = *text == 0 ? 0 : s_utf8 (text, len);
        if (step == 0)
            return false;
        text += step;
        len -= step;
    }
    return true;
}

bool usi_pack_check (usi_bytes_t bytes, unsigned max_depth)
{
    enum { DEEPEST = 64 };
    uint64_t left[DEEPEST + 1] = {1};
    unsigned depth = 0;
    us_reader_t reader = usi_reader (bytes);
    US_ASSERT (max_depth <= DEEPEST);
    for (;;) {
        while (left[depth] == 0) {
            if (depth == 0)
                return reader.at == reader.end;
            depth--;
        }
        us_value_t value = usi_read (&reader);
        if (value.type == US_TYPE_END)
            return false;
        left[depth]--;
        if (value.type != US_TYPE_ARRAY && value.type != US_TYPE_MAP)
            continue;
        if (depth + 1 > max_depth)
            return false;
        left[++depth] = (uint64_t) value.as.count * (value.type == US_TYPE_MAP ? 2 : 1);
    }
}

/* SPDX-License-Identifier: MIT
 *
 * Between msgpack and JSON, see json.h. */
#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "text.h"

#define MAX_DEPTH 64

static json_t *s_value (us_reader_t *reader, const us_value_t *value, unsigned depth);

json_t *json_from_text (const char *text, size_t len)
{
    json_t *string = json_stringn (text, len);
    if (string)
        return string;
    char *repaired = text_repair (text, len);
    string = json_string (repaired);
    free (repaired);
    return string;
}

static json_t *s_hex (const char *data, size_t len)
{
    char *text = mem_alloc (2 * len + 1);
    for (size_t i = 0; i < len; i++)
        sprintf (text + 2 * i, "%02x", (unsigned char) data[i]);
    json_t *string = json_stringn (text, 2 * len);
    free (text);
    return string;
}

static json_t *s_number (double number)
{
    if (isfinite (number))
        return json_real (number);
    return json_string (isnan (number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity");
}

static json_t *s_unsigned (uint64_t number)
{
    return number <= INT64_MAX ? json_integer ((json_int_t) number)
                               : json_sprintf ("%" PRIu64, number);
}

static json_t *s_array (us_reader_t *reader, uint32_t count, unsigned depth)
{
    json_t *array = json_array ();
    for (uint32_t i = 0; i < count; i++) {
        us_value_t value = us_read (reader);
        json_t *element = s_value (reader, &value, depth + 1);
        if (!element) {
            json_decref (array);
            return NULL;
        }
        json_array_append_new (array, element);
    }
    return array;
}

/* Sets object[key], key being any value. Takes the reference of value. */
static void s_set (json_t *object, const json_t *key, json_t *value)
{
    if (json_is_string (key)) {
        json_object_setn_new (object, json_string_value (key), json_string_length (key),
                              value);
        return;
    }
    char *name = json_dumps (key, JSON_ENCODE_ANY | JSON_COMPACT);
    json_object_set_new (object, name, value);
    free (name);
}

/* An array or a map for a key is its msgpack in hex: as JSON, whose quotes the level
 * above escapes again, a key in a key in a key would double at each level. */
static json_t *s_key (us_reader_t *reader, unsigned depth)
{
    const void *data;
    size_t len;
    us_reader_t before = *reader;
    us_value_t value = us_read (reader);
    if (value.type != US_TYPE_ARRAY && value.type != US_TYPE_MAP)
        return s_value (reader, &value, depth);
    *reader = before;
    return us_skip (reader, &data, &len) ? s_hex (data, len) : NULL;
}

static json_t *s_map (us_reader_t *reader, uint32_t count, unsigned depth)
{
    json_t *object = json_object ();
    for (uint32_t i = 0; i < count; i++) {
        json_t *key = s_key (reader, depth + 1);
        us_value_t value = us_read (reader);
        json_t *element = key ? s_value (reader, &value, depth + 1) : NULL;
        if (element)
            s_set (object, key, element);
        json_decref (key);
        if (!element) {
            json_decref (object);
            return NULL;
        }
    }
    return object;
}

static json_t *s_value (us_reader_t *reader, const us_value_t *value, unsigned depth)
{
    if (depth > MAX_DEPTH)
        return NULL;
    switch (value->type) {
    case US_TYPE_NIL: return json_null ();
    case US_TYPE_BOOL: return json_boolean (value->as.boolean);
    case US_TYPE_INT: return json_integer (value->as.integer);
    case US_TYPE_UINT: return s_unsigned (value->as.uinteger);
    case US_TYPE_DOUBLE: return s_number (value->as.number);
    case US_TYPE_STR: return json_from_text (value->data, value->len);
    case US_TYPE_BIN:
        return json_pack ("{s:o}", "bytes", s_hex (value->data, value->len));
    case US_TYPE_EXT:
        return json_pack ("{s:o}", "ext", s_hex (value->data, value->len));
    case US_TYPE_ARRAY: return s_array (reader, value->as.count, depth);
    case US_TYPE_MAP: return s_map (reader, value->as.count, depth);
    case US_TYPE_END: break;
    }
    return NULL;
}

json_t *json_from_value (const void *data, size_t len)
{
    us_reader_t reader = us_reader (data, len);
    us_value_t value = us_read (&reader);
    return s_value (&reader, &value, 0);
}

/* --- rows ---------------------------------------------------------------------------- */

static bool s_is (const us_value_t *key, const char *name)
{
    return key->len == strlen (name) && memcmp (key->data, name, key->len) == 0;
}

static json_t *s_bytes_of_row (const us_value_t *value)
{
    if (value->len != US_ID_LEN)
        return s_hex (value->data, value->len);
    us_id_t id;
    char text[US_ID_TEXT_LEN + 1];
    memcpy (id.bytes, value->data, US_ID_LEN);
    us_id_format (&id, text);
    return json_string (text);
}

static json_t *s_integer_of_row (const us_value_t *key, const us_value_t *value)
{
    uint64_t number =
        value->type == US_TYPE_INT ? (uint64_t) value->as.integer : value->as.uinteger;
    if (s_is (key, "node"))
        return json_sprintf ("%016" PRIx64, number);
    if (s_is (key, "broker"))
        return json_sprintf ("%08" PRIx64, number);
    if (s_is (key, "state"))
        return json_string (us_state_name ((int) number));
    return value->type == US_TYPE_INT ? json_integer (value->as.integer)
                                      : s_unsigned (number);
}

static json_t *s_field_of_row (us_reader_t *reader, const us_value_t *key)
{
    us_value_t value = us_read (reader);
    switch (value.type) {
    case US_TYPE_BIN: return s_bytes_of_row (&value);
    case US_TYPE_INT:
    case US_TYPE_UINT: return s_integer_of_row (key, &value);
    default: return s_value (reader, &value, 1);
    }
}

json_t *json_from_row (const void *data, size_t len)
{
    json_t *row = json_object ();
    us_reader_t reader = us_reader (data, len);
    us_value_t map = us_read (&reader);
    if (map.type != US_TYPE_MAP)
        return row;
    for (uint32_t i = 0; i < map.as.count; i++) {
        us_value_t key = us_read (&reader);
        if (key.type != US_TYPE_STR)
            return row;
        json_t *name = json_from_text (key.data, key.len);
        json_t *value = s_field_of_row (&reader, &key);
        if (value)
            s_set (row, name, value);
        json_decref (name);
        if (!value)
            return row;
    }
    return row;
}

json_t *json_from_query (const us_query_t *query, size_t row)
{
    const void *data = NULL;
    size_t len = 0;
    if (us_query_row (query, row, &data, &len) != US_OK)
        return json_object ();
    return json_from_row (data, len);
}

/* --- and back ------------------------------------------------------------------------ */

static void s_write_object (us_writer_t *writer, json_t *object)
{
    us_write_map (writer, (uint32_t) json_object_size (object));
    const char *key;
    size_t key_len;
    json_t *value;
    json_object_keylen_foreach (object, key, key_len, value)
    {
        us_write_str (writer, key, key_len);
        json_write (writer, value);
    }
}

void json_write (us_writer_t *writer, const json_t *value)
{
    switch (json_typeof (value)) {
    case JSON_NULL: us_write_nil (writer); break;
    case JSON_TRUE: us_write_bool (writer, true); break;
    case JSON_FALSE: us_write_bool (writer, false); break;
    case JSON_INTEGER: us_write_int (writer, json_integer_value (value)); break;
    case JSON_REAL: us_write_double (writer, json_real_value (value)); break;
    case JSON_STRING:
        us_write_str (writer, json_string_value (value), json_string_length (value));
        break;
    case JSON_ARRAY:
        us_write_array (writer, (uint32_t) json_array_size (value));
        for (size_t i = 0; i < json_array_size (value); i++)
            json_write (writer, json_array_get (value, i));
        break;
    case JSON_OBJECT: s_write_object (writer, (json_t *) value); break;
    }
}

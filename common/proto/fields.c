/* SPDX-License-Identifier: MIT
 *
 * The dictionary of fields and maps of them: see fields.h. */
#include "proto/fields.h"

#include <pthread.h>

#include "base/mem.h"

typedef enum s_kind {
    KIND_ID,
    KIND_STR,
    KIND_BIN,
    KIND_UINT,
    KIND_INT,
    KIND_STRS,
    KIND_DIGESTS
} s_kind_t;

typedef struct s_def {
    const char *name;
    uint8_t name_len;
    s_kind_t kind;
    size_t offset; /* in usi_fields_t */
} s_def_t;

static const s_def_t s_defs[USI_F__COUNT] = {
#define X(upper, lower, kind)                                                          \
    {#lower, sizeof #lower - 1, KIND_##kind, offsetof (usi_fields_t, lower)},
    USI_FIELD_MAP (X)
#undef X
};

/* Limits of docs/protocol.md section 3: bytes of STR and BIN, value of UINT, elements of
 * an array. 0: no limit beyond the type's own. */
/* clang-format off */
static const uint64_t s_limits[USI_F__COUNT] = {
    [USI_F_CHANNEL] = USI_CHANNEL_MAX, [USI_F_CHANNELS] = 64, [USI_F_ROLE] = 16,
    [USI_F_VERSION] = 32, [USI_F_NAME] = USI_MAX_NAME, [USI_F_HOST] = 256,
    [USI_F_PID] = UINT32_MAX,
    [USI_F_CLUSTER] = 32, [USI_F_BROKER] = UINT32_MAX, [USI_F_BOOT] = UINT32_MAX,
    [USI_F_ATTEMPT] = UINT32_MAX, [USI_F_SLOTS] = 4096, [USI_F_BUSY] = 1000000,
    [USI_F_PYTHONS] = 16, [USI_F_PYTHON] = 16, [USI_F_CREDIT] = 65536, [USI_F_STATE] = 15,
    [USI_F_OUTCOME] = 15, [USI_F_TEXT] = 4096, [USI_F_MODE] = 3, [USI_F_FLAGS] = UINT32_MAX,
    [USI_F_STREAM] = 1, [USI_F_OFFSET] = USI_UINT48, [USI_F_LOG_END] = USI_UINT48,
    [USI_F_BUILD_END] = USI_UINT48, [USI_F_DROPPED] = USI_UINT48,
    [USI_F_SPEC] = USI_MAX_SPEC, [USI_F_BLOBS] = USI_MAX_BLOBS,
    [USI_F_BLOB] = USI_DIGEST_LEN, [USI_F_SIZE] = USI_UINT48, [USI_F_INDEX] = 65536,
    [USI_F_RETRIES] = 100, [USI_F_EXPIRE_MS] = UINT32_MAX, [USI_F_SOFT_MS] = UINT32_MAX,
    [USI_F_HARD_MS] = UINT32_MAX, [USI_F_ISOLATION] = 16, [USI_F_KIND] = 16,
    [USI_F_PACKAGES] = 1000, [USI_F_CONSTRAINTS] = 1000, [USI_F_SUBMITTED_MS] = USI_UINT48,
    [USI_F_STARTED_MS] = USI_UINT48, [USI_F_ENDED_MS] = USI_UINT48, [USI_F_CRASHES] = 255,
    [USI_F_LOSSES] = 255, [USI_F_FAILURES] = 255, [USI_F_WHAT] = 32,
    [USI_F_LIMIT] = 10000, [USI_F_CURSOR] = USI_MAX_CURSOR,
    [USI_F_OLDER_MS] = USI_UINT48,
    [USI_F_PREFIX] = 16, [USI_F_LEASE_MS] = UINT32_MAX, [USI_F_HEARTBEAT_MS] = UINT32_MAX,
    [USI_F_MAX_BODY] = USI_MAX_BODY, [USI_F_MAX_PAYLOAD] = USI_UINT48,
    [USI_F_REDIS] = 1024, [USI_F_TOPIC] = USI_MAX_TOPIC, [USI_F_DURABILITY] = 16,
    [USI_F_ENDPOINTS] = 16, [USI_F_KEY] = USI_MAX_KEY,
    [USI_F_ENV] = USI_MAX_VARIABLES, [USI_F_CWD] = 4096,
    [USI_F_BUFFERS] = USI_MAX_BLOBS, [USI_F_MAX_BUFFER] = USI_UINT48,
    [USI_F_MAX_BUFFERS] = USI_UINT48,
    [USI_F_CERTIFICATE] = USI_MAX_CERTIFICATE, [USI_F_REVOKED] = USI_MAX_REVOKED,
};
/* clang-format on */

/* Longest element of an array of strings, but for variables. */
#define STR_ELEMENT_MAX 512

/* --- names ----------------------------------------------------------------------- */

enum { SLOTS = 256 };
static uint8_t s_slots[SLOTS]; /* field + 1 by hash of its name, open addressing */
static pthread_once_t s_slots_once = PTHREAD_ONCE_INIT;

static uint32_t s_hash (const char *name, size_t len)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint8_t) name[i]) * 16777619u;
    return hash ^ hash >> 8;
}

static void s_fill_slots (void)
{
    for (int field = 0; field < USI_F__COUNT; field++) {
        uint32_t slot = s_hash (s_defs[field].name, s_defs[field].name_len) % SLOTS;
        while (s_slots[slot])
            slot = (slot + 1) % SLOTS;
        s_slots[slot] = (uint8_t) (field + 1);
    }
}

int usi_field_find (const char *name, size_t len)
{
    pthread_once (&s_slots_once, s_fill_slots);
    uint32_t slot = s_hash (name, len) % SLOTS;
    for (; s_slots[slot]; slot = (slot + 1) % SLOTS) {
        const s_def_t *def = &s_defs[s_slots[slot] - 1];
        if (def->name_len == len && memcmp (def->name, name, len) == 0)
            return s_slots[slot] - 1;
    }
    return -1;
}

const char *usi_field_name (int field)
{
    return s_defs[field].name;
}

/* --- lists ----------------------------------------------------------------------- */

bool usi_list_next (const usi_list_t *list, size_t *position, usi_bytes_t *element)
{
    if (*position >= list->raw.len)
        return false;
    us_reader_t reader =
        usi_reader (usi_bytes (list->raw.data + *position, list->raw.len - *position));
    us_value_t value = usi_read (&reader);
    if (value.type == US_TYPE_END)
        return false;
    *element = usi_bytes (value.data, value.len);
    *position = (size_t) (reader.at - list->raw.data);
    return true;
}

void usi_list_add_str (usi_buf_t *buf, usi_bytes_t text)
{
    usi_pack_str (buf, text.data, text.len);
}

void usi_list_add_bin (usi_buf_t *buf, usi_bytes_t bytes)
{
    usi_pack_bin (buf, bytes.data, bytes.len);
}

usi_list_t usi_list_of (const usi_buf_t *buf, uint32_t count)
{
    return (usi_list_t){.count = count, .raw = usi_buf_bytes (buf)};
}

usi_list_t usi_list_of_digests (usi_bytes_t packed, usi_buf_t *buf)
{
    uint32_t count = 0;
    for (size_t at = 0; at + USI_DIGEST_LEN <= packed.len;
         at += USI_DIGEST_LEN, count++)
        usi_list_add_bin (buf, usi_bytes (packed.data + at, USI_DIGEST_LEN));
    return usi_list_of (buf, count);
}

usi_bytes_t usi_digests_of_list (const usi_list_t *list,
                                 uint8_t room[USI_MAX_BLOBS * USI_DIGEST_LEN])
{
    size_t at = 0, len = 0;
    usi_bytes_t digest;
    while (len < USI_MAX_BLOBS * USI_DIGEST_LEN && usi_list_next (list, &at, &digest)) {
        memcpy (room + len, digest.data, USI_DIGEST_LEN);
        len += USI_DIGEST_LEN;
    }
    return usi_bytes (room, len);
}

/* --- encoding -------------------------------------------------------------------- */

unsigned usi_fields_count (const usi_fields_t *fields)
{
    return (unsigned) (__builtin_popcountll (fields->has[0]) +
                       __builtin_popcountll (fields->has[1]));
}

static void s_encode_value (const s_def_t *def, const void *at, usi_buf_t *buf)
{
    switch (def->kind) {
    case KIND_ID: usi_pack_bin (buf, at, US_ID_LEN); break;
    case KIND_STR: {
        const usi_bytes_t *text = at;
        usi_pack_str (buf, text->data, text->len);
        break;
    }
    case KIND_BIN: {
        const usi_bytes_t *bytes = at;
        usi_pack_bin (buf, bytes->data, bytes->len);
        break;
    }
    case KIND_UINT: usi_pack_uint (buf, *(const uint64_t *) at); break;
    case KIND_INT: usi_pack_int (buf, *(const int64_t *) at); break;
    case KIND_STRS:
    case KIND_DIGESTS: {
        const usi_list_t *list = at;
        usi_pack_array (buf, list->count);
        usi_buf_append (buf, list->raw.data, list->raw.len);
        break;
    }
    }
}

void usi_fields_encode_pairs (const usi_fields_t *fields, usi_buf_t *buf)
{
    for (unsigned word = 0; word < 2; word++) {
        for (uint64_t left = fields->has[word]; left; left &= left - 1) {
            const s_def_t *def = &s_defs[word * 64 + (unsigned) __builtin_ctzll (left)];
            usi_pack_str (buf, def->name, def->name_len);
            s_encode_value (def, (const char *) fields + def->offset, buf);
        }
    }
}

void usi_fields_encode (const usi_fields_t *fields, usi_buf_t *buf)
{
    usi_pack_map (buf, usi_fields_count (fields));
    usi_fields_encode_pairs (fields, buf);
}

/* --- decoding -------------------------------------------------------------------- */

static const char *s_decode_id (us_reader_t *reader, usi_id_t *id)
{
    us_value_t value = usi_read (reader);
    if (value.type != US_TYPE_BIN || value.len != US_ID_LEN)
        return "an id is not 16 bytes";
    memcpy (id->bytes, value.data, US_ID_LEN);
    return NULL;
}

static const char *s_decode_bytes (us_reader_t *reader, usi_field_t field,
                                   usi_bytes_t *bytes)
{
    us_value_t value = usi_read (reader);
    bool is_text = s_defs[field].kind == KIND_STR;
    if (value.type != (is_text ? US_TYPE_STR : US_TYPE_BIN))
        return is_text ? "a field is not a string" : "a field is not binary";
    if (value.len > s_limits[field])
        return "a field is too long";
    if (field == USI_F_BLOB && value.len != USI_DIGEST_LEN)
        return "a digest is not 32 bytes";
    if (is_text && !usi_is_text (value.data, value.len))
        return "a string is not UTF-8 text";
    *bytes = usi_bytes (value.data, value.len);
    return NULL;
}

static const char *s_decode_uint (us_reader_t *reader, usi_field_t field,
                                  uint64_t *number)
{
    us_value_t value = usi_read (reader);
    if (value.type == US_TYPE_UINT)
        *number = value.as.uinteger;
    else if (value.type == US_TYPE_INT && value.as.integer >= 0)
        *number = (uint64_t) value.as.integer;
    else
        return "a field is not a whole number from 0";
    return s_limits[field] && *number > s_limits[field] ? "a number is over its limit"
                                                        : NULL;
}

static size_t s_element_max (usi_field_t field)
{
    return field == USI_F_ENV ? USI_MAX_VARIABLE : STR_ELEMENT_MAX;
}

static const char *s_decode_list (us_reader_t *reader, usi_field_t field,
                                  usi_list_t *list)
{
    us_value_t array = usi_read (reader);
    bool is_text = s_defs[field].kind == KIND_STRS;
    if (array.type != US_TYPE_ARRAY)
        return "a field is not an array";
    if (array.as.count > s_limits[field])
        return "an array has too many elements";
    const uint8_t *start = reader->at;
    for (uint32_t i = 0; i < array.as.count; i++) {
        us_value_t value = usi_read (reader);
        if (value.type != (is_text ? US_TYPE_STR : US_TYPE_BIN))
            return "an element has a wrong type";
        if (is_text ? value.len > s_element_max (field) : value.len != USI_DIGEST_LEN)
            return "an element has a wrong length";
        if (is_text && !usi_is_text (value.data, value.len))
            return "a string is not UTF-8 text";
    }
    *list = (usi_list_t){.count = array.as.count,
                         .raw = usi_bytes (start, (size_t) (reader->at - start))};
    return NULL;
}

const char *usi_field_decode (usi_fields_t *fields, usi_field_t field,
                              us_reader_t *reader)
{
    void *at = (char *) fields + s_defs[field].offset;
    if (usi_has (fields, field))
        return "a key stands twice";
    usi_mark (fields, field);
    switch (s_defs[field].kind) {
    case KIND_ID: return s_decode_id (reader, at);
    case KIND_STR:
    case KIND_BIN: return s_decode_bytes (reader, field, at);
    case KIND_UINT: return s_decode_uint (reader, field, at);
    case KIND_INT: {
        us_value_t value = usi_read (reader);
        *(int64_t *) at = value.as.integer;
        return value.type == US_TYPE_INT ? NULL : "a field is not a whole number";
    }
    default: return s_decode_list (reader, field, at);
    }
}

const char *usi_fields_decode_map (usi_fields_t *fields, us_reader_t *reader)
{
    us_value_t map = usi_read (reader);
    if (map.type != US_TYPE_MAP)
        return "not a map";
    for (uint32_t i = 0; i < map.as.count; i++) {
        us_value_t key = usi_read (reader);
        if (key.type != US_TYPE_STR)
            return "a key is not a string";
        int field = usi_field_find (key.data, key.len);
        const char *why = NULL;
        if (field >= 0)
            why = usi_field_decode (fields, (usi_field_t) field, reader);
        else if (!usi_skip (reader, NULL, NULL))
            why = "msgpack is cut off";
        if (why)
            return why;
    }
    return NULL;
}

us_err_t usi_fields_decode (usi_fields_t *fields, usi_bytes_t bytes, const char **why)
{
    memset (fields, 0, sizeof *fields);
    us_reader_t reader = usi_reader (bytes);
    const char *problem = usi_pack_check (bytes, USI_MAX_DEPTH)
                              ? usi_fields_decode_map (fields, &reader)
                              : "malformed msgpack";
    if (why)
        *why = problem;
    return problem ? US_ERR_PROTOCOL : US_OK;
}

/* SPDX-License-Identifier: MIT
 *
 * The dictionary of fields: every name that may stand in a message, a job specification,
 * a registry entry or a row, with its type. Views borrow from the bytes that were decoded.
 *
 * Stands on common/base, and on pack.h for the codec. */
#ifndef COMMON_PROTO_FIELDS_H
#define COMMON_PROTO_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/id.h"
#include "proto/limits.h"
#include "proto/pack.h"

#define USI_UINT48 (((uint64_t) 1 << 48) - 1) /* what stands in six bytes in records */

/* An array of strings or of digests: a view over its msgpack; usi_list_next walks it. */
typedef struct usi_list {
    uint32_t count;
    usi_bytes_t raw; /* msgpack of the elements, without the array's own header */
} usi_list_t;

/* name, kind: the one dictionary. Kinds: ID bin16, STR, BIN, UINT, INT, STRS array of
 * str, DIGESTS array of bin32. Limits are in fields.c. */
/* clang-format off */
#define USI_FIELD_MAP(X)                                                                 \
    X (ID, id, ID) X (RETRY_OF, retry_of, ID) X (CHANNEL, channel, STR)                  \
    X (CHANNELS, channels, STRS) X (ROLE, role, STR) X (VERSION, version, STR)           \
    X (NAME, name, STR) X (HOST, host, STR) X (PID, pid, UINT)                           \
    X (CLUSTER, cluster, STR) X (BROKER, broker, UINT) X (NODE, node, UINT)              \
    X (BOOT, boot, UINT) X (ATTEMPT, attempt, UINT) X (NONCE, nonce, UINT)               \
    X (SLOTS, slots, UINT) X (BUSY, busy, UINT) X (PYTHONS, pythons, STRS)               \
    X (PYTHON, python, STR) X (CREDIT, credit, UINT) X (STATE, state, UINT)              \
    X (OUTCOME, outcome, UINT) X (CODE, code, INT) X (TEXT, text, STR)                   \
    X (MODE, mode, UINT) X (FLAGS, flags, UINT) X (STREAM, stream, UINT)                 \
    X (OFFSET, offset, UINT) X (LOG_END, log_end, UINT) X (BUILD_END, build_end, UINT)   \
    X (DROPPED, dropped, UINT) X (SPEC, spec, BIN) X (BLOBS, blobs, DIGESTS)             \
    X (BLOB, blob, BIN) X (SIZE, size, UINT) X (INDEX, index, UINT)                      \
    X (RETRIES, retries, UINT) X (EXPIRE_MS, expire_ms, UINT)                            \
    X (SOFT_MS, soft_ms, UINT) X (HARD_MS, hard_ms, UINT) X (ISOLATION, isolation, STR)  \
    X (KIND, kind, STR) X (PACKAGES, packages, STRS) X (CONSTRAINTS, constraints, STRS)  \
    X (SUBMITTED_MS, submitted_ms, UINT) X (STARTED_MS, started_ms, UINT)                \
    X (ENDED_MS, ended_ms, UINT) X (CRASHES, crashes, UINT) X (LOSSES, losses, UINT)     \
    X (FAILURES, failures, UINT) X (WHAT, what, STR) X (REF, ref, UINT)                  \
    X (LIMIT, limit, UINT) X (CURSOR, cursor, STR) X (OLDER_MS, older_ms, UINT)          \
    X (PREFIX, prefix, BIN) X (LEASE_MS, lease_ms, UINT)                                 \
    X (HEARTBEAT_MS, heartbeat_ms, UINT) X (MAX_BODY, max_body, UINT)                    \
    X (MAX_PAYLOAD, max_payload, UINT) X (REDIS, redis, STR) X (TOPIC, topic, STR)       \
    X (DURABILITY, durability, STR) X (ENDPOINTS, endpoints, STRS) X (COUNT, count, UINT)  \
    X (KEY, key, BIN) X (ENV, env, STRS) X (CWD, cwd, STR) X (BUFFERS, buffers, DIGESTS)   \
    X (MAX_BUFFER, max_buffer, UINT) X (MAX_BUFFERS, max_buffers, UINT)                  \
    X (CERTIFICATE, certificate, BIN) X (REVOKED, revoked, BIN) X (OWNER, owner, UINT)
/* clang-format on */

typedef enum usi_field {
#define X(upper, lower, kind) USI_F_##upper,
    USI_FIELD_MAP (X)
#undef X
        USI_F__COUNT
} usi_field_t;

#define USI_C_ID      usi_id_t
#define USI_C_STR     usi_bytes_t
#define USI_C_BIN     usi_bytes_t
#define USI_C_UINT    uint64_t
#define USI_C_INT     int64_t
#define USI_C_STRS    usi_list_t
#define USI_C_DIGESTS usi_list_t

/* All fields; `has` says which are there. Zero-initialise. */
typedef struct usi_fields {
    uint64_t has[2];
#define X(upper, lower, kind) USI_C_##kind lower;
    USI_FIELD_MAP (X)
#undef X
} usi_fields_t;

static inline void usi_mark (usi_fields_t *fields, usi_field_t field)
{
    fields->has[field >> 6] |= (uint64_t) 1 << (field & 63);
}

static inline bool usi_has (const usi_fields_t *fields, usi_field_t field)
{
    return fields->has[field >> 6] >> (field & 63) & 1;
}

/* USI_SET (item, ID, id, value): assigns and marks. */
#define USI_SET(fields, upper, lower, value)                                           \
    ((fields)->lower = (value), usi_mark ((fields), USI_F_##upper))

/* Walks a list: false at its end. *position starts at 0. */
bool usi_list_next (const usi_list_t *list, size_t *position, usi_bytes_t *element);
/* Appends elements to a buffer and makes a list of it (borrowing from the buffer). */
void usi_list_add_str (usi_buf_t *buf, usi_bytes_t text);
void usi_list_add_bin (usi_buf_t *buf, usi_bytes_t bytes);
usi_list_t usi_list_of (const usi_buf_t *buf, uint32_t count);
/* Of digests that stand behind one another. */
usi_list_t usi_list_of_digests (usi_bytes_t packed, usi_buf_t *buf);
/* The reverse: digests of a list behind one another, USI_MAX_BLOBS of them at most. */
usi_bytes_t usi_digests_of_list (const usi_list_t *list,
                                 uint8_t room[USI_MAX_BLOBS * USI_DIGEST_LEN]);

/* One msgpack map of fields outside a message: the job specification, registry entries,
 * rows. Encoding appends to buf. Decoding checks kinds and limits and skips unknown keys; on
 * US_ERR_PROTOCOL why (may be NULL) gets a static text. */
void usi_fields_encode (const usi_fields_t *fields, usi_buf_t *buf);
us_err_t usi_fields_decode (usi_fields_t *fields, usi_bytes_t bytes, const char **why);

/* --- for the codec of messages ---------------------------------------------------------
 * Functions that return a text return NULL for success and otherwise what is wrong. */

/* -1: no such field. */
int usi_field_find (const char *name, size_t len);
const char *usi_field_name (int field);

unsigned usi_fields_count (const usi_fields_t *fields);
/* Keys and values without the map's own header. */
void usi_fields_encode_pairs (const usi_fields_t *fields, usi_buf_t *buf);
/* The value at the reader becomes this field. */
const char *usi_field_decode (usi_fields_t *fields, usi_field_t field,
                              us_reader_t *reader);
/* The whole map at the reader; fields must be zeroed. The reader's bytes have passed
 * usi_pack_check. */
const char *usi_fields_decode_map (usi_fields_t *fields, us_reader_t *reader);

#endif

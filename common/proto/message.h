/* SPDX-License-Identifier: MIT
 *
 * Wire messages (docs/protocol.md): one dictionary of fields, one table of message types,
 * one codec. A received message is decoded and checked as a whole; the views in its fields
 * borrow from its frames until usi_msg_clear. A message to be sent is built by filling
 * head and items and handing over bodies, then usi_msg_send.
 *
 *     usi_msg_t msg = USI_MSG_INIT;
 *     usi_msg_begin (&msg, USI_RESULT);
 *     USI_SET (&msg.head, CREDIT, credit, 1);
 *     usi_fields_t *item = usi_msg_add (&msg);          // valid until the next add
 *     USI_SET (item, ID, id, id);
 *     usi_msg_body (&msg, data, len);                    // body of that item, copied
 *     usi_msg_send (&msg, socket, routing_or_0);
 */
#ifndef COMMON_PROTO_MESSAGE_H
#define COMMON_PROTO_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

#include "base/bytes.h"
#include "base/id.h"
#include "proto/limits.h"

/* --- types ----------------------------------------------------------------------- */

/* clang-format off */
typedef enum usi_type {
    USI_HELLO = 1, USI_WELCOME = 2, USI_PING = 3, USI_PONG = 4, USI_BYE = 5, USI_ERROR = 6,
    USI_SUBMIT = 16, USI_SUBMITTED = 17, USI_WATCH = 18, USI_UNWATCH = 19, USI_STATE = 20,
    USI_ENDED = 21, USI_LOGGED = 22, USI_CANCEL = 23, USI_CANCELLED = 24, USI_QUERY = 25,
    USI_ANSWER = 26,
    USI_BLOB_FIND = 32, USI_BLOB_FOUND = 33, USI_BLOB_PUT = 34, USI_BLOB_KEPT = 35,
    USI_BLOB_GET = 36, USI_BLOB_DATA = 37,
    USI_CREDIT = 48, USI_JOBS = 49, USI_STARTED = 50, USI_RESULT = 51, USI_COMMITTED = 52,
    USI_LOG = 53, USI_LOG_KEPT = 54, USI_RENEW = 55, USI_RENEWED = 56, USI_HAND_BACK = 57,
    USI_STOP = 58, USI_WAKE = 59, USI_RELAY = 60, USI_DRAIN = 61, USI_STATUS = 62,
} usi_type_t;
/* clang-format on */

/* Who may send a type. */
#define USI_BY_CLIENT 1
#define USI_BY_NODE   2
#define USI_BY_BROKER 4

/* "SUBMIT"; "?" for unknown types. */
const char *usi_type_name (int type);
/* USI_BY_… bits; 0 for unknown types. */
unsigned usi_type_senders (int type);

/* --- SUBMIT, WATCH and RENEW flags ---------------------------------------------------- */
#define USI_SUBMIT_IF_LISTENED 1
#define USI_SUBMIT_STREAM_LOG  2
#define USI_SUBMIT_DETACHED    4
#define USI_WATCH_LOG          2
#define USI_WATCH_BUILD        8
#define USI_WATCH_CHANGED      16
#define USI_WATCH_ORIGIN       32
#define USI_RENEW_STARTED      1

/* Outcomes of an attempt. */
#define USI_SUCCEEDED 1
#define USI_FAILED    2
#define USI_CRASHED   3
#define USI_STOPPED   4

/* --- fields ------------------------------------------------------------------------ */

/* An array of strings or of digests: a view over its msgpack; usi_list_next walks it. */
typedef struct usi_list {
    uint32_t count;
    usi_bytes_t raw; /* msgpack of the elements, without the array's own header */
} usi_list_t;

/* name, kind: the one dictionary. Kinds: ID bin16, STR, BIN, UINT, INT, STRS array of
 * str, DIGESTS array of bin32. Limits are in message.c. */
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
    X (DURABILITY, durability, STR) X (ENDPOINTS, endpoints, STRS) X (COUNT, count, UINT)
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

/* --- messages ------------------------------------------------------------------------ */

typedef struct usi_msg {
    uint8_t type;
    usi_fields_t head;
    usi_fields_t *items;
    size_t items_len, items_cap;
    zmq_msg_t *frames; /* received: header then bodies; to be sent: bodies */
    size_t frames_len, frames_cap;
    size_t bytes;    /* of all frames */
    const char *why; /* after a failed receive: what is wrong, static */
} usi_msg_t;

#define USI_MSG_INIT ((usi_msg_t){0})

/* Frees everything; the message can be used again. Arrays are kept for reuse until
 * usi_msg_free. */
void usi_msg_clear (usi_msg_t *msg);
void usi_msg_free (usi_msg_t *msg);

void usi_msg_begin (usi_msg_t *msg, usi_type_t type);
/* A new item, zeroed; valid until the next add. Aborts when memory ends. */
usi_fields_t *usi_msg_add (usi_msg_t *msg);
/* The body of the item added last: copied, or handed over with its free function
 * (called from a libzmq thread). Items of a type with bodies that got none are sent with an
 * empty one. */
void usi_msg_body (usi_msg_t *msg, const void *data, size_t len);
void usi_msg_body_zero_copy (usi_msg_t *msg, void *data, size_t len,
                             zmq_free_fn *free_fn, void *hint);
/* No room for another item of this size: send first, then begin anew. */
bool usi_msg_is_full (const usi_msg_t *msg, size_t body_len);
static inline bool usi_msg_is_empty (const usi_msg_t *msg)
{
    return msg->items_len == 0;
}

/* Sends without blocking and clears the message, unless it returns EAGAIN (the peer does not
 * read now) or EHOSTUNREACH (the peer is gone): then the message is as before, and nothing of it
 * was sent. routing: for a ROUTER the peer's routing id, otherwise empty. Returns 0 or an errno. */
int usi_msg_send (usi_msg_t *msg, void *zmq_socket, usi_bytes_t routing);

/* Receives one message without blocking. 0: decoded (routing, where not NULL, holds a ROUTER's
 * routing frame: a caller-owned buffer of at least 256 bytes; *routing_len its length). EAGAIN:
 * none there. EPROTO: malformed: type (0 if unknown), why and routing are set; the whole message
 * was consumed. ENOTSUP: unknown version or type, likewise. */
int usi_msg_recv (usi_msg_t *msg, void *zmq_socket, uint8_t *routing,
                  size_t *routing_len);

/* The body of item i; empty where there is none. */
usi_bytes_t usi_msg_item_body (const usi_msg_t *msg, size_t i);

/* For tests and fuzzing: the header frame alone. */
void usi_msg_encode_header (const usi_msg_t *msg, usi_buf_t *buf);
us_err_t usi_msg_decode_header (usi_msg_t *msg, usi_bytes_t header);

#endif

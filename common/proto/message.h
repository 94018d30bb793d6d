/* SPDX-License-Identifier: MIT
 *
 * Wire messages (docs/protocol.md): one dictionary of fields (fields.h), one table of
 * message types (types.h), one codec. A received message is decoded and checked as a
 * whole; the views in its fields borrow from its frames until usi_msg_clear. A message to
 * be sent is built by filling head and items and handing over bodies, then usi_msg_send.
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
#include "proto/fields.h"
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

/* Of the connection over which a received message came: its descriptor (-1: not known), and
 * what its handshake proved, by ZAP (empty: nothing). */
int usi_msg_fd (const usi_msg_t *msg);
usi_bytes_t usi_msg_user (const usi_msg_t *msg);

/* The body of item i; empty where there is none. */
usi_bytes_t usi_msg_item_body (const usi_msg_t *msg, size_t i);

/* For tests and fuzzing: the header frame alone. */
void usi_msg_encode_header (const usi_msg_t *msg, usi_buf_t *buf);
us_err_t usi_msg_decode_header (usi_msg_t *msg, usi_bytes_t header);

#endif

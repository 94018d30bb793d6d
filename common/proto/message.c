/* SPDX-License-Identifier: MIT
 *
 * Messages on a ZeroMQ socket: see message.h. */
#include "proto/message.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "proto/fields.h"
#include "proto/types.h"

/* --- building -------------------------------------------------------------------- */

static void s_close_frames (usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->frames_len; i++)
        zmq_msg_close (&msg->frames[i]);
    msg->frames_len = 0;
}

void usi_msg_clear (usi_msg_t *msg)
{
    s_close_frames (msg);
    memset (&msg->head, 0, sizeof msg->head);
    msg->type = 0;
    msg->items_len = 0;
    msg->bytes = 0;
    msg->why = NULL;
}

void usi_msg_free (usi_msg_t *msg)
{
    s_close_frames (msg);
    free (msg->items);
    free (msg->frames);
    *msg = USI_MSG_INIT;
}

void usi_msg_begin (usi_msg_t *msg, usi_type_t type)
{
    usi_msg_clear (msg);
    msg->type = (uint8_t) type;
}

usi_fields_t *usi_msg_add (usi_msg_t *msg)
{
    if (msg->items_len == msg->items_cap) {
        msg->items_cap = msg->items_cap ? msg->items_cap * 2 : 4;
        msg->items = usi_realloc (msg->items, msg->items_cap * sizeof *msg->items);
    }
    usi_fields_t *item = &msg->items[msg->items_len++];
    memset (item, 0, sizeof *item);
    return item;
}

static zmq_msg_t *s_add_frame (usi_msg_t *msg)
{
    if (msg->frames_len == msg->frames_cap) {
        msg->frames_cap = msg->frames_cap ? msg->frames_cap * 2 : 4;
        msg->frames = usi_realloc (msg->frames, msg->frames_cap * sizeof *msg->frames);
    }
    zmq_msg_t *frame = &msg->frames[msg->frames_len++];
    zmq_msg_init (frame);
    return frame;
}

/* Empty bodies for items that got none, up to count. */
static void s_pad_bodies (usi_msg_t *msg, size_t count)
{
    while (msg->frames_len < count)
        s_add_frame (msg);
}

void usi_msg_body (usi_msg_t *msg, const void *data, size_t len)
{
    US_ASSERT (msg->items_len > 0 && msg->frames_len < msg->items_len);
    s_pad_bodies (msg, msg->items_len - 1);
    zmq_msg_t *frame = s_add_frame (msg);
    US_ASSERT (zmq_msg_init_size (frame, len) == 0);
    if (len > 0)
        memcpy (zmq_msg_data (frame), data, len);
    msg->bytes += len;
}

void usi_msg_body_zero_copy (usi_msg_t *msg, void *data, size_t len,
                             zmq_free_fn *free_fn, void *hint)
{
    US_ASSERT (msg->items_len > 0 && msg->frames_len < msg->items_len);
    s_pad_bodies (msg, msg->items_len - 1);
    zmq_msg_t *frame = s_add_frame (msg);
    US_ASSERT (zmq_msg_init_data (frame, data, len, free_fn, hint) == 0);
    msg->bytes += len;
}

bool usi_msg_is_full (const usi_msg_t *msg, size_t body_len)
{
    /* Three quarters: room for the header, whose items are small beside their bodies;
     * specs are counted as bodies by whoever adds them. */
    return msg->items_len >= USI_MAX_ITEMS ||
           (msg->items_len > 0 && msg->bytes + body_len > USI_MAX_MESSAGE / 4 * 3);
}

/* --- the header frame ------------------------------------------------------------ */

void usi_msg_encode_header (const usi_msg_t *msg, usi_buf_t *buf)
{
    uint8_t start[2] = {USI_PROTOCOL_VERSION, msg->type};
    bool has_items = msg->items_len > 0;
    usi_buf_append (buf, start, sizeof start);
    usi_pack_map (buf, usi_fields_count (&msg->head) + (has_items ? 1 : 0));
    usi_fields_encode_pairs (&msg->head, buf);
    if (!has_items)
        return;
    usi_pack_str (buf, "items", 5);
    usi_pack_array (buf, (uint32_t) msg->items_len);
    for (size_t i = 0; i < msg->items_len; i++)
        usi_fields_encode (&msg->items[i], buf);
}

static const char *s_decode_items (usi_msg_t *msg, us_reader_t *reader)
{
    us_value_t array = usi_read (reader);
    if (array.type != US_TYPE_ARRAY)
        return "items is not an array";
    if (array.as.count > USI_MAX_ITEMS)
        return "too many items";
    for (uint32_t i = 0; i < array.as.count; i++) {
        const char *why = usi_fields_decode_map (usi_msg_add (msg), reader);
        if (why)
            return why;
    }
    return NULL;
}

static const char *s_decode_head (usi_msg_t *msg, us_reader_t *reader)
{
    us_value_t map = usi_read (reader);
    if (map.type != US_TYPE_MAP)
        return "the head is not a map";
    bool seen_items = false; /* also where there were none in it */
    for (uint32_t i = 0; i < map.as.count; i++) {
        us_value_t key = usi_read (reader);
        const char *why = NULL;
        if (key.type != US_TYPE_STR)
            return "a key is not a string";
        int field = usi_field_find (key.data, key.len);
        if (field >= 0)
            why = usi_field_decode (&msg->head, (usi_field_t) field, reader);
        else if (key.len == 5 && memcmp (key.data, "items", 5) == 0) {
            why = seen_items ? "a key stands twice" : s_decode_items (msg, reader);
            seen_items = true;
        } else {
            usi_skip (reader, NULL, NULL);
        }
        if (why)
            return why;
    }
    return NULL;
}

static bool s_has_required (const usi_fields_t *fields, const int8_t *required)
{
    for (size_t i = 0; i < USI_REQUIRED_MAX && required[i]; i++)
        if (!usi_has (fields, (usi_field_t) (required[i] - 1)))
            return false;
    return true;
}

static const char *s_check_required (const usi_msg_t *msg, const usi_type_def_t *def)
{
    if (!s_has_required (&msg->head, def->head))
        return "a required field of the head is missing";
    if (!def->items && msg->items_len > 0)
        return "this type carries no items";
    for (size_t i = 0; i < msg->items_len; i++)
        if (!s_has_required (&msg->items[i], def->item))
            return "a required field of an item is missing";
    return NULL;
}

/* Of what is refused only the asker's number stays, wherever in the head it stands. */
static void s_keep_ref (usi_fields_t *head, usi_bytes_t bytes)
{
    us_reader_t reader = usi_reader (bytes);
    us_value_t map = usi_read (&reader);
    usi_fields_t found = {0};
    memset (head, 0, sizeof *head);
    for (uint32_t i = 0; map.type == US_TYPE_MAP && i < map.as.count; i++) {
        us_value_t key = usi_read (&reader);
        if (key.type != US_TYPE_STR)
            return;
        if (usi_field_find (key.data, key.len) == USI_F_REF) {
            if (!usi_field_decode (&found, USI_F_REF, &reader))
                *head = found;
            return;
        }
        usi_skip (&reader, NULL, NULL);
    }
}

us_err_t usi_msg_decode_header (usi_msg_t *msg, usi_bytes_t header)
{
    msg->why = "the header frame is too short";
    if (header.len < 3)
        return US_ERR_PROTOCOL;
    msg->type = header.data[1];
    const usi_type_def_t *def = usi_type_find (msg->type);
    msg->why = def ? "unknown protocol version" : "unknown message type";
    if (!def || header.data[0] != USI_PROTOCOL_VERSION)
        return US_ERR_UNSUPPORTED;
    msg->why = "the header frame is over its limit";
    if (header.len > USI_MAX_HEADER)
        return US_ERR_PROTOCOL;
    usi_bytes_t map = usi_bytes (header.data + 2, header.len - 2);
    us_reader_t reader = usi_reader (map);
    msg->why = "malformed msgpack";
    if (!usi_pack_check (map, USI_MAX_DEPTH))
        return US_ERR_PROTOCOL;
    msg->why = s_decode_head (msg, &reader);
    if (!msg->why)
        msg->why = s_check_required (msg, def);
    if (msg->why)
        s_keep_ref (&msg->head, map);
    return msg->why ? US_ERR_PROTOCOL : US_OK;
}

/* --- sending --------------------------------------------------------------------- */

static void s_free_data (void *data, void *hint)
{
    (void) hint;
    free (data);
}

/* Sends one frame that becomes libzmq's on success. */
static int s_send_frame (zmq_msg_t *frame, void *socket, bool more)
{
    int flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);
    while (zmq_msg_send (frame, socket, flags) < 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

static int s_send_routing (void *socket, usi_bytes_t routing)
{
    while (zmq_send (socket, routing.data, routing.len, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

static int s_send_header (usi_msg_t *msg, void *socket)
{
    usi_buf_t buf = {0};
    zmq_msg_t frame;
    usi_msg_encode_header (msg, &buf);
    US_ASSERT (!buf.failed);
    zmq_msg_init_data (&frame, buf.data, buf.len, s_free_data, NULL);
    int rc = s_send_frame (&frame, socket, msg->frames_len > 0);
    if (rc)
        zmq_msg_close (&frame);
    return rc;
}

int usi_msg_send (usi_msg_t *msg, void *socket, usi_bytes_t routing)
{
    const usi_type_def_t *def = usi_type_find (msg->type);
    US_ASSERT (def && (def->items || msg->items_len == 0));
    if (def->body_max > 0)
        s_pad_bodies (msg, msg->items_len);
    int rc = routing.len > 0 ? s_send_routing (socket, routing) : 0;
    if (rc == 0)
        rc = s_send_header (msg, socket);
    if (rc)
        return rc;
    /* libzmq takes all parts of a message once it has taken the first. */
    for (size_t i = 0; i < msg->frames_len; i++)
        s_send_frame (&msg->frames[i], socket, i + 1 < msg->frames_len);
    usi_msg_clear (msg);
    return 0;
}

/* --- receiving ------------------------------------------------------------------- */

static int s_recv_frame (zmq_msg_t *frame, void *socket)
{
    while (zmq_msg_recv (frame, socket, ZMQ_DONTWAIT) < 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

static int s_recv_routing (void *socket, uint8_t *routing, size_t *routing_len,
                           bool *more)
{
    zmq_msg_t frame;
    zmq_msg_init (&frame);
    int rc = s_recv_frame (&frame, socket);
    if (rc == 0) {
        *routing_len = zmq_msg_size (&frame) <= 255 ? zmq_msg_size (&frame) : 255;
        memcpy (routing, zmq_msg_data (&frame), *routing_len);
        *more = zmq_msg_more (&frame);
    }
    zmq_msg_close (&frame);
    return rc;
}

/* All frames of the message; what is over the limits is counted but not kept. */
static int s_recv_frames (usi_msg_t *msg, void *socket, size_t *count)
{
    bool more = true;
    *count = 0;
    while (more) {
        zmq_msg_t *frame = s_add_frame (msg);
        int rc = s_recv_frame (frame, socket);
        if (rc) {
            zmq_msg_close (frame);
            msg->frames_len--;
            return *count == 0 ? rc : EPROTO;
        }
        (*count)++;
        msg->bytes += zmq_msg_size (frame);
        more = zmq_msg_more (frame);
        if (*count > USI_MAX_ITEMS + 1 || msg->bytes > USI_MAX_MESSAGE) {
            zmq_msg_close (frame);
            msg->frames_len--;
        }
    }
    return 0;
}

static const char *s_check_bodies (const usi_msg_t *msg)
{
    const usi_type_def_t *def = usi_type_find (msg->type);
    size_t bodies = def->body_max > 0 ? msg->items_len : 0;
    if (msg->frames_len != bodies + 1)
        return "wrong number of frames";
    for (size_t i = 1; i < msg->frames_len; i++)
        if (zmq_msg_size (&msg->frames[i]) > def->body_max)
            return "a body frame is over its limit";
    return NULL;
}

int usi_msg_recv (usi_msg_t *msg, void *socket, uint8_t *routing, size_t *routing_len)
{
    size_t count = 0;
    bool more = true;
    usi_msg_clear (msg);
    int rc = routing ? s_recv_routing (socket, routing, routing_len, &more) : 0;
    if (rc == 0 && more)
        rc = s_recv_frames (msg, socket, &count);
    if (rc && rc != EPROTO)
        return rc;
    msg->why = "no header frame";
    if (count == 0)
        return EPROTO;
    usi_bytes_t header = usi_bytes (NULL, 0);
    if (msg->frames_len > 0)
        header =
            usi_bytes (zmq_msg_data (&msg->frames[0]), zmq_msg_size (&msg->frames[0]));
    us_err_t err = usi_msg_decode_header (msg, header);
    if (err == US_ERR_UNSUPPORTED)
        return ENOTSUP;
    if (err == US_OK && msg->frames_len != count)
        msg->why = "the message is over its limit";
    else if (err == US_OK)
        msg->why = s_check_bodies (msg);
    return msg->why ? EPROTO : 0;
}

int usi_msg_fd (const usi_msg_t *msg)
{
    return msg->frames_len > 0 ? zmq_msg_get (&msg->frames[0], ZMQ_SRCFD) : -1;
}

usi_bytes_t usi_msg_user (const usi_msg_t *msg)
{
    return usi_bytes_of (msg->frames_len > 0 ? zmq_msg_gets (&msg->frames[0], "User-Id")
                                             : NULL);
}

usi_bytes_t usi_msg_item_body (const usi_msg_t *msg, size_t i)
{
    if (i + 1 >= msg->frames_len)
        return usi_bytes (NULL, 0);
    zmq_msg_t *frame = &msg->frames[i + 1];
    return usi_bytes (zmq_msg_data (frame), zmq_msg_size (frame));
}

/* SPDX-License-Identifier: MIT
 *
 * See answer.h. */
#include "handlers/answer.h"

#include <stdlib.h>

#include "base/mem.h"
#include "proto/fields.h"
#include "proto/pack.h"

static void s_copy_text (char *to, size_t size, usi_bytes_t text)
{
    size_t len = text.len < size ? text.len : size - 1;
    if (len > 0)
        memcpy (to, text.data, len);
    to[len] = '\0';
}

answer_t *answer_new (broker_t *broker, const peer_t *peer, const usi_fields_t *query)
{
    answer_t *self = usi_new (answer_t);
    self->broker = broker;
    self->peer = peer->index;
    self->ref = query->ref;
    self->limit = query->limit && query->limit < ANSWER_ROWS_MAX
                      ? (unsigned) query->limit
                      : ANSWER_ROWS_MAX;
    self->id = query->id;
    self->has_id = usi_has (query, USI_F_ID);
    self->state = (int) query->state;
    self->older_ms = query->older_ms;
    self->prefix_len = query->prefix.len;
    if (query->prefix.len > 0)
        memcpy (self->prefix, query->prefix.data, query->prefix.len);
    s_copy_text (self->channel, sizeof self->channel, query->channel);
    s_copy_text (self->name, sizeof self->name, query->name);
    s_copy_text (self->asked, sizeof self->asked, query->cursor);
    usi_bytes_t bytes =
        query->certificate.len > 0 ? query->certificate : query->revoked;
    usi_buf_append (&self->signed_bytes, bytes.data, bytes.len);
    self->skip = (size_t) strtoul (self->asked, NULL, 10);
    usi_msg_begin (&self->msg, USI_ANSWER);
    return self;
}

const peer_t *answer_peer (const answer_t *self)
{
    return peers_get (self->broker->peers, self->peer);
}

static void s_send (answer_t **self_p, us_err_t code, const char *text, uint64_t count)
{
    answer_t *self = *self_p;
    peer_t *peer = peers_get (self->broker->peers, self->peer);
    usi_fields_t *head = &self->msg.head;
    USI_SET (head, REF, ref, self->ref);
    USI_SET (head, CODE, code, code);
    USI_SET (head, COUNT, count, count);
    if (text)
        USI_SET (head, TEXT, text, usi_bytes_of (text));
    if (self->cursor[0] && !code)
        USI_SET (head, CURSOR, cursor, usi_bytes_of (self->cursor));
    if (peer)
        outbox_send (self->broker->outbox, peer, &self->msg);
    usi_msg_free (&self->msg);
    usi_buf_free (&self->signed_bytes);
    free (self);
    *self_p = NULL;
}

void answer_fail (answer_t **self_p, us_err_t code, const char *text)
{
    usi_msg_begin (&(*self_p)->msg, USI_ANSWER);
    s_send (self_p, code, text ? text : us_err_text (code), 0);
}

void answer_send (answer_t **self_p, uint64_t count)
{
    s_send (self_p, US_OK, NULL, count);
}

bool answer_row (answer_t *self, const usi_buf_t *row)
{
    if (row->len > USI_MAX_BODY)
        return true; /* cannot be sent at all; nothing of ours grows so far */
    self->full = self->full || self->msg.items_len >= self->limit ||
                 usi_msg_is_full (&self->msg, row->len);
    if (self->full)
        return false;
    usi_msg_add (&self->msg);
    usi_msg_body (&self->msg, row->data, row->len);
    return true;
}

static bool s_numbered_row (answer_t *self, size_t number, const usi_buf_t *row)
{
    if (number < self->skip)
        return true;
    if (answer_row (self, row))
        return true;
    snprintf (self->cursor, sizeof self->cursor, "%zu", number);
    return false;
}

/* --- rows ------------------------------------------------------------------------------ */

static usi_buf_t *s_key (row_t *row, const char *key)
{
    row->count++;
    usi_pack_str (&row->pairs, key, strlen (key));
    return &row->pairs;
}

void row_str (row_t *row, const char *key, usi_bytes_t text)
{
    usi_pack_str (s_key (row, key), text.data, text.len);
}

void row_text (row_t *row, const char *key, const char *text)
{
    row_str (row, key, usi_bytes_of (text));
}

void row_uint (row_t *row, const char *key, uint64_t value)
{
    usi_pack_uint (s_key (row, key), value);
}

void row_bool (row_t *row, const char *key, bool value)
{
    usi_pack_bool (s_key (row, key), value);
}

usi_buf_t *row_array (row_t *row, const char *key, size_t count)
{
    usi_buf_t *buf = s_key (row, key);
    usi_pack_array (buf, (uint32_t) count);
    return buf;
}

void row_list (row_t *row, const char *key, const endpoints_t *list)
{
    usi_buf_t *buf = row_array (row, key, list->count);
    for (size_t i = 0; i < list->count; i++)
        usi_pack_str (buf, list->texts[i], strlen (list->texts[i]));
}

void row_fields (row_t *row, const usi_fields_t *fields)
{
    row->count += usi_fields_count (fields);
    usi_fields_encode_pairs (fields, &row->pairs);
}

void row_map (row_t *row, usi_bytes_t map)
{
    us_reader_t reader = usi_reader (map);
    us_value_t value = usi_read (&reader);
    if (value.type != US_TYPE_MAP)
        return;
    row->count += value.as.count;
    usi_buf_append (&row->pairs, reader.at, (size_t) (reader.end - reader.at));
}

void row_end (row_t *row, usi_buf_t *buf)
{
    usi_pack_map (buf, row->count);
    usi_buf_append (buf, row->pairs.data, row->pairs.len);
    usi_buf_free (&row->pairs);
    row->count = 0;
}

bool answer_end_row (answer_t *self, size_t number, row_t *row)
{
    usi_buf_t buf = {0};
    row_end (row, &buf);
    bool taken = s_numbered_row (self, number, &buf);
    usi_buf_free (&buf);
    return taken;
}

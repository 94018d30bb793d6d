/* SPDX-License-Identifier: MIT
 *
 * The engine's side of questions: CANCEL and QUERY (ask.h). */
#define ENGINE_INTERNAL
#include <stdio.h>

#include "ask.h"
#include "base/clock.h"
#include "engine.h"

static ask_t *s_ask (list_node_t *node)
{
    return node ? LIST_ELEMENT (node, ask_t, link) : NULL;
}

/* --- cancel ----------------------------------------------------------------------- */

/* Jobs that the broker cannot have yet are ended here. True: that was all. */
static bool s_cancel_unsent (engine_t *self, ask_t *ask)
{
    us_result_t *next;
    bool any = false;
    for (us_result_t *result = table_find (&self->table, &ask->id); result;
         result = next) {
        next = table_next (result);
        if (result->accepted || result->maybe_stored || !result->job)
            return false;
        list_remove (&result->link);
        result_end (result, US_STATE_CANCELLED, US_ERR_CANCELLED, NULL, NULL, 0);
        engine_untrack (self, result);
        any = true;
    }
    if (!any)
        return false;
    ask->state = US_STATE_CANCELLED;
    waiters_wake (self->client->waiters);
    ask_finish (ask, US_OK, NULL);
    return true;
}

static void s_add_cancel (engine_t *self, ask_t *ask)
{
    usi_fields_t *item = usi_msg_add (&self->out);
    USI_SET (item, ID, id, ask->id);
    USI_SET (item, MODE, mode, (uint64_t) ask->mode);
}

/* --- query ------------------------------------------------------------------------ */

static void s_set_text (usi_fields_t *head, usi_field_t field, usi_bytes_t *place,
                        const char *text)
{
    if (!text[0])
        return;
    *place = usi_bytes_of (text);
    usi_mark (head, field);
}

static void s_fill_query (engine_t *self, ask_t *ask)
{
    usi_fields_t *head = &self->out.head;
    ask->ref = ++self->last_ref;
    USI_SET (head, WHAT, what, usi_bytes_of (ask->what));
    USI_SET (head, REF, ref, ask->ref);
    s_set_text (head, USI_F_CHANNEL, &head->channel, ask->channel);
    s_set_text (head, USI_F_NAME, &head->name, ask->name);
    s_set_text (head, USI_F_CURSOR, &head->cursor, ask->cursor);
    if (ask->query_state)
        USI_SET (head, STATE, state, ask->query_state);
    if (ask->older_ms)
        USI_SET (head, OLDER_MS, older_ms, ask->older_ms);
    if (ask->limit)
        USI_SET (head, LIMIT, limit, ask->limit);
    if (ask->prefix_len)
        USI_SET (head, PREFIX, prefix, usi_bytes (ask->prefix, ask->prefix_len));
    if (ask->has_id)
        USI_SET (head, ID, id, ask->id);
}

/* --- sending ---------------------------------------------------------------------- */

/* Fills the message with the next question, or several CANCELs. False: none is left. */
static bool s_fill (engine_t *self, int64_t now)
{
    list_node_t *next;
    bool any = false;
    for (list_node_t *node = self->asks.first; node; node = next) {
        ask_t *ask = s_ask (node);
        next = node->next;
        if (ask->sent || now < ask->retry_at || (ask->is_query && any))
            continue;
        if (!ask->is_query && s_cancel_unsent (self, ask))
            continue;
        if (usi_msg_is_full (&self->out, 0))
            break;
        if (!any)
            usi_msg_begin (&self->out, ask->is_query ? USI_QUERY : USI_CANCEL);
        any = true;
        ask->sent = true;
        if (ask->is_query) {
            s_fill_query (self, ask);
            break;
        }
        s_add_cancel (self, ask);
    }
    return any;
}

void answer_pump (engine_t *self)
{
    int64_t now = usi_now_ms ();
    while (self->asks_unsent && usi_conn_is_ready (self->conn)) {
        usi_msg_clear (&self->out);
        engine_lock (self);
        bool any = s_fill (self, now);
        engine_unlock (self);
        if (!any)
            self->asks_unsent = false;
        else
            usi_conn_send (self->conn, &self->out);
    }
}

void answer_down (engine_t *self)
{
    engine_lock (self);
    for (list_node_t *node = self->asks.first; node; node = node->next)
        s_ask (node)->sent = false;
    engine_unlock (self);
    self->asks_unsent = true;
}

/* Forgets what nobody waits for; asks again what was put off. */
void answer_tick (engine_t *self, int64_t now)
{
    list_node_t *next;
    engine_lock (self);
    for (list_node_t *node = self->asks.first; node; node = next) {
        ask_t *ask = s_ask (node);
        next = node->next;
        if (ask->abandoned) {
            list_remove (&ask->link);
            ask_unref (ask);
        } else if (!ask->sent && now >= ask->retry_at)
            self->asks_unsent = true;
    }
    engine_unlock (self);
}

void answer_fail_all (engine_t *self, us_err_t code, const char *text)
{
    while (self->asks.first)
        ask_finish (s_ask (self->asks.first), code, text);
}

/* --- answers ---------------------------------------------------------------------- */

/* The broker does not know it because its SUBMIT was refused for now: ended here. */
static bool s_cancel_delayed (engine_t *self, const ask_t *ask)
{
    us_result_t *next;
    bool any = false;
    for (us_result_t *result = table_find (&self->table, &ask->id); result;
         result = next) {
        next = table_next (result);
        if (result->link.list != &self->delayed && result->link.list != &self->held)
            continue;
        list_remove (&result->link);
        result_end (result, US_STATE_CANCELLED, US_ERR_CANCELLED, NULL, NULL, 0);
        engine_untrack (self, result);
        any = true;
    }
    return any;
}

static void s_on_cancelled (engine_t *self, ask_t *ask, const usi_fields_t *item)
{
    us_err_t code = (us_err_t) item->code;
    ask->state = (int) item->state;
    if (code == US_ERR_STORE || code == US_ERR_BUSY) {
        ask->sent = false;
        ask->retry_at = usi_now_ms () + usi_jitter_ms (RETRY_MIN_MS);
        return; /* asked again by the tick */
    }
    if (code == US_ERR_UNKNOWN_JOB && s_cancel_delayed (self, ask)) {
        ask->state = US_STATE_CANCELLED;
        code = US_OK;
    }
    ask_finish (ask, code, NULL);
}

void answer_on_cancelled (engine_t *self, const usi_msg_t *msg)
{
    engine_lock (self);
    for (size_t i = 0; i < msg->items_len; i++) {
        list_node_t *next;
        for (list_node_t *node = self->asks.first; node; node = next) {
            ask_t *ask = s_ask (node);
            next = node->next;
            if (!ask->is_query && ask->sent &&
                usi_id_equal (&ask->id, &msg->items[i].id))
                s_on_cancelled (self, ask, &msg->items[i]);
        }
    }
    engine_unlock (self);
}

static ask_t *s_by_ref (engine_t *self, uint64_t ref)
{
    for (list_node_t *node = self->asks.first; node; node = node->next)
        if (s_ask (node)->is_query && s_ask (node)->sent && s_ask (node)->ref == ref)
            return s_ask (node);
    return NULL;
}

static void s_finish (ask_t *ask, const usi_fields_t *head)
{
    char text[512];
    snprintf (text, sizeof text, "%.*s", (int) head->text.len,
              head->text.data ? (const char *) head->text.data : "");
    ask_finish (ask, (us_err_t) head->code, text[0] ? text : NULL);
}

void answer_on_answer (engine_t *self, const usi_msg_t *msg)
{
    engine_lock (self);
    ask_t *ask = s_by_ref (self, msg->head.ref);
    if (ask) {
        for (size_t i = 0; i < msg->items_len; i++) {
            usi_bytes_t row = usi_msg_item_body (msg, i);
            uint8_t len[8];
            usi_put_be (len, row.len, sizeof len);
            usi_buf_append (&ask->rows, len, sizeof len);
            usi_buf_append (&ask->rows, row.data, row.len);
        }
        ask->rows_len = msg->items_len;
        ask->count = msg->head.count;
        snprintf (ask->cursor, sizeof ask->cursor, "%.*s", (int) msg->head.cursor.len,
                  msg->head.cursor.data ? (const char *) msg->head.cursor.data : "");
        s_finish (ask, &msg->head);
    }
    engine_unlock (self);
}

void answer_on_error (engine_t *self, const usi_msg_t *msg)
{
    engine_lock (self);
    ask_t *ask = s_by_ref (self, msg->head.ref);
    if (ask)
        s_finish (ask, &msg->head);
    engine_unlock (self);
}

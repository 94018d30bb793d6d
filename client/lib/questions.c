/* SPDX-License-Identifier: MIT
 *
 * Questions sent and answered: see questions.h. */
#include "questions.h"

#include <stdio.h>

#include "base/clock.h"
#include "question.h"

/* --- cancel ----------------------------------------------------------------------- */

static bool s_is_unsent (const us_result_t *result)
{
    return !result->accepted && !result->maybe_stored && result->job;
}

static bool s_is_put_off (const us_result_t *result)
{
    return result->place == PLACE_DELAYED || result->place == PLACE_HELD;
}

/* Cancels here the results of this id for which is_so holds: the broker does not have
 * their job. True: there were some. */
static bool s_cancel_here (engine_t *self, const us_id_t *id,
                           bool (*is_so) (const us_result_t *))
{
    us_result_t *next;
    bool any = false;
    for (us_result_t *result = table_find (&self->track.table, id); result;
         result = next) {
        next = table_next (result);
        if (!is_so (result))
            continue;
        track_end (&self->track, result, US_STATE_CANCELLED, US_ERR_CANCELLED, NULL);
        any = true;
    }
    return any;
}

/* Where no SUBMIT of this id has been sent, no CANCEL needs to be. */
static bool s_cancel_unsent (engine_t *self, question_t *question)
{
    const us_result_t *result = table_find (&self->track.table, &question->id);
    for (; result; result = table_next (result))
        if (!s_is_unsent (result))
            return false;
    if (!s_cancel_here (self, &question->id, s_is_unsent))
        return false;
    question->state = US_STATE_CANCELLED;
    waiters_wake (self->client->waiters);
    question_finish (question, US_OK, NULL);
    return true;
}

static void s_add_cancel (engine_t *self, question_t *question)
{
    usi_fields_t *item = usi_msg_add (&self->out);
    USI_SET (item, ID, id, question->id);
    USI_SET (item, MODE, mode, (uint64_t) question->mode);
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

static void s_fill_query (engine_t *self, question_t *question)
{
    usi_fields_t *head = &self->out.head;
    question->ref = ++self->last_ref;
    USI_SET (head, WHAT, what, usi_bytes_of (question->what));
    USI_SET (head, REF, ref, question->ref);
    s_set_text (head, USI_F_CHANNEL, &head->channel, question->channel);
    s_set_text (head, USI_F_NAME, &head->name, question->name);
    s_set_text (head, USI_F_CURSOR, &head->cursor, question->cursor);
    if (question->query_state)
        USI_SET (head, STATE, state, question->query_state);
    if (question->older_ms)
        USI_SET (head, OLDER_MS, older_ms, question->older_ms);
    if (question->limit)
        USI_SET (head, LIMIT, limit, question->limit);
    if (question->certificate.len)
        USI_SET (head, CERTIFICATE, certificate,
                 usi_buf_bytes (&question->certificate));
    if (question->revoked.len)
        USI_SET (head, REVOKED, revoked, usi_buf_bytes (&question->revoked));
    if (question->prefix_len)
        USI_SET (head, PREFIX, prefix,
                 usi_bytes (question->prefix, question->prefix_len));
    if (question->has_id)
        USI_SET (head, ID, id, question->id);
}

/* --- sending ---------------------------------------------------------------------- */

/* Fills the message with the next question, or several CANCELs. False: none is left. */
static bool s_fill (engine_t *self, int64_t now)
{
    bool any = false;
    LIST_EACH (&self->questions, question_t, question, node) {
        if (question->sent || now < question->retry_at || (question->is_query && any))
            continue;
        if (!question->is_query && s_cancel_unsent (self, question))
            continue;
        if (usi_msg_is_full (&self->out, 0))
            break;
        if (!any)
            usi_msg_begin (&self->out, question->is_query ? USI_QUERY : USI_CANCEL);
        any = true;
        question->sent = true;
        if (question->is_query) {
            s_fill_query (self, question);
            break;
        }
        s_add_cancel (self, question);
    }
    return any;
}

void questions_pump (engine_t *self)
{
    int64_t now = usi_now_ms ();
    while (self->questions_unsent && usi_conn_is_ready (self->conn)) {
        usi_msg_clear (&self->out);
        engine_lock (self);
        bool any = s_fill (self, now);
        engine_unlock (self);
        if (!any)
            self->questions_unsent = false;
        else
            usi_conn_send (self->conn, &self->out);
    }
}

void questions_down (engine_t *self)
{
    engine_lock (self);
    LIST_EACH (&self->questions, question_t, question, node)
        question->sent = false;
    engine_unlock (self);
    self->questions_unsent = true;
}

/* Forgets questions for which nobody waits any more, and asks those again whose time
 * has come. */
void questions_tick (engine_t *self, int64_t now)
{
    engine_lock (self);
    LIST_EACH (&self->questions, question_t, question, node) {
        if (question->abandoned) {
            list_remove (&question->node);
            question_unref (question);
        } else if (!question->sent && now >= question->retry_at)
            self->questions_unsent = true;
    }
    engine_unlock (self);
}

void questions_fail_all (engine_t *self, us_err_t code, const char *text)
{
    while (self->questions.first)
        question_finish (LIST_ELEMENT (self->questions.first, question_t, node), code,
                         text);
}

/* --- answers ---------------------------------------------------------------------- */

static void s_on_cancelled (engine_t *self, question_t *question,
                            const usi_fields_t *item)
{
    us_err_t code = (us_err_t) item->code;
    question->state = (int) item->state;
    if (code == US_ERR_STORE || code == US_ERR_BUSY) {
        question->sent = false;
        question->retry_at = usi_now_ms () + usi_jitter_ms (RETRY_MIN_MS);
        return; /* questions_tick asks again */
    }
    /* The broker may not know the job because it could not take its SUBMIT. */
    if (code == US_ERR_UNKNOWN_JOB &&
        s_cancel_here (self, &question->id, s_is_put_off)) {
        question->state = US_STATE_CANCELLED;
        code = US_OK;
    }
    question_finish (question, code, NULL);
}

void questions_on_cancelled (engine_t *self, const usi_msg_t *msg)
{
    engine_lock (self);
    for (size_t i = 0; i < msg->items_len; i++) {
        const usi_fields_t *item = &msg->items[i];
        LIST_EACH (&self->questions, question_t, question, node)
            if (!question->is_query && question->sent &&
                usi_id_equal (&question->id, &item->id))
                s_on_cancelled (self, question, item);
    }
    engine_unlock (self);
}

static question_t *s_by_ref (engine_t *self, uint64_t ref)
{
    LIST_EACH (&self->questions, question_t, question, node)
        if (question->is_query && question->sent && question->ref == ref)
            return question;
    return NULL;
}

static void s_finish (question_t *question, const usi_fields_t *head)
{
    char text[512];
    snprintf (text, sizeof text, "%.*s", (int) head->text.len,
              head->text.data ? (const char *) head->text.data : "");
    question_finish (question, (us_err_t) head->code, text[0] ? text : NULL);
}

void questions_on_answer (engine_t *self, const usi_msg_t *msg)
{
    engine_lock (self);
    question_t *question = s_by_ref (self, msg->head.ref);
    if (question) {
        for (size_t i = 0; i < msg->items_len; i++) {
            usi_bytes_t row = usi_msg_item_body (msg, i);
            uint8_t len[8];
            usi_put_be (len, row.len, sizeof len);
            usi_buf_append (&question->rows, len, sizeof len);
            usi_buf_append (&question->rows, row.data, row.len);
        }
        question->rows_len = msg->items_len;
        question->count = msg->head.count;
        snprintf (question->cursor, sizeof question->cursor, "%.*s",
                  (int) msg->head.cursor.len,
                  msg->head.cursor.data ? (const char *) msg->head.cursor.data : "");
        s_finish (question, &msg->head);
    }
    engine_unlock (self);
}

void questions_on_error (engine_t *self, const usi_msg_t *msg)
{
    engine_lock (self);
    question_t *question = s_by_ref (self, msg->head.ref);
    if (question)
        s_finish (question, &msg->head);
    engine_unlock (self);
}

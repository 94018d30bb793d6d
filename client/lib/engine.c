/* SPDX-License-Identifier: MIT
 *
 * The engine's turn: mailbox, messages, what is due, what is to be sent; see engine.h.
 * Who takes turns is drive.c's matter. */
#define ENGINE_INTERNAL
#include "engine.h"

#include "ask.h"
#include "base/clock.h"

/* --- results ---------------------------------------------------------------------- */

us_result_t *engine_first (const list_t *list)
{
    return list->first ? LIST_ELEMENT (list->first, us_result_t, link) : NULL;
}

us_result_t *engine_next (const us_result_t *result)
{
    list_node_t *next = result->link.next;
    return next ? LIST_ELEMENT (next, us_result_t, link) : NULL;
}

void engine_move (list_t *list, us_result_t *result)
{
    result->since_ms = usi_now_ms ();
    list_append (list, &result->link);
}

/* A result of the sent list leaves it. */
static void s_leave (engine_t *self, us_result_t *result)
{
    if (result->link.list == &self->sent && result->job)
        self->sent_bytes -= result->job->cost;
    list_remove (&result->link);
}

void engine_untrack (engine_t *self, us_result_t *result)
{
    if (!result->tracked)
        return;
    s_leave (self, result);
    table_remove (&self->table, result);
    download_drop (self, result);
    result_set_tracked (result, false);
    result_unref (result);
}

void engine_refuse (engine_t *self, us_result_t *result, us_err_t code,
                    const char *text)
{
    s_leave (self, result);
    result_end (result, US_STATE_REFUSED, code, text, NULL, 0);
    engine_untrack (self, result);
}

/* --- mailbox ---------------------------------------------------------------------- */

/* Its last handle is gone. What is not yet accepted still has to be. */
static void s_release (engine_t *self, us_result_t *result)
{
    if (atomic_load_explicit (&result->refs, memory_order_relaxed) > 1)
        return; /* somebody took it up again: an event, another command */
    if (!result->accepted && result->job)
        return;
    if (!result_ended (result))
        usi_buf_append (&self->unwatch, result->id.bytes, sizeof result->id.bytes);
    engine_untrack (self, result);
}

static bool s_is_known (const engine_t *self, const us_result_t *result)
{
    const us_result_t *other = table_find (&self->table, &result->id);
    while (other && other != result)
        other = table_next (other);
    return other != NULL;
}

/* The count of the mailbox goes back, or becomes the engine's where that one has let go
 * of the result meanwhile. false: there is nothing to do any more. */
static bool s_take_count (us_result_t *result, unsigned wants)
{
    bool again = !result->tracked && !result_ended (result) && wants != WANT_RELEASE;
    bool known = result->tracked;
    if (again)
        result_set_tracked (result, true);
    else
        result_unref (result);
    return known || again;
}

static void s_take_command (engine_t *self, us_result_t *result)
{
    unsigned wants = result->wants;
    result->wants = 0;
    result->queued = false;
    if (!s_take_count (result, wants))
        return;
    if (!s_is_known (self, result) && !table_add (&self->table, result)) {
        engine_refuse (self, result, US_ERR_NOMEM, NULL);
        return;
    }
    if ((wants & WANT_SUBMIT) && !result->link.list)
        submit_take (self, result);
    else if ((wants & WANT_WATCH) && !result->link.list)
        engine_move (&self->announce, result);
    if ((wants & WANT_STREAM) &&
        (!result->link.list || result->link.list == &self->watched))
        engine_move (&self->announce, result);
    if (wants & WANT_RELEASE)
        s_release (self, result);
}

/* With the lock. */
static void s_take_mailbox (engine_t *self)
{
    us_client_t *client = self->client;
    us_result_t *result = client->commands;
    client->commands = NULL;
    client->commands_end = &client->commands;
    while (result) {
        us_result_t *next = result->next_command;
        s_take_command (self, result);
        result = next;
    }
    while (client->asks.first) {
        list_append (&self->asks, client->asks.first);
        self->asks_unsent = true;
    }
}

/* With the lock. */
static bool s_has_work (const engine_t *self)
{
    return self->table.len > 0 || self->asks.len > 0 || self->client->want_connect;
}

/* --- loop ------------------------------------------------------------------------- */

static void s_pump (engine_t *self)
{
    if (usi_conn_is_ready (self->conn))
        submit_pump (self);
    if (usi_conn_is_ready (self->conn))
        upload_pump (self);
    if (usi_conn_is_ready (self->conn))
        answer_pump (self); /* after SUBMIT: a CANCEL must not overtake it */
    if (usi_conn_is_ready (self->conn))
        watch_pump (self);
    if (usi_conn_is_ready (self->conn))
        download_pump (self);
}

static void s_tick (engine_t *self)
{
    int64_t now = usi_now_ms ();
    if (now >= self->delayed_until)
        submit_due (self, now);
    if (now < self->tick_at)
        return;
    self->tick_at = now + TICK_MS;
    if (usi_conn_is_ready (self->conn)) {
        submit_tick (self, now);
        upload_tick (self, now);
        download_tick (self, now);
        watch_tick (self, now);
    }
    answer_tick (self, now);
}

void engine_turn (engine_t *self, bool connect)
{
    engine_lock (self);
    self->client->called = false;
    s_take_mailbox (self);
    self->has_work = s_has_work (self);
    engine_unlock (self);
    if (self->has_work)
        usi_conn_want (self->conn);
    usi_conn_receive (self->conn);
    if (connect || usi_conn_is_ready (self->conn))
        usi_conn_service (self->conn);
    s_tick (self);
    s_pump (self);
    self->more = usi_conn_is_readable (self->conn);
}

int64_t engine_due_ms (const engine_t *self)
{
    int64_t due = usi_conn_due_ms (self->conn);
    if (self->has_work && self->tick_at < due)
        due = self->tick_at;
    return self->delayed_until < due ? self->delayed_until : due;
}

bool engine_open (engine_t *self)
{
    self->delayed_until = INT64_MAX;
    return connect_open (self);
}

void engine_end (engine_t *self)
{
    us_result_t *result;
    engine_lock (self);
    s_take_mailbox (self);
    answer_fail_all (self, US_ERR_CLOSED, NULL);
    while ((result = table_any (&self->table))) {
        waiters_wake (result->waiters);
        engine_untrack (self, result);
    }
    engine_unlock (self);
    upload_free (self);
    table_free (&self->table);
    usi_msg_free (&self->out);
    usi_buf_free (&self->unwatch);
    usi_buf_free (&self->finding);
}

/* SPDX-License-Identifier: MIT
 *
 * The API of results: their life, what is known of them, waiting and cancelling. Their
 * logs are in log.c, their events in events.c. */
#include <stdlib.h>

#include "drive.h"
#include "shared.h"
#include "wait.h"

/* --- life ------------------------------------------------------------------------- */

us_err_t us_result_open (us_client_t *client, const us_id_t *id, us_result_t **result)
{
    if (!client || !id || !result)
        return US_ERR_INVALID;
    *result = NULL;
    if (!usi_id_valid (id))
        return US_ERR_INVALID;
    us_result_t *self = result_new (client, id);
    if (!self)
        return US_ERR_NOMEM;
    client_lock (client);
    self->generation = client->generation;
    us_err_t err = result_want (self, WANT_WATCH);
    if (err != US_OK)
        result_unref (self);
    client_unlock (client);
    *result = err == US_OK ? self : NULL;
    return err;
}

us_result_t *us_result_dup (us_result_t *result)
{
    if (result)
        result_ref (result);
    return result;
}

void us_result_destroy (us_result_t **result)
{
    us_result_t *self = result ? *result : NULL;
    if (!self)
        return;
    *result = NULL;
    us_client_t *client = result_enter (self);
    atomic_fetch_add (&client->refs, 1);
    /* Where only the engine and its mailbox still hold it, the engine is told to let
     * go. */
    if (self->tracked && !client->closed &&
        atomic_load_explicit (&self->refs, memory_order_relaxed) ==
            (self->queued ? 3U : 2U))
        result_want (self, WANT_RELEASE);
    result_unref (self);
    client_unlock (client);
    client_unref (client);
}

/* --- what is known ---------------------------------------------------------------- */

us_id_t us_result_id (const us_result_t *result)
{
    return result->id;
}

/* A caller that looks again and again waits, in a way, so the thread has to drive. */
static bool s_look (const us_result_t *result)
{
    if (result_ended (result))
        return true;
    us_client_t *client = result_enter (result);
    drive_by_thread (client);
    client_unlock (client);
    return false;
}

us_state_t us_result_state (const us_result_t *result)
{
    s_look (result);
    return result_state (result);
}

us_err_t us_result_code (const us_result_t *result)
{
    return s_look (result) ? result->code : US_ERR_RUNNING;
}

const char *us_result_text (const us_result_t *result)
{
    if (!result_ended (result) || result->code == US_OK)
        return "";
    return result->text ? result->text : us_err_text (result->code);
}

us_err_t us_result_body (const us_result_t *result, const void **data, size_t *len)
{
    bool ended = result_ended (result);
    *data = ended ? result->body : NULL;
    *len = ended ? result->body_len : 0;
    return ended ? US_OK : US_ERR_RUNNING;
}

void us_result_drop_body (us_result_t *result)
{
    if (!result || !result_ended (result))
        return;
    us_client_t *client = result_enter (result);
    result_drop_body (result);
    client_unlock (client);
}

size_t us_result_buffers (const us_result_t *result)
{
    us_client_t *client = result_enter (result);
    size_t count = result_ended (result) ? result->buffers_len : 0;
    client_unlock (client);
    return count;
}

us_err_t us_result_buffer (const us_result_t *result, size_t index, us_blob_t **blob)
{
    if (!result || !blob)
        return US_ERR_INVALID;
    us_client_t *client = result_enter (result);
    bool there = result_ended (result) && index < result->buffers_len;
    *blob = there ? blob_ref (result->buffers[index]) : NULL;
    client_unlock (client);
    return there ? US_OK : US_ERR_INVALID;
}

us_err_t us_result_value (const us_result_t *result, const void **data, size_t *len)
{
    *data = NULL;
    *len = 0;
    if (!result_ended (result))
        return US_ERR_RUNNING;
    if (result->code != US_OK)
        return result->code;
    us_reader_t reader = us_reader (result->body, result->body_len);
    us_value_t outer = us_read (&reader);
    us_value_t kind = us_read (&reader);
    if (outer.type != US_TYPE_ARRAY || kind.type != US_TYPE_STR || kind.len != 1)
        return US_ERR_PROTOCOL;
    if (kind.data[0] != 'm')
        return US_ERR_SERIALIZATION;
    us_value_t value = us_read (&reader);
    if (value.type != US_TYPE_BIN)
        return US_ERR_PROTOCOL;
    *data = value.data;
    *len = value.len;
    return US_OK;
}

void us_result_info (const us_result_t *result, us_result_info_t *info)
{
    us_client_t *client = result_enter (result);
    *info = result->info;
    client_unlock (client);
}

/* --- waiting ---------------------------------------------------------------------- */

static bool s_is_accepted (void *arg)
{
    us_result_t *result = arg;
    return result->accepted || result_ended (result);
}

static bool s_is_ended (void *arg)
{
    return result_ended (arg);
}

static us_err_t s_wait (us_result_t *result, client_done_fn *done, int64_t timeout_ms)
{
    us_client_t *client = result_enter (result);
    us_err_t err = done (result) ? US_OK : result_follow (result);
    if (err == US_OK)
        err = client_wait (client, &result->waiters, done, result, timeout_ms);
    client_unlock (client);
    return err;
}

us_err_t us_result_accepted (us_result_t *result, int64_t timeout_ms)
{
    if (!result)
        return US_ERR_INVALID;
    us_err_t err = s_wait (result, s_is_accepted, timeout_ms);
    if (err == US_OK && result_state (result) == US_STATE_REFUSED)
        err = result->code;
    return err;
}

us_err_t us_result_wait (us_result_t *result, int64_t timeout_ms)
{
    if (!result)
        return US_ERR_INVALID;
    if (result_ended (result))
        return US_OK;
    return s_wait (result, s_is_ended, timeout_ms);
}

us_err_t us_result_cancel (us_result_t *result, int mode, us_state_t *state,
                           int64_t timeout_ms)
{
    if (!result || (mode != US_CANCEL_QUEUED && mode != US_CANCEL_RUNNING))
        return US_ERR_INVALID;
    us_client_t *client = result_enter (result);
    question_t *question = NULL;
    us_err_t err = US_ERR_ENDED;
    if (result_ended (result))
        goto out;
    err = result_follow (result);
    if (err != US_OK)
        goto out;
    question = question_new_cancel (&result->id, mode);
    err = question ? question_run (client, question, timeout_ms) : US_ERR_NOMEM;
out:
    if (state)
        *state = question && err != US_ERR_TIMEOUT && question->state
                     ? (us_state_t) question->state
                     : result_state (result);
    question_unref (question);
    client_unlock (client);
    return err;
}

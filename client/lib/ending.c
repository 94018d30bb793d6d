/* SPDX-License-Identifier: MIT
 *
 * Ends of jobs: see ending.h. */
#include "ending.h"

#include <stdio.h>

static us_err_t s_default_code (us_state_t state, const usi_fields_t *item)
{
    switch (state) {
    case US_STATE_CANCELLED: return US_ERR_CANCELLED;
    case US_STATE_EXPIRED: return US_ERR_EXPIRED;
    case US_STATE_DEAD:
        return item->losses > item->crashes ? US_ERR_NODE_LOST : US_ERR_WORKER_DIED;
    default: return US_ERR_REMOTE;
    }
}

us_err_t ending_code (us_state_t state, const usi_fields_t *item)
{
    if (state == US_STATE_SUCCEEDED)
        return US_OK;
    return item->code != US_OK ? (us_err_t) item->code : s_default_code (state, item);
}

/* "ZeroDivisionError: division by zero", from the failure envelope. */
static bool s_failure_text (usi_bytes_t envelope, char *text, size_t size)
{
    us_reader_t at_type = usi_map_find (envelope, "type");
    us_reader_t at_message = usi_map_find (envelope, "message");
    us_value_t type = usi_read (&at_type), message = usi_read (&at_message);
    if (message.type != US_TYPE_STR)
        return false;
    bool has_type = type.type == US_TYPE_STR && type.len > 0;
    snprintf (text, size, "%.*s%s%.*s", has_type ? (int) type.len : 0,
              has_type ? type.data : "", has_type && message.len > 0 ? ": " : "",
              (int) message.len, message.data);
    return text[0] != '\0';
}

static void s_plain_text (const us_result_t *result, us_err_t code, char *text,
                          size_t size)
{
    if (code == US_ERR_WORKER_DIED && result->info.crashes > 0)
        snprintf (text, size, "the worker died %u time%s", result->info.crashes,
                  result->info.crashes == 1 ? "" : "s");
    else if (code == US_ERR_NODE_LOST && result->info.losses > 0)
        snprintf (text, size, "%u node%s that ran the job vanished",
                  result->info.losses, result->info.losses == 1 ? "" : "s");
    else
        snprintf (text, size, "%s", us_err_text (code));
}

void ending_show (us_result_t *result, us_state_t state, us_err_t code, uint8_t *body,
                  size_t body_len)
{
    char text[1024] = "";
    usi_bytes_t envelope = usi_bytes (body, body_len);
    bool has_text = state != US_STATE_SUCCEEDED && code != US_OK &&
                    s_failure_text (envelope, text, sizeof text);
    if (code != US_OK && !has_text)
        s_plain_text (result, code, text, sizeof text);
    result_end (result, state, code, code ? text : NULL, body, body_len);
}

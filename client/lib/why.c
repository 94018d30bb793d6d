/* SPDX-License-Identifier: MIT
 *
 * What a job waits for, in words, which are the broker's. Of a job that it does not have yet
 * it cannot say anything: then whether it answers, and has its store, is the reason. */
#include <stdio.h>
#include <string.h>

#include "understudy/understudy.h"

#include "base/bytes.h"
#include "proto/pack.h"
#include "record.h"

static us_err_t s_give (char *text, size_t len, const char *words, size_t words_len)
{
    snprintf (text, len, "%.*s", (int) (words_len < 4096 ? words_len : 4096), words);
    return US_OK;
}

/* Not accepted yet: there is no broker, or none that answers, or it has no store. */
static us_err_t s_say_unsent (us_client_t *client, char *text, size_t len,
                              int64_t timeout_ms)
{
    us_query_t *query = NULL;
    us_err_t err = us_query_new (&query, "status");
    if (err != US_OK)
        return err;
    err = us_query_run (client, query, timeout_ms);
    us_query_destroy (&query);
    snprintf (text, len, "it has not been accepted yet: %s",
              err == US_OK            ? "the broker has not answered yet"
              : err == US_ERR_TIMEOUT ? "the broker does not answer"
                                      : us_client_error_text (client));
    return US_OK;
}

static us_err_t s_take_answer (const us_query_t *query, char *text, size_t len)
{
    const void *row;
    size_t row_len;
    if (us_query_row (query, 0, &row, &row_len) != US_OK)
        return US_ERR_PROTOCOL;
    us_reader_t reader = usi_map_find (usi_bytes (row, row_len), "text");
    us_value_t value = usi_read (&reader);
    if (value.type != US_TYPE_STR)
        return US_ERR_PROTOCOL;
    return s_give (text, len, value.data, value.len);
}

us_err_t us_result_why (us_result_t *result, char *text, size_t len, int64_t timeout_ms)
{
    us_query_t *query = NULL;
    if (!result || !text || len == 0)
        return US_ERR_INVALID;
    us_client_t *client = result->client;
    us_id_t id = us_result_id (result);
    *text = '\0';
    if (us_result_state (result) == US_STATE_UNSENT)
        return s_say_unsent (client, text, len, timeout_ms);
    us_err_t err = us_query_new (&query, "why");
    if (err == US_OK)
        err = us_query_set_id (query, &id);
    if (err == US_OK)
        err = us_query_run (client, query, timeout_ms);
    if (err == US_OK)
        err = s_take_answer (query, text, len);
    us_query_destroy (&query);
    return err;
}

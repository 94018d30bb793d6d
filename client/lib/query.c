/* SPDX-License-Identifier: MIT
 *
 * The API of queries: one question or, where there are more rows, several along the
 * cursor. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "proto/pack.h"
#include "shared.h"
#include "wait.h"

#define PAGE 500

struct us_query {
    char what[33], channel[129], name[257];
    us_id_t id;
    bool has_id;
    unsigned state, limit;
    uint64_t older_ms;
    uint8_t prefix[US_ID_LEN];
    size_t prefix_len;
    usi_buf_t certificate, revoked;
    /* The answer. */
    usi_buf_t rows; /* as in question.h */
    size_t *offsets;
    size_t rows_len;
    uint64_t count;
};

static us_err_t s_copy (char *place, size_t size, const char *text)
{
    if (!text || strlen (text) >= size || !usi_is_text (text, strlen (text)))
        return US_ERR_INVALID;
    snprintf (place, size, "%s", text);
    return US_OK;
}

us_err_t us_query_new (us_query_t **query, const char *what)
{
    if (!query)
        return US_ERR_INVALID;
    *query = calloc (1, sizeof **query);
    if (!*query)
        return US_ERR_NOMEM;
    us_err_t err = s_copy ((*query)->what, sizeof (*query)->what, what);
    if (err != US_OK)
        us_query_destroy (query);
    return err;
}

static void s_forget (us_query_t *query)
{
    usi_buf_free (&query->rows);
    free (query->offsets);
    query->offsets = NULL;
    query->rows_len = 0;
    query->count = 0;
}

void us_query_destroy (us_query_t **query)
{
    if (!query || !*query)
        return;
    s_forget (*query);
    usi_buf_free (&(*query)->certificate);
    usi_buf_free (&(*query)->revoked);
    free (*query);
    *query = NULL;
}

us_err_t us_query_set_channel (us_query_t *query, const char *channel)
{
    if (!query || !channel || !usi_channel_valid (usi_bytes_of (channel)))
        return US_ERR_INVALID;
    return s_copy (query->channel, sizeof query->channel, channel);
}

us_err_t us_query_set_state (us_query_t *query, int state)
{
    if (!query || state < 0 || state > 15)
        return US_ERR_INVALID;
    query->state = (unsigned) state;
    return US_OK;
}

us_err_t us_query_set_older_ms (us_query_t *query, int64_t older_ms)
{
    if (!query || older_ms < 0)
        return US_ERR_INVALID;
    query->older_ms = (uint64_t) older_ms;
    return US_OK;
}

us_err_t us_query_set_limit (us_query_t *query, unsigned limit)
{
    if (!query)
        return US_ERR_INVALID;
    query->limit = limit;
    return US_OK;
}

us_err_t us_query_set_id (us_query_t *query, const us_id_t *id)
{
    if (!query || !id)
        return US_ERR_INVALID;
    query->id = *id;
    query->has_id = true;
    return US_OK;
}

us_err_t us_query_set_name (us_query_t *query, const char *name)
{
    return query ? s_copy (query->name, sizeof query->name, name) : US_ERR_INVALID;
}

us_err_t us_query_set_prefix (us_query_t *query, const void *bytes, size_t len)
{
    if (!query || !bytes || len > sizeof query->prefix)
        return US_ERR_INVALID;
    memcpy (query->prefix, bytes, len);
    query->prefix_len = len;
    return US_OK;
}

static us_err_t s_keep (usi_buf_t *place, const void *bytes, size_t len, size_t max)
{
    if (!bytes || len == 0 || len > max)
        return US_ERR_INVALID;
    usi_buf_free (place);
    usi_buf_append (place, bytes, len);
    return place->failed ? US_ERR_NOMEM : US_OK;
}

us_err_t us_query_set_certificate (us_query_t *query, const void *bytes, size_t len)
{
    return query ? s_keep (&query->certificate, bytes, len, USI_MAX_CERTIFICATE)
                 : US_ERR_INVALID;
}

us_err_t us_query_set_revoked (us_query_t *query, const void *bytes, size_t len)
{
    return query ? s_keep (&query->revoked, bytes, len, USI_MAX_REVOKED)
                 : US_ERR_INVALID;
}

static question_t *s_question (const us_query_t *query, const char *cursor,
                               unsigned limit)
{
    question_t *question = question_new_query ();
    if (!question)
        return NULL;
    memcpy (question->what, query->what, sizeof question->what);
    memcpy (question->channel, query->channel, sizeof question->channel);
    memcpy (question->name, query->name, sizeof question->name);
    snprintf (question->cursor, sizeof question->cursor, "%s", cursor);
    memcpy (question->prefix, query->prefix, sizeof question->prefix);
    question->prefix_len = query->prefix_len;
    question->id = query->id;
    question->has_id = query->has_id;
    question->query_state = query->state;
    question->older_ms = query->older_ms;
    question->limit = limit;
    usi_buf_append (&question->certificate, query->certificate.data,
                    query->certificate.len);
    usi_buf_append (&question->revoked, query->revoked.data, query->revoked.len);
    return question;
}

/* Asks for one page; its cursor replaces the one that was given. */
static us_err_t s_page (us_client_t *client, us_query_t *query, char cursor[257],
                        unsigned limit, int64_t timeout_ms)
{
    question_t *question = s_question (query, cursor, limit);
    if (!question)
        return US_ERR_NOMEM;
    client_lock (client);
    us_err_t err = question_run (client, question, timeout_ms);
    if (err == US_OK) {
        usi_buf_append (&query->rows, question->rows.data, question->rows.len);
        query->rows_len += question->rows_len;
        query->count += question->count;
        snprintf (cursor, 257, "%s", question->cursor);
        if (query->rows.failed || question->rows.failed)
            err = US_ERR_NOMEM;
    }
    question_unref (question);
    client_unlock (client);
    return err;
}

static unsigned s_page_limit (const us_query_t *query)
{
    if (query->limit == 0)
        return PAGE;
    size_t left = query->limit - query->rows_len;
    return left < PAGE ? (unsigned) left : PAGE;
}

/* Notes where each row begins, and drops rows over the limit. */
static us_err_t s_index (us_query_t *query)
{
    if (query->limit && query->rows_len > query->limit)
        query->rows_len = query->limit;
    query->offsets = calloc (query->rows_len + 1, sizeof *query->offsets);
    if (!query->offsets)
        return US_ERR_NOMEM;
    size_t at = 0;
    for (size_t i = 0; i < query->rows_len; i++) {
        query->offsets[i] = at;
        at += 8 + usi_get_be (query->rows.data + at, 8);
    }
    return US_OK;
}

us_err_t us_query_run (us_client_t *client, us_query_t *query, int64_t timeout_ms)
{
    if (!client || !query)
        return US_ERR_INVALID;
    char cursor[257] = "";
    int64_t end = usi_now_ms () + timeout_ms;
    us_err_t err;
    s_forget (query);
    do {
        int64_t left = timeout_ms < 0 ? -1 : end - usi_now_ms ();
        if (timeout_ms >= 0 && left < 0)
            left = 0;
        err = s_page (client, query, cursor, s_page_limit (query), left);
    } while (err == US_OK && cursor[0] &&
             (query->limit == 0 || query->rows_len < query->limit));
    if (err == US_OK)
        err = s_index (query);
    if (err != US_OK)
        s_forget (query);
    return err;
}

size_t us_query_rows (const us_query_t *query)
{
    return query->rows_len;
}

us_err_t us_query_row (const us_query_t *query, size_t row, const void **data,
                       size_t *len)
{
    if (!query || row >= query->rows_len)
        return US_ERR_INVALID;
    const uint8_t *at = query->rows.data + query->offsets[row];
    *data = at + 8;
    *len = usi_get_be (at, 8);
    return US_OK;
}

uint64_t us_query_count (const us_query_t *query)
{
    return query->count;
}

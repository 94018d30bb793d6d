/* SPDX-License-Identifier: MIT
 *
 * Results that are blobs: fetched in chunks, checked, and only then shown as the end of
 * their job. Also the words for a failure, which stand in its envelope. */
#define ENGINE_INTERNAL
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "engine.h"
#include "proto/pack.h"

#define ACTIVE_MAX 2 /* downloads at a time */
#define CHUNKS_MAX 4 /* of each, unanswered */

struct download {
    list_node_t link;
    us_result_t *result; /* fetching; it drops the download when it goes */
    ending_t ending;
    uint8_t digest[USI_DIGEST_LEN];
    uint8_t *data;
    bool *have; /* by chunk */
    size_t size;
    uint32_t chunks, chunks_had, next, unanswered;
    int64_t since_ms;
    int64_t resume_at; /* the store did not answer */
};

/* --- the end of a job ------------------------------------------------------------- */

static us_value_t s_lookup (usi_bytes_t map, const char *key)
{
    us_reader_t at = usi_map_find (map, key);
    return usi_read (&at);
}

/* "ZeroDivisionError: division by zero", from the failure envelope. */
static bool s_failure_text (usi_bytes_t envelope, char *text, size_t size)
{
    us_value_t type = s_lookup (envelope, "type");
    us_value_t message = s_lookup (envelope, "message");
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

void ending_apply (engine_t *self, us_result_t *result, ending_t ending, uint8_t *body,
                   size_t body_len)
{
    char text[1024] = "";
    usi_bytes_t envelope = usi_bytes (body, body_len);
    if (ending.code != US_OK && (ending.state == US_STATE_SUCCEEDED ||
                                 !s_failure_text (envelope, text, sizeof text)))
        s_plain_text (result, ending.code, text, sizeof text);
    result_end (result, ending.state, ending.code, ending.code ? text : NULL, body,
                body_len);
    watch_settle (self, result);
}

/* --- fetching --------------------------------------------------------------------- */

static void s_free (download_t *download)
{
    list_remove (&download->link);
    free (download->data);
    free (download->have);
    free (download);
}

void download_drop (engine_t *self, us_result_t *result)
{
    (void) self;
    if (result->download)
        s_free (result->download);
    result->download = NULL;
}

/* The job's end is as it is; what is wrong is that its result is not here. */
static void s_fail (engine_t *self, us_result_t *result, ending_t ending, us_err_t code)
{
    download_drop (self, result);
    if (ending.state == US_STATE_SUCCEEDED)
        ending.code = code;
    ending_apply (self, result, ending, NULL, 0);
}

void download_start (engine_t *self, us_result_t *result, usi_bytes_t digest,
                     uint64_t size, ending_t ending)
{
    if (size == 0 || size > self->client->options.max_payload) {
        s_fail (self, result, ending, size ? US_ERR_TOO_LARGE : US_ERR_MISSING_BLOB);
        return;
    }
    download_t *download = calloc (1, sizeof *download);
    if (!download) {
        s_fail (self, result, ending, US_ERR_NOMEM);
        return;
    }
    download->result = result;
    download->ending = ending;
    download->size = size;
    download->since_ms = usi_now_ms ();
    memcpy (download->digest, digest.data, USI_DIGEST_LEN);
    download->chunks = (uint32_t) ((size + USI_MAX_CHUNK - 1) / USI_MAX_CHUNK);
    result->download = download;
    list_append (&self->downloads, &download->link);
    engine_move (&self->fetching, result);
}

/* Its memory is asked for when its turn comes. */
static bool s_prepare (download_t *download)
{
    if (!download->data)
        download->data = malloc (download->size);
    if (!download->have)
        download->have = calloc (download->chunks, sizeof *download->have);
    return download->data && download->have;
}

static void s_ask (engine_t *self, download_t *download)
{
    usi_msg_begin (&self->out, USI_BLOB_GET);
    for (; download->unanswered < CHUNKS_MAX && download->next < download->chunks;
         download->next++) {
        if (download->have[download->next])
            continue;
        usi_fields_t *item = usi_msg_add (&self->out);
        USI_SET (item, BLOB, blob, usi_bytes (download->digest, USI_DIGEST_LEN));
        USI_SET (item, INDEX, index, download->next);
        download->unanswered++;
    }
    if (!usi_msg_is_empty (&self->out))
        usi_conn_send (self->conn, &self->out);
}

void download_pump (engine_t *self)
{
    list_node_t *next;
    int64_t now = usi_now_ms ();
    int active = 0;
    for (list_node_t *node = self->downloads.first;
         node && active < ACTIVE_MAX && usi_conn_is_ready (self->conn); node = next) {
        download_t *download = LIST_ELEMENT (node, download_t, link);
        next = node->next;
        active++;
        if (now < download->resume_at)
            continue;
        if (s_prepare (download)) {
            s_ask (self, download);
            continue;
        }
        engine_lock (self);
        s_fail (self, download->result, download->ending, US_ERR_NOMEM);
        engine_unlock (self);
    }
}

static void s_restart (download_t *download)
{
    download->next = 0;
    download->unanswered = 0;
    download->since_ms = usi_now_ms ();
}

void download_down (engine_t *self)
{
    for (list_node_t *node = self->downloads.first; node; node = node->next)
        s_restart (LIST_ELEMENT (node, download_t, link));
}

void download_tick (engine_t *self, int64_t now)
{
    for (list_node_t *node = self->downloads.first; node; node = node->next) {
        download_t *download = LIST_ELEMENT (node, download_t, link);
        if (download->unanswered > 0 && now - download->since_ms >= UNANSWERED_MS)
            s_restart (download);
    }
}

/* All chunks are here. */
static void s_finish (engine_t *self, download_t *download)
{
    us_result_t *result = download->result;
    ending_t ending = download->ending;
    uint8_t digest[USI_DIGEST_LEN];
    usi_sha256 (download->data, download->size, digest);
    if (memcmp (digest, download->digest, sizeof digest) != 0) {
        s_fail (self, result, ending, US_ERR_MISSING_BLOB);
        return;
    }
    uint8_t *data = download->data;
    size_t size = download->size;
    download->data = NULL;
    download_drop (self, result);
    ending_apply (self, result, ending, data, size);
}

static void s_take (engine_t *self, download_t *download, const usi_fields_t *item,
                    usi_bytes_t chunk)
{
    if (item->code == US_ERR_STORE || item->code == US_ERR_BUSY) {
        s_restart (download);
        download->resume_at = usi_now_ms () + usi_jitter_ms (RETRY_MIN_MS * 2);
        return;
    }
    if (item->code != US_OK) {
        s_fail (self, download->result, download->ending, US_ERR_MISSING_BLOB);
        return;
    }
    size_t start = (size_t) item->index * USI_MAX_CHUNK;
    if (!download->have || item->index >= download->chunks ||
        download->have[item->index])
        return;
    size_t len =
        download->size - start < USI_MAX_CHUNK ? download->size - start : USI_MAX_CHUNK;
    if (chunk.len != len) {
        s_fail (self, download->result, download->ending, US_ERR_MISSING_BLOB);
        return;
    }
    memcpy (download->data + start, chunk.data, len);
    download->have[item->index] = true;
    download->chunks_had++;
    download->unanswered -= download->unanswered > 0;
    download->since_ms = usi_now_ms ();
    if (download->chunks_had == download->chunks)
        s_finish (self, download);
}

void download_on_data (engine_t *self, const usi_msg_t *msg)
{
    engine_lock (self);
    for (size_t i = 0; i < msg->items_len; i++) {
        const usi_fields_t *item = &msg->items[i];
        list_node_t *next;
        for (list_node_t *node = self->downloads.first; node; node = next) {
            download_t *download = LIST_ELEMENT (node, download_t, link);
            next = node->next;
            if (usi_bytes_equal (item->blob,
                                 usi_bytes (download->digest, USI_DIGEST_LEN)))
                s_take (self, download, item, usi_msg_item_body (msg, i));
        }
    }
    engine_unlock (self);
}

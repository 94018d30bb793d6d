/* SPDX-License-Identifier: MIT
 *
 * Uploads: see upload.h. */
#include "upload.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "proto/chunk.h"
#include "shared.h"

#define KNOWN_MS   ((int64_t) 600000) /* the broker keeps unnamed blobs for an hour */
#define CHUNKS_MAX 4                  /* chunks that may be without an answer */
#define SPOILT_MAX 5 /* wrong sums; then the jobs that name the blob are refused */

typedef enum upload_state {
    UPLOAD_UNKNOWN,
    UPLOAD_FINDING,
    UPLOAD_PUTTING,
    UPLOAD_KNOWN,
} upload_state_t;

struct upload {
    struct upload *next;
    list_node_t node; /* in putting */
    us_blob_t *blob;  /* NULL once the broker has it */
    uint8_t digest[USI_DIGEST_LEN];
    upload_state_t state;
    uint32_t sent, kept, chunks;
    unsigned spoilt;  /* how often its sum was wrong at the broker */
    int64_t since_ms; /* of its state */
};

static upload_t **s_place (engine_t *self, const uint8_t *digest)
{
    upload_t **at = &self->uploads[digest[0] % UPLOAD_SLOTS];
    while (*at && memcmp ((*at)->digest, digest, USI_DIGEST_LEN) != 0)
        at = &(*at)->next;
    return at;
}

static upload_t *s_find (engine_t *self, usi_bytes_t digest)
{
    return digest.len == USI_DIGEST_LEN ? *s_place (self, digest.data) : NULL;
}

static void s_enter (upload_t *upload, upload_state_t state)
{
    upload->state = state;
    upload->since_ms = usi_now_ms ();
}

/* Does not wait any more for answers to the chunks that were sent. */
static void s_stop_putting (engine_t *self, upload_t *upload)
{
    self->chunks_sent -= upload->sent - upload->kept;
    upload->sent = upload->kept = 0;
    list_remove (&upload->node);
}

static void s_become_known (engine_t *self, upload_t *upload)
{
    s_stop_putting (self, upload);
    blob_unref (upload->blob);
    upload->blob = NULL;
    upload->spoilt = 0;
    s_enter (upload, UPLOAD_KNOWN);
}

/* Whether the blob is at the broker; where it is not, it is on its way from now on. */
static bool s_is_known (engine_t *self, us_blob_t *blob)
{
    upload_t **at = s_place (self, blob->digest);
    if (!*at) {
        *at = calloc (1, sizeof **at);
        if (!*at)
            return false; /* tried again with the next turn */
        memcpy ((*at)->digest, blob->digest, USI_DIGEST_LEN);
    }
    upload_t *upload = *at;
    if (upload->state == UPLOAD_KNOWN && usi_now_ms () - upload->since_ms >= KNOWN_MS)
        s_enter (upload, UPLOAD_UNKNOWN);
    if (upload->state != UPLOAD_UNKNOWN)
        return upload->state == UPLOAD_KNOWN;
    if (!upload->blob)
        upload->blob = blob_ref (blob);
    upload->chunks = (uint32_t) usi_chunk_count (blob->len);
    usi_buf_append (&self->finding, blob->digest, USI_DIGEST_LEN);
    if (!self->finding.failed)
        s_enter (upload, UPLOAD_FINDING);
    self->finding.failed = false;
    return false;
}

bool upload_ready (engine_t *self, us_result_t *result)
{
    bool ready = true;
    for (uint32_t i = 0; i < result->job->all_len; i++)
        ready &= s_is_known (self, result->job->all[i]);
    return ready;
}

void upload_forget (engine_t *self, us_result_t *result)
{
    for (uint32_t i = 0; i < result->job->all_len; i++) {
        upload_t *upload = *s_place (self, result->job->all[i]->digest);
        if (upload && upload->state == UPLOAD_KNOWN)
            s_enter (upload, UPLOAD_UNKNOWN);
    }
}

static void s_send_finding (engine_t *self)
{
    size_t at = 0;
    while (at < self->finding.len && usi_conn_is_ready (self->conn)) {
        usi_msg_begin (&self->out, USI_BLOB_FIND);
        for (; at < self->finding.len && !usi_msg_is_full (&self->out, 0);
             at += USI_DIGEST_LEN) {
            usi_fields_t *item = usi_msg_add (&self->out);
            USI_SET (item, BLOB, blob,
                     usi_bytes (self->finding.data + at, USI_DIGEST_LEN));
        }
        usi_conn_send (self->conn, &self->out);
    }
    self->finding.len = 0;
}

static void s_chunk_sent (void *data, void *hint)
{
    (void) data;
    blob_unref (hint);
}

static void s_send_chunk (engine_t *self, upload_t *upload)
{
    us_blob_t *blob = upload->blob;
    size_t start = (size_t) upload->sent * USI_MAX_CHUNK;
    size_t len = usi_chunk_len (blob->len, upload->sent);
    usi_msg_begin (&self->out, USI_BLOB_PUT);
    usi_fields_t *item = usi_msg_add (&self->out);
    USI_SET (item, BLOB, blob, usi_bytes (blob->digest, USI_DIGEST_LEN));
    USI_SET (item, SIZE, size, blob->len);
    USI_SET (item, INDEX, index, upload->sent);
    usi_msg_body_zero_copy (&self->out, blob->data + start, len, s_chunk_sent,
                            blob_ref (blob));
    upload->sent++;
    self->chunks_sent++;
    usi_conn_send (self->conn, &self->out);
}

void upload_pump (engine_t *self)
{
    s_send_finding (self);
    list_node_t *node = self->putting.first;
    while (node && self->chunks_sent < CHUNKS_MAX && usi_conn_is_ready (self->conn)) {
        upload_t *upload = LIST_ELEMENT (node, upload_t, node);
        if (upload->sent < upload->chunks)
            s_send_chunk (self, upload);
        else
            node = node->next;
    }
}

/* Asks the broker anew for the blob, also where a part of it was put. */
static void s_restart (engine_t *self, upload_t *upload)
{
    s_stop_putting (self, upload);
    s_enter (upload, UPLOAD_UNKNOWN);
}

void upload_down (engine_t *self)
{
    for (size_t i = 0; i < UPLOAD_SLOTS; i++)
        for (upload_t *upload = self->uploads[i]; upload; upload = upload->next)
            s_restart (self, upload);
    self->finding.len = 0;
}

static void s_free (engine_t *self, upload_t *upload)
{
    s_stop_putting (self, upload);
    blob_unref (upload->blob);
    free (upload);
}

/* Forgets blobs that have been known for long, and starts over with those that get no
 * answer. */
void upload_tick (engine_t *self, int64_t now)
{
    for (size_t i = 0; i < UPLOAD_SLOTS; i++) {
        for (upload_t **at = &self->uploads[i]; *at;) {
            upload_t *upload = *at;
            int64_t age = now - upload->since_ms;
            bool is_old =
                upload->state == UPLOAD_KNOWN ? age >= KNOWN_MS : age >= UNANSWERED_MS;
            if (is_old && upload->state > UPLOAD_UNKNOWN &&
                upload->state < UPLOAD_KNOWN)
                s_restart (self, upload);
            else if (is_old) {
                *at = upload->next;
                s_free (self, upload);
                continue;
            }
            at = &upload->next;
        }
    }
}

void upload_free (engine_t *self)
{
    for (size_t i = 0; i < UPLOAD_SLOTS; i++) {
        upload_t *next;
        for (upload_t *upload = self->uploads[i]; upload; upload = next) {
            next = upload->next;
            s_free (self, upload);
        }
        self->uploads[i] = NULL;
    }
    self->finding.len = 0;
}

void upload_on_found (engine_t *self, const usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++) {
        upload_t *upload = s_find (self, msg->items[i].blob);
        if (!upload || upload->state != UPLOAD_FINDING)
            continue;
        if (msg->items[i].size == upload->blob->len) {
            s_become_known (self, upload);
            continue;
        }
        s_enter (upload, UPLOAD_PUTTING);
        list_append (&self->putting, &upload->node);
    }
}

static bool s_names (const us_job_t *job, const uint8_t *digest)
{
    for (uint32_t i = 0; i < job->all_len; i++)
        if (memcmp (job->all[i]->digest, digest, USI_DIGEST_LEN) == 0)
            return true;
    return false;
}

/* Refuses the jobs that name a blob which the broker will never take. */
static void s_refuse_jobs (engine_t *self, const upload_t *upload, us_err_t code)
{
    char text[128] = "";
    size_t payload = client_max_payload (self->client);
    size_t buffer = client_max_buffer (self->client);
    if (code == US_ERR_TOO_LARGE)
        snprintf (text, sizeof text, "a blob is %zu bytes; the broker's limit is %zu",
                  upload->blob->len, buffer > payload ? buffer : payload);
    engine_lock (self);
    TRACK_EACH (&self->track, result, PLACE_HELD)
        if (s_names (result->job, upload->digest))
            track_refuse (&self->track, result, code, text[0] ? text : NULL);
    waiters_wake (self->client->waiters);
    engine_unlock (self);
}

/* Delays the jobs that wait for a blob which the store cannot take now; they try again
 * with it. */
static void s_delay_jobs (engine_t *self, const upload_t *upload)
{
    TRACK_EACH (&self->track, result, PLACE_HELD)
        if (s_names (result->job, upload->digest))
            track_delay (&self->track, result);
}

/* US_ERR_MISSING_BLOB: others have put other bytes under this name, and the broker has
 * dropped all of them. */
static bool s_may_put_again (upload_t *upload, us_err_t code)
{
    if (code == US_ERR_MISSING_BLOB && ++upload->spoilt < SPOILT_MAX)
        return true;
    upload->spoilt = 0;
    return code == US_ERR_STORE || code == US_ERR_BUSY;
}

void upload_on_kept (engine_t *self, const usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++) {
        const usi_fields_t *item = &msg->items[i];
        upload_t *upload = s_find (self, item->blob);
        if (!upload || upload->state != UPLOAD_PUTTING)
            continue;
        if (item->code == US_OK) {
            if (upload->kept < upload->sent) {
                upload->kept++;
                self->chunks_sent--;
            }
            upload->since_ms = usi_now_ms ();
            if (upload->kept == upload->chunks)
                s_become_known (self, upload);
            continue;
        }
        s_restart (self, upload);
        if (s_may_put_again (upload, (us_err_t) item->code))
            s_delay_jobs (self, upload);
        else
            s_refuse_jobs (self, upload, (us_err_t) item->code);
    }
}

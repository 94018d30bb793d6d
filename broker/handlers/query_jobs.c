/* SPDX-License-Identifier: MIT
 *
 * Questions about jobs: list, find, show, retry, purge. */
#include "handlers/query.h"

#include <stdlib.h>

#include "base/mem.h"
#include "core/access.h"
#include "core/fanout.h"
#include "core/schedule.h"
#include "proto/pack.h"

/* Whether who asks may do this with a job of that owner; no longer where it has gone. */
static bool s_may (const answer_t *answer, usi_verb_t verb, uint64_t owner)
{
    const peer_t *peer = answer_peer (answer);
    return peer && access_job (answer->broker, peer, verb, owner);
}

/* --- rows -------------------------------------------------------------------------------------- */

static void s_set_counts (usi_fields_t *row, const store_record_t *record)
{
    USI_SET (row, ATTEMPT, attempt, record->attempt);
    USI_SET (row, CRASHES, crashes, record->crashes);
    USI_SET (row, LOSSES, losses, record->losses);
    USI_SET (row, FAILURES, failures, record->failures);
    USI_SET (row, RETRIES, retries, record->retries);
}

static void s_set_times (usi_fields_t *row, const store_record_t *record)
{
    if (record->submitted_ms > 0)
        USI_SET (row, SUBMITTED_MS, submitted_ms, (uint64_t) record->submitted_ms);
    if (record->started_ms > 0)
        USI_SET (row, STARTED_MS, started_ms, (uint64_t) record->started_ms);
    if (record->ended_ms > 0 && us_state_is_end (record->state))
        USI_SET (row, ENDED_MS, ended_ms, (uint64_t) record->ended_ms);
    if (record->expire_ms > 0)
        USI_SET (row, EXPIRE_MS, expire_ms, record->expire_ms);
}

/* What the job is (its specification) and what became of it (its record): one dictionary
 * serves both. size is that of the body. */
static void s_fill (usi_fields_t *row, const store_record_t *record, usi_buf_t *blobs)
{
    if (usi_fields_decode (row, record->spec, NULL))
        memset (row, 0, sizeof *row);
    USI_SET (row, ID, id, record->id);
    USI_SET (row, CHANNEL, channel, record->channel);
    USI_SET (row, STATE, state, record->state);
    s_set_counts (row, record);
    s_set_times (row, record);
    if (!usi_has (row, USI_F_SIZE))
        USI_SET (row, SIZE, size, record->body_len);
    if (record->blobs.len > 0)
        USI_SET (row, BLOBS, blobs, usi_list_of_digests (record->blobs, blobs));
    if (record->state == US_STATE_LEASED || record->state == US_STATE_RUNNING) {
        USI_SET (row, NODE, node, record->node);
        USI_SET (row, BROKER, broker, record->holder);
    }
}

static bool s_job_row (answer_t *answer, const store_record_t *record)
{
    usi_buf_t buf = {0}, blobs = {0};
    usi_fields_t row;
    s_fill (&row, record, &blobs);
    usi_fields_encode (&row, &buf);
    bool taken = answer_row (answer, &buf);
    usi_buf_free (&buf);
    usi_buf_free (&blobs);
    return taken;
}

/* --- jobs, find -------------------------------------------------------------------------------- */

static void s_on_list (us_err_t code, const store_record_t *records, size_t count,
                       const char *cursor, void *arg)
{
    answer_t *answer = arg;
    if (code) {
        answer_fail (&answer, code, NULL);
        return;
    }
    size_t shown = 0;
    for (size_t i = 0; i < count; i++)
        if (s_may (answer, USI_MAY_SEE, records[i].owner)) {
            s_job_row (answer, &records[i]);
            shown++;
        }
    snprintf (answer->cursor, sizeof answer->cursor, "%s", cursor ? cursor : "");
    answer_send (&answer, shown);
}

/* A row can be as large as its specification: so few fit in every case. */
#define LIST_MAX 40

void query_jobs (answer_t *answer)
{
    if (answer->limit > LIST_MAX)
        answer->limit = LIST_MAX;
    store_list (answer->broker->store, answer->channel[0] ? answer->channel : NULL,
                answer->state, answer->older_ms, answer->limit, answer->asked,
                s_on_list, answer);
}

void query_find (answer_t *answer)
{
    if (answer->limit > LIST_MAX)
        answer->limit = LIST_MAX;
    answer->cursor[0] = '\0';
    if (answer->prefix_len == 0)
        answer_fail (&answer, US_ERR_INVALID,
                     "find needs the first bytes of an id: prefix");
    else
        store_find (answer->broker->store, answer->prefix, answer->prefix_len,
                    answer->limit, s_on_list, answer);
}

/* --- show -------------------------------------------------------------------------------------- */

static void s_set_result (row_t *row, const store_job_t *job)
{
    const store_record_t *record = &job->record;
    usi_fields_t fields = {0};
    row_uint (row, "log_len", job->log_len);
    row_uint (row, "build_len", job->build_len);
    if (job->has_result) {
        USI_SET (&fields, CODE, code, job->result.code);
        USI_SET (&fields, DROPPED, dropped, job->result.dropped);
        row_uint (row, "result_len",
                  job->result.blob.len > 0 ? job->result.size : job->result.body.len);
    }
    row_fields (row, &fields);
    row_bool (row, "cancel_asked", record->flags & RECORD_FLAG_CANCEL);
    row_bool (row, "detached", record->flags & RECORD_FLAG_DETACHED);
}

static void s_on_show (us_err_t code, const store_job_t *job, void *arg)
{
    answer_t *answer = arg;
    usi_buf_t blobs = {0};
    usi_fields_t fields;
    row_t row = {0};
    if (!code && !s_may (answer, USI_MAY_SEE, job->record.owner))
        code = US_ERR_DENIED;
    if (code) {
        answer_fail (&answer, code, NULL);
        return;
    }
    s_fill (&fields, &job->record, &blobs);
    row_fields (&row, &fields);
    s_set_result (&row, job);
    answer_end_row (answer, 0, &row);
    usi_buf_free (&blobs);
    answer_send (&answer, 1);
}

void query_show (answer_t *answer)
{
    if (!answer->has_id)
        answer_fail (&answer, US_ERR_INVALID, "show needs the id of a job");
    else
        store_get (answer->broker->store, &answer->id, false, s_on_show, answer);
}

/* --- retry ------------------------------------------------------------------------------------- */

/* The specification of the old job, with retry_of. */
static void s_respec (answer_t *answer, usi_bytes_t spec, usi_buf_t *buf)
{
    us_reader_t reader = usi_reader (spec);
    us_value_t map = usi_read (&reader);
    row_t row = {0};
    bool good = map.type == US_TYPE_MAP;
    for (uint32_t i = 0; good && i < map.as.count; i++) {
        const void *pair = reader.at;
        us_value_t key = usi_read (&reader);
        good = usi_skip (&reader, NULL, NULL);
        if (good && (key.len != 8 || memcmp (key.data, "retry_of", 8) != 0)) {
            usi_buf_append (&row.pairs, pair,
                            (size_t) (reader.at - (const uint8_t *) pair));
            row.count++;
        }
    }
    usi_fields_t fields = {0};
    USI_SET (&fields, RETRY_OF, retry_of, answer->id);
    row_fields (&row, &fields);
    row_end (&row, buf);
}

static void s_on_resubmitted (us_err_t code, int state, void *arg)
{
    answer_t *answer = arg;
    usi_fields_t fields = {0};
    row_t row = {0};
    if (code) {
        answer_fail (&answer, code, NULL);
        return;
    }
    memcpy (fields.id.bytes, answer->prefix, US_ID_LEN);
    usi_mark (&fields, USI_F_ID);
    USI_SET (&fields, RETRY_OF, retry_of, answer->id);
    USI_SET (&fields, STATE, state, (uint64_t) (state ? state : US_STATE_QUEUED));
    row_fields (&row, &fields);
    answer_end_row (answer, 0, &row);
    answer_send (&answer, 1);
}

/* The class is the old one; its words are known to the store already where the
 * specification does not say them. */
static void s_resubmit (answer_t *answer, const store_job_t *job)
{
    const store_record_t *record = &job->record;
    usi_fields_t old;
    usi_buf_t spec = {0};
    char needs[USI_NEEDS_SIZE] = "";
    usi_fields_decode (&old, record->spec, NULL);
    if (usi_class (old.python, needs) != record->class_id)
        needs[0] = '\0';
    snprintf (answer->channel, sizeof answer->channel, "%.*s",
              (int) record->channel.len, (const char *) record->channel.data);
    s_respec (answer, record->spec, &spec);
    store_submit_t submit = {.class_id = record->class_id,
                             .needs = needs,
                             .retries = record->retries,
                             .detached = true, /* who asks looks for it by its new id */
                             .expire_ms = record->expire_ms,
                             .peer = answer->peer,
                             .owner = access_owner (answer_peer (answer)),
                             .most = access_queued (answer_peer (answer)),
                             .channel = answer->channel,
                             .blobs = record->blobs,
                             .spec = usi_buf_bytes (&spec),
                             .body = record->body};
    memcpy (submit.id.bytes, answer->prefix, US_ID_LEN);
    broker_t *self = answer->broker;
    store_submit (self->store, &submit, s_on_resubmitted, answer);
    schedule_jobs (self, record->channel, record->class_id, 1);
    usi_buf_free (&spec);
}

/* A job that is handed in again is handed in: under the rights of who does that. */
static us_err_t s_check_retry (const answer_t *answer, const store_record_t *record)
{
    const peer_t *peer = answer_peer (answer);
    const char *text;
    usi_fields_t job = {0};
    USI_SET (&job, CHANNEL, channel, record->channel);
    USI_SET (&job, SPEC, spec, record->spec);
    if (!s_may (answer, USI_MAY_RETRY, record->owner))
        return US_ERR_DENIED;
    return access_submit (peer, &job, record->body, &text);
}

static void s_on_old (us_err_t code, const store_job_t *job, void *arg)
{
    answer_t *answer = arg;
    if (!code)
        code = s_check_retry (answer, &job->record);
    if (code)
        answer_fail (&answer, code, NULL);
    else if (answer->prefix[US_ID_LEN - 1] != usi_id_partition (&answer->id))
        answer_fail (&answer, US_ERR_INVALID, "the new id belongs to another channel");
    else
        s_resubmit (answer, job);
}

void query_retry (answer_t *answer)
{
    usi_id_t id;
    memcpy (id.bytes, answer->prefix, US_ID_LEN);
    if (!answer->has_id || answer->prefix_len != US_ID_LEN || !usi_id_valid (&id))
        answer_fail (&answer, US_ERR_INVALID,
                     "retry needs the old id and, in prefix, the new (a UUID of "
                     "version 8)");
    else
        store_get (answer->broker->store, &answer->id, true, s_on_old, answer);
}

/* --- purge ------------------------------------------------------------------------------------- */

static void s_on_purged (us_err_t code, uint64_t removed, void *arg)
{
    answer_t *answer = arg;
    if (code)
        answer_fail (&answer, code, NULL);
    else
        answer_send (&answer, removed);
}

void query_purge (answer_t *answer)
{
    answer->cursor[0] = '\0';
    if (answer->state && !us_state_is_end (answer->state))
        answer_fail (&answer, US_ERR_INVALID, "only ended jobs can be purged");
    else
        store_purge (answer->broker->store, answer->channel[0] ? answer->channel : NULL,
                     answer->state, answer->older_ms, s_on_purged, answer);
}

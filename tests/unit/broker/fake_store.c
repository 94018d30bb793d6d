/* SPDX-License-Identifier: MIT
 *
 * See fake_store.h. */
#include "fake_store.h"

#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define CALLS_MAX 4096

enum {
    NOTHING,
    CODE,
    SUBMIT,
    CLAIM,
    JOB,
    READ,
    LOG,
    DONE,
    CANCEL,
    SIZE,
    REGISTRY,
    CHANNELS,
    LIST,
    PURGE,
    DOCTOR
};

struct store {
    bool ready;
    uint64_t memory;
    fake_call_t *calls[CALLS_MAX];
    size_t len;
};

/* --- what tests ask ------------------------------------------------------------------- */

void fake_set_ready (store_t *self, bool ready)
{
    self->ready = ready;
}

void fake_set_memory (store_t *self, uint64_t bytes)
{
    self->memory = bytes;
}

size_t fake_count (const store_t *self, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < self->len; i++)
        count += strcmp (self->calls[i]->name, name) == 0;
    return count;
}

size_t fake_open (const store_t *self)
{
    size_t count = 0;
    for (size_t i = 0; i < self->len; i++)
        count += !self->calls[i]->answered;
    return count;
}

fake_call_t *fake_take (store_t *self, const char *name)
{
    for (size_t i = 0; i < self->len; i++) {
        fake_call_t *call = self->calls[i];
        if (!call->taken && strcmp (call->name, name) == 0) {
            call->taken = true;
            return call;
        }
    }
    fail_msg ("nobody called store_%s", name);
    return NULL;
}

/* --- calls ---------------------------------------------------------------------------- */

static fake_call_t *s_call (store_t *self, const char *name, int answers,
                            void (*fn) (void), void *arg)
{
    fake_call_t *call = usi_new (fake_call_t);
    assert_true (self->len < CALLS_MAX);
    call->name = name;
    call->answers = answers;
    call->answered = answers == NOTHING;
    call->fn = fn;
    call->arg = arg;
    self->calls[self->len++] = call;
    return call;
}

/* A call of the function that this stands in. */
#define CALL(answers)                                                                  \
    s_call (self, __func__ + strlen ("store_"), answers, (void (*) (void)) fn, arg)
#define CALL_NOTHING()  s_call (self, __func__ + strlen ("store_"), NOTHING, NULL, NULL)
#define SET_TEXT(to, s) snprintf (to, sizeof to, "%s", (s) ? (s) : "")

static void s_keep (usi_buf_t *buf, usi_bytes_t bytes)
{
    usi_buf_append (buf, bytes.data, bytes.len);
}

static void s_set_fence (fake_call_t *call, const store_fence_t *fence)
{
    call->fence = *fence;
    call->id = fence->id;
    call->node = fence->node;
    call->boot = fence->boot;
}

/* --- the answers ---------------------------------------------------------------------- */

/* The callback of a call, of the type that its function takes. */
#define FN(type, call) ((type *) s_answer (call))

static void (*s_answer (fake_call_t *call)) (void)
{
    assert_false (call->answered);
    call->answered = true;
    return call->fn;
}

static void s_check (const fake_call_t *call, int answers)
{
    if (call->answers != answers)
        fail_msg ("store_%s is not answered so", call->name);
}

void fake_answer_code (fake_call_t *call, us_err_t code)
{
    s_check (call, CODE);
    FN (store_code_fn, call) (code, call->arg);
}

void fake_answer_submit (fake_call_t *call, us_err_t code, int state)
{
    s_check (call, SUBMIT);
    FN (store_submit_fn, call) (code, state, call->arg);
}

void fake_answer_claim (fake_call_t *call, us_err_t code, size_t count)
{
    s_check (call, CLAIM);
    store_claimed_t *jobs = usi_alloc ((count + 1) * sizeof *jobs);
    for (size_t i = 0; i < count; i++)
        jobs[i].record = (store_record_t){.id = {{(uint8_t) i}},
                                          .state = US_STATE_LEASED,
                                          .attempt = 1,
                                          .node = call->node,
                                          .boot = call->boot,
                                          .nonce = 17,
                                          .channel = usi_bytes_of (call->text),
                                          .spec = usi_bytes_of ("\x80"),
                                          .body = usi_bytes_of ("body")};
    FN (store_claim_fn, call) (code, jobs, count, call->arg);
    free (jobs);
}

void fake_answer_job (fake_call_t *call, us_err_t code, const store_job_t *job)
{
    s_check (call, JOB);
    FN (store_job_fn, call) (code, job, call->arg);
}

void fake_answer_read (fake_call_t *call, us_err_t code, usi_bytes_t bytes,
                       uint64_t length)
{
    s_check (call, READ);
    FN (store_read_fn, call) (code, bytes, length, call->arg);
}

void fake_answer_log (fake_call_t *call, us_err_t code, uint64_t kept,
                      const uint32_t *peers, size_t count)
{
    s_check (call, LOG);
    FN (store_log_fn, call) (code, kept, peers, count, call->arg);
}

void fake_answer_done (fake_call_t *call, us_err_t code, const store_finished_t *reply)
{
    s_check (call, DONE);
    FN (store_done_fn, call) (code, reply, call->arg);
}

void fake_answer_cancel (fake_call_t *call, us_err_t code,
                         const store_cancelled_t *reply)
{
    s_check (call, CANCEL);
    FN (store_cancel_fn, call) (code, reply, call->arg);
}

void fake_answer_size (fake_call_t *call, us_err_t code, uint64_t size)
{
    s_check (call, SIZE);
    FN (store_size_fn, call) (code, size, call->arg);
}

void fake_answer_registry (fake_call_t *call, us_err_t code, const usi_bytes_t *values,
                           size_t count)
{
    s_check (call, REGISTRY);
    FN (store_registry_fn, call) (code, values, count, call->arg);
}

void fake_answer_channels (fake_call_t *call, us_err_t code,
                           const store_channel_t *channels, size_t count)
{
    s_check (call, CHANNELS);
    FN (store_channels_fn, call) (code, channels, count, call->arg);
}

void fake_answer_list (fake_call_t *call, us_err_t code, const store_record_t *records,
                       size_t count, const char *cursor)
{
    s_check (call, LIST);
    FN (store_list_fn, call) (code, records, count, cursor, call->arg);
}

void fake_answer_purge (fake_call_t *call, us_err_t code, uint64_t removed)
{
    s_check (call, PURGE);
    FN (store_purge_fn, call) (code, removed, call->arg);
}

void fake_answer_doctor (fake_call_t *call, us_err_t code, const char *const *findings,
                         size_t count)
{
    s_check (call, DOCTOR);
    FN (store_doctor_fn, call) (code, findings, count, call->arg);
}

/* Redis is lost: nobody knows. */
static void s_fail (fake_call_t *call)
{
    const us_err_t lost = US_ERR_STORE;
    switch (call->answers) {
    case CODE: fake_answer_code (call, lost); break;
    case SUBMIT: fake_answer_submit (call, lost, 0); break;
    case CLAIM: fake_answer_claim (call, lost, 0); break;
    case JOB: fake_answer_job (call, lost, NULL); break;
    case READ: fake_answer_read (call, lost, usi_bytes (NULL, 0), 0); break;
    case LOG: fake_answer_log (call, lost, 0, NULL, 0); break;
    case DONE: fake_answer_done (call, lost, NULL); break;
    case CANCEL: fake_answer_cancel (call, lost, NULL); break;
    case SIZE: fake_answer_size (call, lost, 0); break;
    case REGISTRY: fake_answer_registry (call, lost, NULL, 0); break;
    case CHANNELS: fake_answer_channels (call, lost, NULL, 0); break;
    case LIST: fake_answer_list (call, lost, NULL, 0, NULL); break;
    case PURGE: fake_answer_purge (call, lost, 0); break;
    case DOCTOR: fake_answer_doctor (call, lost, NULL, 0); break;
    default: break;
    }
}

/* --- store.h: life -------------------------------------------------------------------- */

store_t *store_new (zloop_t *loop, const store_options_t *options,
                    const store_events_t *events)
{
    store_t *self = usi_new (store_t);
    (void) loop;
    (void) options;
    (void) events;
    self->ready = true;
    return self;
}

void store_destroy (store_t **self_p)
{
    store_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < self->len; i++) /* an answer may lead to further calls */
        if (!self->calls[i]->answered)
            s_fail (self->calls[i]);
    for (size_t i = 0; i < self->len; i++) {
        usi_buf_free (&self->calls[i]->body);
        usi_buf_free (&self->calls[i]->blobs);
        usi_buf_free (&self->calls[i]->spec);
        free (self->calls[i]);
    }
    free (self);
    *self_p = NULL;
}

us_err_t store_check (store_t *self, int64_t timeout_ms, char **text)
{
    (void) timeout_ms;
    *text = NULL;
    return self->ready ? US_OK : US_ERR_STORE;
}

bool store_is_ready (const store_t *self)
{
    return self->ready;
}

const char *store_cluster (const store_t *self)
{
    (void) self;
    return "cluster";
}

const char *store_wake_url (const store_t *self)
{
    (void) self;
    return "";
}

uint64_t store_memory (const store_t *self)
{
    return self->memory;
}

const char *store_durability (const store_t *self)
{
    (void) self;
    return "always";
}

size_t store_backlog (const store_t *self, size_t *bytes)
{
    if (bytes)
        *bytes = 0;
    return fake_open (self);
}

void store_flush (store_t *self)
{
    (void) self;
}

void store_sweep_start (store_t *self)
{
    CALL_NOTHING ();
}

/* --- store.h: jobs -------------------------------------------------------------------- */

void store_submit (store_t *self, const store_submit_t *job, store_submit_fn *fn,
                   void *arg)
{
    fake_call_t *call = CALL (SUBMIT);
    call->id = job->id;
    call->class_id = job->class_id;
    call->on = job->detached;
    call->peer = job->peer;
    SET_TEXT (call->text, job->channel);
    SET_TEXT (call->needs, job->needs);
    s_keep (&call->blobs, job->blobs);
    s_keep (&call->spec, job->spec);
    s_keep (&call->body, job->body);
}

void store_claim (store_t *self, const store_claim_t *claim, store_claim_fn *fn,
                  void *arg)
{
    fake_call_t *call = CALL (CLAIM);
    call->node = claim->node;
    call->boot = claim->boot;
    call->count = claim->count;
    call->on = claim->waiting;
    SET_TEXT (call->text, claim->channel);
}

void store_started (store_t *self, const store_fence_t *fence, store_code_fn *fn,
                    void *arg)
{
    s_set_fence (CALL (CODE), fence);
}

void store_renew (store_t *self, const store_fence_t *fence, bool started,
                  store_code_fn *fn, void *arg)
{
    fake_call_t *call = CALL (CODE);
    s_set_fence (call, fence);
    call->on = started;
}

void store_hand_back (store_t *self, const store_fence_t *fence, store_code_fn *fn,
                      void *arg)
{
    s_set_fence (CALL (CODE), fence);
}

void store_done (store_t *self, const store_done_t *done, store_done_fn *fn, void *arg)
{
    fake_call_t *call = CALL (DONE);
    s_set_fence (call, &done->fence);
    call->outcome = done->outcome;
    call->code = done->code;
    call->log_end = done->log_end;
    call->size = done->size;
    s_keep (&call->blobs, done->blobs);
    s_keep (&call->body, done->body);
}

void store_log (store_t *self, const store_fence_t *fence, int stream, uint64_t offset,
                usi_bytes_t bytes, store_log_fn *fn, void *arg)
{
    fake_call_t *call = CALL (LOG);
    s_set_fence (call, fence);
    call->stream = stream;
    call->offset = offset;
    s_keep (&call->body, bytes);
}

void store_cancel (store_t *self, const usi_id_t *id, int mode, store_cancel_fn *fn,
                   void *arg)
{
    fake_call_t *call = CALL (CANCEL);
    call->id = *id;
    call->mode = mode;
}

void store_watch (store_t *self, const usi_id_t *id, uint32_t peer, unsigned flags,
                  store_job_fn *fn, void *arg)
{
    fake_call_t *call = CALL (JOB);
    call->id = *id;
    call->peer = peer;
    call->flags = flags;
}

void store_unwatch (store_t *self, const usi_id_t *id, uint32_t peer, store_code_fn *fn,
                    void *arg)
{
    fake_call_t *call = CALL (CODE);
    call->id = *id;
    call->peer = peer;
}

void store_get (store_t *self, const usi_id_t *id, bool with_body, store_job_fn *fn,
                void *arg)
{
    fake_call_t *call = CALL (JOB);
    call->id = *id;
    call->on = with_body;
}

void store_log_from (store_t *self, const usi_id_t *id, int stream, uint64_t offset,
                     uint32_t size, store_read_fn *fn, void *arg)
{
    fake_call_t *call = CALL (READ);
    call->id = *id;
    call->stream = stream;
    call->offset = offset;
    call->size = size;
}

void store_purge (store_t *self, const char *channel, int state, uint64_t older_ms,
                  store_purge_fn *fn, void *arg)
{
    fake_call_t *call = CALL (PURGE);
    SET_TEXT (call->text, channel);
    call->state = state;
    call->older_ms = older_ms;
}

void store_list (store_t *self, const char *channel, int state, uint64_t older_ms,
                 unsigned limit, const char *cursor, store_list_fn *fn, void *arg)
{
    fake_call_t *call = CALL (LIST);
    SET_TEXT (call->text, channel);
    SET_TEXT (call->needs, cursor);
    call->state = state;
    call->older_ms = older_ms;
    call->count = limit;
}

void store_find (store_t *self, const uint8_t *prefix, size_t prefix_len,
                 unsigned limit, store_list_fn *fn, void *arg)
{
    fake_call_t *call = CALL (LIST);
    s_keep (&call->body, usi_bytes (prefix, prefix_len));
    call->count = limit;
}

void store_channels (store_t *self, const char *channel, size_t from, size_t most,
                     store_channels_fn *fn, void *arg)
{
    fake_call_t *call = CALL (CHANNELS);
    SET_TEXT (call->text, channel);
    call->offset = from;
    call->size = most;
}

/* --- store.h: blobs ------------------------------------------------------------------- */

void store_blob_find (store_t *self, const uint8_t digest[USI_DIGEST_LEN],
                      store_size_fn *fn, void *arg)
{
    memcpy (CALL (SIZE)->digest, digest, USI_DIGEST_LEN);
}

void store_blob_put (store_t *self, const uint8_t digest[USI_DIGEST_LEN],
                     uint32_t index, uint64_t size, usi_bytes_t chunk,
                     store_code_fn *fn, void *arg)
{
    fake_call_t *call = CALL (CODE);
    memcpy (call->digest, digest, USI_DIGEST_LEN);
    call->index = index;
    call->size = size;
    s_keep (&call->body, chunk);
}

void store_blob_get (store_t *self, const uint8_t digest[USI_DIGEST_LEN],
                     uint32_t index, store_read_fn *fn, void *arg)
{
    fake_call_t *call = CALL (READ);
    memcpy (call->digest, digest, USI_DIGEST_LEN);
    call->index = index;
}

/* --- store.h: registry ---------------------------------------------------------------- */

void store_register_broker (store_t *self, usi_bytes_t value)
{
    s_keep (&CALL_NOTHING ()->body, value);
}

void store_unregister_broker (store_t *self)
{
    CALL_NOTHING ();
}

void store_register_node (store_t *self, uint64_t node, usi_bytes_t value)
{
    fake_call_t *call = CALL_NOTHING ();
    call->node = node;
    s_keep (&call->body, value);
}

void store_unregister_node (store_t *self, uint64_t node)
{
    CALL_NOTHING ()->node = node;
}

void store_brokers (store_t *self, store_registry_fn *fn, void *arg)
{
    CALL (REGISTRY);
}

void store_nodes (store_t *self, store_registry_fn *fn, void *arg)
{
    CALL (REGISTRY);
}

/* Nobody is told of keys: those tests have a real store. */
void store_keys (store_t *self, store_keys_fn *fn, void *arg)
{
    (void) fn;
    (void) arg;
    CALL_NOTHING ();
}

void store_put_certificate (store_t *self, const uint8_t key[STORE_KEY_LEN],
                            usi_bytes_t certificate, store_code_fn *fn, void *arg)
{
    (void) key;
    (void) certificate;
    CALL (CODE);
}

void store_put_revoked (store_t *self, usi_bytes_t list, store_code_fn *fn, void *arg)
{
    (void) list;
    CALL (CODE);
}

void store_tell_drain (store_t *self, uint32_t broker, uint64_t node)
{
    fake_call_t *call = CALL_NOTHING ();
    call->broker = broker;
    call->node = node;
}

void store_relay (store_t *self, uint64_t node, bool on)
{
    fake_call_t *call = CALL_NOTHING ();
    call->node = node;
    call->on = on;
}

void store_wake_topic (const store_t *self, uint64_t node,
                       char topic[USI_MAX_TOPIC + 1])
{
    (void) self;
    snprintf (topic, USI_MAX_TOPIC + 1, "wake:%016llx", (unsigned long long) node);
}

void store_doctor (store_t *self, store_doctor_fn *fn, void *arg)
{
    CALL (DOCTOR);
}

/* SPDX-License-Identifier: MIT
 *
 * See harness.h. */
#include "harness.h"

/* --- the loop --------------------------------------------------------------------- */

static int s_tick (zloop_t *loop, int timer, void *arg)
{
    (void) loop;
    (void) timer;
    harness_t *h = arg;
    return h->until (h) || usi_now_ms () > h->deadline_ms ? -1 : 0;
}

bool pump_for (harness_t *h, bool (*until) (harness_t *h), int64_t ms)
{
    h->until = until;
    h->deadline_ms = usi_now_ms () + ms;
    int timer = zloop_timer (h->loop, 1, 0, s_tick, h);
    while (!until (h) && usi_now_ms () <= h->deadline_ms)
        zloop_start (h->loop);
    zloop_timer_end (h->loop, timer);
    return until (h);
}

void pump (harness_t *h, bool (*until) (harness_t *h))
{
    assert_true (pump_for (h, until, WAIT_MS));
}

bool got_answer (harness_t *h)
{
    return h->got.calls > 0;
}

bool harness_is_ready (harness_t *h)
{
    return store_is_ready (h->store);
}

/* --- events ----------------------------------------------------------------------- */

static void s_note (told_t *told, const usi_id_t *id, const uint32_t *peers,
                    size_t count)
{
    told->id = *id;
    told->peers_len = count;
    if (count)
        memcpy (told->peers, peers, count * sizeof *peers);
}

static void s_ev_ready (void *arg)
{
    ((told_t *) arg)->ready++;
}

static void s_ev_lost (void *arg, const char *why)
{
    (void) why;
    ((told_t *) arg)->lost++;
}

static void s_ev_ended (void *arg, const usi_id_t *id, const uint32_t *peers,
                        size_t count)
{
    ((told_t *) arg)->ended++;
    s_note (arg, id, peers, count);
}

static void s_ev_started (void *arg, const usi_id_t *id, const uint32_t *peers,
                          size_t count)
{
    ((told_t *) arg)->started++;
    s_note (arg, id, peers, count);
}

static void s_ev_logged (void *arg, const usi_id_t *id, const uint32_t *peers,
                         size_t count)
{
    ((told_t *) arg)->logged++;
    s_note (arg, id, peers, count);
}

static void s_ev_stop (void *arg, const usi_id_t *id, uint64_t node, uint32_t attempt)
{
    told_t *told = arg;
    told->stops++;
    told->id = *id;
    told->node = node;
    told->attempt = attempt;
}

static void s_ev_wake (void *arg, uint64_t node)
{
    told_t *told = arg;
    told->wakes++;
    told->node = node;
}

/* --- life ------------------------------------------------------------------------- */

store_t *harness_store (harness_t *h, uint32_t broker, int64_t lease_ms, told_t *told)
{
    store_options_t options = {.url = h->server.url,
                               .durability = "memory",
                               .broker = broker,
                               .lease_ms = lease_ms,
                               .keep_ms = 3600000,
                               .keep_jobs = 100};
    store_events_t events = {s_ev_ready,  s_ev_lost, s_ev_ended, s_ev_started,
                             s_ev_logged, s_ev_stop, NULL,       NULL,
                             s_ev_wake,   told};
    return store_new (h->loop, &options, &events);
}

store_t *harness_other (harness_t *h, uint32_t broker, told_t *told)
{
    store_t *mine = h->store;
    h->store = harness_store (h, broker, LEASE_MS, told);
    pump (h, harness_is_ready);
    store_t *other = h->store;
    h->store = mine;
    return other;
}

static void harness_open (harness_t *h, int64_t lease_ms)
{
    usi_log_set_level (US_LOG_ERROR);
    zsys_handler_set (NULL);
    h->loop = zloop_new ();
    h->ask = redis_ask (&h->server);
    h->store = harness_store (h, BROKER, lease_ms, &h->told);
    assert_non_null (h->store);
    pump (h, harness_is_ready);
}

static void harness_close (harness_t *h)
{
    store_destroy (&h->store);
    usi_ask_close (&h->ask);
    zloop_destroy (&h->loop);
    redis_stop (&h->server);
}

int harness_begin (void **state, void (*start) (redis_server_t *server))
{
    harness_t *h = usi_new (harness_t);
    start (&h->server);
    harness_open (h, LEASE_MS);
    *state = h;
    return 0;
}

int harness_end (void **state)
{
    harness_close (*state);
    free (*state);
    return 0;
}

/* --- answers ---------------------------------------------------------------------- */

got_t *got_begin (harness_t *h)
{
    memset (&h->got, 0, sizeof h->got);
    return &h->got;
}

static void got_keep_peers (got_t *got, const uint32_t *peers, size_t count)
{
    got->peers_len = count;
    for (size_t i = 0; i < count && i < 16; i++)
        got->peers[i] = peers[i];
}

void got_submit (us_err_t code, int state, void *arg)
{
    got_t *got = arg;
    got->calls++;
    got->code = code;
    got->state = state;
}

void got_code (us_err_t code, void *arg)
{
    got_submit (code, 0, arg);
}

void got_claim (us_err_t code, const store_claimed_t *jobs, size_t count, void *arg)
{
    got_t *got = arg;
    got->calls++;
    got->code = code;
    got->count = count;
    for (size_t i = 0; i < count && i < 1024; i++) {
        const store_record_t *r = &jobs[i].record;
        got->fences[i] = (store_fence_t){r->id, r->node, r->boot, r->attempt, r->nonce};
        got->log_len = jobs[i].log_len;
        got->build_len = jobs[i].build_len;
        got->record = *r;
    }
}

static void got_done (us_err_t code, const store_finished_t *reply, void *arg)
{
    got_t *got = arg;
    got->calls++;
    got->code = code;
    if (!reply)
        return;
    got->state = reply->state;
    got_keep_peers (got, reply->peers, reply->peers_len);
}

static void got_log (us_err_t code, uint64_t kept, const uint32_t *peers, size_t count,
                     void *arg)
{
    got_t *got = arg;
    got->calls++;
    got->code = code;
    got->number = kept;
    got_keep_peers (got, peers, count);
}

void got_cancel (us_err_t code, const store_cancelled_t *reply, void *arg)
{
    got_t *got = arg;
    got->calls++;
    got->code = code;
    got->state = reply->state;
    got->holder = reply->holder;
    got->node = reply->node;
    got->attempt = reply->attempt;
    got_keep_peers (got, reply->peers, reply->peers_len);
}

void got_keep_text (got_t *got, usi_bytes_t bytes)
{
    got->text_len = bytes.len;
    size_t len = bytes.len < sizeof got->text - 1 ? bytes.len : sizeof got->text - 1;
    if (len)
        memcpy (got->text, bytes.data, len);
    got->text[len] = 0;
}

void got_job (us_err_t code, const store_job_t *job, void *arg)
{
    got_t *got = arg;
    got->calls++;
    got->code = code;
    if (!job)
        return;
    got->record = job->record;
    got->result = job->result;
    got->state = job->record.state;
    got->log_len = job->log_len;
    got->build_len = job->build_len;
    got_keep_text (got, job->has_result ? job->result.body : job->record.body);
}

void got_read (us_err_t code, usi_bytes_t bytes, uint64_t length, void *arg)
{
    got_t *got = arg;
    got->calls++;
    got->code = code;
    got->length = length;
    got_keep_text (got, bytes);
}

void got_rows (us_err_t code, const store_record_t *records, size_t count,
               const char *cursor, void *arg)
{
    got_t *got = arg;
    got->calls++;
    got->code = code;
    got->count = count;
    for (size_t i = 0; i < count && i < 1024; i++) {
        got->fences[i].id = records[i].id;
        got->fences[i].attempt = records[i].state;
    }
    snprintf (got->cursor, sizeof got->cursor, "%s", cursor);
}

void got_number (us_err_t code, uint64_t number, void *arg)
{
    got_t *got = arg;
    got->calls++;
    got->code = code;
    got->number = number;
}

static void got_channels (us_err_t code, const store_channel_t *channels, size_t count,
                          void *arg)
{
    got_t *got = arg;
    got->calls++;
    got->code = code;
    got->count = count;
    for (size_t i = 0; i < count; i++)
        if (strcmp (channels[i].name, CHANNEL) == 0)
            got->channel = channels[i];
    got->channel.name = NULL;
    got->channel.queues = NULL; /* borrowed for this call, like the name */
}

/* --- calls that wait -------------------------------------------------------------- */

usi_id_t new_id (void)
{
    usi_id_t id;
    usi_id_make (&id, usi_bytes_of (CHANNEL));
    return id;
}

store_submit_t a_job (const usi_id_t *id)
{
    return (store_submit_t){.id = *id,
                            .needs = "",
                            .peer = 7,
                            .channel = CHANNEL,
                            .spec = usi_bytes_of ("spec"),
                            .body = usi_bytes_of ("body")};
}

got_t *do_submit (harness_t *h, const store_submit_t *job)
{
    store_submit (h->store, job, got_submit, got_begin (h));
    pump (h, got_answer);
    return &h->got;
}

usi_id_t submit_one (harness_t *h)
{
    usi_id_t id = new_id ();
    store_submit_t job = a_job (&id);
    assert_int_equal (do_submit (h, &job)->code, US_OK);
    assert_int_equal (h->got.state, 0);
    return id;
}

static const uint32_t s_any_class[] = {0};

store_claim_t a_claim (uint32_t count)
{
    return (store_claim_t){.node = 5,
                           .boot = 6,
                           .count = count,
                           .channel = CHANNEL,
                           .classes = s_any_class,
                           .classes_len = 1};
}

got_t *do_claim (harness_t *h, const store_claim_t *claim)
{
    store_claim (h->store, claim, got_claim, got_begin (h));
    pump (h, got_answer);
    return &h->got;
}

store_fence_t claim_one (harness_t *h, const usi_id_t *id)
{
    store_claim_t claim = a_claim (1);
    do_claim (h, &claim);
    assert_int_equal (h->got.code, US_OK);
    assert_int_equal (h->got.count, 1);
    assert_true (usi_id_equal (&h->got.fences[0].id, id));
    return h->got.fences[0];
}

us_err_t do_started (harness_t *h, const store_fence_t *fence)
{
    store_started (h->store, fence, got_code, got_begin (h));
    pump (h, got_answer);
    return h->got.code;
}

us_err_t do_renew (harness_t *h, const store_fence_t *fence, bool started)
{
    store_renew (h->store, fence, started, got_code, got_begin (h));
    pump (h, got_answer);
    return h->got.code;
}

us_err_t do_hand_back (harness_t *h, const store_fence_t *fence)
{
    store_hand_back (h->store, fence, got_code, got_begin (h));
    pump (h, got_answer);
    return h->got.code;
}

store_done_t a_result (const store_fence_t *fence, uint8_t outcome, int32_t code,
                       const char *body)
{
    return (store_done_t){.fence = *fence,
                          .outcome = outcome,
                          .code = code,
                          .body = usi_bytes_of (body)};
}

got_t *do_done (harness_t *h, const store_done_t *done)
{
    store_done (h->store, done, got_done, got_begin (h));
    pump (h, got_answer);
    return &h->got;
}

got_t *finish_one (harness_t *h, const store_fence_t *fence, uint8_t outcome,
                   int32_t code)
{
    store_done_t done = a_result (fence, outcome, code, "result");
    return do_done (h, &done);
}

void end_one (harness_t *h, uint8_t outcome)
{
    usi_id_t id = submit_one (h);
    store_fence_t fence = claim_one (h, &id);
    finish_one (h, &fence, outcome, outcome == USI_SUCCEEDED ? 0 : US_ERR_REMOTE);
}

got_t *do_log (harness_t *h, const store_fence_t *fence, int stream, uint64_t offset,
               const char *text)
{
    store_log (h->store, fence, stream, offset, usi_bytes_of (text), got_log,
               got_begin (h));
    pump (h, got_answer);
    return &h->got;
}

got_t *do_read (harness_t *h, const usi_id_t *id, int stream, uint64_t offset,
                uint32_t size)
{
    store_log_from (h->store, id, stream, offset, size, got_read, got_begin (h));
    pump (h, got_answer);
    return &h->got;
}

got_t *do_cancel (harness_t *h, const usi_id_t *id, int mode)
{
    store_cancel (h->store, id, mode, got_cancel, got_begin (h));
    pump (h, got_answer);
    return &h->got;
}

got_t *do_get (harness_t *h, const usi_id_t *id)
{
    store_get (h->store, id, true, got_job, got_begin (h));
    pump (h, got_answer);
    return &h->got;
}

int state_of (harness_t *h, const usi_id_t *id)
{
    return do_get (h, id)->code ? -1 : h->got.state;
}

got_t *do_watch (harness_t *h, const usi_id_t *id, uint32_t peer, unsigned flags)
{
    store_watch (h->store, id, peer, flags, got_job, got_begin (h));
    pump (h, got_answer);
    return &h->got;
}

got_t *do_list (harness_t *h, int state, unsigned limit, const char *cursor)
{
    store_list (h->store, CHANNEL, state, 0, limit, cursor, got_rows, got_begin (h));
    pump (h, got_answer);
    return &h->got;
}

store_channel_t counters (harness_t *h)
{
    store_channels (h->store, NULL, 0, SIZE_MAX, got_channels, got_begin (h));
    pump (h, got_answer);
    assert_int_equal (h->got.code, US_OK);
    return h->got.channel;
}

/* --- Redis itself ----------------------------------------------------------------- */

usi_bytes_t key_of (rkey_t *key, const char *kind, const usi_id_t *id)
{
    int len = snprintf ((char *) key->data, sizeof key->data,
                        "us:{%02x}:%s:", usi_id_partition (id), kind);
    memcpy (key->data + len, id->bytes, US_ID_LEN);
    key->len = (size_t) len + US_ID_LEN;
    return usi_bytes (key->data, key->len);
}

void poke (harness_t *h, const usi_id_t *id, unsigned offset, uint64_t value,
           unsigned size)
{
    rkey_t key;
    uint8_t bytes[8];
    char at[16];
    usi_put_be (bytes, value, size);
    snprintf (at, sizeof at, "%u", offset);
    usi_bytes_t args[] = {usi_bytes_of ("SETRANGE"), key_of (&key, "j", id),
                          usi_bytes_of (at), usi_bytes (bytes, size)};
    assert_true (usi_reply_is (usi_ask_bytes (h->ask, args, 4), USI_REPLY_INT));
}

int64_t redis_now_ms (harness_t *h)
{
    return usi_reply_time_ms (usi_ask (h->ask, "TIME", NULL));
}

void set_due (harness_t *h, const usi_id_t *id, int64_t ms)
{
    char key[24], score[32];
    snprintf (key, sizeof key, "us:{%02x}:due", usi_id_partition (id));
    snprintf (score, sizeof score, "%lld", (long long) redis_now_ms (h) + ms);
    usi_bytes_t args[] = {usi_bytes_of ("ZADD"), usi_bytes_of (key),
                          usi_bytes_of (score), usi_bytes (id->bytes, US_ID_LEN)};
    usi_ask_bytes (h->ask, args, 4);
}

/* One operation on the channel's partition, as a broker with this lease would send it; the
 * answer is borrowed. op: its opcode and arguments. */
static const usi_reply_t *apply_with (harness_t *h, int64_t lease_ms,
                                      const char *keep_jobs, const usi_bytes_t *op,
                                      size_t count)
{
    char name[24], hash[9], key[24], lease[24], time[24];
    store_library_hash (hash);
    snprintf (name, sizeof name, "us_%s_apply", hash);
    snprintf (key, sizeof key, "us:{%02x}:clock",
              usi_partition (usi_bytes_of (CHANNEL)));
    snprintf (lease, sizeof lease, "%lld", (long long) lease_ms);
    snprintf (time, sizeof time, "%lld", (long long) redis_now_ms (h));
    usi_bytes_t args[13] = {usi_bytes_of ("FCALL"),
                            usi_bytes_of (name),
                            usi_bytes_of ("1"),
                            usi_bytes_of (key),
                            usi_bytes_of (store_cluster (h->store)),
                            usi_bytes_of ("00000011"),
                            usi_bytes_of (lease),
                            usi_bytes_of ("3600000"),
                            usi_bytes_of (keep_jobs),
                            usi_bytes_of (time)};
    memcpy (args + 10, op, count * sizeof *op);
    const usi_reply_t *reply = usi_ask_bytes (h->ask, args, 10 + count);
    if (!usi_reply_is (reply, USI_REPLY_ARRAY))
        fail_msg ("%s", (const char *) usi_reply_bytes (reply).data);
    return usi_reply_at (reply, 0);
}

const usi_reply_t *sweep_with (harness_t *h, int64_t step_ms, int64_t lease_ms,
                               const char *keep_jobs)
{
    uint8_t how[12] = {0, 0, 2, 0};
    usi_put_be (how + 4, (uint64_t) step_ms, 8);
    const usi_bytes_t op[] = {usi_bytes_of ("K"), usi_bytes (how, sizeof how),
                              usi_bytes_of (CHANNEL)};
    return apply_with (h, lease_ms, keep_jobs, op, 3);
}

const usi_reply_t *recover_claim (harness_t *h, const store_fence_t *fence)
{
    uint8_t claim[20];
    usi_put_be (claim, fence->node, 8);
    usi_put_be (claim + 8, fence->boot, 4);
    usi_put_be (claim + 12, fence->nonce, 8);
    const usi_bytes_t op[] = {usi_bytes_of ("B"), usi_bytes (claim, sizeof claim)};
    return apply_with (h, LEASE_MS, "100", op, 2);
}

const usi_reply_t *sweep_now (harness_t *h)
{
    return sweep_with (h, 0, LEASE_MS, "100");
}

int harness_empty (void **state)
{
    harness_t *h = *state;
    const usi_reply_t *keys = usi_ask (h->ask, "KEYS", "us:{*", NULL);
    size_t count = usi_reply_count (keys);
    usi_buf_t *names = calloc (count + 1, sizeof *names);
    for (size_t i = 0; i < count; i++) {
        usi_bytes_t key = usi_reply_bytes (usi_reply_at (keys, i));
        usi_buf_append (&names[i], key.data, key.len);
    }
    for (size_t i = 0; i < count; i++) {
        usi_bytes_t args[] = {usi_bytes_of ("DEL"), usi_buf_bytes (&names[i])};
        usi_ask_bytes (h->ask, args, 2);
        usi_buf_free (&names[i]);
    }
    free (names);
    memset (&h->told, 0, sizeof h->told);
    sweep_now (h);
    return 0;
}

usi_buf_t dump (harness_t *h, const usi_id_t *id)
{
    static const char *const kinds[] = {"j", "r", "l0", "l1"};
    usi_buf_t buf = {0};
    for (size_t i = 0; i < 4; i++) {
        rkey_t key;
        usi_bytes_t args[] = {usi_bytes_of ("DUMP"), key_of (&key, kinds[i], id)};
        usi_bytes_t bytes = usi_reply_bytes (usi_ask_bytes (h->ask, args, 2));
        usi_buf_printf (&buf, "[%zu]", bytes.len);
        usi_buf_append (&buf, bytes.data, bytes.len);
    }
    return buf;
}

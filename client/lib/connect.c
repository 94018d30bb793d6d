/* SPDX-License-Identifier: MIT
 *
 * The connection and the engine: see connect.h. */
#include "connect.h"

#include <stdio.h>
#include <string.h>

#include "download.h"
#include "questions.h"
#include "shared.h"
#include "submit.h"
#include "upload.h"
#include "watch.h"

#define PAUSE_MIN_MS   50
#define PAUSE_MAX_MS   2000
#define ATTEMPT_MIN_MS 500
#define ATTEMPT_MAX_MS 2000
#define LOOK_MAX_MS    1000
#define BYE_LINGER_MS  200
#define RECEIVE_MAX    256

/* --- what callers see ------------------------------------------------------------- */

static void s_publish (engine_t *self, bool connected)
{
    us_client_t *client = self->client;
    engine_lock (self);
    client->connected = connected;
    if (connected)
        client->ever_connected = true;
    snprintf (client->endpoint, sizeof client->endpoint, "%s",
              usi_conn_address (self->conn));
    waiters_wake (client->waiters);
    engine_unlock (self);
}

/* Jobs that this broker would refuse for their size are refused here from now on. */
static void s_adopt_limits (us_client_t *client, const usi_msg_t *welcome)
{
    size_t limit = client->options.max_payload;
    if (usi_has (&welcome->head, USI_F_MAX_PAYLOAD) &&
        welcome->head.max_payload < limit)
        limit = (size_t) welcome->head.max_payload;
    atomic_store_explicit (&client->max_payload, limit, memory_order_relaxed);
    atomic_store_explicit (&client->max_buffer, welcome->head.max_buffer,
                           memory_order_relaxed);
    atomic_store_explicit (&client->max_buffers, welcome->head.max_buffers,
                           memory_order_relaxed);
}

static void s_on_up (engine_t *self, const usi_msg_t *welcome)
{
    s_adopt_limits (self->client, welcome);
    client_log (self->client, US_LOG_INFO, "connected to %s",
                usi_conn_address (self->conn));
    s_publish (self, true);
    submit_up (self);
    watch_up (self);
}

static void s_on_down (engine_t *self)
{
    s_publish (self, false);
    upload_down (self);
    download_down (self);
    questions_down (self);
    watch_down (self);
}

/* --- giving up -------------------------------------------------------------------- */

static void s_say_unreachable (const engine_t *self, char *text, size_t size)
{
    const us_options_t *options = &self->client->options;
    const char *why = usi_conn_why (self->conn);
    char shown[300];
    if (!options->redis && usi_conn_is_foreign (self->conn)) {
        snprintf (text, size,
                  "the socket at %s belongs to another user, whose broker serves only "
                  "that one; start your own with: understudy-broker",
                  options->endpoints);
        return;
    }
    if (usi_conn_is_refused (self->conn)) {
        snprintf (text, size, "%s: %s%s%s", usi_conn_address (self->conn), why,
                  options->no_key ? "; " : "", options->no_key ? options->no_key : "");
        return;
    }
    if (!options->redis) {
        snprintf (text, size,
                  "no broker answers at %s; start one with: understudy-broker",
                  options->endpoints);
        return;
    }
    options_show_redis (options->redis, shown, sizeof shown);
    if (!why[0])
        why = "none answers";
    if (usi_conn_is_misconfigured (self->conn))
        snprintf (text, size, "no broker is found through %s: %s", shown, why);
    else
        snprintf (text, size,
                  "no broker is found through %s: %s; start one with: "
                  "understudy-broker --redis %s",
                  shown, why, shown);
}

static void s_on_give_up (engine_t *self)
{
    us_client_t *client = self->client;
    char text[sizeof client->failure];
    /* No broker that is started would help who is turned away. */
    us_err_t code =
        usi_conn_is_refused (self->conn) ? US_ERR_DENIED : US_ERR_UNREACHABLE;
    s_say_unreachable (self, text, sizeof text);
    client_log (client, US_LOG_WARNING, "%s", text);
    upload_free (self);
    engine_lock (self);
    track_refuse_all (&self->track, code, text);
    questions_fail_all (self, code, text);
    client->want_connect = false;
    client->failures++;
    client->failure_code = code;
    memcpy (client->failure, text, strlen (text) + 1);
    waiters_wake (client->waiters);
    engine_unlock (self);
}

/* --- events of the connection ----------------------------------------------------- */

static void s_on_changed (void *arg, usi_conn_state_t before, usi_conn_event_t event,
                          const char *why, const usi_msg_t *welcome)
{
    engine_t *self = arg;
    usi_conn_state_t state = usi_conn_state (self->conn);
    bool was_ready = before == USI_CONN_READY;
    if (state != before)
        client_log (self->client, US_LOG_DEBUG, "connection %s -> %s on %s",
                    usi_conn_state_name (before), usi_conn_state_name (state),
                    usi_conn_event_name (event));
    if (event == USI_CONN_ON_LOST)
        client_log (self->client, was_ready ? US_LOG_NOTICE : US_LOG_DEBUG, "%s: %s",
                    usi_conn_address (self->conn), why);
    if (event == USI_CONN_ON_WELCOME)
        s_on_up (self, welcome);
    else if (event == USI_CONN_ON_GIVE_UP)
        s_on_give_up (self);
    else if (was_ready && event != USI_CONN_ON_STOP)
        s_on_down (self);
}

static void s_on_error (void *arg, const usi_msg_t *msg)
{
    engine_t *self = arg;
    client_log (self->client, US_LOG_WARNING, "%s: %s: %.*s",
                usi_conn_address (self->conn), us_err_name ((int) msg->head.code),
                (int) msg->head.text.len, (const char *) msg->head.text.data);
}

static void s_on_malformed (void *arg, const usi_msg_t *msg)
{
    engine_t *self = arg;
    client_log (self->client, US_LOG_WARNING, "%s: malformed message of type %d: %s",
                usi_conn_address (self->conn), msg->type, msg->why ? msg->why : "");
}

static void s_on_message (void *arg, const usi_msg_t *msg)
{
    engine_t *self = arg;
    switch (msg->type) {
    case USI_ERROR: questions_on_error (self, msg); break;
    case USI_SUBMITTED: submit_on_submitted (self, msg); break;
    case USI_STATE: watch_on_state (self, msg); break;
    case USI_ENDED: watch_on_ended (self, msg); break;
    case USI_LOGGED: watch_on_logged (self, msg); break;
    case USI_CANCELLED: questions_on_cancelled (self, msg); break;
    case USI_ANSWER: questions_on_answer (self, msg); break;
    case USI_BLOB_FOUND: upload_on_found (self, msg); break;
    case USI_BLOB_KEPT: upload_on_kept (self, msg); break;
    case USI_BLOB_DATA: download_on_data (self, msg); break;
    default: break;
    }
}

bool connect_open (engine_t *self)
{
    const us_options_t *options = &self->client->options;
    int64_t timeout_ms = options->connect_timeout_ms;
    usi_conn_options_t conn = {
        .role = "client",
        .name = options->name,
        .identity = options->identity,
        .brokers = {.endpoints = options->redis ? NULL : options->endpoints,
                    .redis = options->redis,
                    .look_ms = timeout_ms < LOOK_MAX_MS ? timeout_ms : LOOK_MAX_MS},
        .connect_timeout_ms = timeout_ms,
        .attempt_min_ms = ATTEMPT_MIN_MS,
        .attempt_max_ms = ATTEMPT_MAX_MS,
        .patient = self->client->ever_connected,
        .heeds_refusal = true,
        .pause_min_ms = PAUSE_MIN_MS,
        .pause_max_ms = PAUSE_MAX_MS,
        .linger_ms = BYE_LINGER_MS,
        .receive_max = RECEIVE_MAX,
    };
    usi_conn_events_t events = {.arg = self,
                                .changed = s_on_changed,
                                .message = s_on_message,
                                .error = s_on_error,
                                .malformed = s_on_malformed};
    self->conn = usi_conn_new (&conn, &events);
    return self->conn != NULL;
}

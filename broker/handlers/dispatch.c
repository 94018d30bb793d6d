/* SPDX-License-Identifier: MIT
 *
 * See dispatch.h. Who may send a type stands with the type (common/proto/types.c), since
 * clients and nodes go by the same table. */
#include "handlers/dispatch.h"

#include "base/clock.h"
#include "base/log.h"
#include "handlers/handlers.h"

#define REFUSED_MS 1000

static void s_ignore (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    (void) self;
    (void) peer;
    (void) msg;
}

/* HELLO has no place here: it comes from somebody who is not yet a peer. */
static const struct {
    handler_fn *handle;
    bool is_last; /* of an exchange: a refusal is not told to the sender */
} s_messages[] = {
    [USI_PING] = {.handle = handle_ping},
    [USI_PONG] = {.handle = handle_pong, .is_last = true},
    [USI_BYE] = {.handle = handle_bye, .is_last = true},
    [USI_ERROR] = {.handle = s_ignore, .is_last = true},
    [USI_SUBMIT] = {.handle = handle_submit},
    [USI_WATCH] = {.handle = handle_watch},
    [USI_UNWATCH] = {.handle = handle_unwatch},
    [USI_CANCEL] = {.handle = handle_cancel},
    [USI_QUERY] = {.handle = handle_query},
    [USI_BLOB_FIND] = {.handle = handle_blob_find},
    [USI_BLOB_PUT] = {.handle = handle_blob_put},
    [USI_BLOB_GET] = {.handle = handle_blob_get},
    [USI_CREDIT] = {.handle = handle_credit},
    [USI_STARTED] = {.handle = handle_started},
    [USI_RESULT] = {.handle = handle_result},
    [USI_LOG] = {.handle = handle_log},
    [USI_RENEW] = {.handle = handle_renew},
    [USI_HAND_BACK] = {.handle = handle_hand_back},
    [USI_RELAY] = {.handle = handle_relay},
    [USI_STATUS] = {.handle = handle_status},
};

#define MESSAGES (sizeof s_messages / sizeof s_messages[0])

static handler_fn *s_handler (const peer_t *peer, unsigned type)
{
    bool is_allowed = usi_type_senders ((int) type) & peer->role;
    return is_allowed && type < MESSAGES ? s_messages[type].handle : NULL;
}

/* --- refusals -------------------------------------------------------------------- */

/* Writes a line a second at most: a hostile peer must not fill the journal. */
static void s_log (broker_t *self, const usi_msg_t *msg, const char *text)
{
    int64_t now_ms = usi_now_ms ();
    self->counters.malformed++;
    if (now_ms - self->refused_ms < REFUSED_MS)
        return;
    self->refused_ms = now_ms;
    usi_notice ("message.refused", "%s type=%s refused=%llu", text,
                usi_type_name (msg->type),
                (unsigned long long) self->counters.malformed);
}

static void s_refuse (broker_t *self, const routing_t *routing, const usi_msg_t *msg,
                      us_err_t code, const char *text)
{
    unsigned type = (unsigned) msg->type;
    if (code != US_ERR_UNKNOWN_PEER)
        s_log (self, msg, text);
    if (type >= MESSAGES || !s_messages[type].is_last)
        outbox_refuse (self->outbox, routing, msg, code, text);
}

void dispatch_malformed (broker_t *self, const routing_t *routing, const usi_msg_t *msg,
                         us_err_t code)
{
    self->counters.messages++;
    s_refuse (self, routing, msg, code, msg->why);
}

void dispatch_refused (broker_t *self, const routing_t *routing, const usi_msg_t *msg,
                       const char *why)
{
    self->counters.messages++;
    s_refuse (self, routing, msg, US_ERR_PROTOCOL, why);
}

/* --- messages -------------------------------------------------------------------- */

void dispatch (broker_t *self, const routing_t *routing, usi_msg_t *msg)
{
    self->counters.messages++;
    peer_t *peer = peers_find (self->peers, routing);
    if (!peer && peers_was_cut (self->peers, routing))
        return;
    if (msg->type == USI_HELLO) {
        handle_hello (self, routing, msg);
        return;
    }
    if (!peer) {
        s_refuse (self, routing, msg, US_ERR_UNKNOWN_PEER, "say HELLO first");
        return;
    }
    peer_heard (peer);
    handler_fn *handle = s_handler (peer, (unsigned) msg->type);
    if (handle)
        handle (self, peer, msg);
    else
        s_refuse (self, routing, msg, US_ERR_PROTOCOL,
                  "this type is not yours to send");
}

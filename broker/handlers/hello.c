/* SPDX-License-Identifier: MIT
 *
 * HELLO, PING, PONG, BYE: a client or node introduces itself, asks whether the broker is there,
 * and leaves. A peer says HELLO again after ERROR US_ERR_UNKNOWN_PEER; what was known of it
 * under the same connection counts no more. */
#include "handlers/handlers.h"

#include "base/clock.h"
#include "base/log.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/entries.h"
#include "core/limits.h"
#include "core/others.h"
#include "core/presence.h"
#include "understudy/version.h"

#define GREETINGS_MAX 20 /* over one connection in GREETINGS_MS */
#define GREETINGS_MS  10000

static bool s_is (usi_bytes_t text, const char *word)
{
    return usi_bytes_equal (text, usi_bytes_of (word));
}

/* Who has come with a key may look at ours, and at what was revoked. */
static void s_show_keys (const broker_t *self, const peer_t *peer, usi_fields_t *head)
{
    if (!peer->member)
        return;
    const usi_certificate_t *own = &self->identity->certificate;
    USI_SET (head, CERTIFICATE, certificate, usi_bytes (own->bytes, own->len));
    if (members_revoked_number (self->members) > 0)
        USI_SET (head, REVOKED, revoked, members_revoked (self->members));
    others_show (self, head);
}

static void s_welcome (broker_t *self, peer_t *peer)
{
    usi_msg_t msg = USI_MSG_INIT;
    char topic[USI_MAX_TOPIC + 1] = "";
    usi_msg_begin (&msg, USI_WELCOME);
    usi_fields_t *head = &msg.head;
    USI_SET (head, BROKER, broker, self->id);
    USI_SET (head, CLUSTER, cluster, usi_bytes_of (store_cluster (self->store)));
    USI_SET (head, VERSION, version, usi_bytes_of (US_VERSION_STRING));
    USI_SET (head, DURABILITY, durability,
             usi_bytes_of (store_durability (self->store)));
    USI_SET (head, LEASE_MS, lease_ms, (uint64_t) self->lease_ms);
    USI_SET (head, HEARTBEAT_MS, heartbeat_ms, USI_HEARTBEAT_MS);
    USI_SET (head, MAX_BODY, max_body, USI_MAX_BODY);
    USI_SET (head, MAX_PAYLOAD, max_payload, self->max_payload);
    USI_SET (head, MAX_BUFFER, max_buffer, limit_buffer (self));
    USI_SET (head, MAX_BUFFERS, max_buffers, limit_buffers (self));
    s_show_keys (self, peer, head);
    if (peer->node) {
        store_wake_topic (self->store, peer->node->id, topic);
        USI_SET (head, REDIS, redis, usi_bytes_of (store_wake_url (self->store)));
        USI_SET (head, TOPIC, topic, usi_bytes_of (topic));
    }
    outbox_send (self->outbox, peer, &msg);
    usi_msg_free (&msg);
}

/* The same node may still be known under a connection that broke without notice. */
static void s_drop_older (broker_t *self, uint64_t id)
{
    node_t *older = nodes_find (self->nodes, id);
    if (older)
        peers_mark_gone (self->peers, older->peer);
}

static bool s_make_node (broker_t *self, peer_t *peer, const usi_msg_t *msg)
{
    const usi_fields_t *head = &msg->head;
    node_t *node;
    const char *why;
    s_drop_older (self, head->node);
    us_err_t code = nodes_add (self->nodes, peer, head, &node, &why);
    if (code) {
        outbox_refuse (self->outbox, &peer->routing, msg, code, why);
        return false;
    }
    entry_put_node (self, node);
    audit_peer (self, "join", peer, NULL);
    if (presence_may_log (self))
        usi_info ("node.joined", "listens name=%s node=%016llx channels=%zu slots=%u",
                  peer->name, (unsigned long long) node->id, node->channels_len,
                  node->slots);
    return true;
}

/* Whose key the handshake proved. False: nobody's that is known any more. */
static bool s_find_member (const broker_t *self, const routing_t *routing,
                           const usi_msg_t *msg, member_t **member)
{
    uint8_t key[USI_KEY_LEN];
    char text[USI_KEY_TEXT_LEN + 1] = "";
    usi_bytes_t user = usi_msg_user (msg);
    *member = NULL;
    if (routing->door == DOOR_PLAIN)
        return true;
    if (user.len == USI_KEY_TEXT_LEN)
        memcpy (text, user.data, user.len);
    if (usi_key_parse (text, key))
        *member = members_find (self->members, key);
    return *member != NULL;
}

static void s_deny (broker_t *self, const routing_t *routing, const usi_msg_t *msg,
                    const member_t *member, const char *why)
{
    self->counters.denied++;
    usi_notice ("peer.denied", "%s key=%s", why,
                member ? member->certificate.name : "?");
    if (presence_may_log (self))
        audit_note (self, "deny", member, NULL, why);
    outbox_refuse (self->outbox, routing, msg, US_ERR_DENIED, why);
}

/* NULL, or what is wrong with this greeting. */
static const char *s_check (broker_t *self, const routing_t *routing,
                            const usi_msg_t *msg, member_t **member, us_err_t *code)
{
    bool is_node = s_is (msg->head.role, "node");
    *code = US_ERR_INVALID;
    if (!is_node && !s_is (msg->head.role, "client"))
        return "role is client or node";
    *code = US_ERR_DENIED;
    if (!s_find_member (self, routing, msg, member))
        return "nobody has brought the certificate of this key";
    return access_greet (self, *member, &msg->head, is_node);
}

/* Each HELLO makes a new peer, with watches of its own in the store: who says it again and
 * again would fill that. A peer of ours repeats it only where it is asked to. */
static bool s_is_too_often (peer_t *peer)
{
    int64_t now_ms = usi_now_ms ();
    if (now_ms - peer->greeted_ms >= GREETINGS_MS) {
        peer->greetings = 0;
        peer->greeted_ms = now_ms;
    }
    return peer->greetings >= GREETINGS_MAX;
}

static void s_log_cut (broker_t *self, const peer_t *peer)
{
    if (presence_may_log (self))
        usi_notice ("peer.greets", "cut: it says HELLO again and again name=%s",
                    peer->name);
}

void handle_hello (broker_t *self, const routing_t *routing, const usi_msg_t *msg)
{
    const usi_fields_t *head = &msg->head;
    bool is_node = s_is (head->role, "node");
    member_t *member = NULL;
    us_err_t code;
    unsigned greetings = 0;
    int64_t greeted_ms = usi_now_ms ();
    peer_t *known = peers_find (self->peers, routing);
    if (known && s_is_too_often (known)) {
        s_log_cut (self, known);
        peers_cut (self->peers, known);
        return;
    }
    if (known && known->node && is_node && known->node->id != head->node) {
        outbox_refuse (self->outbox, routing, msg, US_ERR_INVALID,
                       "this connection is another node's");
        return;
    }
    if (known) {
        greetings = known->greetings;
        greeted_ms = known->greeted_ms;
        peers_mark_gone (self->peers, known);
    }
    const char *why = s_check (self, routing, msg, &member, &code);
    if (why && code == US_ERR_DENIED) {
        s_deny (self, routing, msg, member, why);
        return;
    }
    if (why) {
        outbox_refuse (self->outbox, routing, msg, code, why);
        return;
    }
    peer_t *peer =
        peers_add (self->peers, routing, is_node ? USI_BY_NODE : USI_BY_CLIENT,
                   head->name, head->host, head->pid);
    peer_set_member (peer, member);
    peer->greetings = greetings + 1;
    peer->greeted_ms = greeted_ms;
    peer->handle = handle_of (usi_msg_fd (msg));
    if (self->greeted)
        self->greeted (self->greeted_arg, &peer->handle);
    if (is_node && !s_make_node (self, peer, msg)) {
        peers_mark_gone (self->peers, peer);
        return;
    }
    if (!is_node)
        usi_debug ("client.joined", "connected name=%s peer=%u", peer->name,
                   peer->index);
    s_welcome (self, peer);
}

void handle_ping (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    usi_msg_t pong = USI_MSG_INIT;
    usi_msg_begin (&pong, USI_PONG);
    USI_SET (&pong.head, BROKER, broker, self->id);
    if (usi_has (&msg->head, USI_F_REF))
        USI_SET (&pong.head, REF, ref, msg->head.ref);
    outbox_send (self->outbox, peer, &pong);
    usi_msg_free (&pong);
}

void handle_pong (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    outbox_read (self->outbox, peer, msg->head.ref);
}

void handle_bye (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    (void) msg;
    peers_mark_gone (self->peers, peer);
}

/* SPDX-License-Identifier: MIT
 *
 * Wake-ups: see wake.h. */
#include "wake.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conn.h"
#include "redis/subscriber.h"

#define PATIENCE_MS 2000 /* for a first answer of Redis */

struct wake {
    node_t *node;
    usi_subscriber_t *subscriber;
    char *redis, *topic;
    int64_t since_ms;
    bool relayed; /* asked on this connection */
    usi_msg_t msg;
};

void wake_heard (wake_t *self)
{
    if (self->node->draining || !node_conn_is_up (self->node->conn))
        return;
    usi_msg_begin (&self->msg, USI_CREDIT);
    USI_SET (&self->msg.head, CREDIT, credit, 0);
    node_conn_send (self->node->conn, &self->msg);
}

static void s_on_message (usi_bytes_t topic, usi_bytes_t message, void *arg)
{
    (void) topic, (void) message;
    wake_heard (arg);
}

static void s_relay (wake_t *self)
{
    if (self->relayed || !node_conn_is_up (self->node->conn))
        return;
    self->relayed = true;
    usi_info ("wake.relayed",
              "the store cannot be reached from here: the broker passes "
              "wake-ups on");
    usi_msg_begin (&self->msg, USI_RELAY);
    node_conn_send (self->node->conn, &self->msg);
}

wake_t *wake_new (node_t *node)
{
    wake_t *self = usi_new (wake_t);
    self->node = node;
    return self;
}

static void s_clear (wake_t *self)
{
    usi_subscriber_destroy (&self->subscriber);
    free (self->redis);
    free (self->topic);
    self->redis = self->topic = NULL;
}

void wake_destroy (wake_t **self_p)
{
    wake_t *self = *self_p;
    if (!self)
        return;
    s_clear (self);
    usi_msg_free (&self->msg);
    free (self);
    *self_p = NULL;
}

static bool s_is (const char *text, usi_bytes_t bytes)
{
    return text && usi_bytes_equal (usi_bytes_of (text), bytes);
}

void wake_set (wake_t *self, usi_bytes_t redis, usi_bytes_t topic)
{
    self->relayed = false;
    self->since_ms = usi_now_ms ();
    if (redis.len == 0 || topic.len == 0) {
        s_clear (self);
        s_relay (self);
        return;
    }
    if (s_is (self->redis, redis) && s_is (self->topic, topic))
        return; /* another broker of the same store */
    s_clear (self);
    self->redis = usi_bytes_dup_text (redis);
    self->topic = usi_bytes_dup_text (topic);
    self->subscriber =
        usi_subscriber_new (self->node->loop->zloop, self->redis, s_on_message, self);
    if (self->subscriber)
        usi_subscriber_add (self->subscriber, self->topic);
    else
        s_relay (self);
}

void wake_check (wake_t *self)
{
    if (!node_conn_is_up (self->node->conn) ||
        (self->subscriber && usi_subscriber_is_live (self->subscriber)) ||
        usi_now_ms () - self->since_ms < PATIENCE_MS)
        return;
    s_relay (self);
}

/* SPDX-License-Identifier: MIT
 *
 * See topics.h. Receives what other brokers publish to this one, and wakes for those of
 * its nodes that cannot subscribe themselves. The names of topics contain the cluster,
 * which is known once Redis has answered. */
#include "store/topics.h"

#include <stdlib.h>

#include "store/command.h"
#include "store/events.h"
#include "store/opcode.h"

static void s_broker_message (store_t *self, usi_bytes_t message)
{
    usi_id_t id;
    const store_events_t *events = &self->events;
    if (message.len == 9 && message.data[0] == NEWS_DRAIN && events->drain) {
        events->drain (events->arg, usi_get_be (message.data + 1, 8));
        return;
    }
    if (message.len == 1 && message.data[0] == NEWS_KEYS && events->keys) {
        events->keys (events->arg);
        return;
    }
    if (message.len == 1 + USI_DIGEST_LEN && message.data[0] == NEWS_BLOB_LOST) {
        blob_memory_lost (self->known, message.data + 1);
        return;
    }
    if (message.len < 1 + US_ID_LEN)
        return;
    memcpy (id.bytes, message.data + 1, US_ID_LEN);
    usi_bytes_t rest =
        usi_bytes (message.data + 1 + US_ID_LEN, message.len - 1 - US_ID_LEN);
    if (message.data[0] == NEWS_STOP) {
        if (rest.len == 12 && events->stop)
            events->stop (events->arg, &id, usi_get_be (rest.data, 8),
                          (uint32_t) usi_get_be (rest.data + 8, 4));
        return;
    }
    if (message.data[0] == NEWS_ENDED)
        events_tell (self, events->ended, &id, rest);
    else if (message.data[0] == NEWS_STARTED)
        events_tell (self, events->started, &id, rest);
    else if (message.data[0] == NEWS_LOGGED)
        events_tell (self, events->logged, &id, rest);
}

static void s_on_message (usi_bytes_t topic, usi_bytes_t message, void *arg)
{
    store_t *self = arg;
    uint8_t node[8];
    size_t prefix_len = strlen ("us:") + strlen (self->cluster);
    if (topic.len < prefix_len + 4)
        return;
    const char *kind = (const char *) topic.data + prefix_len;
    if (strncmp (kind, ":b:", 3) == 0)
        s_broker_message (self, message);
    else if (strncmp (kind, ":n:", 3) == 0 && usi_unhex (kind + 3, node, 8) == 8 &&
             self->events.wake)
        self->events.wake (self->events.arg, usi_get_be (node, 8));
}

/* Nodes ask anew for the relays that they had under an earlier cluster. */
void topics_start (store_t *self)
{
    char topic[USI_MAX_TOPIC + 1];
    usi_subscriber_destroy (&self->subscriber);
    if (!*self->cluster)
        return;
    char *url = usi_redis_url_text (&self->url);
    self->subscriber = usi_subscriber_new (self->loop, url, s_on_message, self);
    snprintf (topic, sizeof topic, "us:%s:b:%08x", self->cluster, self->broker);
    usi_subscriber_add (self->subscriber, topic);
    snprintf (topic, sizeof topic, "us:%s:b:00000000", self->cluster); /* for all */
    usi_subscriber_add (self->subscriber, topic);
    free (url);
}

void store_wake_topic (const store_t *self, uint64_t node,
                       char topic[USI_MAX_TOPIC + 1])
{
    snprintf (topic, USI_MAX_TOPIC + 1, "us:%s:n:%016llx", self->cluster,
              (unsigned long long) node);
}

/* broker 0: all of them. */
static void s_tell (store_t *self, uint32_t broker, usi_bytes_t message)
{
    char topic[USI_MAX_TOPIC + 1];
    snprintf (topic, sizeof topic, "us:%s:b:%08x", self->cluster, broker);
    usi_bytes_t args[] = {usi_bytes_of ("PUBLISH"), usi_bytes_of (topic), message};
    command_send (self, args, 3, NULL, NULL);
}

void store_tell_drain (store_t *self, uint32_t broker, uint64_t node)
{
    uint8_t message[9] = {NEWS_DRAIN};
    usi_put_be (message + 1, node, 8);
    s_tell (self, broker, usi_bytes (message, sizeof message));
}

void topics_tell_keys (store_t *self)
{
    const uint8_t message = NEWS_KEYS;
    s_tell (self, 0, usi_bytes (&message, 1));
}

void store_relay (store_t *self, uint64_t node, bool on)
{
    char topic[USI_MAX_TOPIC + 1];
    if (!self->subscriber)
        return;
    store_wake_topic (self, node, topic);
    if (on)
        usi_subscriber_add (self->subscriber, topic);
    else
        usi_subscriber_remove (self->subscriber, topic);
}

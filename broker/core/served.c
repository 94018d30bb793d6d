/* SPDX-License-Identifier: MIT
 *
 * See served.h. */
#include "core/served.h"

#include <stdlib.h>

#include "base/mem.h"

typedef struct question {
    list_node_t node;
    char channel[USI_CHANNEL_MAX + 1];
    served_fn *fn;
    void *arg;
} question_t;

bool served_here (const broker_t *self, const char *name)
{
    const channel_t *channel = nodes_channel (self->nodes, usi_bytes_of (name));
    return channel && channel_is_served (channel);
}

/* value: a node's entry in the registry. */
static bool s_serves (usi_bytes_t value, const char *channel)
{
    usi_fields_t fields;
    size_t at = 0;
    usi_bytes_t name;
    if (usi_fields_decode (&fields, value, NULL))
        return false;
    while (usi_list_next (&fields.channels, &at, &name))
        if (usi_bytes_equal (name, usi_bytes_of (channel)))
            return true;
    return false;
}

static bool s_is_served (const broker_t *self, const char *channel,
                         const usi_bytes_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (s_serves (values[i], channel))
            return true;
    return served_here (self, channel);
}

static void s_on_nodes (us_err_t code, const usi_bytes_t *values, size_t count,
                        void *arg)
{
    broker_t *self = arg;
    self->asks_registry = false;
    /* Not LIST_EACH: an answer may lead to another question. */
    while (self->questions.len > 0) {
        question_t *question = LIST_ELEMENT (self->questions.first, question_t, node);
        list_remove (&question->node);
        bool served = !code && s_is_served (self, question->channel, values, count);
        question->fn (code, served, question->arg);
        free (question);
    }
}

void served_ask (broker_t *self, const char *channel, served_fn *fn, void *arg)
{
    question_t *question = usi_new (question_t);
    snprintf (question->channel, sizeof question->channel, "%s", channel);
    question->fn = fn;
    question->arg = arg;
    list_append (&self->questions, &question->node);
    if (!self->asks_registry) {
        self->asks_registry = true;
        store_nodes (self->store, s_on_nodes, self);
    }
}

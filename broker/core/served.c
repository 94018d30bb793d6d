/* SPDX-License-Identifier: MIT
 *
 * See served.h. */
#include "core/served.h"

#include <stdlib.h>

#include "base/mem.h"

typedef struct question {
    list_node_t node;
    char channel[USI_CHANNEL_MAX + 1];
    uint32_t class_id;
    served_fn *fn;
    void *arg;
} question_t;

bool served_here (const broker_t *self, const char *name, uint32_t class_id)
{
    const channel_t *channel = nodes_channel (self->nodes, usi_bytes_of (name));
    return channel && channel_is_served (channel, class_id);
}

static bool s_listens (const usi_fields_t *node, const char *channel)
{
    size_t at = 0;
    usi_bytes_t name;
    while (usi_list_next (&node->channels, &at, &name))
        if (usi_bytes_equal (name, usi_bytes_of (channel)))
            return true;
    return false;
}

static bool s_offers (const usi_fields_t *node, uint32_t class_id)
{
    size_t at = 0;
    usi_bytes_t python;
    while (usi_list_next (&node->pythons, &at, &python))
        if (nodes_class_of (python) == class_id)
            return true;
    return class_id == 0;
}

/* values: entries of nodes in the registry. */
static bool s_is_served (const broker_t *self, const question_t *question,
                         const usi_bytes_t *values, size_t count)
{
    usi_fields_t node;
    for (size_t i = 0; i < count; i++)
        if (!usi_fields_decode (&node, values[i], NULL) &&
            s_listens (&node, question->channel) &&
            s_offers (&node, question->class_id))
            return true;
    return served_here (self, question->channel, question->class_id);
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
        bool served = !code && s_is_served (self, question, values, count);
        question->fn (code, served, question->arg);
        free (question);
    }
}

void served_ask (broker_t *self, const char *channel, uint32_t class_id, served_fn *fn,
                 void *arg)
{
    question_t *question = usi_new (question_t);
    snprintf (question->channel, sizeof question->channel, "%s", channel);
    question->class_id = class_id;
    question->fn = fn;
    question->arg = arg;
    list_append (&self->questions, &question->node);
    if (!self->asks_registry) {
        self->asks_registry = true;
        store_nodes (self->store, s_on_nodes, self);
    }
}

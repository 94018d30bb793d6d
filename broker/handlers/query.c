/* SPDX-License-Identifier: MIT
 *
 * QUERY: finds the question by its name and asks it. */
#include "handlers/query.h"

#include "handlers/handlers.h"

static const struct {
    const char *what;
    query_fn *ask;
} s_questions[] = {
    {"status", query_status},   {"channels", query_channels}, {"nodes", query_nodes},
    {"brokers", query_brokers}, {"jobs", query_jobs},         {"find", query_find},
    {"show", query_show},       {"retry", query_retry},       {"purge", query_purge},
    {"drain", query_drain},     {"envs", query_envs},         {"doctor", query_doctor},
};

static query_fn *s_find (usi_bytes_t what)
{
    for (size_t i = 0; i < sizeof s_questions / sizeof s_questions[0]; i++)
        if (usi_bytes_equal (what, usi_bytes_of (s_questions[i].what)))
            return s_questions[i].ask;
    return NULL;
}

void handle_query (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    answer_t *answer = answer_new (self, peer, &msg->head);
    query_fn *ask = s_find (msg->head.what);
    if (!ask)
        answer_fail (&answer, US_ERR_UNSUPPORTED,
                     "this broker does not know the question");
    else if (answer->channel[0] && !usi_channel_valid (usi_bytes_of (answer->channel)))
        answer_fail (&answer, US_ERR_INVALID, "not a channel name");
    else
        ask (answer);
}

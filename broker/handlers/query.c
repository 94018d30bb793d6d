/* SPDX-License-Identifier: MIT
 *
 * QUERY: finds the question by its name and asks it. */
#include "handlers/query.h"

#include "core/access.h"
#include "handlers/handlers.h"

/* Who may ask it. Questions about jobs are for everybody: what they show depends on whose
 * jobs one may see. */
typedef enum s_who { EVERYBODY, WHO_CANCELS_ALL, ADMINS } s_who_t;

static const struct question {
    const char *what;
    query_fn *ask;
    s_who_t who;
} s_questions[] = {
    {"status", query_status, EVERYBODY},
    {"channels", query_channels, EVERYBODY},
    {"nodes", query_nodes, EVERYBODY},
    {"brokers", query_brokers, EVERYBODY},
    {"envs", query_envs, EVERYBODY},
    {"doctor", query_doctor, ADMINS},
    {"jobs", query_jobs, EVERYBODY},
    {"find", query_find, EVERYBODY},
    {"show", query_show, EVERYBODY},
    {"retry", query_retry, EVERYBODY},
    {"purge", query_purge, WHO_CANCELS_ALL},
    {"drain", query_drain, ADMINS},
    {"keys", query_keys, ADMINS},
    {"admit", query_admit, ADMINS},
    {"revoke", query_revoke, ADMINS},
    {"revoked", query_revoked, ADMINS},
};

static const struct question *s_find (usi_bytes_t what)
{
    for (size_t i = 0; i < sizeof s_questions / sizeof s_questions[0]; i++)
        if (usi_bytes_equal (what, usi_bytes_of (s_questions[i].what)))
            return &s_questions[i];
    return NULL;
}

static bool s_may_ask (const peer_t *peer, s_who_t who)
{
    return who == EVERYBODY || access_is_admin (peer) ||
           (who == WHO_CANCELS_ALL && access_all (peer, USI_MAY_CANCEL));
}

void handle_query (broker_t *self, peer_t *peer, usi_msg_t *msg)
{
    answer_t *answer = answer_new (self, peer, &msg->head);
    const struct question *question = s_find (msg->head.what);
    if (!question)
        answer_fail (&answer, US_ERR_UNSUPPORTED,
                     "this broker does not know the question");
    else if (answer->channel[0] && !usi_channel_valid (usi_bytes_of (answer->channel)))
        answer_fail (&answer, US_ERR_INVALID, "not a channel name");
    else if (!s_may_ask (peer, question->who))
        answer_fail (&answer, US_ERR_DENIED, "this key may not ask that");
    else
        question->ask (answer);
}

/* SPDX-License-Identifier: MIT
 *
 * QUERY: finds the question by its name and asks it. */
#include "handlers/query.h"

#include "core/access.h"
#include "core/audit.h"
#include "core/presence.h"
#include "handlers/handlers.h"

/* Who may ask it. Questions about jobs are for everybody: what they show depends on whose
 * jobs one may see. */
typedef enum s_who { EVERYBODY, WHO_CANCELS_ALL, ADMINS } s_who_t;

static const struct question {
    const char *what;
    query_fn *ask;
    s_who_t who;
    bool changes; /* something: it stands in the audit */
} s_questions[] = {
    {"status", query_status, EVERYBODY, false},
    {"channels", query_channels, EVERYBODY, false},
    {"nodes", query_nodes, EVERYBODY, false},
    {"brokers", query_brokers, EVERYBODY, false},
    {"envs", query_envs, EVERYBODY, false},
    {"doctor", query_doctor, ADMINS, false},
    {"jobs", query_jobs, EVERYBODY, false},
    {"find", query_find, EVERYBODY, false},
    {"show", query_show, EVERYBODY, false},
    {"why", query_why, EVERYBODY, false},
    {"retry", query_retry, EVERYBODY, true},
    {"purge", query_purge, WHO_CANCELS_ALL, true},
    {"drain", query_drain, ADMINS, true},
    {"keys", query_keys, ADMINS, false},
    {"admit", query_admit, ADMINS, false}, /* these two note whose key it is */
    {"revoke", query_revoke, ADMINS, false},
    {"revoked", query_revoked, ADMINS, false},
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

/* Of what: a channel or a name, where the question has one. */
static const char *s_detail (const answer_t *answer)
{
    return answer->channel[0] ? answer->channel : answer->name[0] ? answer->name : NULL;
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
    else if (!s_may_ask (peer, question->who)) {
        self->counters.denied++;
        if (presence_may_log (self))
            audit_peer (self, "deny", peer, question->what);
        answer_fail (&answer, US_ERR_DENIED, "this key may not ask that");
    } else {
        if (question->changes)
            audit_peer (self, question->what, peer, s_detail (answer));
        question->ask (answer);
    }
}

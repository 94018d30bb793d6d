/* SPDX-License-Identifier: MIT
 *
 * The table of message types: see types.h. */
#include "proto/types.h"

#define F(name)   (USI_F_##name + 1)
#define EVERYBODY (USI_BY_CLIENT | USI_BY_NODE | USI_BY_BROKER)
#define PEERS     (USI_BY_CLIENT | USI_BY_NODE)
#define FENCE     F (ID), F (ATTEMPT), F (NONCE)

/* type, name, senders, items, largest body, required in head, required in items */
/* clang-format off */
static const usi_type_def_t s_types[] = {
    {USI_HELLO, "HELLO", PEERS, false, 0, {F (ROLE), F (VERSION)}, {0}},
    {USI_WELCOME, "WELCOME", USI_BY_BROKER, false, 0,
     {F (BROKER), F (CLUSTER), F (LEASE_MS), F (HEARTBEAT_MS), F (MAX_BODY), F (MAX_PAYLOAD)},
     {0}},
    {USI_PING, "PING", EVERYBODY, false, 0, {0}, {0}},
    {USI_PONG, "PONG", EVERYBODY, false, 0, {0}, {0}},
    {USI_BYE, "BYE", EVERYBODY, false, 0, {0}, {0}},
    {USI_ERROR, "ERROR", EVERYBODY, false, 0, {F (CODE), F (TEXT)}, {0}},

    {USI_SUBMIT, "SUBMIT", USI_BY_CLIENT, true, USI_MAX_BODY, {0},
     {F (ID), F (CHANNEL), F (SPEC)}},
    {USI_SUBMITTED, "SUBMITTED", USI_BY_BROKER, true, 0, {0}, {F (ID), F (CODE)}},
    {USI_WATCH, "WATCH", USI_BY_CLIENT, true, 0, {0}, {F (ID)}},
    {USI_UNWATCH, "UNWATCH", USI_BY_CLIENT, true, 0, {0}, {F (ID)}},
    {USI_STATE, "STATE", USI_BY_BROKER, true, 0, {0}, {F (ID), F (CODE)}},
    {USI_ENDED, "ENDED", USI_BY_BROKER, true, USI_MAX_BODY, {0},
     {F (ID), F (STATE), F (CODE)}},
    {USI_LOGGED, "LOGGED", USI_BY_BROKER, true, USI_MAX_LOG, {0},
     {F (ID), F (STREAM), F (OFFSET)}},
    {USI_CANCEL, "CANCEL", USI_BY_CLIENT, true, 0, {0}, {F (ID), F (MODE)}},
    {USI_CANCELLED, "CANCELLED", USI_BY_BROKER, true, 0, {0}, {F (ID), F (CODE)}},
    {USI_QUERY, "QUERY", USI_BY_CLIENT, false, 0, {F (WHAT), F (REF)}, {0}},
    {USI_ANSWER, "ANSWER", USI_BY_BROKER, true, USI_MAX_BODY, {F (REF), F (CODE)}, {0}},

    {USI_BLOB_FIND, "BLOB_FIND", PEERS, true, 0, {0}, {F (BLOB)}},
    {USI_BLOB_FOUND, "BLOB_FOUND", USI_BY_BROKER, true, 0, {0}, {F (BLOB), F (SIZE)}},
    {USI_BLOB_PUT, "BLOB_PUT", PEERS, true, USI_MAX_CHUNK, {0},
     {F (BLOB), F (SIZE), F (INDEX)}},
    {USI_BLOB_KEPT, "BLOB_KEPT", USI_BY_BROKER, true, 0, {0},
     {F (BLOB), F (INDEX), F (CODE)}},
    {USI_BLOB_GET, "BLOB_GET", PEERS, true, 0, {0}, {F (BLOB), F (INDEX)}},
    {USI_BLOB_DATA, "BLOB_DATA", USI_BY_BROKER, true, USI_MAX_CHUNK, {0},
     {F (BLOB), F (INDEX), F (CODE)}},

    {USI_CREDIT, "CREDIT", USI_BY_NODE, false, 0, {F (CREDIT)}, {0}},
    {USI_JOBS, "JOBS", USI_BY_BROKER, true, USI_MAX_BODY, {0},
     {FENCE, F (CHANNEL), F (SPEC)}},
    {USI_STARTED, "STARTED", USI_BY_NODE, true, 0, {0}, {FENCE}},
    {USI_RESULT, "RESULT", USI_BY_NODE, true, USI_MAX_BODY, {0},
     {FENCE, F (OUTCOME), F (CODE)}},
    {USI_COMMITTED, "COMMITTED", USI_BY_BROKER, true, 0, {0},
     {F (ID), F (ATTEMPT), F (CODE)}},
    {USI_LOG, "LOG", USI_BY_NODE, true, USI_MAX_LOG, {0}, {FENCE, F (STREAM), F (OFFSET)}},
    {USI_LOG_KEPT, "LOG_KEPT", USI_BY_BROKER, true, 0, {0},
     {F (ID), F (ATTEMPT), F (STREAM), F (OFFSET), F (CODE)}},
    {USI_RENEW, "RENEW", USI_BY_NODE, true, 0, {0}, {FENCE}},
    {USI_RENEWED, "RENEWED", USI_BY_BROKER, true, 0, {0}, {F (ID), F (ATTEMPT), F (CODE)}},
    {USI_HAND_BACK, "HAND_BACK", USI_BY_NODE, true, 0, {0}, {FENCE}},
    {USI_STOP, "STOP", USI_BY_BROKER, true, 0, {0}, {F (ID), F (ATTEMPT)}},
    {USI_WAKE, "WAKE", USI_BY_BROKER, false, 0, {0}, {0}},
    {USI_RELAY, "RELAY", USI_BY_NODE, false, 0, {0}, {0}},
    {USI_DRAIN, "DRAIN", USI_BY_BROKER, false, 0, {0}, {0}},
    {USI_STATUS, "STATUS", USI_BY_NODE, true, USI_MAX_LOG, {F (BUSY), F (SLOTS)}, {0}},
};
/* clang-format on */

const usi_type_def_t *usi_type_find (int type)
{
    for (size_t i = 0; i < sizeof s_types / sizeof s_types[0]; i++)
        if (s_types[i].type == type)
            return &s_types[i];
    return NULL;
}

const char *usi_type_name (int type)
{
    const usi_type_def_t *def = usi_type_find (type);
    return def ? def->name : "?";
}

unsigned usi_type_senders (int type)
{
    const usi_type_def_t *def = usi_type_find (type);
    return def ? def->senders : 0;
}

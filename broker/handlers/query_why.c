/* SPDX-License-Identifier: MIT
 *
 * why: what a job waits for, in words for people. Three looks at the store, one after the
 * other: the job, its channel, and the nodes of the registry. */
#include "handlers/query.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/similar.h"
#include "core/access.h"

#define LISTED       3    /* packages that are named */
#define COMPARED_MAX 1000 /* names of channels: each takes microseconds */

typedef struct why {
    answer_t *answer;
    int state;
    bool is_cancelled; /* that was asked for */
    char channel[USI_CHANNEL_MAX + 1];
    char python[16];    /* a minor version; "": any */
    char packages[160]; /* some of them, or "" */
    uint64_t node;      /* that holds it */
    int64_t started_ms;
    uint64_t queued; /* jobs that wait there */

    /* Of the nodes: */
    unsigned listening; /* on its channel */
    unsigned offering;  /* of these, with its Python, and not draining */
    unsigned draining;  /* of these */
    uint64_t slots, busy;
    char offered[64]; /* versions of Python there */
    unsigned holder_slots, holder_busy;
    char holder[USI_MAX_NAME + 1];     /* the node that holds it */
    char similar[USI_CHANNEL_MAX + 1]; /* a channel with a name like its own */
    unsigned compared;
    unsigned slips; /* between the two */
} why_t;

/* --- the words ------------------------------------------------------------------------- */

static char *s_no_node (const why_t *self)
{
    char hint[USI_CHANNEL_MAX + 32] = "";
    if (self->similar[0])
        snprintf (hint, sizeof hint, " did you mean '%s'? If not,", self->similar);
    return usi_sprintf ("no node listens on channel '%s';%s start one with: "
                        "understudy-node --channel %s",
                        self->channel, hint, self->channel);
}

static char *s_no_python (const why_t *self)
{
    return usi_sprintf ("no node that offers Python %s listens on channel '%s' (they "
                        "offer %s); start one with: understudy-node --channel %s "
                        "--python PATH",
                        self->python, self->channel, self->offered, self->channel);
}

static char *s_slots (const why_t *self)
{
    const char *nodes = self->offering == 1 ? "node" : "nodes";
    if (self->busy < self->slots)
        return usi_sprintf ("%llu of %llu slots of %u %s on channel '%s' are free: it "
                            "starts in a moment",
                            (unsigned long long) (self->slots - self->busy),
                            (unsigned long long) self->slots, self->offering, nodes,
                            self->channel);
    return usi_sprintf ("all %llu slots of %u %s on channel '%s' are busy; about %llu "
                        "%s there, this one among them",
                        (unsigned long long) self->slots, self->offering, nodes,
                        self->channel, (unsigned long long) self->queued,
                        self->queued == 1 ? "job waits" : "jobs wait");
}

static const char *s_queued (const why_t *self, char **text)
{
    if (self->listening == 0) {
        *text = s_no_node (self);
        return "no node";
    }
    if (self->draining == self->listening) {
        *text =
            usi_sprintf ("all nodes on channel '%s' are being drained: they take no "
                         "more jobs",
                         self->channel);
        return "draining";
    }
    if (self->offering == 0) {
        *text = s_no_python (self);
        return "no python";
    }
    *text = s_slots (self);
    return self->busy < self->slots ? "soon" : "busy";
}

static const char *s_leased (const why_t *self, char **text)
{
    bool is_full = self->holder_slots > 0 && self->holder_busy >= self->holder_slots;
    if (is_full)
        *text = usi_sprintf ("%s has taken it, and starts it as soon as one of its %u "
                             "slots is free",
                             self->holder, self->holder_slots);
    else
        *text = usi_sprintf ("%s has taken it, and builds the environment%s%s%s or "
                             "starts a worker",
                             self->holder, self->packages[0] ? " (" : "",
                             self->packages, self->packages[0] ? ")" : "");
    return is_full ? "next" : "starting";
}

static char *s_running (const why_t *self)
{
    int64_t ms = usi_wall_ms () - self->started_ms;
    return usi_sprintf ("it runs on %s since %.1f s%s", self->holder,
                        (double) (ms > 0 ? ms : 0) / 1000,
                        self->is_cancelled ? ", and has been told to stop" : "");
}

/* A word that does not change while the reason is the same, and the text. */
static const char *s_say (const why_t *self, char **text)
{
    switch (self->state) {
    case US_STATE_QUEUED: return s_queued (self, text);
    case US_STATE_LEASED: return s_leased (self, text);
    case US_STATE_RUNNING: *text = s_running (self); return "running";
    case US_STATE_BACKOFF:
        *text =
            usi_sprintf ("its last attempt did not succeed; it is tried again within "
                         "a second");
        return "again";
    default:
        *text = usi_sprintf ("it has ended: %s", us_state_name (self->state));
        return "ended";
    }
}

static void s_finish (why_t *self)
{
    char *text;
    row_t row = {0};
    const char *why = s_say (self, &text);
    row_text (&row, "state", us_state_name (self->state));
    row_text (&row, "why", why);
    row_text (&row, "text", text);
    row_text (&row, "channel", self->channel);
    if (self->holder[0])
        row_text (&row, "node", self->holder);
    if (self->state == US_STATE_QUEUED) {
        row_uint (&row, "nodes", self->offering);
        row_uint (&row, "slots", self->slots);
        row_uint (&row, "busy", self->busy);
        row_uint (&row, "queued", self->queued);
    }
    answer_end_row (self->answer, 0, &row);
    answer_send (&self->answer, 1);
    free (text);
    free (self);
}

static void s_fail (why_t *self, us_err_t code)
{
    answer_fail (&self->answer, code, NULL);
    free (self);
}

/* --- nodes ------------------------------------------------------------------------------- */

static void s_copy (char *to, size_t size, usi_bytes_t text)
{
    snprintf (to, size, "%.*s", (int) text.len, text.len ? (char *) text.data : "");
}

/* Appends ", TEXT" to a list that may be cut off. */
static void s_list (char *list, size_t size, const char *text)
{
    size_t len = strlen (list);
    if (len + strlen (text) + 3 < size)
        snprintf (list + len, size - len, "%s%s", len ? ", " : "", text);
}

static bool s_offers (why_t *self, const usi_fields_t *node)
{
    size_t position = 0, len = strlen (self->python);
    bool offers = len == 0;
    for (usi_bytes_t at; usi_list_next (&node->pythons, &position, &at);) {
        char version[32];
        s_copy (version, sizeof version, at);
        offers = offers || (strncmp (version, self->python, len) == 0 &&
                            (version[len] == '.' || version[len] == '\0'));
        if (!strstr (self->offered, version))
            s_list (self->offered, sizeof self->offered, version);
    }
    return offers;
}

static void s_compare (why_t *self, const char *name)
{
    unsigned slips = usi_slips (self->channel, name);
    if (slips >= self->slips)
        return;
    self->slips = slips;
    snprintf (self->similar, sizeof self->similar, "%s", name);
}

/* Its channels: ours, or one with a name like ours that who asks may see. */
static bool s_listens (why_t *self, const usi_fields_t *node)
{
    const peer_t *peer = answer_peer (self->answer);
    bool listens = false;
    size_t position = 0;
    for (usi_bytes_t at; usi_list_next (&node->channels, &position, &at);) {
        char name[USI_CHANNEL_MAX + 1];
        s_copy (name, sizeof name, at);
        if (strcmp (self->channel, name) == 0)
            listens = true;
        else if (self->compared++ < COMPARED_MAX && peer && access_channel (peer, at))
            s_compare (self, name);
    }
    return listens;
}

/* What this broker knows of its own node is newer than the registry. */
static uint64_t s_busy (const broker_t *self, const usi_fields_t *node)
{
    const node_t *own = nodes_find (self->nodes, node->node);
    return own ? own->busy : node->busy;
}

static void s_take_holder (why_t *self, const usi_fields_t *node)
{
    s_copy (self->holder, sizeof self->holder, node->name);
    self->holder_slots = (unsigned) node->slots;
    self->holder_busy = (unsigned) s_busy (self->answer->broker, node);
}

static void s_count_node (why_t *self, usi_bytes_t entry)
{
    usi_fields_t node;
    us_reader_t reader = usi_map_find (entry, "draining");
    us_value_t draining = usi_read (&reader);
    if (usi_fields_decode (&node, entry, NULL))
        return;
    if (node.node == self->node)
        s_take_holder (self, &node);
    if (!s_listens (self, &node))
        return;
    bool offers = s_offers (self, &node);
    bool drains = draining.type == US_TYPE_BOOL && draining.as.boolean;
    self->listening++;
    self->draining += drains;
    if (offers && !drains) {
        self->offering++;
        self->slots += node.slots;
        self->busy += s_busy (self->answer->broker, &node);
    }
}

static void s_on_nodes (us_err_t code, const usi_bytes_t *values, size_t count,
                        void *arg)
{
    why_t *self = arg;
    if (code) {
        s_fail (self, code);
        return;
    }
    for (size_t i = 0; i < count; i++)
        s_count_node (self, values[i]);
    if (self->node && !self->holder[0])
        snprintf (self->holder, sizeof self->holder, "node %016llx",
                  (unsigned long long) self->node);
    s_finish (self);
}

/* --- channel and job ------------------------------------------------------------------------ */

static void s_on_channel (us_err_t code, const store_channel_t *channels, size_t count,
                          void *arg)
{
    why_t *self = arg;
    if (code && code != US_ERR_UNKNOWN_CHANNEL) {
        s_fail (self, code);
        return;
    }
    for (size_t i = 0; !code && i < count; i++)
        if (strcmp (channels[i].name, self->channel) == 0)
            self->queued = channels[i].queued;
    store_nodes (self->answer->broker->store, s_on_nodes, self);
}

static void s_take_spec (why_t *self, usi_bytes_t bytes)
{
    usi_fields_t spec;
    size_t position = 0, count = 0;
    if (usi_fields_decode (&spec, bytes, NULL))
        return;
    s_copy (self->python, sizeof self->python, spec.python);
    for (usi_bytes_t at; usi_list_next (&spec.packages, &position, &at);) {
        char name[64];
        s_copy (name, sizeof name, at);
        if (count++ < LISTED)
            s_list (self->packages, sizeof self->packages, name);
    }
    if (count > LISTED)
        s_list (self->packages, sizeof self->packages, "…");
}

static void s_on_job (us_err_t code, const store_job_t *job, void *arg)
{
    why_t *self = arg;
    const peer_t *peer = answer_peer (self->answer);
    if (!code && (!peer || !access_job (self->answer->broker, peer, USI_MAY_SEE,
                                        job->record.owner)))
        code = US_ERR_DENIED;
    if (code) {
        s_fail (self, code);
        return;
    }
    const store_record_t *record = &job->record;
    self->state = record->state;
    self->is_cancelled = record->flags & RECORD_FLAG_CANCEL;
    self->started_ms = record->started_ms;
    s_copy (self->channel, sizeof self->channel, record->channel);
    s_take_spec (self, record->spec);
    bool is_held = self->state == US_STATE_LEASED || self->state == US_STATE_RUNNING;
    self->node = is_held ? record->node : 0;
    if (self->state == US_STATE_QUEUED)
        store_channels (self->answer->broker->store, self->channel, 0, 1, s_on_channel,
                        self);
    else if (is_held)
        store_nodes (self->answer->broker->store, s_on_nodes, self);
    else
        s_finish (self);
}

void query_why (answer_t *answer)
{
    if (!answer->has_id) {
        answer_fail (&answer, US_ERR_INVALID, "why needs the id of a job");
        return;
    }
    why_t *self = usi_new (why_t);
    *self = (why_t){.answer = answer, .slips = USI_NOT_SIMILAR};
    store_get (answer->broker->store, &answer->id, false, s_on_job, self);
}

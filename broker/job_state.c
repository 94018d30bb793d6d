/* SPDX-License-Identifier: MIT
 *
 * Results, failures and crashes are legal from QUEUED and BACKOFF too: there the fence
 * decides, and it matches only as long as nobody has claimed the job anew. The same way
 * a holder that comes back takes its job up again (START). */
#include "job_state.h"

#include <ctype.h>

/* What a live attempt, or a late one, may report. */
#define REPORTS                                                                        \
    [JOB_EV_START] = JOB_RUNNING, [JOB_EV_SUCCEED] = JOB_SUCCEEDED,                    \
    [JOB_EV_FAIL] = JOB_FAILED, [JOB_EV_RETRY] = JOB_BACKOFF,                          \
    [JOB_EV_CRASH] = JOB_BACKOFF, [JOB_EV_POISON] = JOB_DEAD,                          \
    [JOB_EV_STOPPED] = JOB_CANCELLED

/* A cancel of what a node holds changes no state: the job is marked and the node
 * told. */
static const job_state_t s_next[JOB__STATES][JOB__EVENTS] = {
    [JOB_NONE] = {[JOB_EV_SUBMIT] = JOB_QUEUED},
    [JOB_QUEUED] = {REPORTS, [JOB_EV_CLAIM] = JOB_LEASED,
                    [JOB_EV_CANCEL] = JOB_CANCELLED, [JOB_EV_EXPIRE] = JOB_EXPIRED},
    [JOB_LEASED] = {REPORTS, [JOB_EV_LOSE] = JOB_QUEUED, [JOB_EV_LOSE_LAST] = JOB_DEAD,
                    [JOB_EV_HAND_BACK] = JOB_QUEUED, [JOB_EV_CANCEL] = JOB_LEASED},
    [JOB_RUNNING] = {REPORTS, [JOB_EV_LOSE] = JOB_QUEUED, [JOB_EV_LOSE_LAST] = JOB_DEAD,
                     [JOB_EV_HAND_BACK] = JOB_QUEUED, [JOB_EV_CANCEL] = JOB_RUNNING},
    [JOB_BACKOFF] =
        {REPORTS, [JOB_EV_CANCEL] = JOB_CANCELLED, [JOB_EV_DUE] = JOB_QUEUED},
};

static const char *const s_state_names[JOB__STATES] = {
#define X(name, number) [number] = #name,
    JOB_STATE_MAP (X)
#undef X
};

static const char *const s_event_names[JOB__EVENTS] = {
#define X(name, text) [JOB_EV_##name] = #name,
    JOB_EVENT_MAP (X)
#undef X
};

static const char *const s_event_texts[JOB__EVENTS] = {
#define X(name, text) [JOB_EV_##name] = text,
    JOB_EVENT_MAP (X)
#undef X
};

job_state_t job_state_next (job_state_t state, job_event_t event)
{
    if ((unsigned) state >= JOB__STATES || (unsigned) event >= JOB__EVENTS)
        return JOB_NONE;
    return s_next[state][event];
}

bool job_state_is_end (job_state_t state)
{
    return state >= JOB_SUCCEEDED && state <= JOB_EXPIRED;
}

const char *job_state_name (int state)
{
    return state >= 0 && state < JOB__STATES ? s_state_names[state] : "?";
}

const char *job_event_name (int event)
{
    return event >= 0 && event < JOB__EVENTS ? s_event_names[event] : "?";
}

static void s_render_names (usi_buf_t *buf)
{
    usi_buf_text (buf, "local STATE = {");
    for (int state = 1; state < JOB__STATES; state++)
        usi_buf_printf (buf, "%s = %d, ", s_state_names[state], state);
    usi_buf_text (buf, "}\nlocal NAME = {");
    for (int state = 1; state < JOB__STATES; state++) {
        usi_buf_printf (buf, "[%d] = '", state);
        for (const char *at = s_state_names[state]; *at; at++)
            usi_buf_printf (buf, "%c", tolower ((unsigned char) *at));
        usi_buf_text (buf, "', ");
    }
    usi_buf_text (buf, "}\nlocal END = {");
    for (int state = 1; state < JOB__STATES; state++)
        if (job_state_is_end ((job_state_t) state))
            usi_buf_printf (buf, "[%d] = true, ", state);
    usi_buf_text (buf, "}\n");
}

void job_state_render_lua (usi_buf_t *buf)
{
    s_render_names (buf);
    usi_buf_text (buf, "local NEXT = {\n");
    for (int state = 0; state < JOB__STATES; state++) {
        usi_buf_printf (buf, "    [%d] = {", state);
        for (int event = 0; event < JOB__EVENTS; event++)
            if (s_next[state][event] != JOB_NONE)
                usi_buf_printf (buf, "%s = %d, ", s_event_names[event],
                                s_next[state][event]);
        usi_buf_text (buf, "},\n");
    }
    usi_buf_text (buf, "}\n");
}

void job_state_render_markdown (usi_buf_t *buf)
{
    usi_buf_text (buf, "| event | what happened |");
    for (int state = 0; state <= JOB_BACKOFF; state++)
        usi_buf_printf (buf, " %s |", state ? s_state_names[state] : "(none)");
    usi_buf_text (buf, "\n|---|---|---|---|---|---|---|\n");
    for (int event = 0; event < JOB__EVENTS; event++) {
        usi_buf_printf (buf, "| %s | %s |", s_event_names[event], s_event_texts[event]);
        for (int state = 0; state <= JOB_BACKOFF; state++) {
            job_state_t next = s_next[state][event];
            usi_buf_printf (buf, " %s |", next ? s_state_names[next] : "");
        }
        usi_buf_text (buf, "\n");
    }
}

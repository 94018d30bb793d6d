/* SPDX-License-Identifier: MIT
 *
 * See job_state.h. Results, failures and crashes are legal from QUEUED and BACKOFF too:
 * there the fence decides, which matches only as long as nobody has claimed the job anew.
 * In the same way a node that comes back takes its job up again (START). */
#include "store/job_state.h"

#include <ctype.h>

/* What the node of an attempt may report, also when its lease has run out. */
#define REPORTS                                                                        \
    [JOB_EV_START] = US_STATE_RUNNING, [JOB_EV_SUCCEED] = US_STATE_SUCCEEDED,          \
    [JOB_EV_FAIL] = US_STATE_FAILED, [JOB_EV_RETRY] = US_STATE_BACKOFF,                \
    [JOB_EV_CRASH] = US_STATE_BACKOFF, [JOB_EV_POISON] = US_STATE_DEAD,                \
    [JOB_EV_STOPPED] = US_STATE_CANCELLED

/* A cancel of what a node holds changes no state: the job is marked and the node
 * told. */
static const us_state_t s_next[JOB_STATES][JOB__EVENTS] = {
    [US_STATE_UNSENT] = {[JOB_EV_SUBMIT] = US_STATE_QUEUED},
    [US_STATE_QUEUED] =
        {REPORTS, [JOB_EV_CLAIM] = US_STATE_LEASED,
         [JOB_EV_CANCEL] = US_STATE_CANCELLED, [JOB_EV_EXPIRE] = US_STATE_EXPIRED},
    [US_STATE_LEASED] =
        {REPORTS, [JOB_EV_LOSE] = US_STATE_QUEUED, [JOB_EV_LOSE_LAST] = US_STATE_DEAD,
         [JOB_EV_HAND_BACK] = US_STATE_QUEUED, [JOB_EV_CANCEL] = US_STATE_LEASED},
    [US_STATE_RUNNING] =
        {REPORTS, [JOB_EV_LOSE] = US_STATE_QUEUED, [JOB_EV_LOSE_LAST] = US_STATE_DEAD,
         [JOB_EV_HAND_BACK] = US_STATE_QUEUED, [JOB_EV_CANCEL] = US_STATE_RUNNING},
    [US_STATE_BACKOFF] =
        {REPORTS, [JOB_EV_CANCEL] = US_STATE_CANCELLED, [JOB_EV_DUE] = US_STATE_QUEUED},
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

us_state_t job_state_next (us_state_t state, job_event_t event)
{
    if ((unsigned) state >= JOB_STATES || (unsigned) event >= JOB__EVENTS)
        return US_STATE_UNSENT;
    return s_next[state][event];
}

const char *job_event_name (int event)
{
    return event >= 0 && event < JOB__EVENTS ? s_event_names[event] : "?";
}

static void s_render_names (usi_buf_t *buf)
{
    usi_buf_text (buf, "local STATE = {");
    for (int state = 1; state < JOB_STATES; state++)
        usi_buf_printf (buf, "%s = %d, ", us_state_name (state), state);
    usi_buf_text (buf, "}\nlocal NAME = {");
    for (int state = 1; state < JOB_STATES; state++) {
        usi_buf_printf (buf, "[%d] = '", state);
        for (const char *at = us_state_name (state); *at; at++)
            usi_buf_printf (buf, "%c", tolower ((unsigned char) *at));
        usi_buf_text (buf, "', ");
    }
    usi_buf_text (buf, "}\nlocal END = {");
    for (int state = 1; state < JOB_STATES; state++)
        if (us_state_is_end (state))
            usi_buf_printf (buf, "[%d] = true, ", state);
    usi_buf_text (buf, "}\n");
}

void job_state_render_lua (usi_buf_t *buf)
{
    s_render_names (buf);
    usi_buf_text (buf, "local NEXT = {\n");
    for (int state = 0; state < JOB_STATES; state++) {
        usi_buf_printf (buf, "    [%d] = {", state);
        for (int event = 0; event < JOB__EVENTS; event++)
            if (s_next[state][event] != US_STATE_UNSENT)
                usi_buf_printf (buf, "%s = %d, ", s_event_names[event],
                                s_next[state][event]);
        usi_buf_text (buf, "},\n");
    }
    usi_buf_text (buf, "}\n");
}

void job_state_render_markdown (usi_buf_t *buf)
{
    usi_buf_text (buf, "| event | what happened |");
    for (int state = 0; state <= US_STATE_BACKOFF; state++)
        usi_buf_printf (buf, " %s |", state ? us_state_name (state) : "(none)");
    usi_buf_text (buf, "\n|---|---|---|---|---|---|---|\n");
    for (int event = 0; event < JOB__EVENTS; event++) {
        usi_buf_printf (buf, "| %s | %s |", s_event_names[event], s_event_texts[event]);
        for (int state = 0; state <= US_STATE_BACKOFF; state++) {
            us_state_t next = s_next[state][event];
            usi_buf_printf (buf, " %s |", next ? us_state_name (next) : "");
        }
        usi_buf_text (buf, "\n");
    }
}

/* SPDX-License-Identifier: MIT
 *
 * logs: what a job wrote so far, or until it ends. */
#include <stdio.h>

#include "ctl.h"
#include "follow.h"
#include "json.h"

typedef struct logs {
    const char *id;
    bool follow;
    bool build;
    bool raw;
} logs_t;

static const struct argp_option s_options[] = {
    {"follow", 'f', NULL, 0, "go on until the job has ended", 1},
    {"build", 'b', NULL, 0, "the build of the job's environment instead of its log", 1},
    {"raw", 'r', NULL, 0, "control characters as they are, on a terminal too", 1},
    {0},
};

static error_t s_parse (int key, char *arg, struct argp_state *state)
{
    logs_t *logs = state->input;
    switch (key) {
    case 'f': logs->follow = true; return 0;
    case 'b': logs->build = true; return 0;
    case 'r': logs->raw = true; return 0;
    case ARGP_KEY_ARG:
        if (logs->id)
            argp_error (state, "unexpected argument '%s'", arg);
        logs->id = arg;
        return 0;
    case ARGP_KEY_END:
        if (!logs->id)
            argp_error (state, "an ID is missing");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp s_argp = {.options = s_options, .parser = s_parse};

static uint64_t s_field (const json_t *row, const char *key)
{
    return (uint64_t) json_integer_value (json_object_get (row, key));
}

/* How long the stream is now, and whether something was dropped from it. */
static int s_look (ctl_t *ctl, const us_id_t *id, const logs_t *logs, uint64_t *end,
                   uint64_t *dropped)
{
    us_query_t *query = NULL;
    int exit_code = ctl_ask_job (ctl, "show", id, &query);
    if (exit_code != EXIT_DONE)
        return exit_code;
    json_t *row = json_from_query (query, 0);
    *end = s_field (row, logs->build ? "build_len" : "log_len");
    *dropped = s_field (row, "dropped");
    json_decref (row);
    us_query_destroy (&query);
    return EXIT_DONE;
}

static int s_print (ctl_t *ctl, const us_id_t *id, const logs_t *logs)
{
    uint64_t end = 0, dropped = 0;
    us_result_t *result = NULL;
    int exit_code = s_look (ctl, id, logs, &end, &dropped);
    if (exit_code == EXIT_DONE)
        exit_code = ctl_open (ctl, id, &result);
    if (exit_code != EXIT_DONE)
        return exit_code;

    waiting_t waiting = {.ctl = ctl, .result = result};
    follow_t follow = {.result = result,
                       .waiting = &waiting,
                       .stream = logs->build ? US_STREAM_BUILD : US_STREAM_LOG,
                       .to = stdout,
                       .raw = logs->raw,
                       .end = logs->follow ? FOLLOW_TO_THE_END : end};
    exit_code = follow_log (ctl, &follow);
    /* Not its end: the store has forgotten it meanwhile. */
    if (exit_code == EXIT_DONE && us_result_state (result) == US_STATE_REFUSED)
        exit_code = ctl_fail (ctl, us_result_code (result), "cannot read on");
    if (logs->follow) {
        us_result_info_t info;
        us_result_info (result, &info);
        dropped = info.dropped;
    }
    if (dropped && !logs->build)
        fprintf (stderr, "understudy-ctl: %llu bytes of this log were dropped\n",
                 (unsigned long long) dropped);
    us_result_destroy (&result);
    return exit_code;
}

static int s_run (ctl_t *ctl, const command_t *command, int argc, char **argv)
{
    logs_t logs = {0};
    us_id_t id;
    ctl_parse (ctl, command, &s_argp, &logs, argc, argv);
    if (logs.follow)
        ctl_catch_interrupt ();
    int exit_code = ctl_find_job (ctl, logs.id, &id);
    return exit_code == EXIT_DONE ? s_print (ctl, &id, &logs) : exit_code;
}

const command_t cmd_logs = {"logs", "ID", "what a job wrote; -f goes on until it ends",
                            NULL, s_run};

/* SPDX-License-Identifier: MIT
 *
 * jobs: a window of the jobs that there are. */
#include "ctl.h"
#include "output.h"

#define DEFAULT_LIMIT 100
#define MAX_LIMIT     10000 /* the protocol's */

static const column_t s_columns[] = {
    {"ID", "id", FORM_TEXT},
    {"CHANNEL", "channel", FORM_TEXT},
    {"STATE", "state", FORM_TEXT},
    {"NAME", "name", FORM_TEXT},
    {"ATTEMPT", "attempt", FORM_NUMBER},
    {"SUBMITTED", "submitted_ms", FORM_TIME},
    {"STARTED", "started_ms", FORM_TIME},
    {"ENDED", "ended_ms", FORM_TIME},
    {"CRASHES", "crashes", FORM_NUMBER},
    {0},
};

typedef struct jobs {
    filter_t filter;
    unsigned limit;
} jobs_t;

static const struct argp_option s_options[] = {
    {"limit", 'n', "N", 0, "at most so many (default: 100)", 2},
    {0},
};

static error_t s_parse (int key, char *arg, struct argp_state *state)
{
    jobs_t *jobs = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &jobs->filter; return 0;
    case 'n':
        if (!parse_count (arg, MAX_LIMIT, &jobs->limit) || jobs->limit == 0)
            argp_error (state, "--limit '%s' is not a number from 1 to 10000", arg);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child s_children[] = {{.argp = &ctl_filter_argp}, {0}};
static const struct argp s_argp = {.options = s_options,
                                   .parser = s_parse,
                                   .children = s_children};

static int s_run (ctl_t *ctl, const command_t *command, int argc, char **argv)
{
    jobs_t jobs = {.limit = DEFAULT_LIMIT};
    ctl_parse (ctl, command, &s_argp, &jobs, argc, argv);
    us_query_t *query = ctl_query ("jobs");
    us_err_t err = filter_apply (&jobs.filter, query);
    if (err == US_OK)
        err = us_query_set_limit (query, jobs.limit);
    int exit_code = err == US_OK ? ctl_ask (ctl, query)
                                 : ctl_fail (ctl, err, "not a filter for jobs");
    if (exit_code == EXIT_DONE)
        output_rows (ctl, query, s_columns);
    us_query_destroy (&query);
    return exit_code;
}

const command_t cmd_jobs = {"jobs", "", "the jobs there are", NULL, s_run};

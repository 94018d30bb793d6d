/* SPDX-License-Identifier: MIT
 *
 * purge: forget jobs that have ended, with their results and logs. */
#include <stdio.h>
#include <unistd.h>

#include "ctl.h"
#include "output.h"

typedef struct purge {
    filter_t filter;
    bool yes;
} purge_t;

static const struct argp_option s_options[] = {
    {"yes", 'y', NULL, 0, "do not ask before all ended jobs are removed", 2},
    {0},
};

static error_t s_parse (int key, char *arg, struct argp_state *state)
{
    (void) arg;
    purge_t *purge = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &purge->filter; return 0;
    case 'y': purge->yes = true; return 0;
    case ARGP_KEY_END:
        if (purge->filter.state && !us_state_is_end (purge->filter.state))
            argp_error (state, "only jobs that have ended can be removed");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child s_children[] = {{.argp = &ctl_filter_argp}, {0}};
static const struct argp s_argp = {.options = s_options,
                                   .parser = s_parse,
                                   .children = s_children};

/* Without any filter everything that ended goes: that wants a yes. */
static bool s_is_meant (const purge_t *purge)
{
    if (purge->yes || purge->filter.is_set)
        return true;
    if (!isatty (STDIN_FILENO))
        return false;
    fputs ("Remove all jobs that have ended, with results and logs? [y/N] ", stderr);
    int answer = getchar ();
    return answer == 'y' || answer == 'Y';
}

static int s_purge (ctl_t *ctl, const filter_t *filter, uint64_t *count)
{
    us_query_t *query = ctl_query ("purge");
    us_err_t err = filter_apply (filter, query);
    int exit_code = err == US_OK ? ctl_ask (ctl, query)
                                 : ctl_fail (ctl, err, "not a filter for jobs");
    if (exit_code == EXIT_DONE)
        *count = us_query_count (query);
    us_query_destroy (&query);
    return exit_code;
}

static int s_run (ctl_t *ctl, const command_t *command, int argc, char **argv)
{
    purge_t purge = {0};
    ctl_parse (ctl, command, &s_argp, &purge, argc, argv);
    if (!s_is_meant (&purge))
        return ctl_bad_usage ("nothing removed; say which jobs, or --yes for all");

    uint64_t count = 0;
    int exit_code = s_purge (ctl, &purge.filter, &count);
    if (exit_code != EXIT_DONE)
        return exit_code;
    if (ctl->json)
        output_json (json_pack ("{s:I}", "count", (json_int_t) count));
    else
        printf ("%llu removed\n", (unsigned long long) count);
    return EXIT_DONE;
}

const command_t cmd_purge = {"purge", "", "forget jobs that have ended", NULL, s_run};

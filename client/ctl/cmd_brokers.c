/* SPDX-License-Identifier: MIT
 *
 * brokers: all that share the store. */
#include "ctl.h"
#include "output.h"

static const column_t s_columns[] = {
    {"BROKER", "broker", FORM_TEXT},
    {"VERSION", "version", FORM_TEXT},
    {"ADDRESS", "endpoints", FORM_TEXT},
    {"PID", "pid", FORM_NUMBER},
    {"SEEN", "seen_ms", FORM_AGE},
    {"HOST", "host", FORM_TEXT},
    {0},
};

static int s_run (ctl_t *ctl, const command_t *command, int argc, char **argv)
{
    ctl_parse_args (ctl, command, 0, 0, &argc, argv);
    us_query_t *query = ctl_query ("brokers");
    int exit_code = ctl_ask (ctl, query);
    if (exit_code == EXIT_DONE)
        output_rows (ctl, query, s_columns);
    us_query_destroy (&query);
    return exit_code;
}

const command_t cmd_brokers = {"brokers", "", "the brokers of this cluster", NULL,
                               s_run};

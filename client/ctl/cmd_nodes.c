/* SPDX-License-Identifier: MIT
 *
 * nodes: who listens, on what, with which Pythons. */
#include "ctl.h"
#include "output.h"

static const column_t s_columns[] = {
    {"NODE", "node", FORM_TEXT},         {"NAME", "name", FORM_TEXT},
    {"CHANNELS", "channels", FORM_TEXT}, {"SLOTS", "slots", FORM_NUMBER},
    {"BUSY", "busy", FORM_NUMBER},       {"PYTHONS", "pythons", FORM_TEXT},
    {"DRAINING", "draining", FORM_TEXT}, {"BROKER", "broker", FORM_TEXT},
    {"SEEN", "seen_ms", FORM_AGE},       {0},
};

static int s_run (ctl_t *ctl, const command_t *command, int argc, char **argv)
{
    ctl_parse_args (ctl, command, 0, 0, &argc, argv);
    us_query_t *query = ctl_query ("nodes");
    int exit_code = ctl_ask (ctl, query);
    if (exit_code == EXIT_DONE)
        output_rows (ctl, query, s_columns);
    us_query_destroy (&query);
    return exit_code;
}

const command_t cmd_nodes = {"nodes", "", "the nodes that listen", NULL, s_run};

/* SPDX-License-Identifier: MIT
 *
 * status: the broker that answers, and the jobs of all channels. */
#include "ctl.h"
#include "json.h"
#include "output.h"

static const column_t s_lines[] = {
    {"Broker", "broker", FORM_TEXT},
    {"Version", "version", FORM_TEXT},
    {"Address", "endpoints", FORM_TEXT},
    {"Cluster", "cluster", FORM_TEXT},
    {"Security", "security", FORM_TEXT},
    {"You", "you", FORM_TEXT},
    {"Your role", "role", FORM_TEXT},
    {"Durability", "durability", FORM_TEXT},
    {"Store answers", "store", FORM_TEXT},
    {"Store waits", "backlog", FORM_NUMBER},
    {"Up", "uptime_ms", FORM_SPAN},
    {"Clients", "clients", FORM_NUMBER},
    {"Nodes", "nodes", FORM_NUMBER},
    {"Malformed", "malformed", FORM_NUMBER},
    {"Queued", "queued", FORM_NUMBER},
    {"Leased", "leased", FORM_NUMBER},
    {"Running", "running", FORM_NUMBER},
    {"Backoff", "backoff", FORM_NUMBER},
    {0},
};

static int s_run (ctl_t *ctl, const command_t *command, int argc, char **argv)
{
    ctl_parse_args (ctl, command, 0, 0, &argc, argv);
    us_query_t *query = ctl_query ("status");
    int exit_code = ctl_ask (ctl, query);
    if (exit_code == EXIT_DONE && ctl->json)
        output_rows (ctl, query, s_lines);
    else if (exit_code == EXIT_DONE) {
        json_t *row = json_from_query (query, 0);
        output_description (row, s_lines);
        json_decref (row);
    }
    us_query_destroy (&query);
    return exit_code;
}

const command_t cmd_status = {"status", "",
                              "the broker that answers, and the jobs in all", NULL,
                              s_run};

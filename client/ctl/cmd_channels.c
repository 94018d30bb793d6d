/* SPDX-License-Identifier: MIT
 *
 * channels: how many jobs each has now, and had in all. */
#include "ctl.h"
#include "output.h"

static const column_t s_columns[] = {
    {"CHANNEL", "name", FORM_TEXT},
    {"QUEUED", "queued", FORM_NUMBER},
    {"LEASED", "leased", FORM_NUMBER},
    {"RUNNING", "running", FORM_NUMBER},
    {"BACKOFF", "backoff", FORM_NUMBER},
    {"SUBMITTED", "submitted", FORM_NUMBER},
    {"SUCCEEDED", "succeeded", FORM_NUMBER},
    {"FAILED", "failed", FORM_NUMBER},
    {"CANCELLED", "cancelled", FORM_NUMBER},
    {"DEAD", "dead", FORM_NUMBER},
    {"EXPIRED", "expired", FORM_NUMBER},
    {"NODES", "nodes", FORM_NUMBER},
    {0},
};

static int s_run (ctl_t *ctl, const command_t *command, int argc, char **argv)
{
    ctl_parse_args (ctl, command, 0, 0, &argc, argv);
    us_query_t *query = ctl_query ("channels");
    int exit_code = ctl_ask (ctl, query);
    if (exit_code == EXIT_DONE)
        output_rows (ctl, query, s_columns);
    us_query_destroy (&query);
    return exit_code;
}

const command_t cmd_channels = {"channels", "",
                                "each channel with its jobs, now and in all", NULL,
                                s_run};

/* SPDX-License-Identifier: MIT
 *
 * why: what a job waits for. */
#include <stdio.h>

#include "ctl.h"
#include "json.h"
#include "output.h"

static void s_print (const ctl_t *ctl, json_t *row)
{
    const char *state = json_string_value (json_object_get (row, "state"));
    const char *text = json_string_value (json_object_get (row, "text"));
    if (ctl->json)
        output_json (json_incref (row));
    else
        printf ("%s: %s\n", state ? state : "?", text ? text : "");
}

static int s_run (ctl_t *ctl, const command_t *command, int argc, char **argv)
{
    us_id_t id;
    us_query_t *query = NULL;
    int first = ctl_parse_args (ctl, command, 1, 1, &argc, argv);
    int exit_code = ctl_find_job (ctl, argv[first], &id);
    if (exit_code == EXIT_DONE)
        exit_code = ctl_ask_job (ctl, "why", &id, &query);
    if (exit_code != EXIT_DONE)
        return exit_code;
    json_t *row = json_from_query (query, 0);
    s_print (ctl, row);
    json_decref (row);
    us_query_destroy (&query);
    return EXIT_DONE;
}

const command_t cmd_why = {
    "why", "ID", "what a job waits for",
    "Says whether a node listens, offers its Python and has a free slot, and on which "
    "node a job is that has been taken. doctor says the same of all channels.",
    s_run};

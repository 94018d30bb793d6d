/* SPDX-License-Identifier: MIT
 *
 * envs: the environments that nodes keep. */
#include "ctl.h"
#include "output.h"

static const column_t s_columns[] = {
    {"NODE", "name", FORM_TEXT},
    {"STATE", "state", FORM_TEXT},
    {"PYTHON", "python", FORM_TEXT},
    {"SIZE", "size", FORM_SIZE},
    {"IN USE", "in_use", FORM_NUMBER},
    {"USED", "used_ms", FORM_AGE},
    {"KEY", "key", FORM_TEXT},
    {"PACKAGES", "packages", FORM_TEXT},
    {0},
};

static int s_run (ctl_t *ctl, const command_t *command, int argc, char **argv)
{
    ctl_parse_args (ctl, command, 0, 0, &argc, argv);
    us_query_t *query = ctl_query ("envs");
    int exit_code = ctl_ask (ctl, query);
    if (exit_code == EXIT_DONE)
        output_rows (ctl, query, s_columns);
    us_query_destroy (&query);
    return exit_code;
}

const command_t cmd_envs = {"envs", "", "the environments that nodes keep", NULL,
                            s_run};

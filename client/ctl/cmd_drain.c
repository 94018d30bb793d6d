/* SPDX-License-Identifier: MIT
 *
 * drain: a node takes no more jobs, finishes what it has, and leaves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "output.h"
#include "text.h"

static int s_drain (ctl_t *ctl, const char *node)
{
    us_query_t *query = ctl_query ("drain");
    us_err_t err = us_query_set_name (query, node);
    int exit_code =
        err == US_OK ? ctl_ask (ctl, query) : ctl_fail (ctl, err, "%s", node);
    if (exit_code == EXIT_DONE && ctl->json)
        output_rows (ctl, query, NULL);
    else if (exit_code == EXIT_DONE) {
        char *name = text_escape (node, strlen (node));
        printf ("%s takes no more jobs and leaves when it has finished\n", name);
        free (name);
    }
    us_query_destroy (&query);
    return exit_code;
}

static int s_run (ctl_t *ctl, const command_t *command, int argc, char **argv)
{
    int first = ctl_parse_args (ctl, command, 1, 1, &argc, argv);
    return s_drain (ctl, argv[first]);
}

const command_t cmd_drain = {"drain", "NODE", "let a node finish what it has and leave",
                             NULL, s_run};

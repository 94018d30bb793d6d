/* SPDX-License-Identifier: MIT
 *
 * show: all that is known of one job. */
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "json.h"
#include "outcome.h"
#include "output.h"

static const column_t s_lines[] = {
    {"Id", "id", FORM_TEXT},
    {"Name", "name", FORM_TEXT},
    {"Kind", "kind", FORM_TEXT},
    {"Channel", "channel", FORM_TEXT},
    {"State", "state", FORM_TEXT},
    {"Cancel asked", "cancel_asked", FORM_TEXT},
    {"Reason", "code", FORM_ERROR},
    {"Retry of", "retry_of", FORM_TEXT},
    {"Python", "python", FORM_TEXT},
    {"Packages", "packages", FORM_TEXT},
    {"Constraints", "constraints", FORM_TEXT},
    {"Isolation", "isolation", FORM_TEXT},
    {"Soft limit", "soft_ms", FORM_SPAN},
    {"Hard limit", "hard_ms", FORM_SPAN},
    {"Expires after", "expire_ms", FORM_SPAN},
    {"Submitted", "submitted_ms", FORM_TIME},
    {"Started", "started_ms", FORM_TIME},
    {"Ended", "ended_ms", FORM_TIME},
    {"Attempt", "attempt", FORM_NUMBER},
    {"Retries", "retries", FORM_NUMBER},
    {"Failures", "failures", FORM_NUMBER},
    {"Crashes", "crashes", FORM_NUMBER},
    {"Losses", "losses", FORM_NUMBER},
    {"Node", "node", FORM_TEXT},
    {"Broker", "broker", FORM_TEXT},
    {"Log", "log_len", FORM_SIZE},
    {"Build log", "build_len", FORM_SIZE},
    {"Log dropped", "dropped", FORM_SIZE},
    {"Result", "result_len", FORM_SIZE},
    {0},
};

static void s_print (const ctl_t *ctl, json_t *row, const us_result_t *result)
{
    if (ctl->json) {
        if (result)
            outcome_into (row, result);
        output_json (json_incref (row));
        return;
    }
    output_description (row, s_lines);
    if (!result)
        return;
    putchar ('\n');
    if (us_result_code (result) == US_OK) {
        outcome_print_value (result);
        putchar ('\n');
    } else
        outcome_print_failure (stdout, result);
}

/* Opens the job where it has ended; what it was is on the other side then. */
static int s_open_ended (ctl_t *ctl, const us_id_t *id, const json_t *row,
                         us_result_t **result)
{
    const char *name = json_string_value (json_object_get (row, "state"));
    int state = 0;
    if (!name || !parse_state (name, &state) || !us_state_is_end (state))
        return EXIT_DONE;
    int exit_code = ctl_open (ctl, id, result);
    if (exit_code != EXIT_DONE)
        return exit_code;
    us_err_t err = us_result_wait (*result, ctl->timeout_ms);
    return err == US_OK ? EXIT_DONE : ctl_fail (ctl, err, "cannot read the result");
}

static int s_show (ctl_t *ctl, const us_id_t *id)
{
    us_query_t *query = NULL;
    us_result_t *result = NULL;
    int exit_code = ctl_ask_job (ctl, "show", id, &query);
    if (exit_code != EXIT_DONE)
        return exit_code;
    json_t *row = json_from_query (query, 0);
    exit_code = s_open_ended (ctl, id, row, &result);
    if (exit_code == EXIT_DONE)
        s_print (ctl, row, result);
    us_result_destroy (&result);
    json_decref (row);
    us_query_destroy (&query);
    return exit_code;
}

static int s_run (ctl_t *ctl, const command_t *command, int argc, char **argv)
{
    us_id_t id;
    int first = ctl_parse_args (ctl, command, 1, 1, &argc, argv);
    int exit_code = ctl_find_job (ctl, argv[first], &id);
    return exit_code == EXIT_DONE ? s_show (ctl, &id) : exit_code;
}

const command_t cmd_show = {"show", "ID", "all that is known of a job", NULL, s_run};

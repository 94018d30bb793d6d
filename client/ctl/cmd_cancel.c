/* SPDX-License-Identifier: MIT
 *
 * cancel: end jobs, whatever they do, and say what happened. */
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "output.h"

/* What the answer means, for a person. */
static const char *s_meaning (us_err_t err, us_state_t state)
{
    if (err == US_ERR_ENDED)
        return "had already ended";
    if (state == US_STATE_CANCELLED)
        return "will not run";
    return "runs; its node has been told to stop it";
}

static int s_report (ctl_t *ctl, const us_id_t *id, us_err_t err, us_state_t state)
{
    char text[US_ID_TEXT_LEN + 1];
    us_id_format (id, text);
    bool cancelled = err == US_OK || state == US_STATE_CANCELLED;
    if (err != US_OK && err != US_ERR_ENDED)
        return ctl_fail (ctl, err, "%s", text);
    if (ctl->json)
        output_json (json_pack ("{s:s, s:b, s:s}", "id", text, "cancelled", cancelled,
                                "state", us_state_name (state)));
    else
        printf ("%s  %s  %s\n", text, us_state_name (state), s_meaning (err, state));
    return cancelled ? EXIT_DONE : EXIT_NO;
}

static int s_cancel (ctl_t *ctl, const char *text)
{
    us_id_t id;
    us_result_t *result = NULL;
    int exit_code = ctl_find_job (ctl, text, &id);
    if (exit_code == EXIT_DONE)
        exit_code = ctl_open (ctl, &id, &result);
    if (exit_code == EXIT_DONE) {
        us_state_t state = US_STATE_UNSENT;
        us_err_t err =
            us_result_cancel (result, US_CANCEL_RUNNING, &state, ctl->timeout_ms);
        /* An end that was not part of the answer is in the result. */
        if (err == US_ERR_ENDED && !us_state_is_end (state)) {
            us_result_wait (result, ctl->timeout_ms);
            state = us_result_state (result);
        }
        exit_code = s_report (ctl, &id, err, state);
    }
    us_result_destroy (&result);
    return exit_code;
}

static int s_run (ctl_t *ctl, const command_t *command, int argc, char **argv)
{
    int exit_code = EXIT_DONE;
    for (int i = ctl_parse_args (ctl, command, 1, argc, &argc, argv); i < argc; i++) {
        int one = s_cancel (ctl, argv[i]);
        exit_code = exit_code == EXIT_DONE ? one : exit_code;
    }
    return exit_code;
}

const command_t cmd_cancel = {"cancel", "ID...", "end jobs, queued or running", NULL,
                              s_run};

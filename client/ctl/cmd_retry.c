/* SPDX-License-Identifier: MIT
 *
 * retry: the same once more, as a new job; the old one stays as it is. */
#include <stdio.h>

#include "ctl.h"
#include "json.h"
#include "output.h"

/* The new id must be made for the job's own channel. */
static int s_new_id (ctl_t *ctl, const us_id_t *old, us_id_t *id)
{
    us_query_t *query = NULL;
    int exit_code = ctl_ask_job (ctl, "show", old, &query);
    if (exit_code != EXIT_DONE)
        return exit_code;
    json_t *row = json_from_query (query, 0);
    const char *channel = json_string_value (json_object_get (row, "channel"));
    us_err_t err = us_id_new (id, channel ? channel : "");
    if (err != US_OK)
        exit_code = ctl_fail (ctl, US_ERR_PROTOCOL, "the job has no channel");
    json_decref (row);
    us_query_destroy (&query);
    return exit_code;
}

static int s_ask (ctl_t *ctl, const us_id_t *old, const us_id_t *id)
{
    us_query_t *query = ctl_query ("retry");
    us_err_t err = us_query_set_id (query, old);
    if (err == US_OK)
        err = us_query_set_prefix (query, id->bytes, sizeof id->bytes);
    int exit_code = err == US_OK ? ctl_ask (ctl, query) : ctl_fail (ctl, err, "retry");
    us_query_destroy (&query);
    return exit_code;
}

static int s_retry (ctl_t *ctl, const char *text)
{
    us_id_t old, id;
    int exit_code = ctl_find_job (ctl, text, &old);
    if (exit_code == EXIT_DONE)
        exit_code = s_new_id (ctl, &old, &id);
    if (exit_code == EXIT_DONE)
        exit_code = s_ask (ctl, &old, &id);
    if (exit_code != EXIT_DONE)
        return exit_code;

    char old_text[US_ID_TEXT_LEN + 1], new_text[US_ID_TEXT_LEN + 1];
    us_id_format (&old, old_text);
    us_id_format (&id, new_text);
    if (ctl->json)
        output_json (json_pack ("{s:s, s:s}", "id", new_text, "retry_of", old_text));
    else
        puts (new_text);
    return EXIT_DONE;
}

static int s_run (ctl_t *ctl, const command_t *command, int argc, char **argv)
{
    int exit_code = EXIT_DONE;
    for (int i = ctl_parse_args (ctl, command, 1, argc, &argc, argv); i < argc; i++) {
        int one = s_retry (ctl, argv[i]);
        exit_code = exit_code == EXIT_DONE ? one : exit_code;
    }
    return exit_code;
}

const command_t cmd_retry = {"retry", "ID...", "submit the same again as a new job",
                             NULL, s_run};

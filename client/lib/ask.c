/* SPDX-License-Identifier: MIT
 *
 * Questions: see ask.h. */
#include "ask.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine.h"

ask_t *ask_new_query (void)
{
    ask_t *ask = calloc (1, sizeof *ask);
    if (ask) {
        ask->refs = 1;
        ask->is_query = true;
    }
    return ask;
}

ask_t *ask_new_cancel (const us_id_t *id, int mode)
{
    ask_t *ask = ask_new_query ();
    if (ask) {
        ask->is_query = false;
        ask->id = *id;
        ask->mode = mode;
    }
    return ask;
}

void ask_unref (ask_t *ask)
{
    if (!ask || --ask->refs > 0)
        return;
    usi_buf_free (&ask->rows);
    free (ask);
}

static bool s_is_done (void *arg)
{
    return ((ask_t *) arg)->done;
}

us_err_t ask_run (us_client_t *client, ask_t *ask, int64_t timeout_ms)
{
    us_err_t err = client_start (client);
    if (err != US_OK)
        return err;
    ask->refs++;
    list_append (&client->asks, &ask->link);
    engine_wake (client);
    err = client_wait (client, &ask->waiters, s_is_done, ask, timeout_ms);
    ask->abandoned = true;
    if (err == US_OK && ask->code != US_OK)
        err = client_fail (client, ask->code, "%s", ask->text);
    return err;
}

void ask_finish (ask_t *ask, us_err_t code, const char *text)
{
    list_remove (&ask->link);
    ask->code = code;
    snprintf (ask->text, sizeof ask->text, "%s", text ? text : us_err_text (code));
    ask->done = true;
    waiters_wake (ask->waiters);
    ask_unref (ask);
}

/* SPDX-License-Identifier: MIT
 *
 * Talking to the broker: the client, its questions, and Ctrl-C while it waits: see
 * ctl.h. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "mem.h"

/* --- the client and its questions -------------------------------------------------------- */

static us_err_t s_set_options (ctl_t *ctl, us_options_t *options)
{
    us_err_t err = us_options_set_name (options, "understudy-ctl");
    if (err == US_OK && ctl->broker)
        err = us_options_set_broker (options, ctl->broker);
    if (err == US_OK && ctl->redis)
        err = us_options_set_redis (options, ctl->redis);
    if (err == US_OK && ctl->timeout_ms < 5000)
        err = us_options_set_connect_timeout_ms (options, ctl->timeout_ms);
    if (err == US_OK && ctl->program)
        err = us_options_set_program (options, ctl->program, strlen (ctl->program));
    return err;
}

static int s_wrong_address (const ctl_t *ctl, us_err_t err)
{
    const char *given = ctl->redis ? ctl->redis : ctl->broker;
    bool has_port = given && strchr (given, ':') && !strstr (given, "://");
    char *hint =
        ctl->redis
            ? mem_printf ("not redis://host:port/db or unix:///path%s%s",
                          has_port ? "; write redis://" : "", has_port ? given : "")
            : mem_printf ("not tcp://host:port or ipc:///path%s%s",
                          has_port ? "; write tcp://" : "", has_port ? given : "");
    int exit_code = ctl_refused (err, given ? given : "", hint);
    free (hint);
    return exit_code;
}

us_client_t *ctl_client (ctl_t *ctl, int *exit_code)
{
    *exit_code = EXIT_DONE;
    if (ctl->client)
        return ctl->client;

    char text[512] = "";
    us_options_t *options = NULL;
    us_err_t err = us_options_new (&options, text, sizeof text);
    if (err != US_OK) {
        *exit_code = ctl_fail (ctl, err, "%s", text);
        goto out;
    }
    err = s_set_options (ctl, options);
    if (err != US_OK) {
        *exit_code = s_wrong_address (ctl, err);
        goto out;
    }
    err = us_client_new (&ctl->client, options);
    if (err == US_OK)
        err = us_client_connect (ctl->client);
    if (err != US_OK) {
        *exit_code = ctl_fail (ctl, err, "cannot connect");
        us_client_destroy (&ctl->client);
    }

out:
    us_options_destroy (&options);
    return ctl->client;
}

us_query_t *ctl_query (const char *what)
{
    us_query_t *query = NULL;
    if (us_query_new (&query, what) != US_OK)
        mem_none ();
    return query;
}

int ctl_ask (ctl_t *ctl, us_query_t *query)
{
    int exit_code;
    us_client_t *client = ctl_client (ctl, &exit_code);
    if (!client)
        return exit_code;
    us_err_t err = us_query_run (client, query, ctl->timeout_ms);
    return err == US_OK ? EXIT_DONE : ctl_fail (ctl, err, "the broker says");
}

int ctl_ask_job (ctl_t *ctl, const char *what, const us_id_t *id, us_query_t **query)
{
    *query = ctl_query (what);
    us_err_t err = us_query_set_id (*query, id);
    int exit_code =
        err == US_OK ? ctl_ask (ctl, *query) : ctl_fail (ctl, err, "%s", what);
    if (exit_code == EXIT_DONE && us_query_rows (*query) == 0)
        exit_code = ctl_fail (ctl, US_ERR_UNKNOWN_JOB, "the broker says");
    if (exit_code != EXIT_DONE)
        us_query_destroy (query);
    return exit_code;
}

int ctl_open (ctl_t *ctl, const us_id_t *id, us_result_t **result)
{
    int exit_code;
    us_client_t *client = ctl_client (ctl, &exit_code);
    if (!client)
        return exit_code;
    us_err_t err = us_result_open (client, id, result);
    return err == US_OK ? EXIT_DONE : ctl_fail (ctl, err, "cannot open the job");
}

/* --- Ctrl-C ---------------------------------------------------------------------------------- */

static volatile sig_atomic_t s_was_interrupted;

static void s_on_signal (int number)
{
    (void) number;
    s_was_interrupted = 1;
    /* A second one ends the process at once. */
    signal (SIGINT, SIG_DFL);
}

void ctl_catch_interrupt (void)
{
    /* Without SA_RESTART: a wait returns US_ERR_INTERRUPTED. */
    struct sigaction action = {.sa_handler = s_on_signal};
    sigaction (SIGINT, &action, NULL);
}

bool ctl_interrupted (void)
{
    return s_was_interrupted;
}

int ctl_admit (ctl_t *ctl, const void *certificate, size_t len)
{
    us_query_t *query = ctl_query ("admit");
    us_err_t err = us_query_set_certificate (query, certificate, len);
    int exit_code =
        err == US_OK ? ctl_ask (ctl, query) : ctl_fail (ctl, err, "a certificate");
    us_query_destroy (&query);
    return exit_code;
}

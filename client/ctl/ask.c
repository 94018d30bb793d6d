/* SPDX-License-Identifier: MIT
 *
 * Talking to the broker, and saying what went wrong. */
#include <ctype.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "json.h"
#include "text.h"

#define MAX_FOUND   10000 /* candidates for a prefix; the protocol's limit */
#define SHOWN_FOUND 5     /* of them that are named */

/* --- failures -------------------------------------------------------------------------- */

void ctl_no_memory (void)
{
    fputs ("understudy-ctl: out of memory\n", stderr);
    _exit (EXIT_INTERNAL);
}

void *ctl_alloc (size_t size)
{
    void *memory = calloc (1, size ? size : 1);
    if (!memory)
        ctl_no_memory ();
    return memory;
}

int ctl_exit_code (us_err_t err)
{
    switch (err) {
    case US_OK: return EXIT_DONE;
    case US_ERR_INVALID:
    case US_ERR_REQUIREMENT:
    case US_ERR_TOO_LARGE: return EXIT_USAGE;
    case US_ERR_UNREACHABLE:
    case US_ERR_STORE:
    case US_ERR_BUSY: return EXIT_UNREACHABLE;
    case US_ERR_TIMEOUT: return EXIT_LATE;
    case US_ERR_CONFIG: return EXIT_SETTINGS;
    case US_ERR_INTERRUPTED: return EXIT_INTERRUPTED;
    case US_ERR_INTERNAL:
    case US_ERR_NOMEM:
    case US_ERR_PROTOCOL:
    case US_ERR_UNSUPPORTED:
    case US_ERR_CLOSED:
    case US_ERR_SYSTEM: return EXIT_INTERNAL;
    default: return EXIT_NO;
    }
}

/* One line on stderr; whatever stands in it can be seen. */
static void s_say (const char *text)
{
    char *escaped = text_escape (text, strlen (text));
    fflush (stdout);
    fprintf (stderr, "understudy-ctl: %s\n", escaped);
    free (escaped);
}

static char *s_vprintf (const char *format, va_list args)
    __attribute__ ((format (printf, 1, 0)));

static char *s_vprintf (const char *format, va_list args)
{
    char *text = NULL;
    if (vasprintf (&text, format, args) < 0)
        ctl_no_memory ();
    return text;
}

int ctl_refused (us_err_t err, const char *what, const char *more)
{
    const char *why = us_err_text (err);
    bool repeats = strncmp (more, why, strlen (why)) == 0;
    char *line = NULL;
    if (asprintf (&line, "%s: %s%s%s", what, repeats ? "" : why,
                  *more && !repeats ? ": " : "", more) < 0)
        ctl_no_memory ();
    s_say (line);
    free (line);
    return ctl_exit_code (err);
}

/* What to do about it. */
static const char *s_hint (us_err_t err)
{
    switch (err) {
    case US_ERR_UNREACHABLE:
        return "if it listens elsewhere, name it with --broker or UNDERSTUDY_BROKER";
    case US_ERR_UNKNOWN_JOB:
        return "ended jobs are forgotten in time (understudy-broker --keep); "
               "`understudy-ctl jobs' lists what there is";
    case US_ERR_UNKNOWN_CHANNEL: return "`understudy-ctl channels' lists them";
    case US_ERR_UNKNOWN_NODE: return "`understudy-ctl nodes' lists them";
    case US_ERR_BUSY: return "make room with `understudy-ctl purge', or give it memory";
    case US_ERR_STORE: return "the broker's own log says why";
    case US_ERR_TIMEOUT: return "--timeout gives it longer";
    default: return NULL;
    }
}

int ctl_fail (ctl_t *ctl, us_err_t err, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    char *what = s_vprintf (format, args);
    va_end (args);
    int exit_code =
        ctl_refused (err, what, ctl->client ? us_client_error_text (ctl->client) : "");
    free (what);
    const char *hint = s_hint (err);
    if (hint)
        s_say (hint);
    return exit_code;
}

int ctl_bad_usage (const char *format, ...)
{
    va_list args;
    va_start (args, format);
    char *text = s_vprintf (format, args);
    va_end (args);
    s_say (text);
    free (text);
    return EXIT_USAGE;
}

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
    return err;
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
        *exit_code =
            ctl_refused (err, ctl->redis ? ctl->redis : ctl->broker,
                         ctl->redis ? "not redis://host:port/db or unix:///path"
                                    : "not tcp://host:port");
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
        ctl_no_memory ();
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

/* --- ids ---------------------------------------------------------------------------------- */

/* The hex digits of an id or its beginning, in lower case without hyphens. Their number, or
 * -1 where it is no such thing. */
static int s_digits (const char *text, char digits[2 * US_ID_LEN + 1])
{
    int count = 0;
    for (; *text; text++) {
        if (*text == '-')
            continue;
        if (!isxdigit ((unsigned char) *text) || count == 2 * US_ID_LEN)
            return -1;
        digits[count++] = (char) tolower ((unsigned char) *text);
    }
    digits[count] = '\0';
    return count;
}

/* A row's id begins with these digits. A question asks by whole bytes only. */
static bool s_row_begins (const json_t *row, const char *digits)
{
    char own[2 * US_ID_LEN + 1];
    const char *id = json_string_value (json_object_get (row, "id"));
    return id && s_digits (id, own) >= 0 && strncmp (own, digits, strlen (digits)) == 0;
}

static void s_say_found (const json_t *found)
{
    for (size_t i = 0; i < json_array_size (found) && i < SHOWN_FOUND; i++) {
        const json_t *row = json_array_get (found, i);
        const char *id = json_string_value (json_object_get (row, "id"));
        const char *state = json_string_value (json_object_get (row, "state"));
        char *line = NULL;
        if (asprintf (&line, "    %s  %s", id, state ? state : "?") < 0)
            ctl_no_memory ();
        s_say (line);
        free (line);
    }
}

/* Exactly one of the rows is the job. */
static int s_choose (ctl_t *ctl, const us_query_t *query, const char *text,
                     const char *digits, us_id_t *id)
{
    int exit_code = EXIT_DONE;
    json_t *found = json_array ();
    for (size_t i = 0; i < us_query_rows (query); i++) {
        json_t *row = json_from_query (query, i);
        if (s_row_begins (row, digits))
            json_array_append (found, row);
        json_decref (row);
    }
    size_t count = json_array_size (found);
    if (count == 0)
        exit_code = ctl_fail (ctl, US_ERR_UNKNOWN_JOB, "%s", text);
    else if (count > 1) {
        exit_code = ctl_fail (ctl, US_ERR_AMBIGUOUS, "%s", text);
        s_say_found (found);
    } else {
        const json_t *row = json_array_get (found, 0);
        if (us_id_parse (id, json_string_value (json_object_get (row, "id"))) != US_OK)
            exit_code = ctl_fail (ctl, US_ERR_PROTOCOL, "%s", text);
    }
    json_decref (found);
    return exit_code;
}

static int s_find (ctl_t *ctl, const char *text, const char *digits, int count,
                   us_id_t *id)
{
    uint8_t prefix[US_ID_LEN];
    for (int i = 0; i + 1 < count; i += 2) {
        char byte[] = {digits[i], digits[i + 1], '\0'};
        prefix[i / 2] = (uint8_t) strtoul (byte, NULL, 16);
    }
    us_query_t *query = ctl_query ("find");
    us_err_t err = us_query_set_prefix (query, prefix, (size_t) count / 2);
    if (err == US_OK)
        err = us_query_set_limit (query, MAX_FOUND);
    int exit_code =
        err == US_OK ? ctl_ask (ctl, query) : ctl_fail (ctl, err, "%s", text);
    if (exit_code == EXIT_DONE)
        exit_code = s_choose (ctl, query, text, digits, id);
    us_query_destroy (&query);
    return exit_code;
}

int ctl_find_job (ctl_t *ctl, const char *text, us_id_t *id)
{
    char digits[2 * US_ID_LEN + 1];
    int count = s_digits (text, digits);
    if (count < 0)
        return ctl_bad_usage ("'%s' is not the id of a job or its beginning", text);
    if (count < 2)
        return ctl_bad_usage ("'%s' is too short; give two digits of the id or more",
                              text);
    if (count < 2 * US_ID_LEN)
        return s_find (ctl, text, digits, count, id);

    char uuid[US_ID_TEXT_LEN + 1];
    snprintf (uuid, sizeof uuid, "%.8s-%.4s-%.4s-%.4s-%.12s", digits, digits + 8,
              digits + 12, digits + 16, digits + 20);
    if (us_id_parse (id, uuid) != US_OK)
        return ctl_bad_usage ("'%s' is not the id of a job: not a UUID of version 8",
                              text);
    return EXIT_DONE;
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

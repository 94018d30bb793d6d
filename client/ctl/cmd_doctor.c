/* SPDX-License-Identifier: MIT
 *
 * doctor: is everything reachable, and which settings are weak. What can be seen from here
 * comes first, then what the broker finds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdarg.h>

#include "ctl.h"
#include "json.h"
#include "mem.h"
#include "output.h"
#include "text.h"

#define PROBE_TIMEOUT_MS 2000

typedef struct doctor {
    const ctl_t *ctl;
    bool has_error;
} doctor_t;

static void s_find (doctor_t *doctor, const char *level, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));

static void s_find (doctor_t *doctor, const char *level, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    char *text = mem_vprintf (format, args);
    va_end (args);
    if (strcmp (level, "error") == 0)
        doctor->has_error = true;
    if (doctor->ctl->json)
        output_json (json_pack ("{s:s, s:o}", "level", level, "text",
                                json_from_text (text, strlen (text))));
    else {
        char *escaped = text_escape (text, strlen (text));
        printf ("%-7s  %s\n", level, escaped);
        free (escaped);
    }
    free (text);
}

static const char *s_text (const json_t *row, const char *key)
{
    const char *text = json_string_value (json_object_get (row, key));
    return text ? text : "";
}

/* --- what can be seen from here ---------------------------------------------------------- */

static bool s_is_loopback (const char *endpoint)
{
    return strstr (endpoint, "//127.") || strstr (endpoint, "//localhost:") ||
           strstr (endpoint, "//[::1]:");
}

/* why: words, which the caller frees. */
static us_err_t s_connect (const char *endpoint, char **why)
{
    us_options_t *options = NULL;
    us_client_t *client = NULL;
    us_err_t err = us_options_new (&options, NULL, 0);
    if (err == US_OK)
        err = us_options_set_broker (options, endpoint);
    if (err == US_OK)
        err = us_options_set_connect_timeout_ms (options, PROBE_TIMEOUT_MS);
    if (err == US_OK)
        err = us_client_new (&client, options);
    if (err == US_OK)
        err = us_client_connect (client);
    if (err != US_OK)
        *why = mem_printf ("%s",
                           client ? us_client_error_text (client) : us_err_text (err));
    us_client_destroy (&client);
    us_options_destroy (&options);
    return err;
}

static void s_probe_one (doctor_t *doctor, const char *broker, const char *endpoint)
{
    char *why = NULL;
    us_err_t err = s_connect (endpoint, &why);
    if (err == US_OK)
        s_find (doctor, "ok", "broker %s answers at %s", broker, endpoint);
    else if (err == US_ERR_DENIED) /* it does, but has nothing to do with us */
        s_find (doctor, "warning", "broker %s does not serve us at %s: %s", broker,
                endpoint, why);
    else
        s_find (doctor, "error", "broker %s does not answer at %s: %s", broker,
                endpoint, why);
    free (why);
}

/* Every address of a broker; own_host is where the broker that we use runs. */
static void s_probe (doctor_t *doctor, const json_t *broker, const char *own_host)
{
    const json_t *endpoints = json_object_get (broker, "endpoints");
    bool same_host = strcmp (s_text (broker, "host"), own_host) == 0;
    for (size_t i = 0; i < json_array_size (endpoints); i++) {
        const char *endpoint = json_string_value (json_array_get (endpoints, i));
        if (!endpoint)
            continue;
        if (s_is_loopback (endpoint) && !same_host)
            s_find (doctor, "warning",
                    "broker %s listens on loopback of another host only: %s",
                    s_text (broker, "broker"), endpoint);
        else if (strcmp (endpoint, us_client_endpoint (doctor->ctl->client)) == 0)
            continue; /* it has just answered */
        else
            s_probe_one (doctor, s_text (broker, "broker"), endpoint);
    }
}

static json_t *s_broker_of (const us_query_t *brokers, const char *id)
{
    for (size_t i = 0; i < us_query_rows (brokers); i++) {
        json_t *row = json_from_query (brokers, i);
        if (strcmp (s_text (row, "broker"), id) == 0)
            return row;
        json_decref (row);
    }
    return json_object ();
}

static void s_check_versions (doctor_t *doctor, const json_t *row, const char *what)
{
    const char *version = s_text (row, "version");
    if (*version && strcmp (version, us_version ()) != 0)
        s_find (doctor, "warning", "%s %s has version %s, understudy-ctl %s", what,
                s_text (row, "broker"), version, us_version ());
}

static void s_check_brokers (doctor_t *doctor, const json_t *status,
                             const us_query_t *brokers)
{
    json_t *own = s_broker_of (brokers, s_text (status, "broker"));
    if (us_query_rows (brokers) == 0)
        s_check_versions (doctor, status, "broker");
    for (size_t i = 0; i < us_query_rows (brokers); i++) {
        json_t *broker = json_from_query (brokers, i);
        s_check_versions (doctor, broker, "broker");
        s_probe (doctor, broker, s_text (own, "host"));
        json_decref (broker);
    }
    json_decref (own);
}

static void s_check_nodes (doctor_t *doctor, const us_query_t *nodes)
{
    size_t count = us_query_rows (nodes);
    if (count == 0)
        s_find (doctor, "warning", "no node listens: jobs wait; start understudy-node");
    else
        s_find (doctor, "ok", "%zu node%s", count, count == 1 ? "" : "s");
}

/* --- jobs that nobody will run ------------------------------------------------------------ */

static bool s_has_text (const json_t *array, const char *text)
{
    for (size_t i = 0; i < json_array_size (array); i++) {
        const char *element = json_string_value (json_array_get (array, i));
        if (element && strcmp (element, text) == 0)
            return true;
    }
    return false;
}

/* Adds what an array holds and texts does not. */
static void s_gather (json_t *texts, const json_t *array)
{
    for (size_t i = 0; i < json_array_size (array); i++) {
        json_t *element = json_array_get (array, i);
        if (json_is_string (element) &&
            !s_has_text (texts, json_string_value (element)))
            json_array_append (texts, element);
    }
}

/* What the nodes (of all brokers) that listen on a channel list under key; NULL: on any
 * channel. */
static json_t *s_offered (const us_query_t *nodes, const char *channel, const char *key)
{
    json_t *texts = json_array ();
    for (size_t i = 0; i < us_query_rows (nodes); i++) {
        json_t *node = json_from_query (nodes, i);
        if (!channel || s_has_text (json_object_get (node, "channels"), channel))
            s_gather (texts, json_object_get (node, key));
        json_decref (node);
    }
    return texts;
}

/* Is one of these versions (3.11.2) of this minor version (3.11)? */
static bool s_is_offered (const json_t *versions, const char *minor)
{
    size_t len = strlen (minor);
    for (size_t i = 0; i < json_array_size (versions); i++) {
        const char *version = json_string_value (json_array_get (versions, i));
        if (strncmp (version, minor, len) == 0 &&
            (version[len] == '.' || version[len] == '\0'))
            return true;
    }
    return false;
}

/* Nodes listen on the channel, but none of them has the Python that jobs need. */
static void s_check_pythons (doctor_t *doctor, const json_t *channel,
                             const json_t *versions)
{
    static const char python[] = "python=";
    const json_t *queues = json_object_get (channel, "queues");
    const char *name = s_text (channel, "name");
    for (size_t i = 0; i < json_array_size (queues); i++) {
        const json_t *queue = json_array_get (queues, i);
        const char *needs = s_text (queue, "needs");
        long long queued = json_integer_value (json_object_get (queue, "queued"));
        if (strncmp (needs, python, strlen (python)) != 0 ||
            s_is_offered (versions, needs + strlen (python)))
            continue;
        const char *minor = needs + strlen (python);
        char *offered = output_joined (versions, ", ");
        s_find (
            doctor, "warning",
            "channel %s: %lld job%s queued for Python %s, which no node there offers"
            " (they offer %s); start one: understudy-node --channel %s --python "
            "/usr/bin/python%s",
            name, queued, queued == 1 ? "" : "s", minor, offered, name, minor);
        free (offered);
    }
}

/* A misspelt channel, or a node that is not there. */
static void s_warn_unheard (doctor_t *doctor, const us_query_t *nodes, const char *name,
                            long long queued)
{
    json_t *heard = s_offered (nodes, NULL, "channels");
    char *others = output_joined (heard, ", ");
    s_find (doctor, "warning",
            "channel %s: %lld job%s queued and no node listens there%s%s%s; start one: "
            "understudy-node --channel %s",
            name, queued, queued == 1 ? "" : "s", *others ? " (nodes listen on " : "",
            others, *others ? ")" : "", name);
    free (others);
    json_decref (heard);
}

static void s_check_channels (doctor_t *doctor, const us_query_t *channels,
                              const us_query_t *nodes)
{
    for (size_t i = 0; i < us_query_rows (channels); i++) {
        json_t *row = json_from_query (channels, i);
        long long queued = json_integer_value (json_object_get (row, "queued"));
        json_t *versions = s_offered (nodes, s_text (row, "name"), "pythons");
        if (queued > 0 && json_array_size (versions) == 0)
            s_warn_unheard (doctor, nodes, s_text (row, "name"), queued);
        else if (queued > 0)
            s_check_pythons (doctor, row, versions);
        json_decref (versions);
        json_decref (row);
    }
}

/* --- whom a client here believes -------------------------------------------------------- */

static void s_tell_trust (doctor_t *doctor, const char *endpoint, const char *security)
{
    static const char what[] = "results: programs here unpickle results, which can run "
                               "code, as they come from";
    static const char how[] = "trust=\"data\" in Python takes plain data only";
    if (strncmp (endpoint, "ipc://", 6) == 0)
        s_find (doctor, "ok", "%s a broker of your own user and its nodes; %s", what,
                how);
    else if (strcmp (security, "keys") == 0)
        s_find (doctor, "ok",
                "%s brokers with a key of this cluster and nodes that they admit; %s",
                what, how);
    else
        s_find (doctor, "warning",
                "%s whoever listens at %s, since there are no keys; %s", what, endpoint,
                how);
}

/* --- what the broker finds ------------------------------------------------------------------ */

static void s_print_findings (doctor_t *doctor, const us_query_t *findings)
{
    for (size_t i = 0; i < us_query_rows (findings); i++) {
        json_t *row = json_from_query (findings, i);
        s_find (doctor, s_text (row, "level"), "%s", s_text (row, "text"));
        json_decref (row);
    }
}

static int s_ask (ctl_t *ctl, const char *what, us_query_t **query)
{
    *query = ctl_query (what);
    return ctl_ask (ctl, *query);
}

static int s_run (ctl_t *ctl, const command_t *command, int argc, char **argv)
{
    doctor_t doctor = {.ctl = ctl};
    us_query_t *status = NULL, *brokers = NULL, *nodes = NULL, *channels = NULL;
    us_query_t *findings = NULL;
    ctl_parse_args (ctl, command, 0, 0, &argc, argv);
    int exit_code = s_ask (ctl, "status", &status);
    if (exit_code != EXIT_DONE)
        goto out;
    json_t *row = us_query_rows (status) ? json_from_query (status, 0) : json_object ();
    s_find (&doctor, "ok", "broker %s answers at %s, version %s",
            s_text (row, "broker"), us_client_endpoint (ctl->client),
            s_text (row, "version"));
    s_tell_trust (&doctor, us_client_endpoint (ctl->client), s_text (row, "security"));
    exit_code = s_ask (ctl, "brokers", &brokers);
    if (exit_code == EXIT_DONE)
        s_check_brokers (&doctor, row, brokers);
    bool is_admin = strcmp (s_text (row, "role"), "client") != 0;
    json_decref (row);
    if (exit_code == EXIT_DONE)
        exit_code = s_ask (ctl, "nodes", &nodes);
    if (exit_code == EXIT_DONE)
        s_check_nodes (&doctor, nodes);
    if (exit_code == EXIT_DONE)
        exit_code = s_ask (ctl, "channels", &channels);
    if (exit_code == EXIT_DONE)
        s_check_channels (&doctor, channels, nodes);
    if (exit_code == EXIT_DONE && is_admin)
        exit_code = s_ask (ctl, "doctor", &findings);
    if (exit_code == EXIT_DONE && is_admin)
        s_print_findings (&doctor, findings);
    else if (exit_code == EXIT_DONE)
        s_find (&doctor, "ok", "what the broker finds itself is for admins alone");

out:
    us_query_destroy (&status);
    us_query_destroy (&brokers);
    us_query_destroy (&nodes);
    us_query_destroy (&channels);
    us_query_destroy (&findings);
    return exit_code == EXIT_DONE && doctor.has_error ? EXIT_NO : exit_code;
}

const command_t cmd_doctor = {"doctor", "", "is everything reachable, what is weak",
                              NULL, s_run};

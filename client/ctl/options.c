/* SPDX-License-Identifier: MIT
 *
 * Options: those of every command, the filters of jobs and purge, and the values in them. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ctl.h"
#include "mem.h"

enum {
    KEY_BROKER = 1000,
    KEY_REDIS,
    KEY_JSON,
    KEY_TIMEOUT,
    KEY_CONFIG,
    KEY_KEY,
    KEY_CLUSTER
};
enum { KEY_CHANNEL = 'c', KEY_STATE = 's', KEY_OLDER = 1100 };

/* --- values ---------------------------------------------------------------------------- */

typedef struct unit {
    const char *suffix; /* NULL: the last */
    int64_t factor;
} unit_t;

/* A number without a sign, and one of the units behind it. */
static bool s_parse_units (const char *text, const unit_t *units, int64_t *value)
{
    if (!isdigit ((unsigned char) *text))
        return false;
    char *end = NULL;
    errno = 0;
    long long number = strtoll (text, &end, 10);
    if (errno)
        return false;
    for (; units->suffix; units++)
        if (strcasecmp (end, units->suffix) == 0) {
            if (number > INT64_MAX / units->factor)
                return false;
            *value = number * units->factor;
            return true;
        }
    return false;
}

bool parse_ms (const char *text, int64_t *ms)
{
    static const unit_t units[] = {{"", 1000},   {"s", 1000},    {"ms", 1},
                                   {"m", 60000}, {"h", 3600000}, {"d", 86400000},
                                   {NULL, 0}};
    return s_parse_units (text, units, ms);
}

bool parse_size (const char *text, uint64_t *bytes)
{
    static const unit_t units[] = {
        {"", 1}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {NULL, 0}};
    int64_t value;
    if (!s_parse_units (text, units, &value))
        return false;
    *bytes = (uint64_t) value;
    return true;
}

bool parse_count (const char *text, unsigned max, unsigned *count)
{
    if (!isdigit ((unsigned char) *text))
        return false;
    char *end = NULL;
    errno = 0;
    unsigned long number = strtoul (text, &end, 10);
    if (errno || *end || number > max)
        return false;
    *count = (unsigned) number;
    return true;
}

bool parse_state (const char *text, int *state)
{
    for (int i = US_STATE_QUEUED; i <= US_STATE_EXPIRED; i++)
        if (strcasecmp (text, us_state_name (i)) == 0) {
            *state = i;
            return true;
        }
    return false;
}

/* --- options of every command ------------------------------------------------------------ */

static const struct argp_option s_global_options[] = {
    {"broker", KEY_BROKER, "ADDRESS[,...]", 0,
     "the brokers, like tcp://10.0.0.1:7420 (default: UNDERSTUDY_BROKER, then "
     "understudy.conf(5))",
     100},
    {"redis", KEY_REDIS, "URL", 0,
     "find the brokers in this Redis, like redis://localhost:6379/0", 100},
    {"json", KEY_JSON, NULL, 0, "one JSON object a line instead of tables", 100},
    {"timeout", KEY_TIMEOUT, "TIME", 0,
     "how long to wait for an answer, like 500ms, 5s or 2m (default: 10s)", 100},
    {"key", KEY_KEY, "FILE", 0,
     "the key to come with by tcp, of a client or an admin (default: UNDERSTUDY_KEY, "
     "then "
     "the only one in ~/.config/understudy)",
     100},
    {"cluster", KEY_CLUSTER, "FILE", 0,
     "the public file of the cluster (default: ~/.config/understudy/cluster.pub)", 100},
    {"config", KEY_CONFIG, "FILE", 0, "read settings from this file alone", 100},
    {0},
};

static error_t s_parse_global (int key, char *arg, struct argp_state *state)
{
    ctl_t *ctl = state->input;
    switch (key) {
    case KEY_BROKER: ctl->broker = arg; return 0;
    case KEY_REDIS:
        if (strchr (arg, '@') || strstr (arg, "password="))
            argp_error (state,
                        "a password on a command line can be read by every user: "
                        "give the address in UNDERSTUDY_REDIS or understudy.conf");
        ctl->redis = arg;
        return 0;
    case KEY_JSON:
        ctl->json = true;
        ctl_say_as_json ();
        return 0;
    case KEY_TIMEOUT:
        if (!parse_ms (arg, &ctl->timeout_ms))
            argp_error (state, "--timeout '%s' is not a time like 500ms, 5s or 2m",
                        arg);
        return 0;
    /* Where the library looks first. */
    case KEY_KEY: return setenv ("UNDERSTUDY_KEY", arg, 1) == 0 ? 0 : ENOMEM;
    case KEY_CLUSTER: return setenv ("UNDERSTUDY_CLUSTER", arg, 1) == 0 ? 0 : ENOMEM;
    case KEY_CONFIG: return setenv ("UNDERSTUDY_CONFIG", arg, 1) == 0 ? 0 : ENOMEM;
    default: return ARGP_ERR_UNKNOWN;
    }
}

const struct argp ctl_global_argp = {.options = s_global_options,
                                     .parser = s_parse_global};

/* --- a command's arguments ----------------------------------------------------------------- */

typedef struct inputs {
    ctl_t *ctl;
    void *own;
} inputs_t;

static error_t s_give_inputs (int key, char *arg, struct argp_state *state)
{
    (void) arg;
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    inputs_t *inputs = state->input;
    state->child_inputs[0] = inputs->own;
    state->child_inputs[1] = inputs->ctl;
    return 0;
}

void ctl_parse (ctl_t *ctl, const command_t *command, const struct argp *argp,
                void *input, int argc, char **argv)
{
    struct argp_child children[] = {{.argp = argp}, {.argp = &ctl_global_argp}, {0}};
    char *doc = mem_printf ("%s%s%s", command->help, command->more ? "\v" : "",
                            command->more ? command->more : "");
    struct argp whole = {.parser = s_give_inputs,
                         .args_doc = command->args,
                         .doc = doc,
                         .children = children};
    inputs_t inputs = {.ctl = ctl, .own = input};
    char name[64];
    snprintf (name, sizeof name, "understudy-ctl %s", command->name);
    argv[0] = name; /* what usage and errors begin with */
    error_t err = argp_parse (&whole, argc, argv, 0, NULL, &inputs);
    argv[0] = (char *) command->name;
    free (doc);
    if (err == ENOMEM)
        mem_none ();
}

typedef struct arguments {
    int min, max;
    int count;
    char **list;
} arguments_t;

static error_t s_parse_arguments (int key, char *arg, struct argp_state *state)
{
    arguments_t *arguments = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (arguments->count == arguments->max)
            argp_error (state, "unexpected argument '%s'", arg);
        arguments->list[arguments->count++] = arg;
        return 0;
    case ARGP_KEY_END:
        if (arguments->count < arguments->min)
            argp_error (state, "an argument is missing");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

int ctl_parse_args (ctl_t *ctl, const command_t *command, int min, int max, int *argc,
                    char **argv)
{
    static const struct argp argp = {.parser = s_parse_arguments};
    arguments_t arguments = {.min = min, .max = max};
    arguments.list = mem_alloc (((size_t) *argc + 1) * sizeof *arguments.list);
    ctl_parse (ctl, command, &argp, &arguments, *argc, argv);
    memcpy (argv + 1, arguments.list, (size_t) arguments.count * sizeof *argv);
    free (arguments.list);
    *argc = arguments.count + 1;
    return 1;
}

/* --- filters ----------------------------------------------------------------------------- */

static const struct argp_option s_filter_options[] = {
    {"channel", KEY_CHANNEL, "NAME", 0, "only jobs of this channel", 1},
    {"state", KEY_STATE, "STATE", 0,
     "only jobs in this state: queued, leased, running, backoff, succeeded, failed, "
     "cancelled, dead or expired",
     1},
    {"older", KEY_OLDER, "TIME", 0,
     "only jobs unchanged for so long, like 30m, 12h or 7d", 1},
    {0},
};

static error_t s_parse_filter (int key, char *arg, struct argp_state *state)
{
    filter_t *filter = state->input;
    switch (key) {
    case KEY_CHANNEL: filter->channel = arg; break;
    case KEY_STATE:
        if (!parse_state (arg, &filter->state))
            argp_error (state, "--state '%s' is not a state of a job", arg);
        break;
    case KEY_OLDER:
        if (!parse_ms (arg, &filter->older_ms))
            argp_error (state, "--older '%s' is not a time like 30m, 12h or 7d", arg);
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    filter->is_set = true;
    return 0;
}

const struct argp ctl_filter_argp = {.options = s_filter_options,
                                     .parser = s_parse_filter};

us_err_t filter_apply (const filter_t *filter, us_query_t *query)
{
    us_err_t err = US_OK;
    if (filter->channel)
        err = us_query_set_channel (query, filter->channel);
    if (err == US_OK && filter->state)
        err = us_query_set_state (query, filter->state);
    if (err == US_OK && filter->older_ms)
        err = us_query_set_older_ms (query, filter->older_ms);
    return err;
}

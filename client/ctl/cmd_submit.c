/* SPDX-License-Identifier: MIT
 *
 * submit: a shell command, or a function of a Python file with JSON arguments. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <limits.h>
#include <unistd.h>

#include "call.h"
#include "ctl.h"
#include "files.h"
#include "follow.h"
#include "mem.h"
#include "outcome.h"
#include "output.h"
#include "text.h"
#include "waiting.h"

#define NAME_MAX_CHARACTERS 64

typedef struct submit {
    const char *channel;
    const char *shell;
    const char *python;
    const char *name;
    char **packages; /* room for all arguments; the same for constraints */
    char **constraints;
    char **args;
    char **env;
    char **files;
    const char *cwd;
    int package_count, constraint_count, env_count, file_count, arg_count;
    int64_t soft_ms, hard_ms, expire_ms;
    unsigned retries;
    bool fresh, now, wait, follow;
} submit_t;

enum {
    KEY_SOFT = 1200,
    KEY_HARD,
    KEY_EXPIRE,
    KEY_RETRIES,
    KEY_FRESH,
    KEY_NOW,
    KEY_NAME,
    KEY_CONSTRAINT,
    KEY_PYTHON,
    KEY_SHELL,
    KEY_ENV,
    KEY_CWD,
    KEY_FILE
};

static const struct argp_option s_options[] = {
    {"channel", 'c', "NAME", 0, "the channel (default: default)", 1},
    {"shell", KEY_SHELL, "COMMAND", 0, "a command for /bin/sh instead of FILE:FUNCTION",
     1},
    {"package", 'p', "REQUIREMENT", 0, "a package the job needs; may be repeated", 1},
    {"constraint", KEY_CONSTRAINT, "REQUIREMENT", 0,
     "a version to keep to; may be repeated", 1},
    {"python", KEY_PYTHON, "3.11", 0, "the Python version the job needs", 1},
    {"name", KEY_NAME, "TEXT", 0,
     "what lists call the job (default: the function or the command)", 1},
    {"retries", KEY_RETRIES, "N", 0, "how often to repeat it after an exception", 1},
    {"soft-limit", KEY_SOFT, "TIME", 0, "raise an exception in the job after this time",
     1},
    {"hard-limit", KEY_HARD, "TIME", 0, "end the job after this time", 1},
    {"expire", KEY_EXPIRE, "TIME", 0, "do not start it later than this", 1},
    {"env", KEY_ENV, "NAME=VALUE", 0, "a variable for the job; may be repeated", 1},
    {"cwd", KEY_CWD, "DIR", 0,
     "run it in this folder of the node (default: an empty scratch directory)", 1},
    {"file", KEY_FILE, "[NAME=]PATH", 0,
     "a file that the job finds in its folder; may be repeated", 1},
    {"fresh", KEY_FRESH, NULL, 0, "run it in a process of its own", 1},
    {"now", KEY_NOW, NULL, 0, "refuse it where no node listens on the channel", 1},
    {"wait", 'w', NULL, 0, "wait for the end and print the value", 1},
    {"follow", 'f', NULL, 0, "like --wait, with the log on stderr as it grows", 1},
    {0},
};

static void s_time (struct argp_state *state, const char *arg, int64_t *ms)
{
    if (!parse_ms (arg, ms))
        argp_error (state, "'%s' is not a time like 500ms, 30s or 2h", arg);
}

static error_t s_check (submit_t *submit, struct argp_state *state)
{
    if (submit->shell && submit->arg_count)
        argp_error (state, "--shell and FILE:FUNCTION exclude each other");
    if (!submit->shell && !submit->arg_count)
        argp_error (state, "FILE:FUNCTION or --shell COMMAND is missing");
    return 0;
}

static error_t s_parse (int key, char *arg, struct argp_state *state)
{
    submit_t *submit = state->input;
    switch (key) {
    case 'c': submit->channel = arg; return 0;
    case 'p': submit->packages[submit->package_count++] = arg; return 0;
    case 'w': submit->wait = true; return 0;
    case 'f': submit->wait = submit->follow = true; return 0;
    case KEY_SHELL: submit->shell = arg; return 0;
    case KEY_CONSTRAINT:
        submit->constraints[submit->constraint_count++] = arg;
        return 0;
    case KEY_PYTHON: submit->python = arg; return 0;
    case KEY_ENV: submit->env[submit->env_count++] = arg; return 0;
    case KEY_CWD: submit->cwd = arg; return 0;
    case KEY_FILE: submit->files[submit->file_count++] = arg; return 0;
    case KEY_NAME: submit->name = arg; return 0;
    case KEY_SOFT: s_time (state, arg, &submit->soft_ms); return 0;
    case KEY_HARD: s_time (state, arg, &submit->hard_ms); return 0;
    case KEY_EXPIRE: s_time (state, arg, &submit->expire_ms); return 0;
    case KEY_FRESH: submit->fresh = true; return 0;
    case KEY_NOW: submit->now = true; return 0;
    case KEY_RETRIES:
        if (!parse_count (arg, 100, &submit->retries))
            argp_error (state, "--retries '%s' is not a number from 0 to 100", arg);
        return 0;
    case ARGP_KEY_ARG: submit->args[submit->arg_count++] = arg; return 0;
    case ARGP_KEY_END: return s_check (submit, state);
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp s_argp = {.options = s_options, .parser = s_parse};

/* --- making the job --------------------------------------------------------------------- */

/* Its name is what Lead.shell of the Python package calls it. */
static us_err_t s_set_shell (us_job_t *job, const submit_t *submit)
{
    us_err_t err = us_job_set_shell (job, submit->shell);
    if (err != US_OK || submit->name)
        return err;
    char *name = text_one_line (submit->shell, NAME_MAX_CHARACTERS);
    err = us_job_set_name (job, name);
    free (name);
    return err;
}

static us_err_t s_set_work (us_job_t *job, const submit_t *submit, const call_t *call)
{
    if (submit->shell)
        return s_set_shell (job, submit);
    const void *args = NULL;
    size_t len = 0;
    us_err_t err = us_writer_data (call->args, &args, &len);
    if (err == US_OK)
        err = us_job_set_source (job, call->source, call->function, args, len);
    if (err == US_OK && !submit->name)
        err = us_job_set_name (job, call->function);
    return err;
}

static us_err_t s_set_limits (us_job_t *job, const submit_t *submit)
{
    us_err_t err = us_job_set_limits_ms (job, submit->soft_ms, submit->hard_ms);
    if (err == US_OK)
        err = us_job_set_expire_ms (job, submit->expire_ms);
    if (err == US_OK)
        err = us_job_set_retries (job, submit->retries);
    if (err == US_OK)
        err = us_job_set_fresh (job, submit->fresh);
    if (err == US_OK)
        err = us_job_set_queue (job, !submit->now);
    if (err == US_OK)
        err = us_job_set_detached (job, !submit->wait);
    if (err == US_OK)
        err = us_job_set_stream_log (job, submit->follow);
    if (err == US_OK && submit->name)
        err = us_job_set_name (job, submit->name);
    return err;
}

/* The environment; says itself which requirement is refused. */
static int s_set_environment (us_job_t *job, const submit_t *submit)
{
    for (int i = 0; i < submit->package_count + submit->constraint_count; i++) {
        bool is_package = i < submit->package_count;
        const char *text = is_package ? submit->packages[i]
                                      : submit->constraints[i - submit->package_count];
        us_err_t err = is_package ? us_job_add_package (job, text)
                                  : us_job_add_constraint (job, text);
        if (err != US_OK)
            return ctl_bad_usage ("%s", us_job_error_text (job));
    }
    us_err_t err = submit->python ? us_job_set_python (job, submit->python) : US_OK;
    return err == US_OK ? EXIT_DONE
                        : ctl_bad_usage ("'%s' is not a Python version like 3.11",
                                         submit->python);
}

/* NAME=VALUE, which is cut in two. */
static us_err_t s_add_variable (us_job_t *job, char *text)
{
    char *equals = strchr (text, '=');
    if (!equals)
        return us_job_add_env (job, "", text);
    *equals = 0;
    return us_job_add_env (job, text, equals + 1);
}

static int s_set_place (us_job_t *job, const submit_t *submit)
{
    us_err_t err = submit->cwd ? us_job_set_cwd (job, submit->cwd) : US_OK;
    for (int i = 0; err == US_OK && i < submit->env_count; i++)
        err = s_add_variable (job, submit->env[i]);
    return err == US_OK ? EXIT_DONE : ctl_bad_usage ("%s", us_job_error_text (job));
}

static int s_add_files (us_job_t *job, const submit_t *submit)
{
    us_blob_t *blob = NULL;
    if (submit->file_count == 0)
        return EXIT_DONE;
    int exit_code = files_read (submit->files, submit->file_count, &blob);
    if (exit_code == EXIT_DONE && us_job_add_blob (job, blob) != US_OK)
        exit_code = ctl_bad_usage ("%s", us_job_error_text (job));
    us_blob_destroy (&blob);
    return exit_code;
}

/* A file that is submitted from is a program of its own, as if Python had run it here. */
static void s_name_program (ctl_t *ctl, const call_t *call)
{
    char place[PATH_MAX] = "";
    if (call->path && getcwd (place, sizeof place))
        ctl->program = mem_printf ("%s\n%s\n%s", call->path, place, call->source);
}

static int s_make_job (const submit_t *submit, const call_t *call, us_job_t **job)
{
    us_err_t err = us_job_new (job, submit->channel);
    if (err != US_OK)
        return ctl_refused (err, submit->channel,
                            "a channel name is 1 to 128 letters, digits, '.', '_' or "
                            "'-', beginning with a letter or digit");
    int exit_code = s_set_environment (*job, submit);
    if (exit_code == EXIT_DONE)
        exit_code = s_set_place (*job, submit);
    if (exit_code == EXIT_DONE)
        exit_code = s_add_files (*job, submit);
    if (exit_code != EXIT_DONE)
        return exit_code;
    err = s_set_work (*job, submit, call);
    if (err == US_OK)
        err = s_set_limits (*job, submit);
    return err == US_OK ? EXIT_DONE
                        : ctl_refused (err, "not a job", us_job_error_text (*job));
}

/* --- waiting for it ---------------------------------------------------------------------- */

static void s_id_text (const us_result_t *result, char text[US_ID_TEXT_LEN + 1])
{
    us_id_t id = us_result_id (result);
    us_id_format (&id, text);
}

static int s_wait_accepted (ctl_t *ctl, us_result_t *result)
{
    us_err_t err = us_result_accepted (result, ctl->timeout_ms);
    char id[US_ID_TEXT_LEN + 1];
    s_id_text (result, id);
    if (err == US_ERR_TIMEOUT || err == US_ERR_INTERRUPTED)
        return ctl_refused (err, id, "it is not known whether the job was accepted");
    return err == US_OK
               ? EXIT_DONE
               : ctl_refused (err, "the job is refused", us_result_text (result));
}

static us_err_t s_wait (waiting_t *waiting)
{
    us_err_t err;
    do {
        err = us_result_wait (waiting->result, waiting_pause_ms (waiting));
        if (err == US_ERR_TIMEOUT)
            waiting_look (waiting);
    } while (err == US_ERR_TIMEOUT ||
             (err == US_ERR_INTERRUPTED && !ctl_interrupted ()));
    return err;
}

static int s_wait_end (ctl_t *ctl, const submit_t *submit, us_result_t *result)
{
    waiting_t waiting = {.ctl = ctl, .result = result};
    if (submit->follow) {
        ctl_t plain = *ctl;
        plain.json = false; /* stdout is for the one object at the end */
        int exit_code = follow_log (&plain, &(follow_t){.result = result,
                                                        .stream = US_STREAM_LOG,
                                                        .to = stderr,
                                                        .waiting = &waiting,
                                                        .end = FOLLOW_TO_THE_END});
        if (exit_code != EXIT_DONE && exit_code != EXIT_INTERRUPTED)
            return exit_code;
    }
    us_err_t err = s_wait (&waiting);
    char id[US_ID_TEXT_LEN + 1];
    s_id_text (result, id);
    if (err == US_ERR_INTERRUPTED)
        return ctl_refused (err, id,
                            "the job goes on; `understudy-ctl cancel` ends it");
    return err == US_OK ? EXIT_DONE : ctl_fail (ctl, err, "%s", id);
}

static int s_print_end (const ctl_t *ctl, const us_result_t *result)
{
    bool succeeded = us_result_code (result) == US_OK;
    if (ctl->json) {
        char id[US_ID_TEXT_LEN + 1];
        s_id_text (result, id);
        json_t *object = json_pack ("{s:s}", "id", id);
        outcome_into (object, result);
        output_json (object);
    } else if (succeeded)
        outcome_print_value (result);
    else
        outcome_print_failure (stderr, result);
    return succeeded ? EXIT_DONE : EXIT_NO;
}

static void s_print_id (const ctl_t *ctl, const us_result_t *result)
{
    char id[US_ID_TEXT_LEN + 1];
    s_id_text (result, id);
    if (ctl->json)
        output_json (json_pack ("{s:s}", "id", id));
    else
        puts (id);
}

static int s_submit (ctl_t *ctl, const submit_t *submit, us_job_t **job)
{
    int exit_code;
    us_result_t *result = NULL;
    us_client_t *client = ctl_client (ctl, &exit_code);
    if (!client)
        return exit_code;
    us_err_t err = us_submit (client, job, &result);
    if (err != US_OK)
        return ctl_fail (ctl, err, "cannot submit the job");
    exit_code = s_wait_accepted (ctl, result);
    if (exit_code == EXIT_DONE && !submit->wait)
        s_print_id (ctl, result);
    else if (exit_code == EXIT_DONE) {
        exit_code = s_wait_end (ctl, submit, result);
        if (exit_code == EXIT_DONE)
            exit_code = s_print_end (ctl, result);
    }
    us_result_destroy (&result);
    return exit_code;
}

static int s_run (ctl_t *ctl, const command_t *command, int argc, char **argv)
{
    size_t room = (size_t) argc * sizeof (char *);
    submit_t submit = {.channel = "default",
                       .packages = mem_alloc (room),
                       .constraints = mem_alloc (room),
                       .env = mem_alloc (room),
                       .files = mem_alloc (room),
                       .args = mem_alloc (room)};
    call_t call = {0};
    us_job_t *job = NULL;
    ctl_parse (ctl, command, &s_argp, &submit, argc, argv);
    int exit_code =
        submit.shell ? EXIT_DONE : call_parse (&call, submit.args, submit.arg_count);
    if (exit_code == EXIT_DONE)
        exit_code = s_make_job (&submit, &call, &job);
    if (exit_code == EXIT_DONE) {
        s_name_program (ctl, &call);
        if (submit.wait)
            ctl_catch_interrupt ();
        exit_code = s_submit (ctl, &submit, &job);
    }
    us_job_destroy (&job);
    call_clear (&call);
    free (submit.packages);
    free (submit.constraints);
    free (submit.env);
    free (submit.files);
    free (ctl->program);
    ctl->program = NULL;
    free (submit.args);
    return exit_code;
}

static const char s_more[] =
    "Examples:\n"
    "  understudy-ctl submit --wait --shell 'uname -a'\n"
    "      waits for a command and prints what it wrote\n"
    "  understudy-ctl submit --wait -p pytz jobs.py:add '[1, 2]' '{\"scale\": 10}'\n"
    "      calls add(1, 2, scale=10) of jobs.py where pytz is installed\n"
    "  understudy-ctl submit --channel gpu train.py:main\n"
    "      prints the id at once; see then: understudy-ctl logs -f ID";

const command_t cmd_submit = {"submit",
                              "FILE:FUNCTION [JSON-ARRAY] [JSON-OBJECT]\n"
                              "--shell COMMAND",
                              "submit a job; --wait prints its value", s_more, s_run};

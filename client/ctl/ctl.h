/* SPDX-License-Identifier: MIT
 *
 * understudy-ctl: one process, one command, one client made when it is first needed.
 * A command parses its own arguments (ctl_parse), asks (ctl_ask), prints (output.h) and
 * returns the exit code of the process.
 *
 * From the lowest to the highest: exit.h, mem, text, json; fail, ask, find, options;
 * rights, output, outcome, call, waiting, follow; the commands, each in a file of its own that knows no
 * other; main. Of the library only its API (include/understudy) is used, as any program
 * would; keys are made with common/auth, users of Redis with common/redis. */
#ifndef CLIENT_CTL_CTL_H
#define CLIENT_CTL_CTL_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>
#include <understudy/understudy.h>

#include "exit.h"

typedef struct ctl {
    const char *broker; /* addresses; NULL: from the settings */
    const char *redis;
    bool json;
    int64_t timeout_ms; /* for one answer */
    char *program;      /* that submits, in bytes that tell it apart; NULL: this one */
    us_client_t *client;
} ctl_t;

typedef struct command {
    const char *name;
    const char *args; /* as in usage */
    const char *help; /* one line */
    const char *more; /* after the options in --help; NULL: nothing */
    int (*run) (ctl_t *ctl, const struct command *command, int argc, char **argv);
} command_t;

extern const command_t cmd_status, cmd_channels, cmd_brokers, cmd_nodes, cmd_jobs,
    cmd_show, cmd_logs, cmd_cancel, cmd_retry, cmd_purge, cmd_drain, cmd_envs,
    cmd_submit, cmd_doctor, cmd_why, cmd_keygen, cmd_keys, cmd_audit;

/* --- options (options.c) ------------------------------------------------------------- */

/* Parses a command's arguments: its own options, which its parser puts into input, and those
 * that every command has, which go into ctl. Ends the process on --help and bad usage. */
void ctl_parse (ctl_t *ctl, const command_t *command, const struct argp *argp,
                void *input, int argc, char **argv);
/* For commands without options: min to max arguments. Index of the first in argv. */
int ctl_parse_args (ctl_t *ctl, const command_t *command, int min, int max, int *argc,
                    char **argv);
/* The options that every command has; the input of its parser is a ctl_t. */
extern const struct argp ctl_global_argp;

/* --channel, --state, --older of jobs and purge. */
typedef struct filter {
    const char *channel;
    int state; /* 0: any */
    int64_t older_ms;
    bool is_set; /* one of them was given */
} filter_t;

extern const struct argp ctl_filter_argp; /* the input of its parser is a filter_t */
us_err_t filter_apply (const filter_t *filter, us_query_t *query);

/* "5" and "5s" are seconds; also ms, m, h, d. Numbers without a sign. Names of states in
 * either case. false where malformed. */
bool parse_ms (const char *text, int64_t *ms);
/* "4096", "64K", "2M", "1G": bytes. */
bool parse_size (const char *text, uint64_t *bytes);
bool parse_count (const char *text, unsigned max, unsigned *count);
bool parse_state (const char *text, int *state);

/* --- talking to the broker (ask.c) ---------------------------------------------------- */

/* The client, made now if need be. On failure says why and returns NULL and the exit code. */
us_client_t *ctl_client (ctl_t *ctl, int *exit_code);
/* A question about nothing in particular. Never NULL: ends the process without memory. */
us_query_t *ctl_query (const char *what);
/* Asks; on failure says why. EXIT_DONE or the exit code. */
int ctl_ask (ctl_t *ctl, us_query_t *query);
/* Brings a certificate to the brokers; on failure says why. */
int ctl_admit (ctl_t *ctl, const void *certificate, size_t len);
/* The same for a question with one answer about one job. */
int ctl_ask_job (ctl_t *ctl, const char *what, const us_id_t *id, us_query_t **query);
/* Opens a job to read its result or log. On failure says why. */
int ctl_open (ctl_t *ctl, const us_id_t *id, us_result_t **result);

/* Ctrl-C from now on only interrupts waits; true once it was pressed. */
void ctl_catch_interrupt (void);
bool ctl_interrupted (void);

/* --- jobs by their ids (find.c) ------------------------------------------------------ */

/* A whole id, or so much of it that it can mean one job only. On failure says why. */
int ctl_find_job (ctl_t *ctl, const char *text, us_id_t *id);

/* --- what went wrong (fail.c) -------------------------------------------------------- */

/* One line on stderr; whatever stands in it can be seen. */
void ctl_say (const char *text);
/* From now on each is a JSON object {"message": TEXT}, for --json. */
void ctl_say_as_json (void);
/* Says on stderr what did not work and why; returns the exit code for err. */
int ctl_fail (ctl_t *ctl, us_err_t err, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));
/* The same with the words that belong to err, where the client has none ("" for none). */
int ctl_refused (us_err_t err, const char *what, const char *more);
/* Says on stderr what the user got wrong; returns EXIT_USAGE. */
int ctl_bad_usage (const char *format, ...) __attribute__ ((format (printf, 1, 2)));
int ctl_exit_code (us_err_t err);
/* Says that a new file or folder could not be made, by its errno; the exit code. */
int ctl_cannot_make (const char *path, int error);

#endif

/* SPDX-License-Identifier: MIT
 *
 * understudy-ctl: see and steer an Understudy. Reads the options that stand before the
 * command and hands over. */
#include <jansson.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/similar.h"
#include "ctl.h"
#include "mem.h"
#include "output.h"

#define DEFAULT_TIMEOUT_MS 10000

/* All commands, in the order in which help shows them. */
#define GROUP_MAX 8
static const struct group {
    const char *title;
    const command_t *commands[GROUP_MAX]; /* NULL: no more */
} s_groups[] = {
    {"Look around",
     {&cmd_status, &cmd_channels, &cmd_jobs, &cmd_nodes, &cmd_brokers, &cmd_envs,
      &cmd_doctor}},
    {"One job", {&cmd_submit, &cmd_show, &cmd_why, &cmd_logs, &cmd_cancel, &cmd_retry}},
    {"Keep house", {&cmd_purge, &cmd_drain}},
    {"Keys", {&cmd_keygen, &cmd_keys, &cmd_audit}},
};
enum { GROUPS = sizeof s_groups / sizeof *s_groups };

static const char s_usage[] =
    "Usage: understudy-ctl [OPTION...] COMMAND [ARGUMENT...]\n";
static const char s_summary[] = "See and steer an Understudy.";
static const char s_examples[] =
    "\nExamples:\n"
    "  understudy-ctl submit --wait --shell 'uname -a'\n"
    "      runs a command on a node and prints what it wrote\n"
    "  understudy-ctl logs -f 3fb2\n"
    "      follows the log of the job whose id begins so\n"
    "\n";
static const char s_more_help[] =
    "`understudy-ctl --help' tells options and exit codes,\n"
    "`understudy-ctl COMMAND --help' those of a command.\n";
static const char s_doc_tail[] =
    "`understudy-ctl COMMAND --help' tells the options of a command. ID is the id of a "
    "job, or so much of its beginning that only one job has it.\n"
    "\n"
    "Exit codes:\n"
    "  0    done\n"
    "  1    the answer is no: not found, ambiguous, too late, the job failed\n"
    "  64   bad usage, a malformed id or requirement\n"
    "  69   no broker answers, or its Redis does not\n"
    "  70   internal error\n"
    "  74   the answer could not be written\n"
    "  75   no answer in time\n"
    "  77   the key may not do that, or there is none\n"
    "  78   the configuration is wrong\n"
    "  130  interrupted\n"
    "\n"
    "Options are read before and after the command. Addresses come from --broker or "
    "--redis, else from the variable UNDERSTUDY_BROKER, else from the first "
    "understudy.conf that is there, else it is the unix socket of your own broker on "
    "this machine. The file is:\n"
    "  the one that --config names, or else $UNDERSTUDY_CONFIG\n"
    "  ~/.config/understudy/understudy.conf ($XDG_CONFIG_HOME where that is set)\n"
    "  /etc/understudy/understudy.conf";

static void s_print_commands (FILE *stream)
{
    for (int g = 0; g < GROUPS; g++) {
        fprintf (stream, "%s%s:\n", g ? "\n" : "", s_groups[g].title);
        for (int i = 0; i < GROUP_MAX && s_groups[g].commands[i]; i++)
            fprintf (stream, "  %-9s  %s\n", s_groups[g].commands[i]->name,
                     s_groups[g].commands[i]->help);
    }
}

static char *s_make_doc (void)
{
    mem_text_t doc;
    mem_text_begin (&doc);
    fprintf (doc.stream, "%s\v", s_summary);
    s_print_commands (doc.stream);
    fputs (s_examples, doc.stream);
    fputs (s_doc_tail, doc.stream);
    return mem_text_end (&doc);
}

/* Nothing was asked for: what there is, short. */
static _Noreturn void s_teach (void)
{
    fprintf (stderr, "%s%s\n\n", s_usage, s_summary);
    s_print_commands (stderr);
    fputs (s_examples, stderr);
    fputs (s_more_help, stderr);
    exit (EXIT_USAGE);
}

typedef struct start {
    ctl_t *ctl;
    int command_at; /* in argv; 0: none was given */
} start_t;

static error_t s_parse (int key, char *arg, struct argp_state *state)
{
    (void) arg;
    start_t *start = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = start->ctl; return 0;
    case ARGP_KEY_ARG:
        start->command_at = state->next - 1;
        state->next = state->argc; /* the rest is the command's */
        return 0;
    case ARGP_KEY_END:
        if (!start->command_at)
            s_teach ();
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static void s_print_version (FILE *stream, struct argp_state *state)
{
    (void) state;
    fprintf (stream, "understudy-ctl %s\n", us_version ());
}

static int s_read_start (ctl_t *ctl, int argc, char **argv)
{
    char *doc = s_make_doc ();
    const struct argp_child children[] = {{.argp = &ctl_global_argp}, {0}};
    const struct argp argp = {.parser = s_parse,
                              .args_doc = "COMMAND [ARGUMENT...]",
                              .doc = doc,
                              .children = children};
    start_t start = {.ctl = ctl};
    argp_program_version_hook = s_print_version;
    error_t err = argp_parse (&argp, argc, argv, ARGP_IN_ORDER, NULL, &start);
    free (doc);
    if (err)
        mem_none ();
    return start.command_at;
}

static const command_t *s_find_command (const char *name)
{
    for (int g = 0; g < GROUPS; g++)
        for (int i = 0; i < GROUP_MAX && s_groups[g].commands[i]; i++)
            if (strcmp (name, s_groups[g].commands[i]->name) == 0)
                return s_groups[g].commands[i];
    return NULL;
}

static int s_unknown (const char *name)
{
    const char *meant = NULL;
    unsigned least = USI_NOT_SIMILAR;
    for (int g = 0; g < GROUPS; g++)
        for (int i = 0; i < GROUP_MAX && s_groups[g].commands[i]; i++) {
            unsigned slips = usi_slips (name, s_groups[g].commands[i]->name);
            if (slips < least) {
                least = slips;
                meant = s_groups[g].commands[i]->name;
            }
        }
    if (meant)
        return ctl_bad_usage ("'%s' is not a command; did you mean '%s'? See "
                              "understudy-ctl --help",
                              name, meant);
    return ctl_bad_usage ("'%s' is not a command; see understudy-ctl --help", name);
}

int main (int argc, char **argv)
{
    /* `understudy-ctl jobs | head` ends quietly, whoever started us. */
    signal (SIGPIPE, SIG_DFL);
    setlocale (LC_CTYPE, "C.UTF-8"); /* widths of characters; text is always UTF-8 */
    json_set_alloc_funcs (mem_alloc, free);

    ctl_t ctl = {.timeout_ms = DEFAULT_TIMEOUT_MS};
    int at = s_read_start (&ctl, argc, argv);
    const command_t *command = s_find_command (argv[at]);
    if (!command)
        return s_unknown (argv[at]);

    int exit_code = command->run (&ctl, command, argc - at, argv + at);
    us_client_destroy (&ctl.client);
    return output_close (exit_code);
}

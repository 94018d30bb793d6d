/* SPDX-License-Identifier: MIT
 *
 * audit: who did what, from the file that a broker of this machine writes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/place.h"
#include "ctl.h"
#include "mem.h"
#include "output.h"

#define OLDER        4 /* audit.log.1 to .4 */
#define LINES        100
#define LINE_MAX_LEN 8192

enum { KEY_DIR = 'o', KEY_NAME = 'u', KEY_WHAT = 'w', KEY_LIMIT = 'n' };
static const struct argp_option s_options[] = {
    {"who", KEY_NAME, "NAME", 0, "what the key of this name did", 2},
    {"what", KEY_WHAT, "WORD", 0,
     "only: submit, cancel, retry, purge, drain, admit, revoke, join, leave, deny or "
     "cut",
     2},
    {"limit", KEY_LIMIT, "N", 0, "the last so many lines (default: 100; 0: all)", 2},
    {"dir", KEY_DIR, "DIR", 0,
     "the data folder of the broker (default: ~/.local/state/understudy)", 3},
    {0},
};

typedef struct audit {
    const char *dir, *key, *what;
    unsigned limit;
    json_t *rows; /* those that fit, the oldest first */
} audit_t;

static error_t s_parse (int key, char *arg, struct argp_state *state)
{
    audit_t *self = state->input;
    switch (key) {
    case KEY_DIR: self->dir = arg; return 0;
    case KEY_NAME: self->key = arg; return 0;
    case KEY_WHAT: self->what = arg; return 0;
    case KEY_LIMIT:
        if (!parse_count (arg, INT32_MAX, &self->limit))
            argp_error (state, "--limit '%s' is not a number", arg);
        return 0;
    case ARGP_KEY_ARG: argp_error (state, "unexpected argument '%s'", arg); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp s_argp = {.options = s_options, .parser = s_parse};

static bool s_is (const json_t *row, const char *key, const char *wanted)
{
    const char *text = json_string_value (json_object_get (row, key));
    return !wanted || (text && strcmp (text, wanted) == 0);
}

static void s_take (audit_t *self, const char *line)
{
    json_t *row = json_loads (line, 0, NULL);
    if (!row)
        return; /* the broker was killed while it wrote it */
    if (s_is (row, "key", self->key) && s_is (row, "what", self->what)) {
        json_array_append (self->rows, row);
        if (self->limit && json_array_size (self->rows) > self->limit)
            json_array_remove (self->rows, 0);
    }
    json_decref (row);
}

/* 0, or why there is no such file. */
static int s_read (audit_t *self, const char *path)
{
    char line[LINE_MAX_LEN];
    FILE *file = fopen (path, "re");
    if (!file)
        return errno;
    while (fgets (line, sizeof line, file))
        s_take (self, line);
    fclose (file);
    return 0;
}

static int s_read_all (audit_t *self, const char *folder)
{
    char *path = mem_printf ("%s/audit.log", folder);
    for (int i = OLDER; i > 0; i--) {
        char *older = mem_printf ("%s.%d", path, i);
        s_read (self, older);
        free (older);
    }
    int error = s_read (self, path);
    if (error) {
        char *line =
            mem_printf ("%s: %s; a broker with keys writes it: say where its data "
                        "are with --dir",
                        path, strerror (error));
        ctl_say (line);
        free (line);
    }
    free (path);
    return error ? EXIT_NO : EXIT_DONE;
}

static const column_t s_columns[] = {
    {"TIME", "time_ms", FORM_TIME},
    {"WHAT", "what", FORM_TEXT},
    {"KEY", "key", FORM_TEXT},
    {"NAME", "name", FORM_TEXT},
    {"JOBS", "jobs", FORM_NUMBER},
    {"REFUSED", "refused", FORM_NUMBER},
    {"CHANNEL", "channel", FORM_TEXT},
    {"DETAIL", "detail", FORM_TEXT},
    {NULL, NULL, 0},
};

static int s_run (ctl_t *ctl, const command_t *command, int argc, char **argv)
{
    audit_t self = {.limit = LINES};
    ctl_parse (ctl, command, &s_argp, &self, argc, argv);
    char *folder = self.dir ? mem_printf ("%s", self.dir) : usi_place_state ();
    if (!folder)
        return ctl_bad_usage ("HOME is not set: say where with --dir");
    self.rows = json_array ();
    int exit_code = s_read_all (&self, folder);
    if (exit_code == EXIT_DONE)
        output_list (ctl, self.rows, s_columns);
    json_decref (self.rows);
    free (folder);
    return exit_code;
}

const command_t cmd_audit = {
    "audit", "", "who submitted, cancelled, joined, was refused",
    "Of the broker whose data are here, the last lines last. A line without a KEY is "
    "of the "
    "user of the broker; jobs that are handed in within a second are one line.",
    s_run};

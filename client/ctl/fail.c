/* SPDX-License-Identifier: MIT
 *
 * Saying what went wrong, and the exit code for it: see ctl.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "json.h"
#include "mem.h"
#include "text.h"

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
    case US_ERR_DENIED: return EXIT_DENIED;
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

static bool s_as_json;

void ctl_say_as_json (void)
{
    s_as_json = true;
}

void ctl_say (const char *text)
{
    fflush (stdout);
    if (s_as_json) {
        json_t *object =
            json_pack ("{s:o}", "message", json_from_text (text, strlen (text)));
        json_dumpf (object, stderr, JSON_COMPACT);
        fputc ('\n', stderr);
        json_decref (object);
        return;
    }
    char *escaped = text_escape (text, strlen (text));
    fprintf (stderr, "understudy-ctl: %s\n", escaped);
    free (escaped);
}

int ctl_cannot_make (const char *path, int error)
{
    char *line = mem_printf (
        "%s: %s%s", path, strerror (error),
        error == EEXIST
            ? "; a key that is there is never written over: move it away first"
            : "");
    ctl_say (line);
    free (line);
    return EXIT_WRITE;
}

int ctl_refused (us_err_t err, const char *what, const char *more)
{
    const char *why = us_err_text (err);
    bool repeats = strncmp (more, why, strlen (why)) == 0;
    char *line = mem_printf ("%s: %s%s%s", what, repeats ? "" : why,
                             *more && !repeats ? ": " : "", more);
    ctl_say (line);
    free (line);
    return ctl_exit_code (err);
}

/* What the user can do about it; NULL: nothing in particular. */
static const char *s_hint (us_err_t err)
{
    switch (err) {
    case US_ERR_UNREACHABLE:
        return "if it listens elsewhere, name it with --broker or UNDERSTUDY_BROKER";
    case US_ERR_DENIED:
        return "`understudy-ctl keys' shows to an admin which keys there are, and what "
               "they "
               "may do";
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
    char *what = mem_vprintf (format, args);
    va_end (args);
    int exit_code =
        ctl_refused (err, what, ctl->client ? us_client_error_text (ctl->client) : "");
    free (what);
    const char *hint = s_hint (err);
    if (hint)
        ctl_say (hint);
    return exit_code;
}

int ctl_bad_usage (const char *format, ...)
{
    va_list args;
    va_start (args, format);
    char *text = mem_vprintf (format, args);
    va_end (args);
    ctl_say (text);
    free (text);
    return EXIT_USAGE;
}

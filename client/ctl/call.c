/* SPDX-License-Identifier: MIT
 *
 * A call as it is typed, see call.h. */
#include "call.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "mem.h"

#define MAX_SOURCE (16u << 20)

/* Reads a whole text file; NULL after saying why not. */
static char *s_read_file (const char *path)
{
    char *text = NULL;
    FILE *file = fopen (path, "re");
    if (!file) {
        ctl_bad_usage ("%s: %s", path, strerror (errno));
        return NULL;
    }
    size_t len = 0, cap = 0;
    do {
        cap = cap ? 2 * cap : 65536;
        text = realloc (text, cap);
        if (!text)
            mem_none ();
        len += fread (text + len, 1, cap - 1 - len, file);
    } while (len == cap - 1 && cap <= MAX_SOURCE);
    text[len] = '\0';

    json_t *utf8 = json_stringn (text, len);
    const char *why = ferror (file)          ? strerror (errno)
                      : cap > MAX_SOURCE     ? "too large for a source file"
                      : strlen (text) != len ? "holds a NUL byte"
                      : !utf8                ? "is not UTF-8"
                                             : NULL;
    json_decref (utf8);
    fclose (file);
    if (why) {
        ctl_bad_usage ("%s: %s", path, why);
        free (text);
        text = NULL;
    }
    return text;
}

static int s_parse_target (call_t *call, const char *target)
{
    const char *colon = strrchr (target, ':');
    if (!colon || colon == target || !colon[1])
        return ctl_bad_usage ("'%s' is not FILE:FUNCTION, like jobs.py:add", target);
    char *path = strndup (target, (size_t) (colon - target));
    if (!path)
        mem_none ();
    call->function = colon + 1;
    call->source = s_read_file (path);
    call->path = call->source ? realpath (path, NULL) : NULL;
    free (path);
    return call->source ? EXIT_DONE : EXIT_USAGE;
}

/* One argument behind the function; NULL after saying what is wrong. */
static json_t *s_parse_json (const char *text)
{
    json_error_t error;
    size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_t *value = json_loads (text, flags, &error);
    if (!value)
        ctl_bad_usage ("'%s' is not JSON: %s (column %d)", text, error.text,
                       error.column);
    return value;
}

static int s_parse_args (json_t **positional, json_t **keywords, char *const *args,
                         int count)
{
    for (int i = 0; i < count; i++) {
        json_t *value = s_parse_json (args[i]);
        if (!value)
            return EXIT_USAGE;
        if (json_is_array (value) && !*positional && !*keywords)
            *positional = value;
        else if (json_is_object (value) && !*keywords)
            *keywords = value;
        else {
            json_decref (value);
            return ctl_bad_usage (
                "arguments are a JSON array, and an object for keywords: "
                "'[1, 2]' '{\"k\": 1}'; not '%s'",
                args[i]);
        }
    }
    return EXIT_DONE;
}

static void s_write_args (call_t *call, const json_t *positional,
                          const json_t *keywords)
{
    if (us_writer_new (&call->args) != US_OK)
        mem_none ();
    us_write_array (call->args, 2);
    if (positional)
        json_write (call->args, positional);
    else
        us_write_array (call->args, 0);
    if (keywords)
        json_write (call->args, keywords);
    else
        us_write_map (call->args, 0);
}

int call_parse (call_t *call, char *const *args, int count)
{
    json_t *positional = NULL, *keywords = NULL;
    int exit_code = s_parse_args (&positional, &keywords, args + 1, count - 1);
    if (exit_code == EXIT_DONE)
        exit_code = s_parse_target (call, args[0]);
    if (exit_code == EXIT_DONE)
        s_write_args (call, positional, keywords);
    json_decref (positional);
    json_decref (keywords);
    return exit_code;
}

void call_clear (call_t *call)
{
    free (call->source);
    free (call->path);
    us_writer_destroy (&call->args);
    *call = (call_t){0};
}

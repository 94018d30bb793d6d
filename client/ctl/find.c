/* SPDX-License-Identifier: MIT
 *
 * Finding a job by its id or the beginning of it: see ctl.h. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "json.h"
#include "mem.h"

#define MAX_FOUND   10000 /* candidates for a prefix; the protocol's limit */
#define SHOWN_FOUND 5     /* of them that are named */

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
        char *line = mem_printf ("    %s  %s", id, state ? state : "?");
        ctl_say (line);
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

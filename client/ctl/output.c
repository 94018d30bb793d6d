/* SPDX-License-Identifier: MIT
 *
 * Tables and JSON lines, see output.h. */
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "mem.h"
#include "text.h"

#define GAP 2 /* blanks between columns */

/* --- cells --------------------------------------------------------------------------- */

static int64_t s_wall_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_REALTIME, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static char *s_copy (const char *text)
{
    return text_escape (text, strlen (text));
}

char *output_joined (const json_t *list, const char *between)
{
    mem_text_t joined;
    mem_text_begin (&joined);
    for (size_t i = 0; i < json_array_size (list); i++) {
        const json_t *element = json_array_get (list, i);
        fputs (i ? between : "", joined.stream);
        if (json_is_string (element))
            fputs (json_string_value (element), joined.stream);
        else
            json_dumpf (element, joined.stream, JSON_ENCODE_ANY | JSON_COMPACT);
    }
    return mem_text_end (&joined);
}

static char *s_list_cell (const json_t *list)
{
    char *joined = output_joined (list, ",");
    char *cell = s_copy (joined);
    free (joined);
    return cell;
}

static char *s_text_cell (const json_t *value)
{
    switch (json_typeof (value)) {
    case JSON_STRING: return s_copy (json_string_value (value));
    case JSON_TRUE: return s_copy ("yes");
    case JSON_FALSE: return s_copy ("no");
    case JSON_NULL: return s_copy ("");
    case JSON_ARRAY: return s_list_cell (value);
    default: break;
    }
    char *json = json_dumps (value, JSON_ENCODE_ANY | JSON_COMPACT);
    char *cell = s_copy (json ? json : "?");
    free (json);
    return cell;
}

static char *s_number_cell (int64_t number, form_t form)
{
    switch (form) {
    case FORM_SIZE: return text_size ((uint64_t) number);
    case FORM_SPAN: return number ? text_duration (number) : NULL;
    case FORM_TIME: return number ? text_time (number) : NULL;
    case FORM_AGE: {
        int64_t age = s_wall_ms () - number;
        return number ? text_duration (age > 0 ? age : 0) : NULL;
    }
    case FORM_ERROR: return number ? s_copy (us_err_text ((int) number)) : NULL;
    default: break;
    }
    char text[32];
    snprintf (text, sizeof text, "%lld", (long long) number);
    return s_copy (text);
}

/* NULL: there is nothing to show. */
static char *s_cell (const json_t *row, const column_t *column)
{
    const json_t *value = json_object_get (row, column->key);
    if (column->form == FORM_NUMBER || column->form == FORM_SIZE) {
        if (!value)
            return s_number_cell (0, column->form);
    }
    if (!value || json_is_null (value))
        return NULL;
    if (column->form != FORM_TEXT && json_is_integer (value))
        return s_number_cell (json_integer_value (value), column->form);
    char *cell = s_text_cell (value);
    if (cell && *cell == '\0') {
        free (cell);
        cell = NULL;
    }
    return cell;
}

char *output_cell (const json_t *row, const column_t *column)
{
    char *cell = s_cell (row, column);
    return cell ? cell : s_copy ("-");
}

/* --- tables -------------------------------------------------------------------------- */

static size_t s_count_columns (const column_t *columns)
{
    size_t count = 0;
    while (columns[count].title)
        count++;
    return count;
}

static void s_pad (size_t blanks)
{
    while (blanks--)
        putchar (' ');
}

static void s_print_line (char *const *cells, const column_t *columns,
                          const size_t *widths)
{
    for (size_t i = 0; columns[i].title; i++) {
        size_t blanks = widths[i] - text_width (cells[i]);
        bool right = columns[i].form == FORM_NUMBER || columns[i].form == FORM_SIZE;
        s_pad (i ? GAP : 0);
        s_pad (right ? blanks : 0);
        fputs (cells[i], stdout);
        if (columns[i + 1].title)
            s_pad (right ? 0 : blanks);
    }
    putchar ('\n');
}

static void s_print_table (char *const *cells, size_t rows, const column_t *columns)
{
    size_t count = s_count_columns (columns);
    size_t *widths = mem_alloc (count * sizeof *widths);
    for (size_t i = 0; i < rows * count; i++) {
        size_t width = text_width (cells[i]);
        if (width > widths[i % count])
            widths[i % count] = width;
    }
    for (size_t row = 0; row < rows; row++)
        s_print_line (cells + row * count, columns, widths);
    free (widths);
}

static void s_table (const json_t *list, const column_t *columns)
{
    size_t count = s_count_columns (columns);
    size_t rows = json_array_size (list) + 1;
    char **cells = mem_alloc (rows * count * sizeof *cells);
    for (size_t i = 0; i < count; i++)
        cells[i] = s_copy (columns[i].title);
    for (size_t row = 1; row < rows; row++)
        for (size_t i = 0; i < count; i++)
            cells[row * count + i] =
                output_cell (json_array_get (list, row - 1), &columns[i]);
    s_print_table (cells, rows, columns);
    for (size_t i = 0; i < rows * count; i++)
        free (cells[i]);
    free (cells);
}

void output_rows (const ctl_t *ctl, const us_query_t *query, const column_t *columns)
{
    json_t *list = json_array ();
    for (size_t row = 0; row < us_query_rows (query); row++)
        json_array_append_new (list, json_from_query (query, row));
    output_list (ctl, list, columns);
    json_decref (list);
}

void output_list (const ctl_t *ctl, const json_t *list, const column_t *columns)
{
    if (!ctl->json)
        s_table (list, columns);
    for (size_t row = 0; ctl->json && row < json_array_size (list); row++)
        output_json (json_incref (json_array_get (list, row)));
}

void output_description (const json_t *row, const column_t *lines)
{
    size_t widest = 0;
    for (const column_t *line = lines; line->title; line++)
        if (strlen (line->title) > widest)
            widest = strlen (line->title);
    for (const column_t *line = lines; line->title; line++) {
        char *cell = s_cell (row, line);
        if (cell)
            printf ("%s:%*s%s\n", line->title,
                    (int) (widest - strlen (line->title) + GAP), "", cell);
        free (cell);
    }
}

void output_bytes (FILE *stream, const char *data, size_t len, bool raw)
{
    if (raw || !isatty (fileno (stream))) {
        fwrite (data, 1, len, stream);
        return;
    }
    char *escaped = text_escape_log (data, len);
    fputs (escaped, stream);
    free (escaped);
}

/* --- JSON and the end ------------------------------------------------------------------ */

void output_json (json_t *object)
{
    /* A terminal must not see the control characters that JSON leaves as they are. */
    size_t flags = isatty (STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0;
    json_dumpf (object, stdout, flags | JSON_COMPACT);
    putchar ('\n');
    json_decref (object);
}

int output_close (int exit_code)
{
    bool failed = fflush (stdout) != 0 || ferror (stdout);
    if (!failed)
        return exit_code;
    fprintf (stderr, "understudy-ctl: cannot write the answer: %s\n", strerror (errno));
    return EXIT_WRITE;
}

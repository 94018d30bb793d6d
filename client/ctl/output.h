/* SPDX-License-Identifier: MIT
 *
 * What commands print on stdout: tables for people, one JSON object a line for programs. Both
 * are made from the same rows.
 *
 * Stands on ctl.h, json.h, text.h and mem.h. */
#ifndef CLIENT_CTL_OUTPUT_H
#define CLIENT_CTL_OUTPUT_H

#include <jansson.h>
#include <stdio.h>

#include "ctl.h"

/* How a cell is shown. What is not there, or zero where zero says nothing, is "-". */
typedef enum form {
    FORM_TEXT,   /* strings; arrays by comma; booleans as yes and no */
    FORM_NUMBER, /* to the right */
    FORM_SIZE,
    FORM_SPAN,  /* milliseconds */
    FORM_TIME,  /* wall clock */
    FORM_AGE,   /* wall clock, as time gone by */
    FORM_ERROR, /* an error code, by its text */
} form_t;

/* A column, or a line of a description; tables of them end with a NULL title. */
typedef struct column {
    const char *title;
    const char *key; /* of the row */
    form_t form;
} column_t;

/* Text of one cell, escaped; the caller frees it. */
char *output_cell (const json_t *row, const column_t *column);
/* The elements of an array with this between them, deeper ones as JSON; the caller frees
 * it. */
char *output_joined (const json_t *list, const char *between);

/* All rows of an answered question. */
void output_rows (const ctl_t *ctl, const us_query_t *query, const column_t *columns);
/* The same of an array of objects. */
void output_list (const ctl_t *ctl, const json_t *list, const column_t *columns);
/* One row as lines "title: value"; lines without a value are left out. Always a table. */
void output_description (const json_t *row, const column_t *lines);
/* What a job wrote. On a terminal control characters are escaped, unless raw. */
void output_bytes (FILE *stream, const char *data, size_t len, bool raw);
/* One JSON object on a line. Takes the reference. */
void output_json (json_t *object);
/* Flushes stdout; EXIT_WRITE where not all could be written (said on stderr), else
 * exit_code. */
int output_close (int exit_code);

#endif

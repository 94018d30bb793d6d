/* SPDX-License-Identifier: MIT
 *
 * How a job ended, see outcome.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "outcome.h"

#include "json.h"
#include "output.h"
#include "text.h"

/* The value as JSON; NULL where there is none, or where it is a pickle. New reference. */
static json_t *s_value (const us_result_t *result)
{
    const void *data = NULL;
    size_t len = 0;
    if (us_result_code (result) != US_OK ||
        us_result_value (result, &data, &len) != US_OK)
        return NULL;
    return json_from_value (data, len);
}

/* The failure envelope without its pickle; NULL where there is none. New reference. */
static json_t *s_failure (const us_result_t *result)
{
    const void *data = NULL;
    size_t len = 0;
    if (us_result_code (result) == US_OK ||
        us_result_body (result, &data, &len) != US_OK || len == 0)
        return NULL;
    json_t *failure = json_from_value (data, len);
    if (failure && !json_is_object (failure)) {
        json_decref (failure);
        return NULL;
    }
    json_object_del (failure, "pickle");
    return failure;
}

void outcome_into (json_t *object, const us_result_t *result)
{
    us_err_t code = us_result_code (result);
    const char *state = us_state_name ((int) us_result_state (result));
    json_object_set_new (object, "state", json_string (state));
    json_object_set_new (object, "code", json_integer (code));
    if (code == US_OK) {
        json_t *value = s_value (result);
        if (value)
            json_object_set_new (object, "value", value);
        else
            json_object_set_new (object, "pickle", json_true ());
        return;
    }
    const char *text = us_result_text (result);
    json_object_set_new (object, "error", json_string (us_err_name (code)));
    json_object_set_new (object, "text", json_from_text (text, strlen (text)));
    json_t *failure = s_failure (result);
    if (failure)
        json_object_set_new (object, "failure", failure);
}

/* --- for people ------------------------------------------------------------------------ */

void outcome_print_value (const us_result_t *result)
{
    const void *data = NULL;
    size_t len = 0;
    us_err_t err = us_result_value (result, &data, &len);
    if (err == US_ERR_SERIALIZATION) {
        us_id_t id = us_result_id (result);
        char text[US_ID_TEXT_LEN + 1];
        us_id_format (&id, text);
        fprintf (stderr,
                 "understudy-ctl: the value is a Python pickle; in Python, "
                 "understudy.Result (\"%s\") opens it\n",
                 text);
    }
    if (err != US_OK)
        return;
    us_reader_t reader = us_reader (data, len);
    us_value_t value = us_read (&reader);
    if (value.type == US_TYPE_STR || value.type == US_TYPE_BIN) {
        output_bytes (stdout, value.data, value.len, false);
        return;
    }
    json_t *json = json_from_value (data, len);
    if (json)
        json_dumpf (json, stdout, JSON_ENCODE_ANY);
    putchar ('\n');
    json_decref (json);
}

/* A text as it is, but for control characters, with a line feed at its end. */
static void s_print_text (FILE *stream, const char *text)
{
    size_t len = text ? strlen (text) : 0;
    if (len == 0)
        return;
    char *escaped = text_escape_log (text, len);
    fputs (escaped, stream);
    if (text[len - 1] != '\n')
        fputc ('\n', stream);
    free (escaped);
}

static const char *s_text (const json_t *object, const char *key)
{
    const char *text = json_string_value (json_object_get (object, key));
    return text ? text : "";
}

/* What the message does not already say. */
static void s_print_more (FILE *stream, const char *message, const char *more)
{
    if (!strstr (message, more))
        s_print_text (stream, more);
}

void outcome_print_failure (FILE *stream, const us_result_t *result)
{
    json_t *failure = s_failure (result);
    const json_t *detail = json_object_get (failure, "detail");
    const char *type = s_text (failure, "type");
    const char *message = s_text (failure, "message");
    if (!*message)
        message = us_result_text (result);
    fprintf (stream, "%s: ", us_state_name ((int) us_result_state (result)));
    if (*type) {
        char *escaped = text_escape (type, strlen (type));
        fprintf (stream, "%s: ", escaped);
        free (escaped);
    }
    s_print_text (stream, *message ? message : us_err_text (us_result_code (result)));
    s_print_text (stream, s_text (failure, "traceback"));
    s_print_more (stream, message, s_text (detail, "output"));
    s_print_more (stream, message, s_text (detail, "log"));
    json_decref (failure);
}

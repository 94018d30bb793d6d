/* SPDX-License-Identifier: MIT
 *
 * Client.query: a question to the broker, its rows as bytes. */
#include "core.h"

typedef struct question {
    const char *what;
    const char *channel;
    const char *name;
    Py_buffer id;
    Py_buffer prefix;
    PyObject *older;
    PyObject *timeout;
    unsigned limit;
    int state;
} question_t;

static bool s_parse (question_t *question, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"what", "channel", "state",  "older",   "limit",
                            "id",   "name",    "prefix", "timeout", NULL};
    return PyArg_ParseTupleAndKeywords (args, kwargs, "s|$ziOIz*zz*O:query", names,
                                        &question->what, &question->channel,
                                        &question->state, &question->older,
                                        &question->limit, &question->id,
                                        &question->name, &question->prefix,
                                        &question->timeout);
}

static us_err_t s_set_ids (us_query_t *query, const question_t *question)
{
    us_id_t id;
    us_err_t err = US_OK;
    if (question->id.buf != NULL) {
        if (!core_id (&id, question->id.buf, question->id.len))
            return US_ERR_INVALID;
        err = us_query_set_id (query, &id);
    }
    if (err == US_OK && question->prefix.buf != NULL)
        err = us_query_set_prefix (query, question->prefix.buf,
                                   (size_t) question->prefix.len);
    return err;
}

static us_err_t s_fill (us_query_t *query, const question_t *question)
{
    const int64_t older_ms = core_limit (question->older, "older");
    if (older_ms < 0)
        return US_ERR_INVALID;
    us_err_t err = us_query_set_limit (query, question->limit);
    if (err == US_OK && question->channel != NULL)
        err = us_query_set_channel (query, question->channel);
    if (err == US_OK && question->name != NULL)
        err = us_query_set_name (query, question->name);
    if (err == US_OK && question->state != 0)
        err = us_query_set_state (query, question->state);
    if (err == US_OK && older_ms > 0)
        err = us_query_set_older_ms (query, older_ms);
    if (err == US_OK)
        err = s_set_ids (query, question);
    return err;
}

static PyObject *s_row (const us_query_t *query, size_t row)
{
    const void *data;
    size_t len;
    const us_err_t err = us_query_row (query, row, &data, &len);
    if (err != US_OK)
        return core_raise (err, NULL);
    return PyBytes_FromStringAndSize (data, (Py_ssize_t) len);
}

static PyObject *s_rows (const us_query_t *query)
{
    const size_t count = us_query_rows (query);
    PyObject *rows = PyList_New ((Py_ssize_t) count);
    for (size_t i = 0; rows != NULL && i < count; i++) {
        PyObject *row = s_row (query, i);
        if (row == NULL || PyList_SetItem (rows, (Py_ssize_t) i, row) < 0)
            Py_CLEAR (rows);
    }
    if (rows == NULL)
        return NULL;
    return Py_BuildValue ("(NK)", rows, (unsigned long long) us_query_count (query));
}

typedef struct asking {
    us_client_t *client;
    us_query_t *query;
} asking_t;

static us_err_t s_run_call (void *args, int64_t left_ms)
{
    asking_t *asking = args;
    return us_query_run (asking->client, asking->query, left_ms);
}

static PyObject *s_ask (core_client_t *self, const question_t *question)
{
    const int64_t timeout_ms =
        question->timeout == NULL ? 10000 : core_timeout (question->timeout);
    if (timeout_ms == -2)
        return NULL;
    asking_t asking = {.client = core_client_enter (self)};
    if (asking.client == NULL)
        return NULL;
    PyObject *answer = NULL;
    us_err_t err = us_query_new (&asking.query, question->what);
    if (err == US_OK)
        err = s_fill (asking.query, question);
    if (err == US_OK)
        err = core_wait_whole (s_run_call, &asking, timeout_ms);
    if (err == US_OK)
        answer = s_rows (asking.query);
    else if (!PyErr_Occurred ())
        core_client_raise (asking.client, err);
    us_query_destroy (&asking.query);
    core_client_leave (self);
    return answer;
}

PyObject *core_client_query (PyObject *self, PyObject *args, PyObject *kwargs)
{
    question_t question = {.limit = 100};
    PyObject *answer = NULL;
    if (s_parse (&question, args, kwargs))
        answer = s_ask ((core_client_t *) self, &question);
    if (question.id.obj != NULL)
        PyBuffer_Release (&question.id);
    if (question.prefix.obj != NULL)
        PyBuffer_Release (&question.prefix);
    return answer;
}

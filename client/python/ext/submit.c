/* SPDX-License-Identifier: MIT
 *
 * Client.submit: a job out of keywords. */
#include "core.h"

typedef struct submit {
    const char *channel;
    Py_buffer body;
    Py_buffer id;
    const char *python;
    const char *name;
    PyObject *blobs;
    PyObject *buffers;
    PyObject *setup;
    PyObject *env;
    const char *cwd;
    PyObject *packages;
    PyObject *constraints;
    PyObject *soft_limit;
    PyObject *hard_limit;
    PyObject *expires;
    PyObject *user;
    unsigned retries;
    unsigned events;
    int shell;
    int fresh;
    int queue;
    int stream_log;
} submit_t;

static bool s_parse (submit_t *submit, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"channel",     "body",    "shell",   "blobs", "packages",
                            "constraints", "python",  "name",    "id",    "soft_limit",
                            "hard_limit",  "retries", "expires", "fresh", "queue",
                            "stream_log",  "events",  "user",    "setup", "env",
                            "cwd",         "buffers", NULL};
    return PyArg_ParseTupleAndKeywords (
        args, kwargs, "sy*|$pOOOzzz*OOIOpppIOOOzO:submit", names, &submit->channel,
        &submit->body, &submit->shell, &submit->blobs, &submit->packages,
        &submit->constraints, &submit->python, &submit->name, &submit->id,
        &submit->soft_limit, &submit->hard_limit, &submit->retries, &submit->expires,
        &submit->fresh, &submit->queue, &submit->stream_log, &submit->events,
        &submit->user, &submit->setup, &submit->env, &submit->cwd, &submit->buffers);
}

/* Each step returns an error of the library, or US_ERR_INVALID with an exception set. */
static us_err_t s_set_shell (us_job_t *job, const Py_buffer *body)
{
    if (memchr (body->buf, '\0', (size_t) body->len) != NULL) {
        PyErr_SetString (PyExc_ValueError, "a null character in the command");
        return US_ERR_INVALID;
    }
    char *command = PyMem_Malloc ((size_t) body->len + 1);
    if (command == NULL)
        return US_ERR_NOMEM;
    memcpy (command, body->buf, (size_t) body->len);
    command[body->len] = '\0';
    const us_err_t err = us_job_set_shell (job, command);
    PyMem_Free (command);
    return err;
}

static us_err_t s_set_body (us_job_t *job, const submit_t *submit)
{
    if (submit->shell)
        return s_set_shell (job, &submit->body);
    return us_job_set_call (job, submit->body.buf, (size_t) submit->body.len);
}

typedef us_err_t add_fn (us_job_t *job, const us_blob_t *blob);

static us_err_t s_add_blob (us_job_t *job, PyObject *item, add_fn *add,
                            const core_state_t *state)
{
    if (item == NULL)
        return US_ERR_INVALID;
    if (!Py_IS_TYPE (item, state->blob_type)) {
        PyErr_SetString (PyExc_TypeError, "blobs must be a sequence of Blob");
        return US_ERR_INVALID;
    }
    return add (job, ((core_blob_t *) item)->blob);
}

static us_err_t s_add_blobs (us_job_t *job, PyObject *blobs, add_fn *add,
                             const core_state_t *state)
{
    if (blobs == NULL)
        return US_OK;
    const Py_ssize_t count = PySequence_Size (blobs);
    us_err_t err = count < 0 ? US_ERR_INVALID : US_OK;
    for (Py_ssize_t i = 0; err == US_OK && i < count; i++) {
        PyObject *item = PySequence_GetItem (blobs, i);
        err = s_add_blob (job, item, add, state);
        Py_XDECREF (item);
    }
    return err;
}

static us_err_t s_package (void *job, const char *text)
{
    return us_job_add_package (job, text);
}

static us_err_t s_constraint (void *job, const char *text)
{
    return us_job_add_constraint (job, text);
}

static us_err_t s_set_environment (us_job_t *job, const submit_t *submit)
{
    us_err_t err;
    if (!core_each_text (submit->packages, "packages", s_package, job, &err))
        return US_ERR_INVALID;
    if (err == US_OK &&
        !core_each_text (submit->constraints, "constraints", s_constraint, job, &err))
        return US_ERR_INVALID;
    if (err == US_OK && submit->python != NULL)
        err = us_job_set_python (job, submit->python);
    return err;
}

static us_err_t s_set_up (us_job_t *job, const submit_t *submit,
                          const core_state_t *state)
{
    if (submit->setup == NULL || submit->setup == Py_None)
        return US_OK;
    if (!Py_IS_TYPE (submit->setup, state->blob_type)) {
        PyErr_SetString (PyExc_TypeError, "setup must be a Blob");
        return US_ERR_INVALID;
    }
    return us_job_set_setup (job, ((core_blob_t *) submit->setup)->blob);
}

static us_err_t s_add_variables (us_job_t *job, PyObject *env)
{
    const Py_ssize_t count = env == NULL ? 0 : PySequence_Size (env);
    us_err_t err = count < 0 ? US_ERR_INVALID : US_OK;
    for (Py_ssize_t i = 0; err == US_OK && i < count; i++) {
        const char *name, *value;
        PyObject *pair = PySequence_GetItem (env, i);
        if (pair == NULL || !PyArg_ParseTuple (pair, "ss", &name, &value))
            err = US_ERR_INVALID;
        else
            err = us_job_add_env (job, name, value);
        Py_XDECREF (pair);
    }
    return err;
}

static us_err_t s_set_place (us_job_t *job, const submit_t *submit)
{
    us_err_t err = s_add_variables (job, submit->env);
    if (err == US_OK && submit->cwd != NULL)
        err = us_job_set_cwd (job, submit->cwd);
    return err;
}

static us_err_t s_set_times (us_job_t *job, const submit_t *submit)
{
    const int64_t soft_ms = core_limit (submit->soft_limit, "soft_limit");
    const int64_t hard_ms =
        soft_ms < 0 ? -1 : core_limit (submit->hard_limit, "hard_limit");
    const int64_t expire_ms =
        hard_ms < 0 ? -1 : core_limit (submit->expires, "expires");
    if (expire_ms < 0)
        return US_ERR_INVALID;
    us_err_t err = US_OK;
    if (soft_ms > 0 || hard_ms > 0)
        err = us_job_set_limits_ms (job, soft_ms, hard_ms);
    if (err == US_OK && expire_ms > 0)
        err = us_job_set_expire_ms (job, expire_ms);
    return err;
}

static us_err_t s_set_id (us_job_t *job, const Py_buffer *bytes)
{
    us_id_t id;
    if (bytes->buf == NULL)
        return US_OK;
    return core_id (&id, bytes->buf, bytes->len) ? us_job_set_id (job, &id)
                                                 : US_ERR_INVALID;
}

static us_err_t s_set_flags (us_job_t *job, const submit_t *submit)
{
    us_err_t err = US_OK;
    if (submit->retries > 0)
        err = us_job_set_retries (job, submit->retries);
    if (err == US_OK && submit->fresh)
        err = us_job_set_fresh (job, true);
    if (err == US_OK && !submit->queue)
        err = us_job_set_queue (job, false);
    if (err == US_OK && submit->stream_log)
        err = us_job_set_stream_log (job, true);
    return err;
}

static us_err_t s_fill (us_job_t *job, const submit_t *submit,
                        const core_state_t *state)
{
    us_err_t err = s_set_body (job, submit);
    if (err == US_OK)
        err = s_add_blobs (job, submit->blobs, us_job_add_blob, state);
    if (err == US_OK)
        err = s_add_blobs (job, submit->buffers, us_job_add_buffer, state);
    if (err == US_OK)
        err = s_set_up (job, submit, state);
    if (err == US_OK)
        err = s_set_place (job, submit);
    if (err == US_OK)
        err = s_set_environment (job, submit);
    if (err == US_OK)
        err = s_set_times (job, submit);
    if (err == US_OK)
        err = s_set_id (job, &submit->id);
    if (err == US_OK && submit->name != NULL)
        err = us_job_set_name (job, submit->name);
    if (err == US_OK)
        err = s_set_flags (job, submit);
    return err;
}

/* NULL with an exception set. */
static us_job_t *s_make (const submit_t *submit, const core_state_t *state)
{
    us_job_t *job = NULL;
    us_err_t err = us_job_new (&job, submit->channel);
    if (err == US_OK)
        err = s_fill (job, submit, state);
    if (err == US_OK)
        return job;
    if (!PyErr_Occurred ()) {
        char words[256];
        const char *text = job != NULL ? us_job_error_text (job) : words;
        snprintf (words, sizeof words, "not a channel name: %.200s", submit->channel);
        core_raise (err, text);
    }
    us_job_destroy (&job);
    return NULL;
}

typedef struct handover {
    us_client_t *client;
    us_job_t *job;
    us_result_t *result;
} handover_t;

static us_err_t s_submit_call (void *args, int64_t left_ms)
{
    (void) left_ms;
    handover_t *handover = args;
    return us_submit (handover->client, &handover->job, &handover->result);
}

static core_job_t *s_submit (core_client_t *self, const submit_t *submit)
{
    handover_t handover = {.client = core_client_enter (self)};
    if (handover.client == NULL)
        return NULL;
    core_job_t *job = NULL;
    us_err_t err = US_ERR_INVALID;
    handover.job = s_make (submit, core_state_of ((PyObject *) self));
    if (handover.job != NULL)
        err = core_wait_whole (s_submit_call, &handover, -1);
    if (err != US_OK && !PyErr_Occurred ())
        core_client_raise (handover.client, err);
    us_job_destroy (&handover.job);
    core_client_leave (self);
    if (err == US_OK)
        job = core_job_new (self, &handover.result);
    return job;
}

PyObject *core_client_submit (PyObject *self, PyObject *args, PyObject *kwargs)
{
    submit_t submit = {.queue = 1, .user = Py_None};
    core_job_t *job = NULL;
    if (s_parse (&submit, args, kwargs))
        job = s_submit ((core_client_t *) self, &submit);
    if (job != NULL && submit.events != 0 &&
        !core_job_subscribe (job, submit.events, submit.user))
        Py_CLEAR (job);
    if (submit.body.obj != NULL)
        PyBuffer_Release (&submit.body);
    if (submit.id.obj != NULL)
        PyBuffer_Release (&submit.id);
    return (PyObject *) job;
}

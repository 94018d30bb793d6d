/* SPDX-License-Identifier: MIT
 *
 * understudy._core.Job: us_result_t, one submitted or opened job. */
#include "core.h"

/* --- Life -------------------------------------------------------------------- */

core_job_t *core_job_new (core_client_t *client, us_result_t **result)
{
    core_state_t *state = core_state_of ((PyObject *) client);
    allocfunc alloc = (allocfunc) PyType_GetSlot (state->job_type, Py_tp_alloc);
    core_job_t *self = (core_job_t *) alloc (state->job_type, 0);
    if (self == NULL) {
        us_result_destroy (result);
        return NULL;
    }
    self->result = *result;
    self->client = (core_client_t *) Py_NewRef ((PyObject *) client);
    *result = NULL;
    return self;
}

static int s_traverse (PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT (Py_TYPE (object));
    Py_VISIT (((core_job_t *) object)->client);
    return 0;
}

/* No tp_clear: the cycle client → subscribed → job → client is broken by the client. */
static void s_dealloc (PyObject *object)
{
    core_job_t *self = (core_job_t *) object;
    PyTypeObject *type = Py_TYPE (object);
    PyObject_GC_UnTrack (object);
    us_result_destroy (&self->result);
    Py_CLEAR (self->client);
    freefunc release = (freefunc) PyType_GetSlot (type, Py_tp_free);
    release (object);
    Py_DECREF (type);
}

static us_result_t *s_result (PyObject *self)
{
    return ((core_job_t *) self)->result;
}

/* --- What is known ----------------------------------------------------------- */

static PyObject *s_id (PyObject *self, void *closure)
{
    (void) closure;
    const us_id_t id = us_result_id (s_result (self));
    return PyBytes_FromStringAndSize ((const char *) id.bytes, US_ID_LEN);
}

static PyObject *s_state (PyObject *self, void *closure)
{
    (void) closure;
    return PyLong_FromLong (us_result_state (s_result (self)));
}

static PyObject *s_code (PyObject *self, void *closure)
{
    (void) closure;
    return PyLong_FromLong (us_result_code (s_result (self)));
}

static PyObject *s_text (PyObject *self, void *closure)
{
    (void) closure;
    const char *text = us_result_text (s_result (self));
    return PyUnicode_DecodeUTF8 (text, (Py_ssize_t) strlen (text), "backslashreplace");
}

static PyObject *s_body (PyObject *self, void *closure)
{
    (void) closure;
    const void *data = NULL;
    size_t len = 0;
    const us_err_t err = us_result_body (s_result (self), &data, &len);
    if (err != US_OK)
        return core_raise (err, NULL);
    return PyBytes_FromStringAndSize (data, (Py_ssize_t) len);
}

/* The interpreter lock keeps s_body out meanwhile, which copies what it gives. */
static PyObject *s_drop_body (PyObject *self, PyObject *unused)
{
    (void) unused;
    us_result_drop_body (s_result (self));
    Py_RETURN_NONE;
}

static PyObject *s_buffers (PyObject *self, void *closure)
{
    (void) closure;
    const size_t count = us_result_buffers (s_result (self));
    PyObject *tuple = PyTuple_New ((Py_ssize_t) count);
    for (size_t i = 0; tuple != NULL && i < count; i++) {
        us_blob_t *blob = NULL;
        const us_err_t err = us_result_buffer (s_result (self), i, &blob);
        PyObject *buffer = err == US_OK ? core_buffer_new (core_state_of (self), &blob)
                                        : core_raise (err, NULL);
        if (buffer == NULL)
            Py_CLEAR (tuple);
        else
            PyTuple_SetItem (tuple, (Py_ssize_t) i, buffer);
    }
    return tuple;
}

static PyObject *s_info (PyObject *self, void *closure)
{
    (void) closure;
    us_result_info_t info = {0};
    us_result_info (s_result (self), &info);
    return Py_BuildValue ("{sIsIsIsLsLsLsKsKsK}", "attempt", (unsigned) info.attempt,
                          "crashes", (unsigned) info.crashes, "losses",
                          (unsigned) info.losses, "submitted_ms",
                          (long long) info.submitted_ms, "started_ms",
                          (long long) info.started_ms, "ended_ms",
                          (long long) info.ended_ms, "log_len",
                          (unsigned long long) info.log_len, "build_len",
                          (unsigned long long) info.build_len, "dropped",
                          (unsigned long long) info.dropped);
}

/* --- Events ------------------------------------------------------------------ */

/* ENDED is always asked for: it is what lets go of the entry. */
bool core_job_subscribe (core_job_t *self, unsigned types, PyObject *user)
{
    core_client_t *client = self->client;
    if (client->closed) {
        core_raise (US_ERR_CLOSED, "the client is closed");
        return false;
    }
    if (self->token == 0)
        self->token = ++client->last_token;
    void *pointer = (void *) (uintptr_t) self->token;
    PyObject *token = PyLong_FromVoidPtr (pointer);
    PyObject *entry = token ? PyTuple_Pack (2, (PyObject *) self, user) : NULL;
    bool ok = entry != NULL && PyDict_SetItem (client->subscribed, token, entry) == 0;
    if (ok) {
        self->types = types;
        const us_err_t err =
            us_result_subscribe (self->result, types | US_EVENT_ENDED, pointer);
        if (err != US_OK) {
            PyDict_DelItem (client->subscribed, token);
            core_raise (err, NULL);
            ok = false;
        }
    }
    Py_XDECREF (entry);
    Py_XDECREF (token);
    return ok;
}

static PyObject *s_subscribe (PyObject *self, PyObject *args)
{
    unsigned types;
    PyObject *user;
    if (!PyArg_ParseTuple (args, "IO:subscribe", &types, &user))
        return NULL;
    if (!core_job_subscribe ((core_job_t *) self, types, user))
        return NULL;
    Py_RETURN_NONE;
}

/* --- Waiting ----------------------------------------------------------------- */

/* The single argument, or keyword, timeout. */
static bool s_timeout (PyObject *args, PyObject *kwargs, const char *format,
                       int64_t *timeout_ms)
{
    static char *names[] = {"timeout", NULL};
    PyObject *timeout = Py_None;
    if (!PyArg_ParseTupleAndKeywords (args, kwargs, format, names, &timeout))
        return false;
    *timeout_ms = core_timeout (timeout);
    return *timeout_ms != -2;
}

static us_err_t s_accepted_call (void *result, int64_t left_ms)
{
    return us_result_accepted (result, left_ms);
}

static PyObject *s_accepted (PyObject *self, PyObject *args, PyObject *kwargs)
{
    int64_t timeout_ms;
    if (!s_timeout (args, kwargs, "|O:accepted", &timeout_ms))
        return NULL;
    const us_err_t err = core_wait (s_accepted_call, s_result (self), timeout_ms);
    if (PyErr_Occurred ())
        return NULL;
    /* A refusal's code may itself be TIMEOUT or CLOSED; the state tells them apart. */
    if ((err == US_ERR_TIMEOUT || err == US_ERR_CLOSED) &&
        us_result_state (s_result (self)) != US_STATE_REFUSED)
        return core_raise (err, NULL);
    return PyLong_FromLong (err);
}

static us_err_t s_wait_call (void *result, int64_t left_ms)
{
    return us_result_wait (result, left_ms);
}

static PyObject *s_wait (PyObject *self, PyObject *args, PyObject *kwargs)
{
    int64_t timeout_ms;
    if (!s_timeout (args, kwargs, "|O:wait", &timeout_ms))
        return NULL;
    const us_err_t err = core_wait (s_wait_call, s_result (self), timeout_ms);
    if (PyErr_Occurred ())
        return NULL;
    if (err != US_OK && err != US_ERR_TIMEOUT)
        return core_raise (err, NULL);
    return PyBool_FromLong (err == US_OK);
}

/* --- Logs -------------------------------------------------------------------- */

static PyObject *s_stream_log (PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"stream", NULL};
    int stream = US_STREAM_LOG;
    if (!PyArg_ParseTupleAndKeywords (args, kwargs, "|i:stream_log", names, &stream))
        return NULL;
    const us_err_t err = us_result_stream_log (s_result (self), stream);
    return err == US_OK ? Py_NewRef (Py_None) : core_raise (err, NULL);
}

#define MAX_READ ((Py_ssize_t) 1 << 20) /* a caller of more gets less */

typedef struct log_read {
    us_result_t *result;
    char *buffer;
    size_t size;
    size_t len;
    unsigned long long offset;
    int stream;
} log_read_t;

static us_err_t s_read_call (void *args, int64_t left_ms)
{
    log_read_t *read = args;
    return us_result_read_log (read->result, read->stream, read->offset, read->buffer,
                               read->size, &read->len, left_ms);
}

static PyObject *s_read (log_read_t *read, int64_t timeout_ms)
{
    PyObject *bytes = NULL;
    read->buffer = PyMem_Malloc (read->size);
    if (read->buffer == NULL)
        return PyErr_NoMemory ();
    const us_err_t err = core_wait (s_read_call, read, timeout_ms);
    if (err == US_OK)
        bytes = PyBytes_FromStringAndSize (read->buffer, (Py_ssize_t) read->len);
    else if (!PyErr_Occurred ())
        bytes = err == US_ERR_TIMEOUT ? Py_NewRef (Py_None) : core_raise (err, NULL);
    PyMem_Free (read->buffer);
    return bytes;
}

static PyObject *s_read_log (PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"stream", "offset", "size", "timeout", NULL};
    log_read_t read = {.result = s_result (self)};
    Py_ssize_t size;
    PyObject *timeout;
    if (!PyArg_ParseTupleAndKeywords (args, kwargs, "iKnO:read_log", names,
                                      &read.stream, &read.offset, &size, &timeout))
        return NULL;
    const int64_t timeout_ms = core_timeout (timeout);
    if (timeout_ms == -2)
        return NULL;
    if (size <= 0)
        return PyErr_Format (PyExc_ValueError, "size must be above 0, not %zd", size);
    read.size = size < MAX_READ ? (size_t) size : MAX_READ;
    return s_read (&read, timeout_ms);
}

/* --- Cancelling -------------------------------------------------------------- */

typedef struct cancel {
    us_result_t *result;
    int mode;
    us_state_t state;
} cancel_t;

static us_err_t s_cancel_call (void *args, int64_t left_ms)
{
    cancel_t *cancel = args;
    return us_result_cancel (cancel->result, cancel->mode, &cancel->state, left_ms);
}

static PyObject *s_cancel (PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"mode", "timeout", NULL};
    cancel_t cancel = {.result = s_result (self)};
    PyObject *timeout;
    if (!PyArg_ParseTupleAndKeywords (args, kwargs, "iO:cancel", names, &cancel.mode,
                                      &timeout))
        return NULL;
    const int64_t timeout_ms = core_timeout (timeout);
    if (timeout_ms == -2)
        return NULL;
    cancel.state = us_result_state (cancel.result);
    const us_err_t err = core_wait_whole (s_cancel_call, &cancel, timeout_ms);
    if (PyErr_Occurred ())
        return NULL;
    return Py_BuildValue ("(ii)", (int) err, (int) cancel.state);
}

/* --- Type -------------------------------------------------------------------- */

#define WITH_KEYWORDS(function) ((PyCFunction) (void (*) (void)) (function))

static PyMethodDef s_methods[] = {
    {"subscribe", s_subscribe, METH_VARARGS, "Asks for events of these types."},
    {"drop_body", s_drop_body, METH_NOARGS,
     "Frees body and buffers, of which there are none then."},
    {"accepted", WITH_KEYWORDS (s_accepted), METH_VARARGS | METH_KEYWORDS,
     "0 once accepted, the error number once refused; WaitTimeout."},
    {"wait", WITH_KEYWORDS (s_wait), METH_VARARGS | METH_KEYWORDS,
     "Whether it has ended."},
    {"stream_log", WITH_KEYWORDS (s_stream_log), METH_VARARGS | METH_KEYWORDS,
     "From now on the stream comes as it grows."},
    {"read_log", WITH_KEYWORDS (s_read_log), METH_VARARGS | METH_KEYWORDS,
     "b\"\" at the end of an ended job's stream, None after the timeout."},
    {"cancel", WITH_KEYWORDS (s_cancel), METH_VARARGS | METH_KEYWORDS,
     "(error number, state)."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef s_getset[] = {
    {"id", s_id, NULL, "The id's 16 bytes.", NULL},
    {"state", s_state, NULL, "What is known now, without asking.", NULL},
    {"code", s_code, NULL, "0, an error number, or US_ERR_RUNNING before the end.",
     NULL},
    {"text", s_text, NULL, "Words for the code.", NULL},
    {"body", s_body, NULL, "Result or failure envelope; empty where there is none.",
     NULL},
    {"buffers", s_buffers, NULL, "What the envelope takes, a tuple of Buffer.", NULL},
    {"info", s_info, NULL, "Attempts, times and lengths.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot s_slots[] = {
    {Py_tp_doc, "One submitted or opened job."},
    {Py_tp_dealloc, s_dealloc},
    {Py_tp_traverse, s_traverse},
    {Py_tp_methods, s_methods},
    {Py_tp_getset, s_getset},
    {0, NULL},
};

PyType_Spec core_job_spec = {
    .name = "understudy._core.Job",
    .basicsize = sizeof (core_job_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = s_slots,
};

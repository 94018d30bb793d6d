/* SPDX-License-Identifier: MIT
 *
 * understudy._core.Client: us_client_t, its events and its life. */
#include "core.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 256

/* --- Life -------------------------------------------------------------------- */

static void s_close (core_client_t *self)
{
    if (self->closed)
        return;
    self->closed = true;
    if (self->closed_fd >= 0)
        eventfd_write (self->closed_fd, 1);
    if (self->users == 0 || self->pid != getpid ())
        core_client_destroy (self);
    if (self->subscribed != NULL)
        PyDict_Clear (self->subscribed);
}

typedef struct settings {
    const char *broker;
    const char *redis;
    const char *name;
    const char *owner;
    const char *key, *cluster;
    Py_buffer program;
    PyObject *connect_timeout;
    PyObject *max_payload;
} settings_t;

static us_err_t s_set_max_payload (us_options_t *options, PyObject *max_payload)
{
    if (max_payload == NULL || max_payload == Py_None)
        return US_OK;
    const size_t bytes = PyLong_AsSize_t (max_payload);
    return PyErr_Occurred () ? US_ERR_INVALID
                             : us_options_set_max_payload (options, bytes);
}

static us_err_t s_set_connect_timeout (us_options_t *options, PyObject *seconds)
{
    if (seconds == NULL || seconds == Py_None)
        return US_OK;
    const int64_t ms = core_timeout (seconds);
    if (ms < 0)
        return US_ERR_INVALID;
    return us_options_set_connect_timeout_ms (options, ms);
}

/* *what: the option that was refused; NULL: the words say it. */
static us_err_t s_apply (us_options_t *options, const settings_t *settings,
                         const char **what, char *words, size_t words_len)
{
    us_err_t err = US_OK;
    *what = "broker";
    if (settings->broker != NULL)
        err = us_options_set_broker (options, settings->broker);
    if (err == US_OK && settings->redis != NULL) {
        *what = "redis"; /* not the URL itself: it may hold a password */
        err = us_options_set_redis (options, settings->redis);
    }
    if (err == US_OK && settings->name != NULL) {
        *what = "name";
        err = us_options_set_name (options, settings->name);
    }
    if (err == US_OK && settings->owner != NULL) {
        *what = "owner";
        err = us_options_set_owner (options, settings->owner);
    }
    if (err == US_OK && (settings->key != NULL || settings->cluster != NULL)) {
        *what = NULL; /* the words name the file */
        err = us_options_set_key (options, settings->key, settings->cluster, words,
                                  words_len);
    }
    if (err == US_OK && settings->program.buf != NULL) {
        *what = "program";
        err = us_options_set_program (options, settings->program.buf,
                                      (size_t) settings->program.len);
    }
    if (err == US_OK) {
        *what = "connect_timeout";
        err = s_set_connect_timeout (options, settings->connect_timeout);
    }
    if (err == US_OK) {
        *what = "max_payload";
        err = s_set_max_payload (options, settings->max_payload);
    }
    return err;
}

static bool s_start (core_client_t *self, const settings_t *settings)
{
    char words[512] = "";
    const char *what = NULL;
    us_options_t *options = NULL;
    us_err_t err = us_options_new (&options, words, sizeof words);
    if (err == US_OK) {
        err = s_apply (options, settings, &what, words, sizeof words);
        if (err != US_OK && what != NULL)
            snprintf (words, sizeof words, "%s=… cannot be used: %s%s%.400s", what,
                      us_err_text (err), strcmp (what, "broker") == 0 ? ": " : "",
                      strcmp (what, "broker") == 0 ? settings->broker : "");
    }
    if (err == US_OK)
        err = us_client_new (&self->client, options);
    us_options_destroy (&options);
    if (err != US_OK && !PyErr_Occurred ())
        core_raise (err, words);
    return err == US_OK;
}

static PyObject *s_make (PyTypeObject *type, const settings_t *settings)
{
    allocfunc alloc = (allocfunc) PyType_GetSlot (type, Py_tp_alloc);
    core_client_t *self = (core_client_t *) alloc (type, 0);
    if (self == NULL)
        return NULL;
    self->pid = getpid ();
    self->closed_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->subscribed = PyDict_New ();
    if (self->closed_fd < 0)
        PyErr_SetFromErrno (PyExc_OSError);
    else if (self->subscribed != NULL && s_start (self, settings))
        return (PyObject *) self;
    Py_DECREF (self);
    return NULL;
}

static PyObject *s_new (PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"broker", "redis", "connect_timeout", "max_payload", "name",
                            "owner",  "key",   "cluster",         "program",     NULL};
    settings_t settings = {0};
    if (!PyArg_ParseTupleAndKeywords (args, kwargs, "|$zzOOzzzzz*:Client", names,
                                      &settings.broker, &settings.redis,
                                      &settings.connect_timeout, &settings.max_payload,
                                      &settings.name, &settings.owner, &settings.key,
                                      &settings.cluster, &settings.program))
        return NULL;
    PyObject *self = s_make (type, &settings);
    if (settings.program.obj != NULL)
        PyBuffer_Release (&settings.program);
    return self;
}

static int s_traverse (PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT (Py_TYPE (object));
    Py_VISIT (((core_client_t *) object)->subscribed);
    return 0;
}

static int s_clear (PyObject *object)
{
    Py_CLEAR (((core_client_t *) object)->subscribed);
    return 0;
}

static void s_dealloc (PyObject *object)
{
    core_client_t *self = (core_client_t *) object;
    PyTypeObject *type = Py_TYPE (object);
    PyObject_GC_UnTrack (object);
    if (self->client != NULL)
        core_client_destroy (self);
    s_clear (object);
    if (self->closed_fd >= 0)
        close (self->closed_fd);
    freefunc release = (freefunc) PyType_GetSlot (type, Py_tp_free);
    release (object);
    Py_DECREF (type);
}

static PyObject *s_py_close (PyObject *self, PyObject *unused)
{
    (void) unused;
    s_close ((core_client_t *) self);
    Py_RETURN_NONE;
}

/* --- Calls ------------------------------------------------------------------- */

static us_err_t s_connect_call (void *client, int64_t left_ms)
{
    (void) left_ms; /* the connect timeout of the options counts */
    return us_client_connect (client);
}

static PyObject *s_connect (PyObject *object, PyObject *unused)
{
    (void) unused;
    core_client_t *self = (core_client_t *) object;
    us_client_t *client = core_client_enter (self);
    if (client == NULL)
        return NULL;
    const us_err_t err = core_wait_whole (s_connect_call, client, -1);
    if (err != US_OK && !PyErr_Occurred ())
        core_client_raise (client, err);
    core_client_leave (self);
    return err == US_OK ? Py_NewRef (Py_None) : NULL;
}

typedef struct flush {
    us_client_t *client;
    size_t lost;
} flush_t;

static us_err_t s_flush_call (void *args, int64_t left_ms)
{
    flush_t *flush = args;
    return us_client_flush (flush->client, left_ms, &flush->lost);
}

static PyObject *s_flush (PyObject *object, PyObject *seconds)
{
    core_client_t *self = (core_client_t *) object;
    const int64_t timeout_ms = core_timeout (seconds);
    if (timeout_ms == -2)
        return NULL;
    flush_t flush = {.client = core_client_enter (self)};
    if (flush.client == NULL)
        return NULL;
    const us_err_t err = core_wait (s_flush_call, &flush, timeout_ms);
    const bool counted = err == US_OK || err == US_ERR_TIMEOUT || flush.lost > 0;
    if (!counted && !PyErr_Occurred ())
        core_client_raise (flush.client, err);
    core_client_leave (self);
    return PyErr_Occurred () ? NULL : PyLong_FromSize_t (flush.lost);
}

static PyObject *s_open (PyObject *object, PyObject *id)
{
    core_client_t *self = (core_client_t *) object;
    char *bytes;
    Py_ssize_t len;
    us_id_t job_id;
    if (PyBytes_AsStringAndSize (id, &bytes, &len) < 0 ||
        !core_id (&job_id, bytes, len))
        return NULL;
    us_client_t *client = core_client_enter (self);
    if (client == NULL)
        return NULL;
    us_result_t *result = NULL;
    const us_err_t err = us_result_open (client, &job_id, &result);
    if (err != US_OK)
        core_client_raise (client, err);
    core_client_leave (self);
    return err == US_OK ? (PyObject *) core_job_new (self, &result) : NULL;
}

static PyObject *s_endpoint (PyObject *object, void *closure)
{
    (void) closure;
    core_client_t *self = (core_client_t *) object;
    us_client_t *client = core_client_enter (self);
    if (client == NULL)
        return NULL;
    PyObject *endpoint = PyUnicode_FromString (us_client_endpoint (client));
    core_client_leave (self);
    return endpoint;
}

typedef size_t s_limit_fn (const us_client_t *client);

static PyObject *s_limit (PyObject *object, s_limit_fn *limit)
{
    core_client_t *self = (core_client_t *) object;
    us_client_t *client = core_client_enter (self);
    if (client == NULL)
        return NULL;
    const size_t bytes = limit (client);
    core_client_leave (self);
    return PyLong_FromSize_t (bytes);
}

static PyObject *s_max_payload (PyObject *object, void *closure)
{
    (void) closure;
    return s_limit (object, us_client_max_payload);
}

static PyObject *s_max_buffer (PyObject *object, void *closure)
{
    (void) closure;
    return s_limit (object, us_client_max_buffer);
}

static PyObject *s_max_buffers (PyObject *object, void *closure)
{
    (void) closure;
    return s_limit (object, us_client_max_buffers);
}

/* --- Events ------------------------------------------------------------------ */

static PyObject *s_fileno (PyObject *object, PyObject *unused)
{
    (void) unused;
    core_client_t *self = (core_client_t *) object;
    us_client_t *client = core_client_enter (self);
    if (client == NULL)
        return NULL;
    const int fd = us_client_event_fd (client);
    core_client_leave (self);
    return PyLong_FromLong (fd);
}

/* Adds (types, job, user) to the list, where Python asked for one of them. */
static bool s_add_event (core_client_t *self, PyObject *list, const us_event_t *event)
{
    PyObject *token = PyLong_FromVoidPtr (event->user);
    PyObject *entry = token ? PyDict_GetItemWithError (self->subscribed, token) : NULL;
    bool ok = token != NULL && !PyErr_Occurred ();
    Py_XINCREF (entry);
    if (entry != NULL) {
        PyObject *job = PyTuple_GetItem (entry, 0);
        const unsigned types = event->types & ((core_job_t *) job)->types;
        if (event->types & US_EVENT_ENDED) /* the last one of this job */
            ok = PyDict_DelItem (self->subscribed, token) == 0;
        if (ok && types != 0) {
            PyObject *row =
                Py_BuildValue ("(IOO)", types, job, PyTuple_GetItem (entry, 1));
            ok = row != NULL && PyList_Append (list, row) == 0;
            Py_XDECREF (row);
        }
    }
    Py_XDECREF (entry);
    Py_XDECREF (token);
    return ok;
}

static PyObject *s_take_events (core_client_t *self, us_client_t *client)
{
    us_event_t events[EVENTS_AT_ONCE];
    size_t count = 0;
    const us_err_t err = us_client_events (client, events, EVENTS_AT_ONCE, &count);
    if (err != US_OK)
        return core_client_raise (client, err);
    PyObject *list = PyList_New (0);
    for (size_t i = 0; i < count; i++) {
        if (list != NULL && !s_add_event (self, list, &events[i]))
            Py_CLEAR (list);
        us_result_destroy (&events[i].result);
    }
    return list;
}

static us_err_t s_poll_call (void *args, int64_t left_ms)
{
    const int timeout = left_ms > INT32_MAX ? INT32_MAX : (int) left_ms;
    const int ready = poll (args, 2, timeout);
    if (ready < 0)
        return errno == EINTR ? US_ERR_INTERRUPTED : US_ERR_SYSTEM;
    return ready == 0 ? US_ERR_TIMEOUT : US_OK;
}

static PyObject *s_wait_events (PyObject *object, PyObject *seconds)
{
    core_client_t *self = (core_client_t *) object;
    const int64_t timeout_ms = core_timeout (seconds);
    if (timeout_ms == -2)
        return NULL;
    if (self->closed)
        return PyList_New (0);
    us_client_t *client = core_client_enter (self);
    if (client == NULL)
        return NULL;
    struct pollfd fds[2] = {
        {.fd = us_client_event_fd (client), .events = POLLIN},
        {.fd = self->closed_fd, .events = POLLIN},
    };
    PyObject *list = NULL;
    const us_err_t err = core_wait (s_poll_call, fds, timeout_ms);
    if (err == US_ERR_SYSTEM)
        PyErr_SetFromErrno (PyExc_OSError);
    else if (err == US_ERR_TIMEOUT || (err == US_OK && self->closed))
        list = PyList_New (0);
    else if (err == US_OK)
        list = s_take_events (self, client);
    core_client_leave (self);
    return list;
}

/* --- Type -------------------------------------------------------------------- */

#define WITH_KEYWORDS(function) ((PyCFunction) (void (*) (void)) (function))

static PyMethodDef s_methods[] = {
    {"connect", s_connect, METH_NOARGS, "Waits until a broker has answered."},
    {"flush", s_flush, METH_O,
     "How many jobs were not accepted within timeout seconds."},
    {"submit", WITH_KEYWORDS (core_client_submit), METH_VARARGS | METH_KEYWORDS,
     "Hands a job to the client's thread and returns at once."},
    {"open", s_open, METH_O, "A job that was submitted earlier, by its id."},
    {"fileno", s_fileno, METH_NOARGS, "Readable while events are there."},
    {"wait_events", s_wait_events, METH_O,
     "Waits for events: (types, job, user). Empty after timeout or close."},
    {"query", WITH_KEYWORDS (core_client_query), METH_VARARGS | METH_KEYWORDS,
     "Rows (msgpack maps) and the count."},
    {"close", s_py_close, METH_NOARGS, "Waits end with ClientClosed."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef s_getset[] = {
    {"endpoint", s_endpoint, NULL, "The address in use, or the ones tried.", NULL},
    {"max_payload", s_max_payload, NULL,
     "Largest body in bytes: the broker's limit where that is lower.", NULL},
    {"max_buffer", s_max_buffer, NULL,
     "The broker's limit of one buffer in bytes; 0: it takes none.", NULL},
    {"max_buffers", s_max_buffers, NULL, "The same of all of one job.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot s_slots[] = {
    {Py_tp_doc, "A client of an Understudy broker; opens no connection by itself."},
    {Py_tp_new, s_new},
    {Py_tp_dealloc, s_dealloc},
    {Py_tp_traverse, s_traverse},
    {Py_tp_clear, s_clear},
    {Py_tp_methods, s_methods},
    {Py_tp_getset, s_getset},
    {0, NULL},
};

PyType_Spec core_client_spec = {
    .name = "understudy._core.Client",
    .basicsize = sizeof (core_client_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = s_slots,
};

/* SPDX-License-Identifier: MIT
 *
 * The module understudy._core: its state, its functions and constants. The top file: it
 * knows the types, and nothing knows it. */
#include "core.h"

static PyObject *s_version (PyObject *module, PyObject *unused)
{
    (void) module;
    (void) unused;
    return PyUnicode_FromString (us_version ());
}

static PyObject *s_new_id (PyObject *module, PyObject *channel)
{
    (void) module;
    const char *text = core_text (channel, "a null character in a channel name");
    if (text == NULL)
        return NULL;
    us_id_t id;
    const us_err_t err = us_id_new (&id, text);
    if (err == US_OK)
        return PyBytes_FromStringAndSize ((const char *) id.bytes, US_ID_LEN);
    char words[256];
    snprintf (words, sizeof words, "not a channel name: %.200s", text);
    return core_raise (err, words);
}

static PyObject *s_default_broker (PyObject *module, PyObject *unused)
{
    (void) module;
    (void) unused;
    char words[512] = "";
    us_options_t *options = NULL;
    us_client_t *client = NULL;
    PyObject *endpoints = NULL;
    us_err_t err = us_options_new (&options, words, sizeof words);
    if (err == US_OK)
        err = us_client_new (&client, options);
    if (err == US_OK)
        endpoints = PyUnicode_FromString (us_client_endpoint (client));
    else
        core_raise (err, words);
    us_client_destroy (&client);
    us_options_destroy (&options);
    return endpoints;
}

static PyMethodDef s_methods[] = {
    {"version", s_version, METH_NOARGS, "Version of libunderstudy."},
    {"new_id", s_new_id, METH_O, "A fresh id for a job on a channel."},
    {"default_broker", s_default_broker, METH_NOARGS,
     "Addresses from UNDERSTUDY_BROKER, the configuration file or the default."},
    {NULL, NULL, 0, NULL},
};

/* --- constants -------------------------------------------------------------------- */

static PyObject *s_error_row (int err)
{
    return Py_BuildValue ("(siss)", us_err_name (err), err, us_err_text (err),
                          us_err_python (err));
}

static PyObject *s_state_row (int state)
{
    return Py_BuildValue ("(isO)", state, us_state_name (state),
                          us_state_is_end (state) ? Py_True : Py_False);
}

/* Adds a tuple with a row for each number. */
static int s_add_table (PyObject *module, const char *name, const int *numbers,
                        size_t count, PyObject *(*make_row) (int) )
{
    PyObject *table = PyTuple_New ((Py_ssize_t) count);
    for (size_t i = 0; table != NULL && i < count; i++) {
        PyObject *row = make_row (numbers[i]);
        if (row == NULL || PyTuple_SetItem (table, (Py_ssize_t) i, row) < 0)
            Py_CLEAR (table);
    }
    const int rc = table == NULL ? -1 : PyModule_AddObjectRef (module, name, table);
    Py_XDECREF (table);
    return rc;
}

static int s_add_tables (PyObject *module)
{
    static const int errors[] = {
#define X(name, number, text, python) number,
        US_ERR_MAP (X)
#undef X
    };
    static const int states[] = {
#define X(name, number, is_end) number,
        US_STATE_MAP (X)
#undef X
    };
    const size_t errors_len = sizeof errors / sizeof errors[0];
    const size_t states_len = sizeof states / sizeof states[0];
    if (s_add_table (module, "ERRORS", errors, errors_len, s_error_row) < 0)
        return -1;
    return s_add_table (module, "STATES", states, states_len, s_state_row);
}

static int s_add_constants (PyObject *module)
{
    static const struct {
        const char *name;
        long value;
    } constants[] = {
        {"EVENT_ACCEPTED", US_EVENT_ACCEPTED},
        {"EVENT_RUNNING", US_EVENT_RUNNING},
        {"EVENT_LOG", US_EVENT_LOG},
        {"EVENT_ENDED", US_EVENT_ENDED},
    };
    for (size_t i = 0; i < sizeof constants / sizeof constants[0]; i++)
        if (PyModule_AddIntConstant (module, constants[i].name, constants[i].value) < 0)
            return -1;
    return s_add_tables (module);
}

static int s_add_type (PyObject *module, PyType_Spec *spec, PyTypeObject **type)
{
    *type = (PyTypeObject *) PyType_FromModuleAndSpec (module, spec, NULL);
    return *type == NULL ? -1 : PyModule_AddType (module, *type);
}

static int s_exec (PyObject *module)
{
    core_state_t *state = PyModule_GetState (module);
    if (s_add_constants (module) < 0 ||
        s_add_type (module, &core_blob_spec, &state->blob_type) < 0 ||
        s_add_type (module, &core_buffer_spec, &state->buffer_type) < 0 ||
        s_add_type (module, &core_client_spec, &state->client_type) < 0 ||
        s_add_type (module, &core_job_spec, &state->job_type) < 0)
        return -1;
    return 0;
}

static int s_traverse (PyObject *module, visitproc visit, void *arg)
{
    core_state_t *state = PyModule_GetState (module);
    Py_VISIT (state->blob_type);
    Py_VISIT (state->buffer_type);
    Py_VISIT (state->client_type);
    Py_VISIT (state->job_type);
    return 0;
}

static int s_clear (PyObject *module)
{
    core_state_t *state = PyModule_GetState (module);
    Py_CLEAR (state->blob_type);
    Py_CLEAR (state->buffer_type);
    Py_CLEAR (state->client_type);
    Py_CLEAR (state->job_type);
    return 0;
}

static void s_free (void *module)
{
    s_clear (module);
}

static PyModuleDef_Slot s_slots[] = {
    {Py_mod_exec, s_exec},
    {0, NULL},
};

static PyModuleDef s_module = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "understudy._core",
    .m_doc = "The C extension over libunderstudy: types and calls, no policy.",
    .m_size = sizeof (core_state_t),
    .m_methods = s_methods,
    .m_slots = s_slots,
    .m_traverse = s_traverse,
    .m_clear = s_clear,
    .m_free = s_free,
};

PyMODINIT_FUNC PyInit__core (void);
PyMODINIT_FUNC PyInit__core (void)
{
    return PyModuleDef_Init (&s_module);
}

/* SPDX-License-Identifier: MIT
 *
 * Python's types to those of libunderstudy. */
#include "core.h"

#include <math.h>

/* Longest time that is told apart from for ever: about 30 years. */
#define MAX_MS 1e12

static bool s_milliseconds (PyObject *seconds, double *ms)
{
    const double value = PyFloat_AsDouble (seconds);
    if (value == -1.0 && PyErr_Occurred ())
        return false;
    if (isnan (value)) {
        PyErr_SetString (PyExc_ValueError, "a time is not a number");
        return false;
    }
    *ms = fmin (ceil (value * 1000.0), MAX_MS);
    return true;
}

int64_t core_timeout (PyObject *seconds)
{
    double ms;
    if (seconds == NULL || seconds == Py_None)
        return -1;
    if (!s_milliseconds (seconds, &ms))
        return -2;
    return ms > 0 ? (int64_t) ms : 0;
}

int64_t core_limit (PyObject *seconds, const char *what)
{
    double ms;
    if (seconds == NULL || seconds == Py_None)
        return 0;
    if (!s_milliseconds (seconds, &ms))
        return -1;
    if (ms < 0) {
        PyErr_Format (PyExc_ValueError, "%s is negative", what);
        return -1;
    }
    return (int64_t) ms;
}

bool core_id (us_id_t *id, const void *bytes, Py_ssize_t len)
{
    if (len != US_ID_LEN) {
        PyErr_Format (PyExc_ValueError, "an id has 16 bytes, not %zd", len);
        return false;
    }
    memcpy (id->bytes, bytes, US_ID_LEN);
    return true;
}

const char *core_text (PyObject *item, const char *refusal)
{
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize (item, &len);
    if (text != NULL && strlen (text) != (size_t) len) {
        core_raise (US_ERR_INVALID, refusal);
        return NULL;
    }
    return text;
}

bool core_each_text (PyObject *texts, const char *what, core_text_fn *fn, void *arg,
                     us_err_t *err)
{
    *err = US_OK;
    if (texts == NULL)
        return true;
    if (PyUnicode_Check (texts) || !PySequence_Check (texts)) {
        PyErr_Format (PyExc_TypeError, "%s must be a sequence of str", what);
        return false;
    }
    const Py_ssize_t count = PySequence_Size (texts);
    bool ok = count >= 0;
    for (Py_ssize_t i = 0; ok && *err == US_OK && i < count; i++) {
        PyObject *item = PySequence_GetItem (texts, i);
        const char *text =
            item != NULL ? core_text (item, "a null character in a requirement") : NULL;
        ok = text != NULL;
        if (ok)
            *err = fn (arg, text);
        Py_XDECREF (item);
    }
    return ok;
}

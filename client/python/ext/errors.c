/* SPDX-License-Identifier: MIT
 *
 * How errors of the library are raised. */
#include "core.h"

PyObject *core_raise (us_err_t err, const char *text)
{
    PyObject *module = PyImport_ImportModule ("understudy.exceptions");
    if (module == NULL)
        return NULL;
    PyObject *class = PyObject_GetAttrString (module, us_err_python (err));
    Py_DECREF (module);
    if (class == NULL)
        return NULL;
    /* The library's words may quote bytes of a user that are not UTF-8. */
    const char *words = text != NULL && text[0] != '\0' ? text : us_err_text (err);
    PyObject *message =
        PyUnicode_DecodeUTF8 (words, (Py_ssize_t) strlen (words), "backslashreplace");
    if (message != NULL)
        PyErr_SetObject (class, message);
    Py_XDECREF (message);
    Py_DECREF (class);
    return NULL;
}

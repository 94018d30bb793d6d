/* SPDX-License-Identifier: MIT
 *
 * understudy._core.Blob: us_blob_t. */
#include "core.h"

static PyObject *s_new (PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"data", NULL};
    Py_buffer data;
    if (!PyArg_ParseTupleAndKeywords (args, kwargs, "y*:Blob", names, &data))
        return NULL;
    us_blob_t *blob = NULL;
    us_err_t err;
    Py_BEGIN_ALLOW_THREADS err = us_blob_new (&blob, data.buf, (size_t) data.len);
    Py_END_ALLOW_THREADS PyBuffer_Release (&data);
    if (err != US_OK)
        return core_raise (err, NULL);

    allocfunc alloc = (allocfunc) PyType_GetSlot (type, Py_tp_alloc);
    core_blob_t *self = (core_blob_t *) alloc (type, 0);
    if (self == NULL)
        us_blob_destroy (&blob);
    else
        self->blob = blob;
    return (PyObject *) self;
}

static void s_dealloc (PyObject *object)
{
    PyTypeObject *type = Py_TYPE (object);
    us_blob_destroy (&((core_blob_t *) object)->blob);
    freefunc release = (freefunc) PyType_GetSlot (type, Py_tp_free);
    release (object);
    Py_DECREF (type);
}

static PyObject *s_digest (PyObject *self, void *closure)
{
    (void) closure;
    const uint8_t *digest = us_blob_digest (((core_blob_t *) self)->blob);
    return PyBytes_FromStringAndSize ((const char *) digest, 32);
}

static PyObject *s_size (PyObject *self, void *closure)
{
    (void) closure;
    size_t len;
    us_blob_data (((core_blob_t *) self)->blob, &len);
    return PyLong_FromSize_t (len);
}

static PyGetSetDef s_getset[] = {
    {"digest", s_digest, NULL, "The 32 bytes of its sha-256.", NULL},
    {"size", s_size, NULL, "How many bytes it has.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot s_slots[] = {
    {Py_tp_doc, "Bytes shared by many jobs, hashed once."},
    {Py_tp_new, s_new},
    {Py_tp_dealloc, s_dealloc},
    {Py_tp_getset, s_getset},
    {0, NULL},
};

PyType_Spec core_blob_spec = {
    .name = "understudy._core.Blob",
    .basicsize = sizeof (core_blob_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = s_slots,
};

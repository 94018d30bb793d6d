/* SPDX-License-Identifier: MIT
 *
 * understudy._core.Buffer: one buffer of a result, whose memory arrays may go on to use. */
#include "core.h"

typedef struct core_buffer {
    PyObject_HEAD us_blob_t *blob;
} core_buffer_t;

PyObject *core_buffer_new (core_state_t *state, us_blob_t **blob)
{
    allocfunc alloc = (allocfunc) PyType_GetSlot (state->buffer_type, Py_tp_alloc);
    core_buffer_t *self = (core_buffer_t *) alloc (state->buffer_type, 0);
    if (self == NULL) {
        us_blob_destroy (blob);
        return NULL;
    }
    self->blob = *blob;
    *blob = NULL;
    return (PyObject *) self;
}

static int s_get (PyObject *object, Py_buffer *view, int flags)
{
    size_t len;
    void *data = us_blob_data (((core_buffer_t *) object)->blob, &len);
    return PyBuffer_FillInfo (view, object, data, (Py_ssize_t) len, 0, flags);
}

static void s_dealloc (PyObject *object)
{
    PyTypeObject *type = Py_TYPE (object);
    us_blob_destroy (&((core_buffer_t *) object)->blob);
    freefunc release = (freefunc) PyType_GetSlot (type, Py_tp_free);
    release (object);
    Py_DECREF (type);
}

static PyType_Slot s_slots[] = {
    {Py_tp_doc, "Memory of a result: memoryview(buffer)."},
    {Py_tp_dealloc, s_dealloc},
    {Py_bf_getbuffer, s_get},
    {0, NULL},
};

PyType_Spec core_buffer_spec = {
    .name = "understudy._core.Buffer",
    .basicsize = sizeof (core_buffer_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = s_slots,
};

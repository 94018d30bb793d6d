/* SPDX-License-Identifier: MIT
 *
 * What the files of understudy._core share, from the lowest to the highest: each uses
 * only those before it. The extension converts types and calls us_*: no protocol, no
 * retry, no policy. Built for the limited API of Python 3.11.
 *
 * The interpreter lock guards every field of these objects; it is released around each
 * call that may block. No Python object is touched without it. */
#ifndef UNDERSTUDY_PYTHON_CORE_H
#define UNDERSTUDY_PYTHON_CORE_H

#include <Python.h>
#include <stdio.h>
#include <string.h>

#include <understudy/understudy.h>

typedef struct core_state {
    PyTypeObject *blob_type;
    PyTypeObject *buffer_type;
    PyTypeObject *client_type;
    PyTypeObject *job_type;
} core_state_t;

typedef struct core_blob {
    PyObject_HEAD us_blob_t *blob;
} core_blob_t;

/* close() may come while other threads are inside a call: the client is destroyed by
 * whoever leaves last. */
typedef struct core_client {
    PyObject_HEAD us_client_t *client;
    PyObject *subscribed; /* token → (job, user), until the job's ENDED */
    uint64_t last_token;
    int closed_fd; /* an eventfd, readable once closed: ends wait_events */
    unsigned users;
    pid_t pid; /* that counted the users: threads do not survive a fork */
    bool closed;
} core_client_t;

typedef struct core_job {
    PyObject_HEAD us_result_t *result;
    core_client_t *client;
    uint64_t token; /* key in client->subscribed; 0 before the first subscription */
    unsigned types; /* asked for by Python */
} core_job_t;

/* The module's state, from an instance of one of its types: none of them can be
 * subclassed, so the type of self is the module's own. */
static inline core_state_t *core_state_of (PyObject *self)
{
    return PyType_GetModuleState (Py_TYPE (self));
}

/* --- errors.c --- */

/* Raises the exception class of err with a message; always NULL. */
PyObject *core_raise (us_err_t err, const char *text);

/* --- convert.c --- */

/* Seconds or None to milliseconds, rounded up; None is -1. Below zero counts as zero. -2
 * with an exception set on failure. */
int64_t core_timeout (PyObject *seconds);
/* The same for a time that 0 and None switch off; negative times raise. -1 on failure. */
int64_t core_limit (PyObject *seconds, const char *what);
/* UTF-8 without null characters, borrowed from item; NULL with an exception set, whose
 * message is refusal where it is a null character. */
const char *core_text (PyObject *item, const char *refusal);
bool core_id (us_id_t *id, const void *bytes, Py_ssize_t len);
/* Calls each (text, arg) for a sequence of str that is not itself a str. what names
 * it in messages. */
typedef us_err_t core_text_fn (void *arg, const char *text);
bool core_each_text (PyObject *texts, const char *what, core_text_fn *fn, void *arg,
                     us_err_t *err);

/* --- wait.c --- */

/* Runs fn without the interpreter lock, with what is left of timeout_ms (-1: for ever).
 * After a signal its Python handlers run and the wait goes on. Returns
 * US_ERR_INTERRUPTED only with an exception set. */
typedef us_err_t core_wait_fn (void *args, int64_t left_ms);
us_err_t core_wait_whole (core_wait_fn *fn, void *args, int64_t timeout_ms);
/* The same in parts, for an fn that may be called again after its timeout as if it had
 * not ended; a signal is then answered also where it did not interrupt fn. */
us_err_t core_wait (core_wait_fn *fn, void *args, int64_t timeout_ms);

/* --- call.c --- */

/* The client for one call; NULL with ClientClosed raised. Each one that is not NULL is
 * followed by core_client_leave. */
us_client_t *core_client_enter (core_client_t *self);
void core_client_leave (core_client_t *self);
/* Without the interpreter lock; nobody may be inside a call. */
void core_client_destroy (core_client_t *self);
/* core_raise with the client's own words, for a call between enter and leave. */
PyObject *core_client_raise (us_client_t *client, us_err_t err);

/* --- buffer.c --- */

/* A Buffer over *blob, which it takes over also where it fails. */
PyObject *core_buffer_new (core_state_t *state, us_blob_t **blob);

/* --- job.c --- */

/* A Job over *result, which it takes over also where it fails. */
core_job_t *core_job_new (core_client_t *client, us_result_t **result);
/* Whether it could; the exception is set otherwise. */
bool core_job_subscribe (core_job_t *self, unsigned types, PyObject *user);

/* --- submit.c --- */

PyObject *core_client_submit (PyObject *self, PyObject *args, PyObject *kwargs);

/* --- query.c --- */

PyObject *core_client_query (PyObject *self, PyObject *args, PyObject *kwargs);

/* --- blob.c, buffer.c, job.c, client.c: the types --- */

extern PyType_Spec core_blob_spec;
extern PyType_Spec core_buffer_spec;
extern PyType_Spec core_client_spec;
extern PyType_Spec core_job_spec;

#endif

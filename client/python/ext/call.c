/* SPDX-License-Identifier: MIT
 *
 * One call of a client: the client is not destroyed while somebody is inside. */
#include "core.h"

#include <unistd.h>

void core_client_destroy (core_client_t *self)
{
    us_client_t *client = self->client;
    self->client = NULL;
    Py_BEGIN_ALLOW_THREADS us_client_destroy (&client);
    Py_END_ALLOW_THREADS
}

us_client_t *core_client_enter (core_client_t *self)
{
    if (self->closed) {
        core_raise (US_ERR_CLOSED, "the client is closed");
        return NULL;
    }
    if (self->pid != getpid ()) {
        self->pid = getpid ();
        self->users = 0;
    }
    self->users++;
    return self->client;
}

void core_client_leave (core_client_t *self)
{
    self->users--;
    if (self->closed && self->users == 0 && self->client != NULL)
        core_client_destroy (self);
}

PyObject *core_client_raise (us_client_t *client, us_err_t err)
{
    return core_raise (err, us_client_error_text (client));
}

/* SPDX-License-Identifier: MIT
 *
 * The broker's end for the node's tests: see fake_router.h. */
#include "fake_router.h"

#include "../unit.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"

#define WAIT_MS 20000

void router_open (router_t *self)
{
    size_t size = sizeof self->endpoint;
    int linger = 0;
    if (!self->context)
        self->context = zmq_ctx_new ();
    self->socket = zmq_socket (self->context, ZMQ_ROUTER);
    zmq_setsockopt (self->socket, ZMQ_LINGER, &linger, sizeof linger);
    const char *at = self->endpoint[0] ? self->endpoint : "tcp://127.0.0.1:*";
    int64_t end_ms = usi_now_ms () + WAIT_MS;
    while (zmq_bind (self->socket, at) != 0) { /* the last one may not be closed yet */
        assert_true (errno == EADDRINUSE && usi_now_ms () < end_ms);
        poll (NULL, 0, 1);
    }
    zmq_getsockopt (self->socket, ZMQ_LAST_ENDPOINT, self->endpoint, &size);
    self->brokers[0] = self->endpoint;
}

void router_close (router_t *self)
{
    zmq_unbind (self->socket, self->endpoint);
    zmq_close (self->socket);
    self->socket = NULL;
}

void router_free (router_t *self)
{
    if (self->socket)
        router_close (self);
    zmq_ctx_term (self->context);
    usi_msg_free (&self->in);
    *self = (router_t){0};
}

void router_say (router_t *self, usi_msg_t *msg)
{
    assert_int_equal (usi_msg_send (msg, self->socket,
                                    usi_bytes (self->peer, self->peer_len)),
                      0);
}

static void s_welcome (router_t *self)
{
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, USI_WELCOME);
    USI_SET (&msg.head, VERSION, version, usi_bytes_of ("test"));
    USI_SET (&msg.head, CLUSTER, cluster, usi_bytes_of ("test"));
    USI_SET (&msg.head, BROKER, broker, 1);
    USI_SET (&msg.head, HEARTBEAT_MS, heartbeat_ms, 1000);
    USI_SET (&msg.head, LEASE_MS, lease_ms, 7000);
    USI_SET (&msg.head, MAX_BODY, max_body, 1000);
    USI_SET (&msg.head, MAX_PAYLOAD, max_payload, 100000);
    router_say (self, &msg);
    usi_msg_free (&msg);
}

void router_read (router_t *self)
{
    usi_msg_t msg = USI_MSG_INIT;
    while (self->socket) {
        uint8_t peer[sizeof self->peer];
        size_t len = sizeof peer;
        int error = usi_msg_recv (&msg, self->socket, peer, &len);
        if (error == EAGAIN)
            break;
        assert_int_equal (error, 0);
        memcpy (self->peer, peer, len);
        self->peer_len = len;
        self->got[msg.type]++;
        if (self->types_len < ROUTER_NOTES)
            self->types[self->types_len++] = msg.type;
        if (msg.type == USI_HELLO && !self->mute)
            s_welcome (self);
        if (msg.type != USI_PING && msg.type != USI_PONG) {
            usi_msg_free (&self->in);
            self->in = msg;
            msg = USI_MSG_INIT;
        }
    }
    usi_msg_free (&msg);
}

bool router_got_before (const router_t *self, int first, int second)
{
    for (unsigned i = 0; i < self->types_len; i++) {
        if (self->types[i] == first)
            return true;
        if (self->types[i] == second)
            return false;
    }
    return false;
}

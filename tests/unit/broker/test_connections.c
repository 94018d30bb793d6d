/* SPDX-License-Identifier: MIT
 *
 * Who says no HELLO is cut, and nobody else: also where HELLO is read before libzmq's
 * monitor has been. */
#include "unit.h"

#include <poll.h>

#include "base/clock.h"
#include "connections.h"
#include "proto/message.h"

typedef struct scene {
    zloop_t *loop;
    zsock_t *router, *dealer;
    connections_t *connections;
} scene_t;

/* A connection over which one message has come; its descriptor. The loop has not run. */
static handle_t s_connect (scene_t *self)
{
    char *endpoint;
    usi_msg_t msg = USI_MSG_INIT;
    uint8_t routing[256];
    size_t len;
    self->loop = zloop_new ();
    self->router = zsock_new (ZMQ_ROUTER);
    self->connections = connections_new ();
    connections_watch (self->connections, self->loop, zsock_resolve (self->router));
    assert_true (zsock_bind (self->router, "tcp://127.0.0.1:*") > 0);
    endpoint = strdup (zsock_endpoint (self->router));
    self->dealer = zsock_new (ZMQ_DEALER);
    assert_int_equal (zsock_connect (self->dealer, "%s", endpoint), 0);
    usi_msg_begin (&msg, USI_PING);
    assert_int_equal (usi_msg_send (&msg, zsock_resolve (self->dealer),
                                    usi_bytes (NULL, 0)),
                      0);
    while (usi_msg_recv (&msg, zsock_resolve (self->router), routing, &len) == EAGAIN)
        poll (NULL, 0, 1);
    handle_t handle = handle_of (usi_msg_fd (&msg));
    assert_true (handle.cookie != 0);
    usi_msg_free (&msg);
    free (endpoint);
    return handle;
}

static int s_stop (zloop_t *loop, int timer, void *arg)
{
    (void) loop, (void) timer, (void) arg;
    return -1;
}

/* Lets the loop read what there is. */
static void s_turn (scene_t *self)
{
    zloop_timer (self->loop, 50, 1, s_stop, NULL);
    zloop_start (self->loop);
}

static void s_tear_down (scene_t *self)
{
    connections_destroy (&self->connections);
    zsock_destroy (&self->dealer);
    zsock_destroy (&self->router);
    zloop_destroy (&self->loop);
}

static void test_silent (void **state)
{
    scene_t scene = {0};
    (void) state;
    handle_t handle = s_connect (&scene);
    s_turn (&scene);
    int64_t now_ms = usi_now_ms ();
    assert_int_equal (connections_cut_silent (scene.connections, now_ms), 0);
    now_ms += CONNECTIONS_GREETING_MS + 1000;
    assert_int_equal (connections_cut_silent (scene.connections, now_ms), 1);
    assert_int_equal (connections_cut_silent (scene.connections, now_ms), 0);
    (void) handle;
    s_tear_down (&scene);
}

static void test_greeted_before_the_monitor_was_read (void **state)
{
    scene_t scene = {0};
    (void) state;
    handle_t handle = s_connect (&scene);
    connections_greeted (scene.connections, &handle);
    s_turn (&scene);
    int64_t now_ms = usi_now_ms () + CONNECTIONS_GREETING_MS + 1000;
    assert_int_equal (connections_cut_silent (scene.connections, now_ms), 0);
    s_tear_down (&scene);
}

/* The number of a descriptor alone says nothing. */
static void test_a_descriptor_that_is_another_connections (void **state)
{
    scene_t scene = {0};
    (void) state;
    handle_t handle = s_connect (&scene);
    handle.cookie++;
    assert_false (handle_cut (&handle));
    handle.cookie--;
    assert_true (handle_cut (&handle));
    assert_false (handle_cut (&(handle_t){0}));
    s_tear_down (&scene);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_silent),
        cmocka_unit_test (test_greeted_before_the_monitor_was_read),
        cmocka_unit_test (test_a_descriptor_that_is_another_connections),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

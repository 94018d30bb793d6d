/* SPDX-License-Identifier: MIT
 *
 * The table of peers, and when one counts as gone. */
#include "unit.h"

#include <string.h>

#include "peers/peers.h"
#include "proto/message.h"

static routing_t s_routing (uint8_t last)
{
    return (routing_t){.len = 5, .bytes = {0, 1, 2, 3, last}};
}

static peer_t *s_add (peers_t *peers, uint8_t last, unsigned role)
{
    routing_t routing = s_routing (last);
    return peers_add (peers, &routing, role, usi_bytes_of ("name"),
                      usi_bytes_of ("host"), 1);
}

static void s_count (peer_t *peer, void *arg)
{
    (void) peer;
    ++*(size_t *) arg;
}

static void test_find_by_routing_and_index (void **state)
{
    (void) state;
    peers_t *peers = peers_new ();
    peer_t *a = s_add (peers, 1, USI_BY_CLIENT);
    peer_t *b = s_add (peers, 2, USI_BY_NODE);
    routing_t routing = s_routing (2);
    assert_ptr_equal (peers_find (peers, &routing), b);
    assert_ptr_equal (peers_get (peers, a->index), a);
    assert_null (peers_get (peers, b->index + 1));
    assert_int_equal (peers_count (peers, USI_BY_NODE), 1);
    assert_string_equal (a->name, "name");
    peers_destroy (&peers);
    assert_null (peers);
}

static void test_gone_is_not_found_and_index_is_not_used_again (void **state)
{
    (void) state;
    size_t forgotten = 0;
    peers_t *peers = peers_new ();
    peer_t *old = s_add (peers, 1, USI_BY_CLIENT);
    uint32_t index = old->index;
    peers_mark_gone (peers, old);
    peers_mark_gone (peers, old);
    assert_null (peers_get (peers, index));
    /* The same connection may introduce itself anew before the old peer is freed. */
    peer_t *fresh = s_add (peers, 1, USI_BY_CLIENT);
    assert_int_not_equal (fresh->index, index);
    peers_reap (peers, s_count, &forgotten);
    assert_int_equal (forgotten, 1);
    routing_t routing = s_routing (1);
    assert_ptr_equal (peers_find (peers, &routing), fresh);
    peers_destroy (&peers);
}

static void test_many (void **state)
{
    (void) state;
    size_t forgotten = 0, count;
    peers_t *peers = peers_new ();
    for (int i = 0; i < 200; i++)
        s_add (peers, (uint8_t) i, USI_BY_CLIENT);
    peer_t **all = peers_all (peers, &count);
    assert_int_equal (count, 200);
    for (size_t i = 0; i < count; i += 2)
        peers_mark_gone (peers, all[i]);
    peers_reap (peers, s_count, &forgotten);
    assert_int_equal (forgotten, 100);
    all = peers_all (peers, &count);
    assert_int_equal (count, 100);
    for (size_t i = 0; i < count; i++)
        assert_int_equal (all[i]->at, i);
    peers_destroy (&peers);
}

static void test_beats_count_unanswered_pings (void **state)
{
    (void) state;
    peers_t *peers = peers_new ();
    peer_t *peer = s_add (peers, 1, USI_BY_CLIENT);
    assert_int_equal (peer_beat (peer), PEER_QUIET);
    for (int i = 0; i < PEER_UNANSWERED; i++)
        assert_int_equal (peer_beat (peer), PEER_PING);
    assert_int_equal (peer_beat (peer), PEER_GONE);
    peer_heard (peer);
    assert_int_equal (peer_beat (peer), PEER_QUIET);
    assert_int_equal (peer_beat (peer), PEER_PING);
    peers_destroy (&peers);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_find_by_routing_and_index),
        cmocka_unit_test (test_gone_is_not_found_and_index_is_not_used_again),
        cmocka_unit_test (test_many),
        cmocka_unit_test (test_beats_count_unanswered_pings),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

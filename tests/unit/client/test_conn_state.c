/* SPDX-License-Identifier: MIT
 *
 * Every pair of connection state and event. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conn_state.h"

#define NO -1

/* Written down a second time, in another shape, on purpose. */
static const int s_expected[CONN__STATES][CONN__EVENTS] = {
    /* WANTED, ADDRESS, NO_ADDRESS, WELCOME, LOST, UNKNOWN_PEER, RETRY, GIVE_UP, STOP */
    {CONN_SEEKING, NO, NO, NO, NO, NO, NO, NO, CONN_CLOSED},
    {CONN_SEEKING, CONN_GREETING, CONN_PAUSED, NO, NO, NO, NO, CONN_IDLE, CONN_CLOSED},
    {CONN_GREETING, NO, NO, CONN_READY, CONN_SEEKING, CONN_GREETING, NO, CONN_IDLE,
     CONN_CLOSED},
    {CONN_READY, NO, NO, CONN_READY, CONN_SEEKING, CONN_GREETING, NO, NO, CONN_CLOSED},
    {CONN_PAUSED, NO, NO, NO, NO, NO, CONN_SEEKING, CONN_IDLE, CONN_CLOSED},
    {NO, NO, NO, NO, NO, NO, NO, NO, CONN_CLOSED},
};

static void test_every_pair (void **state)
{
    (void) state;
    for (int from = 0; from < CONN__STATES; from++) {
        for (int event = 0; event < CONN__EVENTS; event++) {
            conn_state_t next = CONN__STATES;
            bool allowed = conn_next ((conn_state_t) from, (conn_event_t) event, &next);
            int expected = s_expected[from][event];
            assert_int_equal (allowed, expected != NO);
            assert_int_equal (next, expected == NO ? CONN__STATES : expected);
        }
    }
}

static void test_outside_the_table (void **state)
{
    (void) state;
    conn_state_t next = CONN_IDLE;
    assert_false (conn_next (CONN__STATES, CONN_ON_STOP, &next));
    assert_false (conn_next (CONN_IDLE, CONN__EVENTS, &next));
    assert_string_equal (conn_state_name (CONN__STATES), "?");
    assert_string_equal (conn_event_name (CONN__EVENTS), "?");
    assert_string_equal (conn_state_name (CONN_GREETING), "GREETING");
    assert_string_equal (conn_event_name (CONN_ON_GIVE_UP), "GIVE_UP");
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_every_pair),
        cmocka_unit_test (test_outside_the_table),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

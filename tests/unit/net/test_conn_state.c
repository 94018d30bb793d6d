/* SPDX-License-Identifier: MIT
 *
 * Every pair of connection state and event. */
#include "../unit.h"

#include "net/conn_state.h"

#define NO -1

/* Written down a second time, in another shape, on purpose. */
static const int s_expected[USI_CONN__STATES][USI_CONN__EVENTS] = {
    /* WANTED, ADDRESS, NO_ADDRESS, WELCOME, LOST, UNKNOWN_PEER, RETRY, GIVE_UP, STOP */
    {USI_CONN_SEEKING, NO, NO, NO, NO, NO, NO, NO, USI_CONN_CLOSED},
    {USI_CONN_SEEKING, USI_CONN_GREETING, USI_CONN_PAUSED, NO, NO, NO, NO,
     USI_CONN_IDLE, USI_CONN_CLOSED},
    {USI_CONN_GREETING, NO, NO, USI_CONN_READY, USI_CONN_SEEKING, NO, NO, USI_CONN_IDLE,
     USI_CONN_CLOSED},
    {USI_CONN_READY, NO, NO, NO, USI_CONN_SEEKING, USI_CONN_GREETING, NO, NO,
     USI_CONN_CLOSED},
    {USI_CONN_PAUSED, NO, NO, NO, NO, NO, USI_CONN_SEEKING, USI_CONN_IDLE,
     USI_CONN_CLOSED},
    {NO, NO, NO, NO, NO, NO, NO, NO, USI_CONN_CLOSED},
};

static void test_every_pair (void **state)
{
    (void) state;
    for (int from = 0; from < USI_CONN__STATES; from++) {
        for (int event = 0; event < USI_CONN__EVENTS; event++) {
            usi_conn_state_t next = USI_CONN__STATES;
            bool allowed = usi_conn_next ((usi_conn_state_t) from,
                                          (usi_conn_event_t) event, &next);
            int expected = s_expected[from][event];
            assert_int_equal (allowed, expected != NO);
            assert_int_equal (next, expected == NO ? USI_CONN__STATES : expected);
        }
    }
}

static void test_outside_the_table (void **state)
{
    (void) state;
    usi_conn_state_t next = USI_CONN_IDLE;
    assert_false (usi_conn_next (USI_CONN__STATES, USI_CONN_ON_STOP, &next));
    assert_false (usi_conn_next (USI_CONN_IDLE, USI_CONN__EVENTS, &next));
    assert_string_equal (usi_conn_state_name (USI_CONN__STATES), "?");
    assert_string_equal (usi_conn_event_name (USI_CONN__EVENTS), "?");
    assert_string_equal (usi_conn_state_name (USI_CONN_GREETING), "GREETING");
    assert_string_equal (usi_conn_event_name (USI_CONN_ON_GIVE_UP), "GIVE_UP");
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_every_pair),
        cmocka_unit_test (test_outside_the_table),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

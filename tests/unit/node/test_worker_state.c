/* SPDX-License-Identifier: MIT
 *
 * Every pair of the table of worker states. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker_state.h"

static void test_every_pair (void **state)
{
    enum {
        S = WORKER_STARTING,
        L = WORKER_LIVE,
        E = WORKER_ENDING,
        X = WORKER_STOPPING,
        G = WORKER_GONE
    };
    static const int expected[WORKER_STATES][WORKER_EVENTS] = {
        [S] = {L, E, X, -1, G}, [L] = {-1, E, X, -1, G},    [E] = {E, -1, X, -1, G},
        [X] = {X, -1, X, L, G}, [G] = {-1, -1, -1, -1, -1},
    };
    (void) state;
    for (int from = 0; from < WORKER_STATES; from++)
        for (int event = 0; event < WORKER_EVENTS; event++)
            assert_int_equal (worker_next ((worker_state_t) from,
                                           (worker_event_t) event),
                              expected[from][event]);
}

static void test_names (void **state)
{
    (void) state;
    for (int i = 0; i < WORKER_STATES; i++)
        assert_string_not_equal (worker_state_name ((worker_state_t) i), "?");
    assert_string_equal (worker_state_name (WORKER_STATES), "?");
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_every_pair),
        cmocka_unit_test (test_names),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

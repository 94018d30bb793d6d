/* SPDX-License-Identifier: MIT
 *
 * Claims, against a store that only writes down what it is asked. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "core/schedule.h"

/* --- the store ------------------------------------------------------------------------- */

typedef struct asked {
    uint64_t node;
    uint32_t count;
    bool waiting;
    char channel[16];
    store_claim_fn *fn;
    void *arg;
} asked_t;

static asked_t s_asked[32];
static size_t s_asked_len, s_handed_back;
static bool s_ready = true;

bool store_is_ready (const store_t *self)
{
    (void) self;
    return s_ready;
}

void store_claim (store_t *self, const store_claim_t *claim, store_claim_fn *fn,
                  void *arg)
{
    (void) self;
    asked_t *asked = &s_asked[s_asked_len++];
    *asked = (asked_t){.node = claim->node,
                       .count = claim->count,
                       .waiting = claim->waiting};
    snprintf (asked->channel, sizeof asked->channel, "%s", claim->channel);
    asked->fn = fn;
    asked->arg = arg;
}

void store_hand_back (store_t *self, const store_fence_t *fence, store_code_fn *fn,
                      void *arg)
{
    (void) self;
    (void) fence;
    s_handed_back++;
    fn (US_OK, arg);
}

static void s_answer (size_t number, us_err_t code, size_t count)
{
    store_claimed_t jobs[16] = {0};
    for (size_t i = 0; i < count; i++) {
        jobs[i].record.attempt = 1;
        jobs[i].record.channel = usi_bytes_of (s_asked[number].channel);
    }
    s_asked[number].fn (code, jobs, count, s_asked[number].arg);
}

/* --- the world ------------------------------------------------------------------------- */

static broker_t s_broker;
static node_t *s_node;

static void s_hook_filled (void *arg)
{
    (void) arg;
}

static void s_hook (peer_t *peer, const usi_msg_t *msg, void *arg)
{
    (void) arg;
    if (msg->type == USI_JOBS && peer->node)
        schedule_undelivered (&s_broker, peer->node, msg);
}

static int s_setup (void **state)
{
    usi_buf_t channels = {0};
    usi_fields_t hello = {.node = 7, .boot = 1};
    routing_t routing = {.len = 1};
    const char *why;
    const outbox_hooks_t hooks = {.unsent = s_hook,
                                  .gone = s_hook,
                                  .filled = s_hook_filled};
    (void) state;
    s_asked_len = s_handed_back = 0;
    s_ready = true;
    s_broker = (broker_t){.peers = peers_new (),
                          .nodes = nodes_new (),
                          .outbox = outbox_new (NULL, &hooks)};
    usi_list_add_str (&channels, usi_bytes_of ("a"));
    usi_list_add_str (&channels, usi_bytes_of ("b"));
    hello.channels = usi_list_of (&channels, 2);
    peer_t *peer = peers_add (s_broker.peers, &routing, USI_BY_NODE, usi_bytes_of ("n"),
                              usi_bytes_of ("h"), 1);
    assert_int_equal (nodes_add (s_broker.nodes, peer, &hello, &s_node, &why), US_OK);
    usi_buf_free (&channels);
    return 0;
}

static int s_teardown (void **state)
{
    (void) state;
    outbox_destroy (&s_broker.outbox);
    nodes_destroy (&s_broker.nodes);
    peers_destroy (&s_broker.peers);
    return 0;
}

static void s_credit (uint32_t credit)
{
    node_add_credit (s_node, credit);
    schedule_node (&s_broker, s_node);
}

/* --- tests ----------------------------------------------------------------------------- */

static void test_credit_asks_all_channels_in_turn (void **state)
{
    (void) state;
    s_credit (4);
    assert_int_equal (s_asked_len, 1);
    assert_int_equal (s_asked[0].count, 4);
    assert_int_equal (node_available (s_node), 0);
    s_answer (0, US_OK, 1);
    assert_int_equal (s_asked_len, 2);
    assert_int_equal (s_asked[1].count, 3);
    assert_string_not_equal (s_asked[0].channel, s_asked[1].channel);
    s_answer (1, US_OK, 0);
    assert_int_equal (s_asked_len, 2);
    assert_int_equal (node_available (s_node), 3);
    assert_true (s_node->channels[0].waiting && s_node->channels[1].waiting);
}

static void test_a_satisfied_claim_ends_the_pass (void **state)
{
    (void) state;
    s_credit (2);
    s_answer (0, US_OK, 2);
    assert_int_equal (s_asked_len, 1);
    s_credit (1); /* begins with the other channel */
    assert_string_not_equal (s_asked[0].channel, s_asked[1].channel);
    s_answer (1, US_OK, 1);
}

static void test_new_jobs_are_claimed_by_idle_credit (void **state)
{
    (void) state;
    s_credit (4);
    s_answer (0, US_OK, 0);
    s_answer (1, US_OK, 0);
    schedule_jobs (&s_broker, usi_bytes_of ("a"), 0, 2);
    assert_int_equal (s_asked_len, 3);
    assert_int_equal (s_asked[2].count, 2);
    assert_false (s_asked[2].waiting); /* credit remains: the topic stays */
    schedule_jobs (&s_broker, usi_bytes_of ("a"), 0, 9);
    assert_int_equal (s_asked[3].count, 2); /* not more than there is */
    assert_true (s_asked[3].waiting);
    s_answer (2, US_OK, 2);
    s_answer (3, US_OK, 2);
    assert_int_equal (s_node->credit, 0);
    assert_int_equal (s_node->claimed, 0);
    schedule_jobs (&s_broker, usi_bytes_of ("unknown"), 0, 1);
    assert_int_equal (s_asked_len, 4);
}

static void test_jobs_that_a_claim_may_have_missed (void **state)
{
    (void) state;
    s_credit (1);
    const char *asked = s_asked[0].channel;
    schedule_jobs (&s_broker, usi_bytes_of (asked), 0, 1); /* all credit is under way */
    assert_int_equal (s_asked_len, 1);
    s_answer (0, US_OK, 0);
    s_answer (1, US_OK, 0);
    assert_int_equal (s_asked_len, 3); /* a second pass */
    s_answer (2, US_OK, 1);
}

static void test_a_failed_claim_gives_credit_back (void **state)
{
    (void) state;
    s_credit (3);
    s_answer (0, US_ERR_STORE, 0);
    assert_int_equal (s_asked_len, 1);
    assert_int_equal (node_available (s_node), 3);
    schedule_look (&s_broker); /* once a second: one claim a channel */
    assert_int_equal (s_asked_len, 2);
    s_answer (1, US_OK, 0);
    s_ready = false;
    s_credit (1);
    assert_int_equal (s_asked_len, 2);
}

static void test_jobs_for_a_lost_node_go_back (void **state)
{
    (void) state;
    s_credit (3);
    peers_mark_gone (s_broker.peers, s_node->peer);
    s_answer (0, US_OK, 3);
    assert_int_equal (s_handed_back, 3);
}

static void test_undelivered_jobs_go_back (void **state)
{
    (void) state;
    s_credit (3);
    s_answer (0, US_OK, 3);
    s_node->peer->slow = true;
    outbox_flush (s_broker.outbox);
    assert_int_equal (s_handed_back, 3);
    assert_int_equal (s_node->credit, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, s_setup, s_teardown)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_credit_asks_all_channels_in_turn),
        TEST (test_a_satisfied_claim_ends_the_pass),
        TEST (test_new_jobs_are_claimed_by_idle_credit),
        TEST (test_jobs_that_a_claim_may_have_missed),
        TEST (test_a_failed_claim_gives_credit_back),
        TEST (test_jobs_for_a_lost_node_go_back),
        TEST (test_undelivered_jobs_go_back),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

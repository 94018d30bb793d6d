/* SPDX-License-Identifier: MIT
 *
 * Claims, over the fake store. */
#include "unit.h"

#include <string.h>

#include "core/schedule.h"
#include "world.h"

static size_t s_claims (const world_t *world)
{
    return fake_count (world->store, "claim");
}

/* The next claim, which stays unanswered. */
static fake_call_t *s_claim (world_t *world)
{
    return fake_take (world->store, "claim");
}

static void s_credit (world_t *world, end_t *end, uint32_t credit)
{
    node_add_credit (end->node, credit);
    schedule_node (&world->broker, end->node);
}

static void s_submit (world_t *world, const char *channel, uint32_t count)
{
    schedule_jobs (&world->broker, usi_bytes_of (channel), 0, count);
}

static void test_credit_asks_all_channels_in_turn (void **state)
{
    world_t *world = *state;
    end_t *end = world_node (world, 7);
    s_credit (world, end, 4);
    assert_int_equal (s_claims (world), 1);
    fake_call_t *first = s_claim (world);
    assert_int_equal (first->count, 4);
    assert_int_equal (node_available (end->node), 0);
    fake_answer_claim (first, US_OK, 1);
    fake_call_t *second = s_claim (world);
    assert_int_equal (second->count, 3);
    assert_string_not_equal (first->text, second->text);
    fake_answer_claim (second, US_OK, 0);
    assert_int_equal (s_claims (world), 2);
    assert_int_equal (node_available (end->node), 3);
    assert_true (end->node->channels[0].waiting && end->node->channels[1].waiting);
    assert_int_equal (world_expect (world, end, USI_JOBS), 1);
}

static void test_a_satisfied_claim_ends_the_pass (void **state)
{
    world_t *world = *state;
    end_t *end = world_node (world, 7);
    s_credit (world, end, 2);
    fake_call_t *first = s_claim (world);
    fake_answer_claim (first, US_OK, 2);
    assert_int_equal (s_claims (world), 1);
    s_credit (world, end, 1); /* begins with the other channel */
    fake_call_t *second = s_claim (world);
    assert_string_not_equal (first->text, second->text);
    fake_answer_claim (second, US_OK, 1);
    assert_int_equal (world_expect (world, end, USI_JOBS), 3);
}

static void test_new_jobs_are_claimed_by_idle_credit (void **state)
{
    world_t *world = *state;
    end_t *end = world_node (world, 7);
    s_credit (world, end, 4);
    fake_answer_claim (s_claim (world), US_OK, 0);
    fake_answer_claim (s_claim (world), US_OK, 0);
    s_submit (world, "a", 2);
    fake_call_t *third = s_claim (world);
    assert_int_equal (third->count, 2);
    assert_false (third->on); /* credit remains: the topic stays */
    s_submit (world, "a", 9);
    fake_call_t *fourth = s_claim (world);
    assert_int_equal (fourth->count, 2); /* not more than there is */
    assert_true (fourth->on);
    fake_answer_claim (third, US_OK, 2);
    fake_answer_claim (fourth, US_OK, 2);
    assert_int_equal (end->node->credit, 0);
    assert_int_equal (end->node->claimed, 0);
    s_submit (world, "unknown", 1);
    assert_int_equal (s_claims (world), 4);
}

static void test_jobs_that_a_claim_may_have_missed (void **state)
{
    world_t *world = *state;
    end_t *end = world_node (world, 7);
    s_credit (world, end, 1);
    fake_call_t *first = s_claim (world);
    s_submit (world, first->text, 1); /* all credit is under way */
    assert_int_equal (s_claims (world), 1);
    fake_answer_claim (first, US_OK, 0);
    fake_answer_claim (s_claim (world), US_OK, 0);
    fake_answer_claim (s_claim (world), US_OK, 1); /* of a second pass */
    assert_int_equal (s_claims (world), 3);
}

static void test_a_failed_claim_frees_its_credit (void **state)
{
    world_t *world = *state;
    end_t *end = world_node (world, 7);
    s_credit (world, end, 3);
    fake_answer_claim (s_claim (world), US_ERR_STORE, 0);
    assert_int_equal (s_claims (world), 1);
    assert_int_equal (node_available (end->node), 3);
    schedule_look (&world->broker); /* once a second: one claim a channel */
    assert_int_equal (s_claims (world), 2);
    fake_answer_claim (s_claim (world), US_OK, 0);
    fake_set_ready (world->store, false);
    s_credit (world, end, 1);
    assert_int_equal (s_claims (world), 2);
}

static void test_jobs_for_a_lost_node_are_handed_back (void **state)
{
    world_t *world = *state;
    end_t *end = world_node (world, 7);
    s_credit (world, end, 3);
    peers_mark_gone (world->broker.peers, end->peer);
    fake_answer_claim (s_claim (world), US_OK, 3);
    assert_int_equal (fake_count (world->store, "hand_back"), 3);
    fake_call_t *back = fake_take (world->store, "hand_back");
    assert_int_equal (back->fence.node, 7);
    assert_int_equal (back->fence.nonce, 17);
}

static void test_undelivered_jobs_are_handed_back (void **state)
{
    world_t *world = *state;
    end_t *end = world_node (world, 7);
    s_credit (world, end, 3);
    fake_answer_claim (s_claim (world), US_OK, 3);
    end->peer->slow = true;
    outbox_flush (world->broker.outbox);
    assert_int_equal (fake_count (world->store, "hand_back"), 3);
    assert_int_equal (end->node->credit, 3);
}

static void test_a_broker_that_ends_claims_nothing (void **state)
{
    world_t *world = *state;
    end_t *end = world_node (world, 7);
    s_credit (world, end, 1);
    world->broker.ending = true;
    fake_answer_claim (s_claim (world), US_OK, 1);
    assert_int_equal (fake_count (world->store, "hand_back"), 1);
    s_credit (world, end, 1);
    s_submit (world, "a", 1);
    schedule_look (&world->broker);
    assert_int_equal (s_claims (world), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, world_setup, world_teardown)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_credit_asks_all_channels_in_turn),
        TEST (test_a_satisfied_claim_ends_the_pass),
        TEST (test_new_jobs_are_claimed_by_idle_credit),
        TEST (test_jobs_that_a_claim_may_have_missed),
        TEST (test_a_failed_claim_frees_its_credit),
        TEST (test_jobs_for_a_lost_node_are_handed_back),
        TEST (test_undelivered_jobs_are_handed_back),
        TEST (test_a_broker_that_ends_claims_nothing),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

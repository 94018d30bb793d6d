/* SPDX-License-Identifier: MIT
 *
 * Lists of jobs, purging, and how much memory a queued job takes. */
#include "harness.h"

static int s_setup (void **state)
{
    return harness_begin (state, redis_start);
}

static bool s_never (harness_t *h)
{
    (void) h;
    return false;
}

static void test_list_and_purge (void **state)
{
    harness_t *h = *state;
    for (int i = 0; i < 6; i++)
        end_one (h, i % 2 ? USI_FAILED : USI_SUCCEEDED);
    usi_id_t running = submit_one (h);
    claim_one (h, &running);
    for (int i = 0; i < 3; i++)
        submit_one (h);
    assert_int_equal (do_list (h, 0, 100, "")->count, 10);
    assert_string_equal (h->got.cursor, "");
    assert_int_equal (do_list (h, US_STATE_QUEUED, 100, "")->count, 3);
    assert_int_equal (do_list (h, US_STATE_LEASED, 100, "")->count, 1);
    assert_int_equal (do_list (h, US_STATE_FAILED, 100, "")->count, 3);
    unsigned seen = 0;
    char cursor[256] = "";
    do { /* page by page, nothing twice */
        do_list (h, 0, 3, cursor);
        assert_true (h->got.count <= 3);
        seen += (unsigned) h->got.count;
        strcpy (cursor, h->got.cursor);
    } while (*cursor);
    assert_int_equal (seen, 10);

    uint8_t prefix[16];
    memcpy (prefix, running.bytes, 16);
    store_find (h->store, prefix, 5, 10, got_rows, got_begin (h));
    pump (h, got_answer);
    assert_int_equal (h->got.count, 1);
    assert_true (usi_id_equal (&h->got.fences[0].id, &running));

    store_purge (h->store, CHANNEL, US_STATE_FAILED, 0, got_number, got_begin (h));
    pump (h, got_answer);
    assert_int_equal (h->got.number, 3);
    assert_int_equal (do_list (h, 0, 100, "")->count, 7);
    store_purge (h->store, NULL, 0, 3600000, got_number, got_begin (h));
    pump (h, got_answer);
    assert_int_equal (h->got.number, 0); /* none is that old */
    store_purge (h->store, NULL, 0, 0, got_number, got_begin (h));
    pump (h, got_answer);
    assert_int_equal (h->got.number, 3);
    assert_int_equal (do_list (h, 0, 100, "")->count, 4);
    store_purge (h->store, "no-such-channel", 0, 0, got_number, got_begin (h));
    pump (h, got_answer);
    assert_int_equal (h->got.code, US_ERR_UNKNOWN_CHANNEL);
}

/* The queue shrinks between two pages, and a cursor may be anybody's: both end. */
static void test_list_of_a_queue_that_shrinks (void **state)
{
    harness_t *h = *state;
    char cursor[256];
    for (int i = 0; i < 250; i++)
        submit_one (h);
    do_list (h, US_STATE_QUEUED, 5, "");
    assert_int_equal (h->got.count, 5);
    strcpy (cursor, h->got.cursor);
    assert_true (*cursor);
    for (int i = 0; i < 248; i += 8) {
        store_claim_t claim = a_claim (8);
        do_claim (h, &claim);
        assert_int_equal (h->got.count, 8);
    }
    assert_int_equal (do_list (h, US_STATE_QUEUED, 10, cursor)->count, 2);
    assert_string_equal (h->got.cursor, "");
    do_list (h, US_STATE_QUEUED, 10, CHANNEL "/1.99999999999999999999");
    assert_int_equal (h->got.count, 2);
    assert_string_equal (h->got.cursor, "");
    assert_int_equal (do_list (h, 0, 10, CHANNEL "/9.")->count, 0);
}

static void test_memory (void **state)
{
    harness_t *h = *state;
    const unsigned jobs = 20000;
    char body[40] = "body", spec[60] = "spec";
    got_begin (h);
    int64_t used = 0;
    for (int pass = 0; pass < 2; pass++) {
        const char *info =
            (const char *) usi_reply_bytes (usi_ask (h->ask, "INFO", "memory", NULL))
                .data;
        used = strtoll (strstr (info, "used_memory:") + 12, NULL, 10) - used;
        for (unsigned i = 0; pass == 0 && i < jobs; i++) {
            usi_id_t id = new_id ();
            store_submit_t job = a_job (&id);
            job.spec = usi_bytes (spec, sizeof spec);
            job.body = usi_bytes (body, sizeof body);
            store_submit (h->store, &job, got_submit, &h->got);
            while (h->got.calls + 4096 < i)
                pump_for (h, s_never, 1);
        }
        while (pass == 0 && h->got.calls < jobs)
            pump_for (h, s_never, 1);
    }
    print_message ("a queued job takes %.0f bytes over its body and spec\n",
                   (double) used / jobs - sizeof body - sizeof spec);
    assert_true ((double) used / jobs - sizeof body <= 300);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup (test_list_and_purge, harness_empty),
        cmocka_unit_test_setup (test_list_of_a_queue_that_shrinks, harness_empty),
        cmocka_unit_test_setup (test_memory, harness_empty),
    };
    return cmocka_run_group_tests (tests, s_setup, harness_end);
}

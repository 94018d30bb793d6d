/* SPDX-License-Identifier: MIT
 *
 * Every pair of the table: in C, in the Lua that Redis runs, and by the operations; and
 * the page that shows it. */
#include "harness.h"

static int s_setup (void **state)
{
    return harness_begin (state, redis_start);
}

static void test_rules (void **state)
{
    (void) state;
    for (int from = 0; from < JOB_STATES; from++) {
        assert_string_not_equal (us_state_name (from), "?");
        for (int event = 0; event < JOB__EVENTS; event++) {
            us_state_t to = job_state_next (from, event);
            if (us_state_is_end (from)) /* no edge leaves an end state */
                assert_int_equal (to, US_STATE_UNSENT);
            if (event == JOB_EV_SUBMIT || from == US_STATE_UNSENT)
                assert_int_equal (to, event == JOB_EV_SUBMIT && from == US_STATE_UNSENT
                                          ? US_STATE_QUEUED
                                          : US_STATE_UNSENT);
        }
    }
    assert_int_equal (job_state_next (JOB_STATES, JOB_EV_CLAIM), US_STATE_UNSENT);
    assert_int_equal (job_state_next (US_STATE_QUEUED, JOB__EVENTS), US_STATE_UNSENT);
    assert_string_equal (job_event_name (-1), "?");
}

static void test_page (void **state)
{
    (void) state;
    static char page[65536];
    usi_buf_t table = {0};
    FILE *file = fopen (US_SOURCE_DIR "/docs/states.md", "r");
    assert_non_null (file);
    page[fread (page, 1, sizeof page - 1, file)] = 0;
    fclose (file);
    usi_buf_text (&table, "<!-- table -->\n");
    job_state_render_markdown (&table);
    usi_buf_text (&table, "<!-- /table -->\n");
    usi_buf_append (&table, "", 1);
    assert_non_null (strstr (page, (char *) table.data));
    usi_buf_free (&table);
}

/* The rendered table, asked by Redis itself. */
static void test_every_pair_in_lua (void **state)
{
    harness_t *h = *state;
    usi_buf_t source = {0};
    usi_buf_text (&source, "#!lua name=us_test_table\n");
    job_state_render_lua (&source);
    usi_buf_text (
        &source,
        "redis.register_function ('us_test_next', function (keys, args)\n"
        "    local to = NEXT[tonumber (args[1])][args[2]]\n"
        "    return {to or 0, to and END[to] and 1 or 0, to and NAME[to] or ''}\n"
        "end)\n");
    usi_bytes_t load[] = {usi_bytes_of ("FUNCTION"), usi_bytes_of ("LOAD"),
                          usi_buf_bytes (&source)};
    assert_true (usi_reply_is (usi_ask_bytes (h->ask, load, 3), USI_REPLY_BYTES));
    usi_buf_free (&source);
    for (int from = 0; from < JOB_STATES; from++)
        for (int event = 0; event < JOB__EVENTS; event++) {
            char number[8];
            snprintf (number, sizeof number, "%d", from);
            const usi_reply_t *reply = usi_ask (h->ask, "FCALL", "us_test_next", "0",
                                                number, job_event_name (event), NULL);
            us_state_t to = job_state_next (from, event);
            assert_int_equal (usi_reply_int (usi_reply_at (reply, 0)), to);
            assert_int_equal (usi_reply_int (usi_reply_at (reply, 1)),
                              us_state_is_end (to));
            assert_int_equal (
                strcasecmp ((char *) usi_reply_bytes (usi_reply_at (reply, 2)).data,
                            to ? us_state_name (to) : ""),
                0);
        }
}

/* --- by the operations ------------------------------------------------------------ */

/* A job in this state, held by the fence that is returned. */
static store_fence_t s_job_in (harness_t *h, int state, bool submitted_long_ago)
{
    harness_empty ((void **) &h);
    usi_id_t id = new_id ();
    store_submit_t job = a_job (&id);
    job.retries = 1;
    job.expire_ms = submitted_long_ago ? 1000 : 0;
    do_submit (h, &job);
    store_fence_t fence = claim_one (h, &id);
    poke (h, &id, 1, (uint64_t) state, 1);
    if (submitted_long_ago)
        poke (h, &id, 22, 1000, 6);
    if (state == US_STATE_QUEUED) {
        char key[64];
        uint8_t entry[6 + US_ID_LEN] = {0};
        snprintf (key, sizeof key, "us:{%02x}:q:00000000:" CHANNEL,
                  usi_id_partition (&id));
        memcpy (entry + 6, id.bytes, US_ID_LEN);
        usi_bytes_t args[] = {usi_bytes_of ("RPUSH"), usi_bytes_of (key),
                              usi_bytes (entry, sizeof entry)};
        usi_ask_bytes (h->ask, args, 3);
    }
    return fence;
}

/* Has the event happen as it does in life; false where only another event would. */
static bool s_happen (harness_t *h, store_fence_t *fence, int state, job_event_t event)
{
    store_claim_t claim = a_claim (1);
    bool held = state == US_STATE_LEASED || state == US_STATE_RUNNING;
    switch (event) {
    case JOB_EV_CLAIM: do_claim (h, &claim); return true;
    case JOB_EV_START: do_started (h, fence); return true;
    case JOB_EV_SUCCEED: finish_one (h, fence, USI_SUCCEEDED, 0); return true;
    case JOB_EV_FAIL: finish_one (h, fence, USI_FAILED, US_ERR_ENV_BUILD); return true;
    case JOB_EV_RETRY: finish_one (h, fence, USI_FAILED, US_ERR_REMOTE); return true;
    case JOB_EV_POISON:
        poke (h, &fence->id, 36, 2, 1);
        finish_one (h, fence, USI_CRASHED, US_ERR_WORKER_DIED);
        return true;
    case JOB_EV_CRASH:
        finish_one (h, fence, USI_CRASHED, US_ERR_WORKER_DIED);
        return true;
    case JOB_EV_STOPPED:
        finish_one (h, fence, USI_STOPPED, US_ERR_CANCELLED);
        return true;
    case JOB_EV_HAND_BACK: do_hand_back (h, fence); return true;
    case JOB_EV_CANCEL: do_cancel (h, &fence->id, 1); return true;
    case JOB_EV_LOSE_LAST:
        poke (h, &fence->id, 37, 9, 1);
        /* fall through */
    case JOB_EV_LOSE:
        if (state == US_STATE_BACKOFF)
            return false;
        set_due (h, &fence->id, -1);
        sweep_now (h);
        return true;
    case JOB_EV_DUE:
    case JOB_EV_EXPIRE:
        if (held || (state == US_STATE_BACKOFF) != (event == JOB_EV_DUE))
            return false;
        set_due (h, &fence->id, -1);
        sweep_now (h);
        return true;
    default: return false;
    }
}

static void test_every_pair_by_operations (void **state)
{
    harness_t *h = *state;
    for (int from = US_STATE_QUEUED; from < JOB_STATES; from++)
        for (int event = JOB_EV_CLAIM; event < JOB__EVENTS; event++) {
            bool late = event == JOB_EV_EXPIRE && from == US_STATE_QUEUED;
            store_fence_t fence = s_job_in (h, from, late);
            if (!s_happen (h, &fence, from, (job_event_t) event))
                continue;
            us_state_t to = job_state_next (from, event);
            int now = state_of (h, &fence.id);
            if (now != (int) (to ? to : (us_state_t) from))
                fail_msg ("%s in %s: is %s, should be %s", job_event_name (event),
                          us_state_name (from), us_state_name (now),
                          us_state_name (to));
        }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_rules),
        cmocka_unit_test (test_page),
        cmocka_unit_test (test_every_pair_in_lua),
        cmocka_unit_test (test_every_pair_by_operations),
    };
    return cmocka_run_group_tests (tests, s_setup, harness_end);
}

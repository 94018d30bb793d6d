/* SPDX-License-Identifier: MIT
 *
 * The places of tracked jobs: every pair of them, and what each move does. */
#include "../unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "track.h"

/* --- the table -------------------------------------------------------------------- */

/* Written down a second time, in another shape, on purpose. */
static const char *const s_follow[PLACE__COUNT] = {
    /* N none, R ready, H held, S sent, D delayed, A announce, W watched, F fetching */
    [PLACE_NONE] = "RA",       [PLACE_READY] = "NHSW",   [PLACE_HELD] = "NRDW",
    [PLACE_SENT] = "NRDW",     [PLACE_DELAYED] = "NRW",  [PLACE_ANNOUNCE] = "NRAWF",
    [PLACE_WATCHED] = "NRAWF", [PLACE_FETCHING] = "NAW",
};

static void test_every_pair (void **state)
{
    (void) state;
    for (int from = 0; from < PLACE__COUNT; from++)
        for (int to = 0; to < PLACE__COUNT; to++)
            assert_int_equal (place_may_follow ((place_t) from, (place_t) to),
                              strchr (s_follow[from], "NRHSDAWF"[to]) != NULL);
    assert_false (place_may_follow (PLACE_NONE, PLACE__COUNT));
    assert_false (place_may_follow (PLACE__COUNT, PLACE_NONE));
}

/* --- a client without an engine ---------------------------------------------------- */

typedef struct scene {
    us_client_t client;
    track_t track;
} scene_t;

static int s_set_up (void **state)
{
    scene_t *self = calloc (1, sizeof *self);
    atomic_init (&self->client.refs, 1);
    self->client.events_end = &self->client.events;
    self->client.event_fd = -1;
    track_init (&self->track);
    *state = self;
    return 0;
}

static int s_tear_down (void **state)
{
    scene_t *self = *state;
    track_clear (&self->track);
    assert_int_equal (self->track.table.len, 0);
    for (int i = 0; i < PLACE__COUNT; i++)
        assert_int_equal (track_len (&self->track, (place_t) i), 0);
    assert_int_equal (self->track.sent_bytes, 0);
    assert_int_equal (self->client.tracked, 0);
    assert_int_equal (self->client.unaccepted, 0);
    assert_int_equal (atomic_load (&self->client.refs), 1);
    track_free (&self->track);
    free (self);
    return 0;
}

/* A submitted job of this cost, with a handle for the test; it has just been entered. */
static us_result_t *s_job (scene_t *self, size_t cost)
{
    us_id_t id;
    us_id_new (&id, "default");
    us_result_t *result = result_new (&self->client, &id);
    assert_int_equal (us_job_new (&result->job, "default"), US_OK);
    result->job->cost = cost;
    result->counted = true;
    self->client.unaccepted++;
    self->client.unsent_bytes += cost;
    result_ref (result);
    result_set_tracked (result, true);
    assert_true (track_enter (&self->track, result, PLACE_READY));
    return result;
}

static void s_want_log (us_result_t *result, bool asked)
{
    result->streams[US_STREAM_LOG] = calloc (1, sizeof (stream_t));
    result->streams[US_STREAM_LOG]->asked = asked;
}

/* --- moves ------------------------------------------------------------------------ */

static void test_bytes_of_sent_jobs (void **state)
{
    scene_t *self = *state;
    us_result_t *a = s_job (self, 100), *b = s_job (self, 20), *c = s_job (self, 3);
    track_move (&self->track, a, PLACE_SENT);
    track_move (&self->track, b, PLACE_SENT);
    track_move (&self->track, c, PLACE_SENT);
    assert_int_equal (self->track.sent_bytes, 123);
    track_again (&self->track, a);
    assert_int_equal (self->track.sent_bytes, 23);
    track_delay (&self->track, b);
    assert_int_equal (self->track.sent_bytes, 3);
    track_refuse (&self->track, c, US_ERR_INVALID, "no");
    assert_int_equal (self->track.sent_bytes, 0);
    assert_int_equal (result_state (c), US_STATE_REFUSED);
    assert_string_equal (c->text, "no");
    assert_false (c->tracked);
    assert_false (track_knows (&self->track, c));
    assert_true (track_knows (&self->track, a));
    result_unref (a);
    result_unref (b);
    result_unref (c);
    track_refuse_all (&self->track, US_ERR_UNREACHABLE, NULL);
}

static void test_again_comes_first (void **state)
{
    scene_t *self = *state;
    us_result_t *sent = s_job (self, 1), *fresh = s_job (self, 1);
    track_move (&self->track, sent, PLACE_SENT);
    track_again (&self->track, sent);
    assert_ptr_equal (track_first (&self->track, PLACE_READY), sent);
    assert_ptr_equal (track_last (&self->track, PLACE_READY), fresh);
    result_unref (sent);
    result_unref (fresh);
    track_refuse_all (&self->track, US_ERR_UNREACHABLE, NULL);
}

static void test_delays_grow (void **state)
{
    scene_t *self = *state;
    us_result_t *result = s_job (self, 1);
    static const int64_t expected[] = {200, 400, 800, 1600, 2000, 2000};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        track_move (&self->track, result, PLACE_SENT);
        track_delay (&self->track, result);
        int64_t wait_ms = result->due_ms - result->since_ms;
        assert_in_range (wait_ms, expected[i] * 8 / 10, expected[i] * 12 / 10);
        assert_int_equal (self->track.delayed_until, result->due_ms);
        track_resume (&self->track, result->due_ms - 1);
        assert_int_equal (result->place, PLACE_DELAYED);
        assert_int_equal (self->track.delayed_until, result->due_ms);
        track_resume (&self->track, result->due_ms);
        assert_int_equal (result->place, PLACE_READY);
        assert_int_equal (self->track.delayed_until, INT64_MAX);
    }
    result_unref (result);
    track_refuse_all (&self->track, US_ERR_UNREACHABLE, NULL);
}

/* --- acceptance ------------------------------------------------------------------- */

static void test_accepted_is_watched (void **state)
{
    scene_t *self = *state;
    us_result_t *result = s_job (self, 50);
    track_move (&self->track, result, PLACE_SENT);
    assert_true (track_accept (&self->track, result));
    assert_int_equal (result->place, PLACE_WATCHED);
    assert_int_equal (result_state (result), US_STATE_QUEUED);
    assert_int_equal (self->client.unaccepted, 0);
    assert_int_equal (self->client.unsent_bytes, 0);
    assert_int_equal (self->client.kept_bytes, 50); /* to submit it again */
    result_unaccept (result);
    assert_int_equal (self->client.kept_bytes, 0);
    assert_int_equal (self->client.unsent_bytes, 50);
    track_move (&self->track, result, PLACE_READY);
    track_end (&self->track, result, US_STATE_CANCELLED, US_ERR_CANCELLED, NULL);
    assert_int_equal (self->client.unsent_bytes, 0);
    result_unref (result);
}

static void test_accepted_with_a_late_log (void **state)
{
    scene_t *self = *state;
    us_result_t *late = s_job (self, 1), *early = s_job (self, 1);
    s_want_log (late, false);
    s_want_log (early, true);
    assert_true (track_accept (&self->track, late));
    assert_true (track_accept (&self->track, early));
    assert_int_equal (late->place, PLACE_ANNOUNCE); /* SUBMIT had not asked for it */
    assert_int_equal (early->place, PLACE_WATCHED);
    result_unref (late);
    result_unref (early);
}

static void test_accepted_and_alone (void **state)
{
    scene_t *self = *state;
    us_result_t *result = s_job (self, 1);
    us_id_t id = result->id;
    result_unref (result);
    track_release (&self->track, result); /* not before it is accepted */
    assert_true (result->tracked);
    assert_false (track_accept (&self->track, result));
    assert_null (table_find (&self->track.table, &id));
    assert_int_equal (self->track.unwatch.len, sizeof id);
    assert_memory_equal (self->track.unwatch.data, &id, sizeof id);
}

static void test_accepted_and_detached (void **state)
{
    scene_t *self = *state;
    us_result_t *result = s_job (self, 1);
    result->detached = true;
    assert_false (track_accept (&self->track, result));
    assert_false (result->tracked);
    assert_int_equal (self->track.unwatch.len, 0); /* the broker watches none */
    result_unref (result);
}

/* --- the end ---------------------------------------------------------------------- */

static us_result_t *s_ended (scene_t *self, uint64_t log_len)
{
    us_result_t *result = s_job (self, 1);
    s_want_log (result, true);
    assert_true (track_accept (&self->track, result));
    result->info.log_len = log_len;
    result_end (result, US_STATE_SUCCEEDED, US_OK, NULL, NULL, 0);
    return result;
}

static void test_settles_with_its_log (void **state)
{
    scene_t *self = *state;
    us_result_t *result = s_ended (self, 5);
    stream_t *log = result->streams[US_STREAM_LOG];
    track_settle (&self->track, result);
    assert_int_equal (result->place, PLACE_ANNOUNCE); /* asks for the rest */
    track_move (&self->track, result, PLACE_WATCHED);
    log->asked_after_end = true;
    track_settle (&self->track, result);
    assert_int_equal (result->place, PLACE_WATCHED);
    stream_take (log, 0, usi_bytes_of ("12345"));
    track_settle (&self->track, result);
    assert_false (result->tracked);
    result_unref (result);
}

static void test_settles_when_full (void **state)
{
    scene_t *self = *state;
    us_result_t *result = s_ended (self, 5);
    result->streams[US_STREAM_LOG]->full = true;
    track_settle (&self->track, result);
    assert_false (result->tracked); /* its reader asks again */
    result_unref (result);
}

static void test_drops_its_fetch (void **state)
{
    scene_t *self = *state;
    us_result_t *result = s_job (self, 1);
    list_t downloads = {0};
    assert_true (track_accept (&self->track, result));
    result->fetch = fetch_new (&(const usi_list_t){0});
    list_append (&downloads, &result->fetch->node);
    track_move (&self->track, result, PLACE_FETCHING);
    result_unref (result);
    track_release (&self->track, result);
    assert_int_equal (downloads.len, 0);
    assert_int_equal (self->track.table.len, 0);
}

#define SCENE(test) cmocka_unit_test_setup_teardown (test, s_set_up, s_tear_down)

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_every_pair), SCENE (test_bytes_of_sent_jobs),
        SCENE (test_again_comes_first),     SCENE (test_delays_grow),
        SCENE (test_accepted_is_watched),   SCENE (test_accepted_with_a_late_log),
        SCENE (test_accepted_and_alone),    SCENE (test_accepted_and_detached),
        SCENE (test_settles_with_its_log),  SCENE (test_settles_when_full),
        SCENE (test_drops_its_fetch),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

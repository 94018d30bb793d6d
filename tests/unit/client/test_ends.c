/* SPDX-License-Identifier: MIT
 *
 * Blobs put together from chunks, and the words of ended jobs. */
#include "../unit.h"

#include <stdlib.h>
#include <string.h>

#include "ending.h"
#include "fetch.h"
#include "proto/limits.h"
#include "proto/pack.h"

/* --- chunks ----------------------------------------------------------------------- */

#define SIZE ((size_t) USI_MAX_CHUNK * 2 + 5)

static uint8_t *s_bytes (void)
{
    uint8_t *bytes = malloc (SIZE);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t) (i * 7 / 3);
    return bytes;
}

static bool s_put (fetch_t *fetch, const uint8_t *bytes, uint64_t index)
{
    size_t start = (size_t) index * USI_MAX_CHUNK;
    size_t len = SIZE - start < USI_MAX_CHUNK ? SIZE - start : USI_MAX_CHUNK;
    return fetch_take (fetch, index, usi_bytes (bytes + start, len));
}

static fetch_t *s_fetch (const uint8_t *digest)
{
    const usi_list_t none = {0};
    fetch_t *fetch = fetch_new (&none);
    fetch_begin (fetch, digest, SIZE);
    return fetch;
}

static void test_chunks_in_any_order (void **state)
{
    (void) state;
    uint8_t digest[USI_DIGEST_LEN], *bytes = s_bytes ();
    usi_sha256 (bytes, SIZE, digest);
    fetch_t *fetch = s_fetch (digest);
    assert_int_equal (fetch->chunks, 3);
    assert_true (s_put (fetch, bytes, 1)); /* not asked for yet: ignored */
    assert_int_equal (fetch->chunks_had, 0);
    assert_true (fetch_prepare (fetch));
    assert_true (s_put (fetch, bytes, 2));
    assert_true (s_put (fetch, bytes, 0));
    assert_true (s_put (fetch, bytes, 0)); /* twice */
    assert_true (fetch_take (fetch, 3, usi_bytes (bytes, 1)));
    assert_false (fetch_is_whole (fetch));
    assert_false (fetch_take (fetch, 1, usi_bytes (bytes, 4))); /* too short */
    assert_true (s_put (fetch, bytes, 1));
    assert_true (fetch_is_whole (fetch));
    assert_true (fetch_keep (fetch));
    assert_int_equal (fetch->body_len, SIZE);
    assert_memory_equal (fetch->body, bytes, SIZE);
    assert_false (fetch_begin_buffer (fetch));
    fetch_free (fetch);
    free (bytes);
}

static void test_wrong_bytes (void **state)
{
    (void) state;
    uint8_t digest[USI_DIGEST_LEN] = {1}, *bytes = s_bytes ();
    fetch_t *fetch = s_fetch (digest);
    assert_true (fetch_prepare (fetch));
    for (uint64_t i = 0; i < fetch->chunks; i++)
        assert_true (s_put (fetch, bytes, i));
    assert_true (fetch_is_whole (fetch));
    assert_false (fetch_keep (fetch));
    fetch_free (fetch);
    fetch_free (NULL);
    free (bytes);
}

/* ["b", "3.11", false, bin, [sizes]] */
static void s_pack_body (fetch_t *fetch, const uint64_t *sizes, uint32_t count)
{
    usi_buf_t body = {0};
    usi_pack_array (&body, 5);
    usi_pack_str (&body, "b", 1);
    usi_pack_str (&body, "3.11", 4);
    usi_pack_bool (&body, false);
    usi_pack_bin (&body, "pickle", 6);
    usi_pack_array (&body, count);
    for (uint32_t i = 0; i < count; i++)
        usi_pack_uint (&body, sizes[i]);
    free (fetch->body);
    fetch->body = body.data;
    fetch->body_len = body.len;
}

static void test_buffers_behind_the_body (void **state)
{
    (void) state;
    const uint64_t sizes[] = {SIZE, 3};
    uint8_t digest[USI_DIGEST_LEN], *bytes = s_bytes ();
    usi_buf_t list = {0};
    usi_sha256 (bytes, SIZE, digest);
    usi_list_add_bin (&list, usi_bytes (digest, sizeof digest));
    usi_sha256 ("abc", 3, digest);
    usi_list_add_bin (&list, usi_bytes (digest, sizeof digest));
    usi_list_t digests = usi_list_of (&list, 2);
    fetch_t *fetch = fetch_new (&digests);
    s_pack_body (fetch, sizes, 2);
    assert_true (fetch_read_sizes (fetch));
    assert_true (fetch_begin_buffer (fetch));
    assert_true (fetch_prepare (fetch));
    for (uint64_t i = 0; i < fetch->chunks; i++)
        assert_true (s_put (fetch, bytes, i));
    assert_true (fetch_is_whole (fetch));
    assert_true (fetch_keep (fetch));
    assert_true (fetch_begin_buffer (fetch));
    assert_true (fetch_prepare (fetch));
    assert_true (fetch_take (fetch, 0, usi_bytes ("abc", 3)));
    assert_true (fetch_is_whole (fetch));
    assert_true (fetch_keep (fetch));
    assert_false (fetch_begin_buffer (fetch));
    assert_int_equal (fetch->buffers_had, 2);
    assert_memory_equal (fetch->buffers[1]->data, "abc", 3);
    fetch_free (fetch);
    usi_buf_free (&list);
    free (bytes);
}

/* A job makes the body, and may write into it what it likes. */
static void test_sizes_that_are_none (void **state)
{
    (void) state;
    const uint64_t zero[] = {0}, huge[] = {UINT64_MAX}, right[] = {5, 5};
    uint8_t digest[USI_DIGEST_LEN] = {1};
    usi_buf_t list = {0};
    usi_list_add_bin (&list, usi_bytes (digest, sizeof digest));
    usi_list_t digests = usi_list_of (&list, 1);
    fetch_t *fetch = fetch_new (&digests);
    s_pack_body (fetch, zero, 1);
    assert_false (fetch_read_sizes (fetch));
    s_pack_body (fetch, huge, 1);
    assert_false (fetch_read_sizes (fetch));
    s_pack_body (fetch, right, 2);
    assert_false (fetch_read_sizes (fetch));
    s_pack_body (fetch, right, 1);
    assert_true (fetch_read_sizes (fetch));
    fetch->body_len -= 2;
    assert_false (fetch_read_sizes (fetch));
    fetch_free (fetch);
    usi_buf_free (&list);
}

/* --- words ------------------------------------------------------------------------ */

static void test_codes (void **state)
{
    (void) state;
    usi_fields_t item = {0}, crashed = {.crashes = 3}, lost = {.losses = 2};
    usi_fields_t own = {.code = US_ERR_ENV_BUILD};
    assert_int_equal (ending_code (US_STATE_SUCCEEDED, &own), US_OK);
    assert_int_equal (ending_code (US_STATE_FAILED, &item), US_ERR_REMOTE);
    assert_int_equal (ending_code (US_STATE_FAILED, &own), US_ERR_ENV_BUILD);
    assert_int_equal (ending_code (US_STATE_CANCELLED, &item), US_ERR_CANCELLED);
    assert_int_equal (ending_code (US_STATE_EXPIRED, &item), US_ERR_EXPIRED);
    assert_int_equal (ending_code (US_STATE_DEAD, &crashed), US_ERR_WORKER_DIED);
    assert_int_equal (ending_code (US_STATE_DEAD, &lost), US_ERR_NODE_LOST);
}

/* Ends a job with this body (given away) and compares its text; NULL: it has none. */
static void s_expect_text (us_state_t state, us_err_t code, usi_buf_t *body,
                           unsigned crashes, const char *expected)
{
    us_client_t client = {.event_fd = -1};
    us_id_t id = {{0}};
    us_result_t *result = result_new (&client, &id);
    result->info.crashes = crashes;
    ending_show (result, state, code, body ? body->data : NULL, body ? body->len : 0);
    assert_int_equal (result_state (result), state);
    assert_int_equal (result->code, code);
    if (expected)
        assert_string_equal (result->text, expected);
    else
        assert_null (result->text);
    result_unref (result);
}

static usi_buf_t s_envelope (const char *type, const char *message)
{
    usi_buf_t buf = {0};
    usi_pack_map (&buf, 3);
    usi_pack_str (&buf, "other", 5);
    usi_pack_array (&buf, 0);
    usi_pack_str (&buf, "type", 4);
    usi_pack_str (&buf, type, strlen (type));
    usi_pack_str (&buf, "message", 7);
    usi_pack_str (&buf, message, strlen (message));
    return buf;
}

static void test_texts (void **state)
{
    (void) state;
    usi_buf_t both = s_envelope ("ZeroDivisionError", "division by zero");
    usi_buf_t type = s_envelope ("KeyError", ""), none = s_envelope ("", "");
    s_expect_text (US_STATE_FAILED, US_ERR_REMOTE, &both, 0,
                   "ZeroDivisionError: division by zero");
    s_expect_text (US_STATE_FAILED, US_ERR_REMOTE, &type, 0, "KeyError");
    s_expect_text (US_STATE_FAILED, US_ERR_REMOTE, &none, 0,
                   us_err_text (US_ERR_REMOTE));
    s_expect_text (US_STATE_DEAD, US_ERR_WORKER_DIED, NULL, 1,
                   "the worker died 1 time");
    s_expect_text (US_STATE_DEAD, US_ERR_WORKER_DIED, NULL, 3,
                   "the worker died 3 times");
    /* A result that cannot be fetched: its bytes are not an envelope. */
    s_expect_text (US_STATE_SUCCEEDED, US_ERR_MISSING_BLOB, NULL, 0,
                   us_err_text (US_ERR_MISSING_BLOB));
    s_expect_text (US_STATE_SUCCEEDED, US_OK, NULL, 0, NULL);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_chunks_in_any_order),
        cmocka_unit_test (test_wrong_bytes),
        cmocka_unit_test (test_buffers_behind_the_body),
        cmocka_unit_test (test_sizes_that_are_none),
        cmocka_unit_test (test_codes),
        cmocka_unit_test (test_texts),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * BLOB_FIND, BLOB_PUT and BLOB_GET, over the fake store. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "world.h"

static const uint8_t s_digest[USI_DIGEST_LEN] = {5, 6, 7};

static usi_fields_t *s_add (usi_msg_t *msg)
{
    usi_fields_t *item = usi_msg_add (msg);
    USI_SET (item, BLOB, blob, usi_bytes (s_digest, sizeof s_digest));
    return item;
}

/* Hears one item about the blob. */
static usi_fields_t s_hear (world_t *world, end_t *end, usi_type_t type)
{
    usi_msg_t msg = USI_MSG_INIT;
    assert_int_equal (world_hear (world, end, &msg), type);
    assert_int_equal (msg.items_len, 1);
    usi_fields_t item = msg.items[0];
    assert_memory_equal (item.blob.data, s_digest, sizeof s_digest);
    usi_msg_free (&msg);
    return item;
}

static void s_find (world_t *world, end_t *end, us_err_t code, uint64_t size)
{
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, USI_BLOB_FIND);
    s_add (&msg);
    world_say (world, end, &msg);
    fake_answer_size (fake_take (world->store, "blob_find"), code, size);
}

static void test_find_tells_the_size (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world), *node = world_node (world, 7);
    s_find (world, client, US_OK, 99);
    assert_int_equal (s_hear (world, client, USI_BLOB_FOUND).size, 99);
    s_find (world, node, US_OK, 0);
    assert_int_equal (s_hear (world, node, USI_BLOB_FOUND).size, 0);
    s_find (world, client, US_ERR_STORE, 99); /* counts as not there */
    assert_int_equal (s_hear (world, client, USI_BLOB_FOUND).size, 0);
}

/* A chunk of len bytes of a blob of this size. */
static void s_put (world_t *world, end_t *end, uint64_t index, uint64_t size,
                   size_t len)
{
    usi_msg_t msg = USI_MSG_INIT;
    void *chunk = calloc (1, len + 1);
    usi_msg_begin (&msg, USI_BLOB_PUT);
    usi_fields_t *item = s_add (&msg);
    USI_SET (item, INDEX, index, index);
    USI_SET (item, SIZE, size, size);
    usi_msg_body (&msg, chunk, len);
    world_say (world, end, &msg);
    free (chunk);
}

static void test_chunks_go_into_the_store (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    s_put (world, client, 1, USI_MAX_CHUNK + 3, 3);
    fake_call_t *call = fake_take (world->store, "blob_put");
    assert_int_equal (call->index, 1);
    assert_int_equal (call->size, USI_MAX_CHUNK + 3);
    assert_int_equal (call->body.len, 3);
    fake_answer_code (call, US_ERR_INVALID);
    usi_fields_t item = s_hear (world, client, USI_BLOB_KEPT);
    assert_int_equal (item.index, 1);
    assert_int_equal (item.code, US_ERR_INVALID);
}

static void test_chunks_of_a_wrong_size_are_refused (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    s_put (world, client, 0, USI_MAX_CHUNK + 3, 3); /* only the last may be short */
    assert_int_equal (s_hear (world, client, USI_BLOB_KEPT).code, US_ERR_INVALID);
    s_put (world, client, 1, 3, 3); /* behind the end */
    assert_int_equal (s_hear (world, client, USI_BLOB_KEPT).code, US_ERR_INVALID);
    s_put (world, client, 0, 3, 4);
    assert_int_equal (s_hear (world, client, USI_BLOB_KEPT).code, US_ERR_INVALID);
    s_put (world, client, 0, world->broker.max_buffer + 1, 3);
    assert_int_equal (s_hear (world, client, USI_BLOB_KEPT).code, US_ERR_TOO_LARGE);
    assert_int_equal (fake_count (world->store, "blob_put"), 0);
}

/* One that takes more than half of the store's memory is refused: it would wait for room
 * for ever. */
static void test_the_memory_of_the_store_is_a_limit (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    fake_set_memory (world->store, (uint64_t) 256 << 20);
    s_put (world, client, 0, ((uint64_t) 128 << 20) + 1, 3);
    assert_int_equal (s_hear (world, client, USI_BLOB_KEPT).code, US_ERR_TOO_LARGE);
    s_put (world, client, 0, (uint64_t) 128 << 20, USI_MAX_CHUNK);
    assert_int_equal (fake_count (world->store, "blob_put"), 1);
}

static fake_call_t *s_get (world_t *world, end_t *end)
{
    usi_msg_t msg = USI_MSG_INIT;
    usi_msg_begin (&msg, USI_BLOB_GET);
    usi_fields_t *item = s_add (&msg);
    USI_SET (item, INDEX, index, 2);
    world_say (world, end, &msg);
    return fake_take (world->store, "blob_get");
}

static void test_chunks_come_from_the_store (void **state)
{
    world_t *world = *state;
    end_t *node = world_node (world, 7);
    usi_msg_t msg = USI_MSG_INIT;
    fake_answer_read (s_get (world, node), US_OK, usi_bytes_of ("chunk"), 77);
    assert_int_equal (world_hear (world, node, &msg), USI_BLOB_DATA);
    assert_int_equal (msg.items[0].index, 2);
    assert_int_equal (msg.items[0].size, 77);
    assert_int_equal (msg.items[0].code, US_OK);
    assert_true (usi_bytes_equal (usi_msg_item_body (&msg, 0), usi_bytes_of ("chunk")));
    usi_msg_free (&msg);
    fake_answer_read (s_get (world, node), US_ERR_MISSING_BLOB, usi_bytes (NULL, 0), 0);
    assert_int_equal (s_hear (world, node, USI_BLOB_DATA).code, US_ERR_MISSING_BLOB);
}

static void test_nobody_hears_what_a_lost_peer_asked (void **state)
{
    world_t *world = *state;
    end_t *client = world_client (world);
    fake_call_t *get = s_get (world, client);
    peers_mark_gone (world->broker.peers, client->peer);
    world_turn (world);
    fake_answer_read (get, US_OK, usi_bytes_of ("chunk"), 5);
    assert_int_equal (world->filled, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, world_setup, world_teardown)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_find_tells_the_size),
        TEST (test_chunks_go_into_the_store),
        TEST (test_chunks_of_a_wrong_size_are_refused),
        TEST (test_the_memory_of_the_store_is_a_limit),
        TEST (test_chunks_come_from_the_store),
        TEST (test_nobody_hears_what_a_lost_peer_asked),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * Entries of brokers and nodes: who is alive, and who may remove an entry. */
#include "harness.h"

#include "redis/registry.h"

static int s_setup (void **state)
{
    return harness_begin (state, redis_start);
}

static void s_on_entries (us_err_t code, const usi_bytes_t *values, size_t count,
                          void *arg)
{
    got_t *got = arg;
    got->calls++;
    got->code = code;
    got->count = count;
    if (count)
        got_keep_text (got, values[0]);
}

static void test_registry (void **state)
{
    harness_t *h = *state;
    usi_fields_t fields = {0};
    usi_buf_t value = {0}, list = {0}, found = {0};
    usi_list_add_str (&list, usi_bytes_of ("tcp://10.1.2.3:7420"));
    usi_list_add_str (&list, usi_bytes_of ("tcp://127.0.0.1:7420"));
    USI_SET (&fields, ENDPOINTS, endpoints, usi_list_of (&list, 2));
    USI_SET (&fields, HOST, host, usi_bytes_of ("elsewhere/1"));
    usi_fields_encode (&fields, &value);
    store_register_broker (h->store, usi_buf_bytes (&value));
    store_brokers (h->store, s_on_entries, got_begin (h));
    pump (h, got_answer);
    assert_int_equal (h->got.count, 1);
    char why[128];
    assert_int_equal (usi_registry_brokers (h->server.url, WAIT_MS, &found, why,
                                            sizeof why),
                      US_OK);
    usi_buf_append (&found, "", 1);
    assert_string_equal ((char *) found.data, "tcp://10.1.2.3:7420");
    store_unregister_broker (h->store);
    store_register_node (h->store, 77, usi_buf_bytes (&value));
    store_nodes (h->store, s_on_entries, got_begin (h));
    pump (h, got_answer);
    assert_int_equal (h->got.count, 1);
    assert_int_equal (usi_registry_brokers (h->server.url, WAIT_MS, &found, why,
                                            sizeof why),
                      US_ERR_UNREACHABLE);
    assert_string_equal (why, "no broker is registered there");
    usi_buf_free (&value);
    usi_buf_free (&list);
    usi_buf_free (&found);
}

static usi_buf_t s_node_entry (uint32_t broker)
{
    usi_fields_t fields = {0};
    usi_buf_t value = {0};
    USI_SET (&fields, NODE, node, 77);
    USI_SET (&fields, BROKER, broker, broker);
    usi_fields_encode (&fields, &value);
    return value;
}

/* A node has gone to another broker; the first one notices only afterwards. */
static void test_the_registry_entry_of_a_node_that_moved (void **state)
{
    harness_t *h = *state;
    told_t told = {0};
    usi_buf_t first = s_node_entry (BROKER), second = s_node_entry (0x22);
    store_t *other = harness_other (h, 0x22, &told);
    store_register_node (h->store, 77, usi_buf_bytes (&first));
    store_nodes (h->store, s_on_entries, got_begin (h));
    pump (h, got_answer);
    store_register_node (other, 77, usi_buf_bytes (&second));
    store_nodes (other, s_on_entries, got_begin (h));
    pump (h, got_answer);
    store_unregister_node (h->store, 77);
    store_nodes (h->store, s_on_entries, got_begin (h));
    pump (h, got_answer);
    assert_int_equal (h->got.count, 1);
    store_unregister_node (other, 77);
    store_nodes (other, s_on_entries, got_begin (h));
    pump (h, got_answer);
    assert_int_equal (h->got.count, 0);
    store_destroy (&other);
    usi_buf_free (&first);
    usi_buf_free (&second);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup (test_registry, harness_empty),
        cmocka_unit_test_setup (test_the_registry_entry_of_a_node_that_moved,
                                harness_empty),
    };
    return cmocka_run_group_tests (tests, s_setup, harness_end);
}

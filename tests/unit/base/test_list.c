/* SPDX-License-Identifier: MIT
 *
 * Lists: order, moves between lists, and loops that take elements out. */
#include "../unit.h"

#include "base/list.h"

typedef struct item {
    int number;
    list_node_t node;
} item_t;

/* Checks every link of the list; its numbers, from the front, as decimal digits. */
static int s_digits (const list_t *list)
{
    int digits = 0;
    size_t len = 0;
    const list_node_t *prev = NULL;
    for (const list_node_t *node = list->first; node; prev = node, node = node->next) {
        assert_ptr_equal (node->list, list);
        assert_ptr_equal (node->prev, prev);
        digits = digits * 10 + LIST_ELEMENT (node, item_t, node)->number;
        len++;
    }
    assert_ptr_equal (list->last, prev);
    assert_int_equal (list->len, len);
    return digits;
}

static void test_order (void **state)
{
    item_t a = {.number = 1}, b = {.number = 2}, c = {.number = 3};
    list_t list = {0};
    (void) state;
    assert_int_equal (s_digits (&list), 0);
    list_append (&list, &b.node);
    list_append (&list, &c.node);
    list_prepend (&list, &a.node);
    assert_int_equal (s_digits (&list), 123);
    list_append (&list, &a.node);
    assert_int_equal (s_digits (&list), 231);
    list_prepend (&list, &c.node);
    assert_int_equal (s_digits (&list), 321);
}

static void test_one_list_at_a_time (void **state)
{
    item_t a = {.number = 1}, b = {.number = 2}, c = {.number = 3};
    list_t from = {0}, to = {0};
    (void) state;
    list_append (&from, &a.node);
    list_append (&from, &b.node);
    list_append (&from, &c.node);
    list_append (&to, &b.node);
    assert_int_equal (s_digits (&from), 13);
    assert_int_equal (s_digits (&to), 2);
    list_remove (&c.node);
    list_remove (&a.node);
    list_remove (&a.node); /* in none: nothing happens */
    assert_int_equal (s_digits (&from), 0);
    assert_null (a.node.list);
}

static void test_each (void **state)
{
    item_t items[4] = {{.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    list_t list = {0};
    int seen = 0;
    (void) state;
    assert_null (LIST_ELEMENT (list.first, item_t, node));
    for (int i = 0; i < 4; i++)
        list_append (&list, &items[i].node);
    LIST_EACH (&list, item_t, item, node) {
        seen = seen * 10 + item->number;
        if (item->number % 2 == 0)
            list_remove (&item->node);
    }
    assert_int_equal (seen, 1234);
    assert_int_equal (s_digits (&list), 13);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_order),
        cmocka_unit_test (test_one_list_at_a_time),
        cmocka_unit_test (test_each),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}

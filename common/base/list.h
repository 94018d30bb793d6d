/* SPDX-License-Identifier: MIT
 *
 * Doubly linked lists whose nodes lie inside their elements: moving an element from one
 * list to another allocates nothing and costs the same wherever it stands. A node is in
 * one list at a time and knows which; an element that has to be in several lists at
 * once has a node for each. All zero is an empty list, and a node in no list.
 *
 * Stands on nothing. (The names with usi_list are another thing: lists inside a message,
 * proto/fields.h.) */
#ifndef COMMON_BASE_LIST_H
#define COMMON_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct list list_t;

typedef struct list_node {
    struct list_node *prev, *next;
    list_t *list; /* NULL: in none */
} list_node_t;

struct list {
    list_node_t *first, *last;
    size_t len;
};

static inline void *list_element (const list_node_t *node, size_t offset)
{
    return node ? (char *) (size_t) node - offset : NULL;
}

/* The element of this type in which node is the given member; NULL for NULL. */
#define LIST_ELEMENT(node, type, member)                                               \
    ((type *) list_element (node, offsetof (type, member)))

/* Goes through a list from the front. The body may take the element out of the list, or
 * free it, but not the element after it. */
#define LIST_EACH(list, type, name, member)                                            \
    for (type *name = LIST_ELEMENT ((list)->first, type, member), *name##_next;        \
         name && (name##_next = LIST_ELEMENT (name->member.next, type, member), true); \
         name = name##_next)

static inline void list_remove (list_node_t *node)
{
    list_t *list = node->list;
    if (!list)
        return;
    *(node->prev ? &node->prev->next : &list->first) = node->next;
    *(node->next ? &node->next->prev : &list->last) = node->prev;
    list->len--;
    *node = (list_node_t){0};
}

/* Both take the node out of the list where it was. */
static inline void list_append (list_t *list, list_node_t *node)
{
    list_remove (node);
    *node = (list_node_t){.prev = list->last, .list = list};
    *(list->last ? &list->last->next : &list->first) = node;
    list->last = node;
    list->len++;
}

static inline void list_prepend (list_t *list, list_node_t *node)
{
    list_remove (node);
    *node = (list_node_t){.next = list->first, .list = list};
    *(list->first ? &list->first->prev : &list->last) = node;
    list->first = node;
    list->len++;
}

#endif

/* SPDX-License-Identifier: MIT
 *
 * Doubly linked lists whose links lie inside their elements: moving a job from one list
 * to another allocates nothing. An element is in one list at a time and knows which. */
#ifndef CLIENT_LIB_LIST_H
#define CLIENT_LIB_LIST_H

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

#define LIST_ELEMENT(node, type, member)                                               \
    ((type *) (void *) ((char *) (node) -offsetof (type, member)))

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

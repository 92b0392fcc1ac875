/* base/list.h - an intrusive, doubly linked, circular list; a node belongs to one list at most.
 *
 * The head is a node too: list_init(&head) makes it empty.  list_remove leaves the node linked to
 * itself, so removing twice is harmless.  One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

/* True for an empty head, for a node in no list, and for a zeroed node. */
static inline bool list_is_empty(const struct list *l)
{
    return l->next == l || l->next == NULL;
}

static inline void list_push_front(struct list *head, struct list *node)
{
    node->next = head->next;
    node->prev = head;
    head->next->prev = node;
    head->next = node;
}

static inline void list_push_back(struct list *head, struct list *node)
{
    list_push_front(head->prev, node);
}

static inline void list_remove(struct list *node)
{
    if (!node->next)
        return;
    node->next->prev = node->prev;
    node->prev->next = node->next;
    list_init(node);
}

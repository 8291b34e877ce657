/* Intrusive doubly linked list with a count: removal is O(1), nothing is allocated.
 * A node that is in no list has next == NULL. */
#ifndef SYNCGATE_PROTOCOL_BASE_LIST_H
#define SYNCGATE_PROTOCOL_BASE_LIST_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

struct list_node {
    struct list_node *next, *prev;
};

struct list {
    struct list_node head; /* sentinel */
    size_t count;
};

#define container_of(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void list_init(struct list *l)
{
    l->head.next = l->head.prev = &l->head;
    l->count = 0;
}

static inline bool list_linked(const struct list_node *n)
{
    return n->next != NULL;
}

static inline void list_append(struct list *l, struct list_node *n)
{
    assert(!list_linked(n));
    n->prev = l->head.prev;
    n->next = &l->head;
    l->head.prev->next = n;
    l->head.prev = n;
    l->count++;
}

static inline void list_prepend(struct list *l, struct list_node *n)
{
    assert(!list_linked(n));
    n->prev = &l->head;
    n->next = l->head.next;
    l->head.next->prev = n;
    l->head.next = n;
    l->count++;
}

static inline void list_remove(struct list *l, struct list_node *n)
{
    assert(list_linked(n));
    assert(l->count > 0);
    n->prev->next = n->next;
    n->next->prev = n->prev;
    n->next = n->prev = NULL;
    l->count--;
}

static inline struct list_node *list_first(const struct list *l)
{
    return l->head.next == &l->head ? NULL : l->head.next;
}

static inline struct list_node *list_pop(struct list *l)
{
    struct list_node *n = list_first(l);
    if (n)
        list_remove(l, n);
    return n;
}

/* list_each walks the list; the body may remove `n` itself, but no other node. */
#define list_each(l, n)                                                                                                \
    for (struct list_node *n = (l)->head.next, *n##_next = n->next; n != &(l)->head; n = n##_next, n##_next = n->next)

#endif

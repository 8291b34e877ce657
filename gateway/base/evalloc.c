/* Small ones come out of blocks of their own and go back to a free list; the others are the heap's. Each has its size in front. */
#include "gateway/base/evalloc.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/alloc.h"

enum { SMALL_BYTES = 32, CELLS_PER_BLOCK = 256 };

/* In front of what libevent gets; as aligned as malloc is. */
union head {
    size_t size;
    max_align_t align;
};

struct cell {
    union head head;
    union {
        struct cell *next_free;
        char bytes[SMALL_BYTES];
    } body;
};

struct block {
    struct block *next;
    struct cell cells[CELLS_PER_BLOCK];
};

static struct block *blocks;
static struct cell *free_cells;

static void add_block(void)
{
    struct block *b = sg_malloc(sizeof(*b));
    b->next = blocks;
    blocks = b;
    for (size_t i = 0; i < CELLS_PER_BLOCK; i++) {
        b->cells[i].body.next_free = free_cells;
        free_cells = &b->cells[i];
    }
}

static union head *take_cell(void)
{
    if (!free_cells)
        add_block();
    struct cell *c = free_cells;
    free_cells = c->body.next_free;
    return &c->head;
}

static void *take(size_t size)
{
    union head *head = size <= SMALL_BYTES ? take_cell() : sg_malloc(sizeof(*head) + size);
    head->size = size;
    return head + 1;
}

static void give(void *p)
{
    if (!p)
        return;
    union head *head = (union head *)p - 1;
    if (head->size > SMALL_BYTES) {
        free(head);
        return;
    }
    struct cell *c = (struct cell *)head;
    c->body.next_free = free_cells;
    free_cells = c;
}

static void *take_again(void *p, size_t size)
{
    if (!p)
        return take(size);
    union head *head = (union head *)p - 1;
    if (head->size > SMALL_BYTES && size > SMALL_BYTES) {
        head = sg_realloc(head, sizeof(*head) + size);
        head->size = size;
        return head + 1;
    }
    void *fresh = take(size);
    memcpy(fresh, p, head->size < size ? head->size : size);
    give(p);
    return fresh;
}

void evalloc_begin(void)
{
    event_set_mem_functions(take, take_again, give);
}

void evalloc_end(void)
{
    libevent_global_shutdown(); /* its own last records */
    for (struct block *b = blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    blocks = NULL;
    free_cells = NULL;
}

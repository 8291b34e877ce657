/* Questions to Redis that may outlive who asked them: the asker lists them, and lets go of them when it goes. */
#include "gateway/base/ask.h"

#include <stdlib.h>

#include "protocol/base/alloc.h"

void asks_init(struct asks *as, void *asker)
{
    as->asker = asker;
    list_init(&as->open);
}

void asks_deinit(struct asks *as)
{
    for (struct list_node *n; (n = list_pop(&as->open));)
        container_of(n, struct ask, node)->asks = NULL;
}

void ask_begin(struct ask *a, struct asks *as)
{
    *a = (struct ask){.asks = as};
    list_append(&as->open, &a->node);
}

void *ask_end(struct ask *a)
{
    struct asks *as = a->asks;
    if (!as)
        return NULL;
    list_remove(&as->open, &a->node);
    return as->asker;
}

struct ask *ask_new(struct asks *as)
{
    struct ask *a = sg_malloc(sizeof *a);
    ask_begin(a, as);
    return a;
}

void *ask_take(struct ask *a)
{
    void *asker = ask_end(a);
    free(a);
    return asker;
}

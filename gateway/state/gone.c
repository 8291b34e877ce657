/* A bounded set of ids. */
#include "gateway/state/gone.h"

#include "protocol/base/alloc.h"
#include "protocol/base/list.h"

struct gone_id {
    struct map_node by_id;
    char id[];
};

void gone_init(struct gone *g)
{
    *g = (struct gone){0};
    map_init(&g->_by_id);
}

void gone_deinit(struct gone *g)
{
    gone_clear(g, 0);
    map_deinit(&g->_by_id);
}

void gone_clear(struct gone *g, int64_t rev)
{
    for (struct map_node *n = map_next(&g->_by_id, NULL), *next; n; n = next) {
        next = map_next(&g->_by_id, n);
        map_remove(&g->_by_id, n);
        free(container_of(n, struct gone_id, by_id));
    }
    g->opaque_rev = rev;
}

void gone_add(struct gone *g, struct slice id, int64_t rev)
{
    if (map_find(&g->_by_id, id))
        return;
    if (g->_by_id.count >= GONE_MAX)
        gone_clear(g, rev);
    struct gone_id *one = sg_malloc(sizeof(*one) + id.len);
    memcpy(one->id, id.ptr, id.len);
    one->by_id.key = slice_of(one->id, id.len);
    map_insert(&g->_by_id, &one->by_id);
}

void gone_forget(struct gone *g, struct slice id)
{
    struct map_node *n = map_find(&g->_by_id, id);
    if (!n)
        return;
    map_remove(&g->_by_id, n);
    free(container_of(n, struct gone_id, by_id));
}

bool gone_has(const struct gone *g, struct slice id)
{
    return map_find(&g->_by_id, id) != NULL;
}

/* Lists, and a map by id. */
#include "gateway/net/conns.h"

#include "gateway/net/conn.h"
#include "protocol/base/alloc.h"

struct conns *conns_new(void)
{
    struct conns *cs = sg_calloc(1, sizeof(*cs));
    list_init(&cs->open);
    list_init(&cs->closing);
    list_init(&cs->watched);
    list_init(&cs->begun);
    for (int i = 0; i < WHEEL_SLOTS; i++)
        list_init(&cs->wheel[i]);
    map_init(&cs->by_id);
    return cs;
}

void conns_free(struct conns *cs)
{
    if (!cs)
        return;
    map_deinit(&cs->by_id);
    free(cs);
}

struct conn *conns_find(const struct conns *cs, uint64_t id)
{
    struct map_node *n = map_find(&cs->by_id, slice_of((const char *)&id, sizeof(id)));
    struct conn *c = n ? container_of(n, struct conn, by_id) : NULL;
    return c && c->state == CONN_OPEN ? c : NULL;
}

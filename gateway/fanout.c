/* Conflation. A subscription that missed something is in its connection's dirty list, once, however many changes it missed. */
#include "gateway/fanout.h"

#include "gateway/item.h"
#include "gateway/metrics.h"
#include "gateway/ws.h"

/* A flush stops at this many bytes and goes on after the write, so that a connection with very many dirty subscriptions does
 * not queue them all at once. */
enum { FLUSH_BYTES = 64 * 1024 };

void fanout_wait(struct sub *s)
{
    if (list_linked(&s->in_dirty))
        return;
    list_append(&s->key.conn->dirty, &s->in_dirty);
    metric_add(METRIC_DIRTY, 1);
}

void fanout_missed(struct sub *s)
{
    metric_add(METRIC_CONFLATED, 1);
    fanout_wait(s);
    if (!s->key.conn->congested)
        ws_want_write(s->key.conn);
}

void fanout_forget(struct sub *s)
{
    if (!list_linked(&s->in_dirty))
        return;
    list_remove(&s->key.conn->dirty, &s->in_dirty);
    metric_add(METRIC_DIRTY, -1);
}

void fanout_flush(struct conn *c)
{
    for (size_t left = c->dirty.count; left > 0 && c->dirty.count > 0 && c->out.bytes < FLUSH_BYTES; left--) {
        struct sub *s = container_of(list_first(&c->dirty), struct sub, in_dirty);
        fanout_forget(s);
        item_flush_sub(s);
    }
}

/* What is going to be written to a connection. */
#include "gateway/net/conn.h"

#include "gateway/net/deflate.h"
#include "gateway/net/socket.h"
#include "gateway/observe/metrics.h"

enum { WAITING_MAX_BUDGETS = 128 };

void conn_begun_no_more(struct conn *c)
{
    if (list_linked(&c->begun))
        list_remove(&c->gw->conns->begun, &c->begun);
}

void conn_queue(struct conn *c, struct frame *f, enum outq_kind kind)
{
    conn_settle(c->gw);
    if (!c->out.len)
        socket_want_write(c);
    outq_push(&c->out, f, kind);
    metric_add(METRIC_QUEUED_BYTES, (int64_t)f->len);
}

/* What this connection is sent for f. */
struct frame *conn_wire_form(struct conn *c, struct frame *f)
{
    return c->deflate ? deflate_twin(c->gw->deflate, f) : f;
}

void conn_push(struct conn *c, struct frame *f)
{
    if (c->state != CONN_OPEN)
        return;
    if (c->gw->conn_watcher)
        c->gw->conn_watcher->out(c, f);
    conn_queue(c, conn_wire_form(c, f), OUTQ_STATE);
}

void conn_tell(struct conn *c, struct slice wire, uint32_t messages)
{
    if (c->state != CONN_OPEN)
        return;
    struct frame *f = frame_new(wire, messages);
    if (c->gw->conn_watcher)
        c->gw->conn_watcher->out(c, f);
    conn_queue(c, conn_wire_form(c, f), OUTQ_OTHER);
    frame_unref(f);
}

size_t conn_waiting_max(const struct conn *c)
{
    return WAITING_MAX_BUDGETS * (size_t)c->gw->opt->queue_budget;
}

/* For each connection the time is kept up to which its bytes are paid, at so many bytes per second: over budget is who has paid for more
 * than a second ahead. */
#include "gateway/net/unpacker.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "gateway/base/clock.h"
#include "gateway/base/timer.h"
#include "gateway/net/conn.h"
#include "gateway/observe/metrics.h"
#include "protocol/base/alloc.h"
#include "protocol/base/list.h"
#include "protocol/base/map.h"

enum {
    BYTES_PER_SECOND = 1024 * 1024, /* of one connection; or one message of the largest size */
    BYTES_PER_TURN = 512 * 1024,    /* of all, and the rest of the last message */
    AHEAD_MS = 1000
};

struct unpacking {
    struct map_node by_id; /* in unpacker->all; key: conn->id */
    struct unpacker *unpacker;
    struct conn *conn;
    struct list_node node; /* in unpacker->queue when its time has come */
    struct event later;    /* pending while it has not */
    int64_t paid_ms;
};

struct unpacker {
    struct gateway *g;
    void (*on_due)(struct conn *c);
    struct map all; /* struct unpacking */
    struct list queue;
    struct event next_turn; /* pending when this turn decompressed something, or the queue is not empty */
    size_t bytes;           /* of this turn */
};

static void take_next(struct unpacker *u)
{
    struct unpacking *x = container_of(list_first(&u->queue), struct unpacking, node);
    struct conn *c = x->conn;
    unpacker_stop(c); /* takes it out of the queue */
    u->on_due(c);
}

static void on_next_turn(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct unpacker *u = arg;
    u->bytes = 0;
    while (u->queue.count && u->bytes < BYTES_PER_TURN)
        take_next(u);
    if (u->queue.count)
        timer_start(&u->next_turn, 0);
}

struct unpacker *unpacker_new(struct gateway *g, void (*on_due)(struct conn *c))
{
    struct unpacker *u = sg_calloc(1, sizeof(*u));
    u->g = g;
    u->on_due = on_due;
    map_init(&u->all);
    list_init(&u->queue);
    evtimer_assign(&u->next_turn, g->base, on_next_turn, u);
    return u;
}

void unpacker_free(struct unpacker *u)
{
    if (!u)
        return;
    event_del(&u->next_turn);
    map_deinit(&u->all);
    free(u);
}

static void begin_turn(struct unpacker *u)
{
    if (!evtimer_pending(&u->next_turn, NULL))
        timer_start(&u->next_turn, 0);
}

static void line_up(struct unpacking *x)
{
    list_append(&x->unpacker->queue, &x->node);
    begin_turn(x->unpacker);
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    line_up(arg);
}

static struct slice key_of(const struct conn *c)
{
    return slice_of((const char *)&c->id, sizeof(c->id));
}

/* NULL: it has sent no compressed message yet. */
static struct unpacking *find(const struct unpacker *u, const struct conn *c)
{
    struct map_node *node = map_find(&u->all, key_of(c));
    return node ? container_of(node, struct unpacking, by_id) : NULL;
}

static struct unpacking *unpacking_of(struct unpacker *u, struct conn *c)
{
    struct unpacking *x = find(u, c);
    if (x)
        return x;
    x = sg_calloc(1, sizeof(*x));
    x->unpacker = u;
    x->conn = c;
    x->by_id.key = key_of(c);
    evtimer_assign(&x->later, u->g->base, on_later, x);
    map_insert(&u->all, &x->by_id);
    return x;
}

/* How long until it may; 0: at once. */
static int64_t wait_ms(const struct unpacking *x)
{
    int64_t ms = x->paid_ms - AHEAD_MS - clock_now_ms();
    return ms > 0 ? ms : 0;
}

bool unpacker_admits(struct unpacker *u, const struct conn *c)
{
    const struct unpacking *x = find(u, c);
    return u->queue.count == 0 && u->bytes < BYTES_PER_TURN && (!x || wait_ms(x) == 0);
}

void unpacker_charge(struct unpacker *u, struct conn *c, size_t bytes)
{
    struct unpacking *x = unpacking_of(u, c);
    int64_t now = clock_now_ms(), rate = u->g->opt->max_message;
    if (rate < BYTES_PER_SECOND)
        rate = BYTES_PER_SECOND;
    x->paid_ms = (x->paid_ms > now ? x->paid_ms : now) + (int64_t)bytes * 1000 / rate;
    u->bytes += bytes;
    begin_turn(u);
}

void unpacker_wait(struct unpacker *u, struct conn *c)
{
    struct unpacking *x = unpacking_of(u, c);
    int64_t ms = wait_ms(x);
    metric_add(METRIC_INFLATE_WAITS, 1);
    hold_reading(c, HOLD_UNPACKING, true);
    if (ms > 0)
        timer_start(&x->later, ms);
    else
        line_up(x);
}

bool unpacker_waits(const struct conn *c)
{
    return c->reading_held & HOLD_UNPACKING;
}

static void wait_no_more(struct unpacking *x)
{
    event_del(&x->later);
    if (list_linked(&x->node))
        list_remove(&x->unpacker->queue, &x->node);
}

void unpacker_stop(struct conn *c)
{
    if (!unpacker_waits(c))
        return;
    wait_no_more(find(c->gw->unpacker, c));
    hold_reading(c, HOLD_UNPACKING, false);
}

void unpacker_forget(struct conn *c)
{
    struct unpacking *x = c->deflate ? find(c->gw->unpacker, c) : NULL;
    if (!x)
        return;
    wait_no_more(x);
    map_remove(&c->gw->unpacker->all, &x->by_id);
    free(x);
}

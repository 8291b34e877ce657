/* Gateways that end as planned, and what such an end promises. */
#include <stdlib.h>

#include "gateway/base/clock.h"
#include "gateway/calls/calls.h"
#include "gateway/lifecycle/drain.h"
#include "gateway/net/ws.h"
#include "tests/unit/engine/world_parts.h"

enum { CALLS_MS = 5000, HANDSHAKES_MS = 6000, WAIT_MAX_MS = 1000 };

/* Doors are closed by not connecting anybody (world_connect). */
void ws_stop_listening(struct ws *w)
{
    (void)w;
}

/* --- as in gateway.c --- */

static void begun(struct gateway *g)
{
    calls_retire(g->calls);
}

static size_t unheard(const struct gateway *g)
{
    return calls_unheard(g->calls);
}

static const struct drain_events draining = {.begun = begun, .busy = calls_busy, .unheard = unheard};

void drain_prepare(struct host *h)
{
    h->g.drain = drain_new(&h->g, &draining);
}

void world_drain(int gateway)
{
    struct host *h = &world_hosts[gateway];
    world_trace("gateway %d drains", gateway);
    drain_begin(h->g.drain);
}

bool world_accepts(int gateway)
{
    return !world_hosts[gateway].g.closed_doors;
}

bool world_drains(int gateway)
{
    return world_hosts[gateway].g.draining;
}

/* --- promises --- */

static int64_t period_ms(const struct host *h)
{
    return h->g.opt->drain_seconds * 1000;
}

/* Of the period; negative behind it. */
static int64_t left_ms(const struct host *h)
{
    return period_ms(h) - (clock_now_ms() - h->doors_ms);
}

/* So many connections may be open: they are closed one after the other. */
static size_t may_be_open(const struct host *h)
{
    int64_t left = left_ms(h);
    return left <= 0 ? 0 : h->doors_open * (size_t)left / (size_t)period_ms(h);
}

static void check_open(const struct host *h)
{
    size_t open = 0, busy = 0;
    list_each(&h->g.conns->open, n)
    {
        const struct conn *c = container_of(n, struct conn, node);
        if (c->state != CONN_OPEN)
            continue;
        open++;
        busy += calls_busy(c);
    }
    if (left_ms(h) < -CALLS_MS)
        busy = 0;
    if (open > may_be_open(h) && open > busy)
        wrong("a drain closes too late");
}

static void check_end(const struct host *h)
{
    bool overdue = left_ms(h) < -(CALLS_MS + HANDSHAKES_MS);
    if (h->g.exit_code)
        wrong("a drain fails");
    if (!overdue && h->g.conns->open.count)
        wrong("a drain ends while clients are there");
    if (left_ms(h) >= -CALLS_MS && calls_unheard(h->g.calls))
        wrong("a drain ends before results were heard");
}

static void check_executors(const struct host *h)
{
    if (!h->cut && !h->to_redis.count && !h->to_gateway.count && calls_registered(h->g.id))
        wrong("a gateway that drains is chosen for calls");
}

void drain_tick(struct host *h)
{
    if (!h->g.draining)
        return;
    if (h->g.closed_doors && !h->doors_ms) {
        h->doors_ms = clock_now_ms();
        h->doors_open = h->g.conns->open.count;
    }
    check_executors(h);
    if (h->g.stopped)
        check_end(h);
    else if (h->doors_ms)
        check_open(h);
    if (h->doors_ms && !h->g.stopped && left_ms(h) < -(CALLS_MS + HANDSHAKES_MS) - 200)
        wrong("a drain does not end");
}

void client_closed(struct world_client *c, struct slice reason)
{
    struct host *h = container_of(c->conn->gw, struct host, g);
    int64_t wait;
    struct slice number = reason.len > 8 ? slice_of(reason.ptr + 6, reason.len - 8) : SLICE_NONE;
    if (c->closed != 1012 || !h->doors_ms) {
        wrong("a client was closed");
        return;
    }
    if (reason.len < 9 || memcmp(reason.ptr, "retry=", 6) != 0 || !slice_i64(number, &wait) || wait < 0 ||
        wait > WAIT_MAX_MS)
        wrong("a drain without a time to wait");
    if (left_ms(h) >= -CALLS_MS && caller_is_busy(c))
        wrong("a client that waits for the end of a call was closed");
    if (++h->closes > h->doors_open - may_be_open(h))
        wrong("a drain closes too early");
}

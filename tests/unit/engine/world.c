/* Gateways, and time. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/base/clock.h"
#include "gateway/calls/calls.h"
#include "gateway/lifecycle/drain.h"
#include "gateway/net/pace.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "gateway/observe/rejects.h"
#include "gateway/peer/peer.h"
#include "gateway/state/topics.h"
#include "tests/unit/engine/world_parts.h"

static struct options options;

void world_trace(const char *format, ...)
{
    static int traces = -1;
    va_list args;
    if (traces < 0)
        traces = getenv("SYNCGATE_ENGINE_TRACE") ? 1 : 0;
    if (!traces)
        return;
    fprintf(stderr, "%lld ", (long long)clock_now_ms());
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

/* --- gateways --- */

static int ids;

static void gateway_begin(struct host *h)
{
    struct gateway *g = &h->g;
    host_begin(h);
    g->opt = &options;
    g->limits = (struct dialect_limits){.max_depth = 64, .value_depth = 60, .max_items = 100};
    g->redis_up = true;
    g->worker = -1;
    snprintf(g->id, sizeof(g->id), "gate-%d", ids++);
    buf_init(&g->scratch, 64 * 1024 * 1024);
    g->conns = conns_new();
    g->conn_events = &peer_events;
    g->peers = peers_new(g);
    g->pace = pace_new();
    g->rejects = rejects_new();
    g->topics = topics_new(g);
    g->calls = calls_new(g);
    calls_on_up(g->calls);
    drain_prepare(h);
}

/* As gateway.c does; its clients are gone. */
static void gateway_end(struct host *h)
{
    struct gateway *g = &h->g;
    drain_free(g->drain);
    calls_free(g->calls);
    topics_leave(g->topics);
    world_redis((int)(h - world_hosts), SIZE_MAX);
    host_end(h);
    topics_free(g->topics);
    peers_free(g->peers);
    pace_free(g->pace);
    conns_free(g->conns);
    rejects_free(g->rejects);
    buf_deinit(&g->scratch);
}

/* Another one takes its place. Who is connected still is cut. */
static void succeed(int gateway)
{
    struct host *h = &world_hosts[gateway];
    world_trace("gateway %d ends", gateway);
    for (int i = 0; i < WORLD_CLIENTS; i++)
        if (world_clients[i].conn && world_clients[i].gateway == gateway)
            world_leave(i);
    gateway_end(h);
    gateway_begin(h);
}

void world_kill(int gateway)
{
    world_trace("gateway %d is killed", gateway);
    callers_bury(world_hosts[gateway].g.id);
    world_cut(gateway);
    succeed(gateway);
}

/* --- time --- */

static void tick(struct host *h)
{
    topics_tick(h->g.topics);
    conn_tick_stalled(&h->g);
    pace_tick(&h->g, conn_close);
    drain_tick(h);
}

void world_pass(int64_t ms)
{
    world_turn();
    for (; ms > 0; ms -= TOPICS_TICK_MS) {
        clock_advance(TOPICS_TICK_MS);
        for (int i = 0; i < WORLD_GATEWAYS; i++)
            tick(&world_hosts[i]);
        world_turn();
        callers_tick(options.call_timeout_ms);
        for (int i = 0; i < WORLD_GATEWAYS; i++)
            if (world_hosts[i].g.stopped)
                succeed(i);
    }
}

void world_settle(void)
{
    callers_rest();
    for (int i = 0; i < WORLD_GATEWAYS; i++)
        world_mend(i);
    for (int i = 0; i < WORLD_CLIENTS; i++)
        world_read(i, SIZE_MAX);
    for (int round = 0; round < 3; round++) {
        world_exchange();
        world_pass(options.sweep_interval_ms);
        world_exchange();
    }
}

/* --- beginning and end --- */

void world_begin(void)
{
    options = (struct options){.max_message = 1 << 20,
                               .max_depth = 64,
                               .max_page_size = WORLD_PAGE,
                               .call_timeout_ms = 15000,
                               .calls_per_connection = 8,
                               .subscribe_timeout_ms = 60000,
                               .sweep_interval_ms = 3000,
                               .queue_budget = 64 * 1024,
                               .stall_timeout_ms = 1000 * 1000,
                               .errors_per_minute = 1000 * 1000,
                               .subscriptions_per_connection = 10000,
                               .items_per_connection = 10000,
                               .names_per_second = 1000,
                               .linger_ms = 1000,
                               .drain_delay_ms = 500,
                               .drain_seconds = 2};
    world_wrong = NULL;
    callers_begin();
    redis_begin();
    ids = 0;
    clients_begin();
    clock_set(1000000);
    srandom(1);
    metrics_begin(-1);
    log_init(LOG_LEVEL_ERROR, -1);
    for (int i = 0; i < WORLD_GATEWAYS; i++) {
        gateway_begin(&world_hosts[i]);
    }
}

void world_end(void)
{
    for (int i = 0; i < WORLD_CLIENTS; i++)
        world_leave(i);
    for (int i = 0; i < WORLD_GATEWAYS; i++)
        gateway_end(&world_hosts[i]);
    clients_end();
    clock_forget();
}

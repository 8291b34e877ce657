/* One assignment per gauge. What Redis' link counts is taken over as the difference to what was taken before, because the counters of
 * a worker outlive it and its links. */
#include "gateway/admin/gauges.h"

#include "gateway/lifecycle/probe.h"
#include "gateway/lifecycle/ready.h"
#include "gateway/net/conn.h"
#include "gateway/net/ws.h"
#include "gateway/observe/metrics.h"
#include "gateway/state/sub.h"
#include "protocol/window.h"

static void refresh_state(const struct gateway *g)
{
    enum link_state state = link_state(g->link);
    metrics[METRIC_READY] = ready_refusal(g) == NULL;
    metrics[METRIC_REDIS_SILENCE] = probe_silence_us(g->probe, PROBE_MESSAGE);
    metrics[METRIC_REDIS_READ_SILENCE] = probe_silence_us(g->probe, PROBE_READ);
    metrics[METRIC_REDIS_WRITE_SILENCE] = probe_silence_us(g->probe, PROBE_WRITE);
    metrics[METRIC_REDIS_STATE_WAITING] = state == LINK_WAITING;
    metrics[METRIC_REDIS_STATE_CONNECTING] = state == LINK_CONNECTING;
    metrics[METRIC_REDIS_STATE_GREETING] = state == LINK_GREETING;
    metrics[METRIC_REDIS_STATE_UP] = state == LINK_UP;
}

static void refresh_link(const struct gateway *g)
{
    static struct link_stats taken;
    const struct link_stats *now = link_stats(g->link);
    metric_add(METRIC_REDIS_COMMANDS, (int64_t)(now->commands - taken.commands));
    metric_add(METRIC_REDIS_PUSHES, (int64_t)(now->pushes - taken.pushes));
    metric_add(METRIC_REDIS_BYTES_OUT, (int64_t)(now->bytes_out - taken.bytes_out));
    metric_add(METRIC_REDIS_BYTES_IN, (int64_t)(now->bytes_in - taken.bytes_in));
    metric_add(METRIC_REDIS_YOUNG_LOSSES, (int64_t)(now->young_losses - taken.young_losses));
    metric_add(METRIC_REDIS_PROTOCOL_ERRORS, (int64_t)(now->protocol_errors - taken.protocol_errors));
    taken = *now;
}

static void refresh_memory(const struct gateway *g)
{
    metrics[METRIC_MEMORY_FRAMES] = (int64_t)frame_bytes_live();
    metrics[METRIC_MEMORY_LIST_ITEMS] = (int64_t)entry_bytes_live();
    metrics[METRIC_MEMORY_CONNECTIONS] = (int64_t)(g->conns->open.count * g->conn_events->size);
    metrics[METRIC_MEMORY_SUBSCRIPTIONS] = metrics[METRIC_SUBSCRIPTIONS] * (int64_t)sizeof(struct sub);
    metrics[METRIC_MEMORY_REDIS_OUTBOX] = (int64_t)link_outbox_bytes(g->link);
    metrics[METRIC_MEMORY_LIBWEBSOCKETS] = (int64_t)ws_heap_bytes();
}

void gauges_refresh(struct gateway *g)
{
    refresh_state(g);
    refresh_link(g);
    refresh_memory(g);
}

/* Counters and gauges of one process, from one table; rendered as Prometheus text. */
#ifndef SYNCGATE_GATEWAY_METRICS_H
#define SYNCGATE_GATEWAY_METRICS_H

#include "protocol/base/buf.h"

/* X(enum suffix, type, prometheus name, labels or "", help). Rows of one name stand together. */
#define FOR_EACH_METRIC(X)                                                                                             \
    X(CONNECTIONS, "gauge", "syncgate_connections", "protocol=\"socksync\"", "WebSocket connections that are open.")   \
    X(ACCEPT_FAILURES, "counter", "syncgate_accept_failures_total", "",                                                \
      "Times no descriptor or memory was left for a new connection.")                                                  \
    X(CONNECTIONS_TOTAL, "counter", "syncgate_connections_total", "", "WebSocket connections accepted.")               \
    X(REFUSED_UNAUTHORIZED, "counter", "syncgate_refused_total", "reason=\"unauthorized\"",                            \
      "Upgrades and requests refused, by reason.")                                                                     \
    X(REFUSED_DRAINING, "counter", "syncgate_refused_total", "reason=\"draining\"", "")                                \
    X(SUBSCRIPTIONS, "gauge", "syncgate_subscriptions", "", "Subscriptions of connected clients.")                     \
    X(NAMES, "gauge", "syncgate_names", "", "Names held in the cache.")                                                \
    X(MESSAGES_IN, "counter", "syncgate_messages_received_total", "", "Messages received from clients.")               \
    X(BYTES_IN, "counter", "syncgate_received_bytes_total", "", "Payload bytes received from clients.")                \
    X(MESSAGES_OUT, "counter", "syncgate_messages_sent_total", "", "Messages sent to clients.")                        \
    X(BYTES_OUT, "counter", "syncgate_sent_bytes_total", "", "Bytes sent to clients, frame headers included.")         \
    X(WRITES, "counter", "syncgate_writes_total", "", "Socket writes; messages per write = sent messages / writes.")   \
    X(PARTIAL_WRITES, "counter", "syncgate_partial_writes_total", "", "Writes the socket took only a part of.")        \
    X(ERRORS_1, "counter", "syncgate_errors_total", "code=\"1\"", "Error frames sent, by code.")                       \
    X(ERRORS_2, "counter", "syncgate_errors_total", "code=\"2\"", "")                                                  \
    X(ERRORS_3, "counter", "syncgate_errors_total", "code=\"3\"", "")                                                  \
    X(ERRORS_4, "counter", "syncgate_errors_total", "code=\"4\"", "")                                                  \
    X(ERRORS_5, "counter", "syncgate_errors_total", "code=\"5\"", "")                                                  \
    X(ERRORS_6, "counter", "syncgate_errors_total", "code=\"6\"", "")                                                  \
    X(ERRORS_7, "counter", "syncgate_errors_total", "code=\"7\"", "")                                                  \
    X(ERRORS_8, "counter", "syncgate_errors_total", "code=\"8\"", "")                                                  \
    X(CHANGES, "counter", "syncgate_changes_total", "", "Change events applied.")                                      \
    X(BAD_CHANGES, "counter", "syncgate_bad_changes_total", "", "Bytes from Redis that were dropped as malformed.")    \
    X(GAPS, "counter", "syncgate_gaps_total", "", "Revision gaps, each healed by reading the name again.")             \
    X(READS, "counter", "syncgate_redis_reads_total", "", "Reads of a name's state from Redis.")                       \
    X(CONFLATED, "counter", "syncgate_conflated_total", "", "Updates that a slow reader got merged into a newer one.") \
    X(DIRTY, "gauge", "syncgate_dirty_subscriptions", "", "Subscriptions that wait for their reader.")                 \
    X(QUEUED_BYTES, "gauge", "syncgate_queued_bytes", "", "Bytes that wait in outgoing queues.")                       \
    X(DEFLATED, "counter", "syncgate_deflated_frames_total", "", "Frames compressed, each once for all its readers.")  \
    X(DEFLATED_FROM, "counter", "syncgate_deflated_bytes_total", "stage=\"before\"", "Bytes of these frames.")         \
    X(DEFLATED_TO, "counter", "syncgate_deflated_bytes_total", "stage=\"after\"", "")                                  \
    X(CALLS_OK, "counter", "syncgate_calls_total", "outcome=\"return\"", "Calls by how they ended.")                   \
    X(CALLS_ERROR, "counter", "syncgate_calls_total", "outcome=\"error\"", "")                                         \
    X(CALLS_TIMEOUT, "counter", "syncgate_calls_total", "outcome=\"timeout\"", "")                                     \
    X(CALLS_IN_FLIGHT, "gauge", "syncgate_calls_in_flight", "", "Calls of local callers that have not ended.")         \
    X(REDIS_UP, "gauge", "syncgate_redis_up", "", "1 while the Redis link is up.")                                     \
    X(REDIS_LOSSES, "counter", "syncgate_redis_link_losses_total", "", "Times the Redis link was lost.")

enum metric {
#define METRIC_ENUM(suffix, type, name, labels, help) METRIC_##suffix,
    FOR_EACH_METRIC(METRIC_ENUM)
#undef METRIC_ENUM
        METRIC_COUNT
};

extern int64_t metrics[METRIC_COUNT];

static inline void metric_add(enum metric m, int64_t n)
{
    metrics[m] += n;
}

/* metrics_render appends the Prometheus text exposition of all rows; worker >= 0 adds a label. */
void metrics_render(struct buf *out, int worker);

#endif

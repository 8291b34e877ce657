/* Counters, gauges and histograms of one process, from one table; rendered as Prometheus text, for all workers at once. */
#ifndef SYNCGATE_GATEWAY_OBSERVE_METRICS_H
#define SYNCGATE_GATEWAY_OBSERVE_METRICS_H

#include "gateway/base/histogram.h"
#include "protocol/base/buf.h"

/* X(enum suffix, type, prometheus name, labels or "", help)
 * H(enum suffix, shift, buckets, prometheus name, labels or "", help): a histogram, see histogram.h for its shape.
 * Rows of one name stand together; the first has the help. What is called …_seconds is kept in microseconds.
 * Each has a line in docs/metrics.md. */
#define FOR_EACH_METRIC(X, H)                                                                                          \
    X(BUILD_INFO, "gauge", "syncgate_build_info", "version=\"" SYNCGATE_VERSION "\"",                                  \
      "1, with the version of the program as a label.")                                                                \
    X(READY, "gauge", "syncgate_ready", "", "1 while /readyz says 200.")                                               \
    X(DRAINING, "gauge", "syncgate_draining", "", "1 while the gateway sends its clients away.")                       \
    X(CONNECTIONS, "gauge", "syncgate_connections", "state=\"open\"",                                                  \
      "WebSocket connections by protocol and state; closing: a close frame was sent.")                                 \
    X(CONNECTIONS_CLOSING, "gauge", "syncgate_connections", "state=\"closing\"", "")                                   \
    X(CONNECTIONS_TOTAL, "counter", "syncgate_connections_total", "", "WebSocket connections accepted.")               \
    X(ACCEPT_FAILURES, "counter", "syncgate_accept_failures_total", "",                                                \
      "Times no descriptor or memory was left for a new connection.")                                                  \
    X(RELOADS_OK, "counter", "syncgate_reloads_total", "result=\"ok\"", "Configurations read at SIGHUP, by result.")   \
    X(RELOADS_FAILED, "counter", "syncgate_reloads_total", "result=\"failed\"", "")                                    \
    X(REFUSED_UNAUTHORIZED, "counter", "syncgate_refused_total", "reason=\"unauthorized\"",                            \
      "Upgrades and requests refused, by reason.")                                                                     \
    X(REFUSED_MAX_CONNECTIONS, "counter", "syncgate_refused_total", "reason=\"max_connections\"", "")                  \
    X(REFUSED_MEMORY, "counter", "syncgate_refused_total", "reason=\"memory\"", "")                                    \
    X(REFUSED_DESCRIPTORS, "counter", "syncgate_refused_total", "reason=\"descriptors\"", "")                          \
    X(REFUSED_ORIGIN, "counter", "syncgate_refused_total", "reason=\"origin\"", "")                                    \
    X(REFUSED_DRAINING, "counter", "syncgate_refused_total", "reason=\"draining\"", "")                                \
    X(REFUSED_MALFORMED, "counter", "syncgate_refused_total", "reason=\"malformed\"", "")                              \
    X(REFUSED_TOO_LARGE, "counter", "syncgate_refused_total", "reason=\"too_large\"", "")                              \
    X(REFUSED_TOO_LATE, "counter", "syncgate_refused_total", "reason=\"too_late\"", "")                                \
    X(REFUSED_CROWDED, "counter", "syncgate_refused_total", "reason=\"crowded\"", "")                                  \
    X(REFUSED_ADDRESS_CONNECTIONS, "counter", "syncgate_refused_total", "reason=\"connections_per_address\"", "")      \
    X(REFUSED_ADDRESS_HANDSHAKES, "counter", "syncgate_refused_total", "reason=\"handshakes_per_address\"", "")        \
    X(REFUSED_USER_CONNECTIONS, "counter", "syncgate_refused_total", "reason=\"connections_per_user\"", "")            \
    X(LIMITED_NAMES, "counter", "syncgate_limited_total", "limit=\"names_per_second\"",                                \
      "Times a client was refused something, or not read from for a while, over a limit of one client; by option.")    \
    X(LIMITED_MESSAGES, "counter", "syncgate_limited_total", "limit=\"messages_per_second\"", "")                      \
    X(LIMITED_BYTES, "counter", "syncgate_limited_total", "limit=\"bytes_per_second\"", "")                            \
    X(LIMITED_ANSWERS, "counter", "syncgate_limited_total", "limit=\"answer_bytes_per_second\"", "")                   \
    X(LIMITED_SUBSCRIPTIONS, "counter", "syncgate_limited_total", "limit=\"subscriptions_per_connection\"", "")        \
    X(LIMITED_ITEMS, "counter", "syncgate_limited_total", "limit=\"items_per_connection\"", "")                        \
    X(LIMITED_CALLS, "counter", "syncgate_limited_total", "limit=\"calls_per_connection\"", "")                        \
    X(LIMITED_VALUE, "counter", "syncgate_limited_total", "limit=\"max_value\"", "")                                   \
    X(LIMITED_CACHE, "counter", "syncgate_limited_total", "limit=\"max_cache\"", "")                                   \
    X(LIMITED_USER_CALLS, "counter", "syncgate_limited_total", "limit=\"calls_per_user\"", "")                         \
    X(HANDSHAKES_WAITING, "gauge", "syncgate_handshakes", "state=\"waiting\"",                                         \
      "Connections that are no WebSocket (yet): those whose request has not come, those in the server.")               \
    X(HANDSHAKES_INSIDE, "gauge", "syncgate_handshakes", "state=\"inside\"", "")                                       \
    X(CLOSES_GATEWAY_1001, "counter", "syncgate_closes_total", "by=\"gateway\",code=\"1001\"",                         \
      "WebSocket connections that ended, by who closed and with which code; 1006: without a close frame.")             \
    X(CLOSES_GATEWAY_1002, "counter", "syncgate_closes_total", "by=\"gateway\",code=\"1002\"", "")                     \
    X(CLOSES_GATEWAY_1007, "counter", "syncgate_closes_total", "by=\"gateway\",code=\"1007\"", "")                     \
    X(CLOSES_GATEWAY_1008, "counter", "syncgate_closes_total", "by=\"gateway\",code=\"1008\"", "")                     \
    X(CLOSES_GATEWAY_1009, "counter", "syncgate_closes_total", "by=\"gateway\",code=\"1009\"", "")                     \
    X(CLOSES_GATEWAY_1012, "counter", "syncgate_closes_total", "by=\"gateway\",code=\"1012\"", "")                     \
    X(CLOSES_GATEWAY_1013, "counter", "syncgate_closes_total", "by=\"gateway\",code=\"1013\"", "")                     \
    X(CLOSES_GATEWAY_4401, "counter", "syncgate_closes_total", "by=\"gateway\",code=\"4401\"", "")                     \
    X(CLOSES_GATEWAY_OTHER, "counter", "syncgate_closes_total", "by=\"gateway\",code=\"other\"", "")                   \
    X(CLOSES_PEER_1000, "counter", "syncgate_closes_total", "by=\"peer\",code=\"1000\"", "")                           \
    X(CLOSES_PEER_1001, "counter", "syncgate_closes_total", "by=\"peer\",code=\"1001\"", "")                           \
    X(CLOSES_PEER_1005, "counter", "syncgate_closes_total", "by=\"peer\",code=\"1005\"", "")                           \
    X(CLOSES_PEER_1006, "counter", "syncgate_closes_total", "by=\"peer\",code=\"1006\"", "")                           \
    X(CLOSES_PEER_OTHER, "counter", "syncgate_closes_total", "by=\"peer\",code=\"other\"", "")                         \
    X(SUBSCRIPTIONS, "gauge", "syncgate_subscriptions", "", "Subscriptions of connected clients.")                     \
    X(NAMES, "gauge", "syncgate_names", "", "Names held in the cache.")                                                \
    X(NAMES_STALE, "gauge", "syncgate_names_stale", "",                                                                \
      "Of them, those that are not read yet or have to be read again: Redis may have a newer state.")                  \
    X(NAMES_TOO_LARGE, "gauge", "syncgate_names_too_large", "",                                                        \
      "Of them, those that are not read because their answers made Redis cut the link.")                               \
    X(MESSAGES_IN, "counter", "syncgate_messages_received_total", "", "Messages received from clients.")               \
    X(BYTES_IN, "counter", "syncgate_received_bytes_total", "", "Payload bytes received from clients.")                \
    X(MESSAGES_OUT, "counter", "syncgate_messages_sent_total", "", "Messages sent to clients.")                        \
    X(BYTES_OUT, "counter", "syncgate_sent_bytes_total", "", "Bytes sent to clients, frame headers included.")         \
    X(WRITES, "counter", "syncgate_writes_total", "", "Socket writes.")                                                \
    X(PARTIAL_WRITES, "counter", "syncgate_partial_writes_total", "", "Writes the socket took only a part of.")        \
    H(MESSAGES_PER_WRITE, 0, 11, "syncgate_messages_per_write", "",                                                    \
      "Messages that left in one socket write; pings and closes count as none.")                                       \
    X(UNREAD, "gauge", "syncgate_connections_unread", "",                                                              \
      "Connections that are not read from until they, or Redis, took what is under way.")                              \
    X(WRITES_UNTOLD, "counter", "syncgate_writes_untold_total", "", "Refused writes whose writer is not told.")        \
    X(ERRORS_1, "counter", "syncgate_errors_total", "code=\"1\"", "Error frames sent, by code.")                       \
    X(ERRORS_2, "counter", "syncgate_errors_total", "code=\"2\"", "")                                                  \
    X(ERRORS_3, "counter", "syncgate_errors_total", "code=\"3\"", "")                                                  \
    X(ERRORS_4, "counter", "syncgate_errors_total", "code=\"4\"", "")                                                  \
    X(ERRORS_5, "counter", "syncgate_errors_total", "code=\"5\"", "")                                                  \
    X(ERRORS_6, "counter", "syncgate_errors_total", "code=\"6\"", "")                                                  \
    X(ERRORS_7, "counter", "syncgate_errors_total", "code=\"7\"", "")                                                  \
    X(ERRORS_8, "counter", "syncgate_errors_total", "code=\"8\"", "")                                                  \
    X(CHANGES, "counter", "syncgate_changes_total", "", "Change events applied.")                                      \
    H(CHANGE_TO_WRITE, 4, 18, "syncgate_change_to_write_seconds", "",                                                  \
      "From reading a change's bytes from Redis to the end of the turn that wrote its frames, by change.")             \
    X(BAD_CHANGES, "counter", "syncgate_bad_changes_total", "", "Bytes from Redis that were dropped as malformed.")    \
    X(DAMAGED, "counter", "syncgate_damaged_total", "", "Variables and lists that were found damaged in Redis.")       \
    X(GAPS, "counter", "syncgate_gaps_total", "", "Revision gaps, each healed by reading the name again.")             \
    X(READS_FIRST, "counter", "syncgate_redis_reads_total", "reason=\"first\"",                                        \
      "Reads of a name's state from Redis, by reason.")                                                                \
    X(READS_CONTENT, "counter", "syncgate_redis_reads_total", "reason=\"content\"", "")                                \
    X(READS_CONFIRM, "counter", "syncgate_redis_reads_total", "reason=\"confirm\"", "")                                \
    X(READS_GAP, "counter", "syncgate_redis_reads_total", "reason=\"gap\"", "")                                        \
    X(READS_RECONNECT, "counter", "syncgate_redis_reads_total", "reason=\"reconnect\"", "")                            \
    X(READS_SWEEP, "counter", "syncgate_redis_reads_total", "reason=\"sweep\"", "")                                    \
    X(READS_MALFORMED, "counter", "syncgate_redis_reads_total", "reason=\"malformed\"", "")                            \
    X(READS_BACK, "counter", "syncgate_redis_reads_total", "reason=\"back\"", "")                                      \
    X(CONFLATED, "counter", "syncgate_conflated_total", "", "Updates that a slow reader got merged into a newer one.") \
    X(DIRTY, "gauge", "syncgate_dirty_subscriptions", "", "Subscriptions that wait for their reader.")                 \
    X(QUEUED_BYTES, "gauge", "syncgate_queued_bytes", "", "Bytes that wait in outgoing queues.")                       \
    X(DEFLATED, "counter", "syncgate_deflated_frames_total", "", "Frames compressed, each once for all its readers.")  \
    X(DEFLATED_FROM, "counter", "syncgate_deflated_bytes_total", "stage=\"before\"", "Bytes of these frames.")         \
    X(DEFLATED_TO, "counter", "syncgate_deflated_bytes_total", "stage=\"after\"", "")                                  \
    X(INFLATE_WAITS, "counter", "syncgate_inflate_waits_total", "",                                                    \
      "Compressed messages of clients that waited for their turn to be decompressed.")                                 \
    X(CALLS_OK, "counter", "syncgate_calls_total", "outcome=\"return\"",                                               \
      "Calls of local callers by how they ended; abandoned: the caller left.")                                         \
    X(CALLS_ERROR, "counter", "syncgate_calls_total", "outcome=\"error\"", "")                                         \
    X(CALLS_TIMEOUT, "counter", "syncgate_calls_total", "outcome=\"timeout\"", "")                                     \
    X(CALLS_ABANDONED, "counter", "syncgate_calls_total", "outcome=\"abandoned\"", "")                                 \
    H(CALL_RETURN, 6, 20, "syncgate_call_duration_seconds", "outcome=\"return\"",                                      \
      "From a caller's call to its answer, by how it ended.")                                                          \
    H(CALL_ERROR, 6, 20, "syncgate_call_duration_seconds", "outcome=\"error\"", "")                                    \
    H(CALL_TIMEOUT, 6, 20, "syncgate_call_duration_seconds", "outcome=\"timeout\"", "")                                \
    X(CALLS_IN_FLIGHT, "gauge", "syncgate_calls_in_flight", "", "Calls of local callers that have not ended.")         \
    X(RESULTS_LOST, "counter", "syncgate_results_lost_total", "", "Results of calls that found no room to wait.")      \
    X(REDIS_UP, "gauge", "syncgate_redis_up", "", "1 while the Redis link is up.")                                     \
    X(REDIS_STATE_WAITING, "gauge", "syncgate_redis_link_state", "state=\"waiting\"",                                  \
      "1 at the state that the Redis link is in.")                                                                     \
    X(REDIS_STATE_CONNECTING, "gauge", "syncgate_redis_link_state", "state=\"connecting\"", "")                        \
    X(REDIS_STATE_GREETING, "gauge", "syncgate_redis_link_state", "state=\"greeting\"", "")                            \
    X(REDIS_STATE_UP, "gauge", "syncgate_redis_link_state", "state=\"up\"", "")                                        \
    X(REDIS_CONNECTS, "counter", "syncgate_redis_link_connects_total", "", "Times the Redis link came up.")            \
    X(REDIS_LOSSES, "counter", "syncgate_redis_link_losses_total", "", "Times the Redis link was lost.")               \
    X(REDIS_YOUNG_LOSSES, "counter", "syncgate_redis_link_young_losses_total", "",                                     \
      "Times the Redis link was lost within 5 s of coming up.")                                                        \
    X(REDIS_DEAF, "counter", "syncgate_redis_link_deaf_total", "",                                                     \
      "Times the Redis link was rebuilt because it answered but heard nothing.")                                       \
    X(REDIS_PROTOCOL_ERRORS, "counter", "syncgate_redis_protocol_errors_total", "",                                    \
      "Times Redis said what the link did not understand.")                                                            \
    X(REDIS_COMMANDS, "counter", "syncgate_redis_commands_total", "", "Commands sent to Redis.")                       \
    X(REDIS_PUSHES, "counter", "syncgate_redis_pushes_total", "", "Messages that Redis pushed.")                       \
    X(REDIS_BYTES_OUT, "counter", "syncgate_redis_sent_bytes_total", "", "Bytes sent to Redis.")                       \
    X(REDIS_BYTES_IN, "counter", "syncgate_redis_received_bytes_total", "", "Bytes received from Redis.")              \
    H(REDIS_ROUND_TRIP, 5, 18, "syncgate_redis_round_trip_seconds", "", "From the link's ping to Redis' answer.")      \
    H(REDIS_LAG, 5, 18, "syncgate_redis_pubsub_lag_seconds", "",                                                       \
      "From publishing a probe to hearing it back on the same link.")                                                  \
    X(REDIS_SILENCE, "gauge", "syncgate_redis_pubsub_silence_seconds", "",                                             \
      "Since a probe was last heard back, at first since the start.")                                                  \
    X(REDIS_READ_SILENCE, "gauge", "syncgate_redis_read_silence_seconds", "",                                          \
      "Since a probe's read was last answered, at first since the start.")                                             \
    X(REDIS_WRITE_SILENCE, "gauge", "syncgate_redis_write_silence_seconds", "",                                        \
      "Since a probe's write was last answered, at first since the start.")                                            \
    X(REDIS_PROBES_REFUSED, "counter", "syncgate_redis_probes_refused_total", "",                                      \
      "Probes (messages, reads and writes) that Redis refused.")                                                       \
    H(TURN, 4, 18, "syncgate_loop_turn_seconds", "",                                                                   \
      "Turns of the event loop in which something arrived, from there to their end.")                                  \
    X(MEMORY_FRAMES, "gauge", "syncgate_memory_bytes", "kind=\"frames\"", "Memory by what holds it, counted exactly.") \
    X(MEMORY_VARIABLES, "gauge", "syncgate_memory_bytes", "kind=\"variables\"", "")                                    \
    X(MEMORY_LIST_ITEMS, "gauge", "syncgate_memory_bytes", "kind=\"list_items\"", "")                                  \
    X(MEMORY_QUEUES, "gauge", "syncgate_memory_bytes", "kind=\"queues\"", "")                                          \
    X(MEMORY_RECEIVING, "gauge", "syncgate_memory_bytes", "kind=\"receiving\"", "")                                    \
    X(MEMORY_CONNECTIONS, "gauge", "syncgate_memory_bytes", "kind=\"connections\"", "")                                \
    X(MEMORY_SUBSCRIPTIONS, "gauge", "syncgate_memory_bytes", "kind=\"subscriptions\"", "")                            \
    X(MEMORY_REDIS_OUTBOX, "gauge", "syncgate_memory_bytes", "kind=\"redis_outbox\"", "")                              \
    X(MEMORY_LIBWEBSOCKETS, "gauge", "syncgate_memory_bytes", "kind=\"libwebsockets\"", "")                            \
    X(PROCESS_CPU, "counter", "process_cpu_seconds_total", "",                                                         \
      "Processor time that the process used, in user and system mode.")                                                \
    X(PROCESS_RESIDENT, "gauge", "process_resident_memory_bytes", "", "Memory of the process that is resident.")       \
    X(PROCESS_VIRTUAL, "gauge", "process_virtual_memory_bytes", "", "Address space of the process.")                   \
    X(PROCESS_FDS, "gauge", "process_open_fds", "", "Open file descriptors.")                                          \
    X(PROCESS_FDS_MAX, "gauge", "process_max_fds", "", "The limit of open file descriptors.")                          \
    X(PROCESS_START, "gauge", "process_start_time_seconds", "", "When the process began to serve, since the epoch.")

enum metric {
#define METRIC_ENUM(suffix, type, name, labels, help) METRIC_##suffix,
#define HISTOGRAM_NONE(suffix, shift, buckets, name, labels, help)
    FOR_EACH_METRIC(METRIC_ENUM, HISTOGRAM_NONE)
#undef METRIC_ENUM
#undef HISTOGRAM_NONE
        METRIC_COUNT
};

enum metric_histogram {
#define METRIC_NONE(suffix, type, name, labels, help)
#define HISTOGRAM_ENUM(suffix, shift, buckets, name, labels, help) HISTOGRAM_##suffix,
    FOR_EACH_METRIC(METRIC_NONE, HISTOGRAM_ENUM)
#undef HISTOGRAM_ENUM
        HISTOGRAM_COUNT
};

static const struct histogram_shape histogram_shapes[] = {
#define HISTOGRAM_SHAPE(suffix, shift, buckets, name, labels, help) {shift, buckets},
    FOR_EACH_METRIC(METRIC_NONE, HISTOGRAM_SHAPE)
#undef HISTOGRAM_SHAPE
#undef METRIC_NONE
};

/* Those of this process. */
extern int64_t *metrics;             /* by enum metric */
extern struct histogram *histograms; /* by enum metric_histogram */

static inline void metric_add(enum metric m, int64_t n)
{
    metrics[m] += n;
}

static inline void metric_observe(enum metric_histogram h, int64_t value)
{
    histogram_add(&histograms[h], histogram_shapes[h], value, 1);
}

/* metrics_connections: so many more connections of this dialect are open, or closing. They are told by dialect, and counted together as
 * METRIC_CONNECTIONS and METRIC_CONNECTIONS_CLOSING. */
struct dialect;
void metrics_connections(const struct dialect *d, bool closing, int64_t n);

/* metrics_share, in the parent before it forks: makes room that all workers see, so that any of them can tell the counters of
 * all. Without it there is one process, whose metrics carry no worker label. */
void metrics_share(size_t workers);
/* metrics_begin: this process counts in the room of that worker from now on (-1: the only process). The counters of a worker that
 * died go on, its gauges begin at 0. */
void metrics_begin(int worker);

/* metrics_render appends the Prometheus text exposition (format 0.0.4) of all rows of all workers. */
void metrics_render(struct buf *out);
/* METRICS_BYTES_MAX: what one worker may take of it. */
enum { METRICS_BYTES_MAX = 128 * 1024 };
size_t metrics_workers(void);
/* metrics_total, metrics_histogram_total: the sum over all workers. */
int64_t metrics_total(enum metric m);
void metrics_histogram_total(enum metric_histogram h, struct histogram *out);

#endif

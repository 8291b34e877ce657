/* What --top shows: the answers of /admin/ taken apart, and written as lines. Answers are bytes of a peer: what is not as promised
 * is shown as nothing, and no byte of theirs controls the terminal. */
#ifndef SYNCGATE_GATEWAY_COMMAND_TERMINAL_VIEW_H
#define SYNCGATE_GATEWAY_COMMAND_TERMINAL_VIEW_H

#include "protocol/base/buf.h"

enum { TERMINAL_CONNECTIONS_MAX = 50, TERMINAL_FLEET_MAX = 64, TERMINAL_WORKERS_MAX = 256, TERMINAL_TEXT_MAX = 120 };

struct terminal_connection {
    int64_t worker, id, subscriptions, dirty, queued_bytes, unsent_bytes, rtt_us, sent, trouble;
    char remote[64], token[64], why[TERMINAL_TEXT_MAX];
};

struct terminal_gateway {
    char host[64], address[64], state[40], version[24];
    int64_t age_ms, worker, workers, connections, sent_per_s, changes_per_s, queued_bytes;
    bool self;
};

struct terminal_view {
    /* /admin/stats: of all workers together. */
    char id[64], version[24], address[64], state[40];
    int64_t workers, now_ms, started_ms;
    int64_t connections, subscriptions, queued_bytes, dirty;
    int64_t sent_per_s, received_per_s, bytes_per_s, changes_per_s,
        conflated_per_s;    /* over the last seconds that are known */
    int64_t p50_us, p99_us; /* -1: nothing was delivered */
    /* /metrics: the links to Redis, one of each worker. */
    bool has_links;
    int64_t links, links_up, connects, losses;
    double round_trip_s; /* of the pings since they were last looked at; 0: not known */
    double round_trips, round_trip_sum_s;
    /* /admin/connections, worst first: those of the workers that have answered. */
    struct terminal_connection list[TERMINAL_CONNECTIONS_MAX];
    size_t list_len;
    bool seen[TERMINAL_WORKERS_MAX]; /* which workers that were */
    size_t seen_len;
    /* /admin/fleet. */
    struct terminal_gateway fleet[TERMINAL_FLEET_MAX];
    size_t fleet_len;
    int64_t fleet_total;
    char fleet_why[TERMINAL_TEXT_MAX]; /* why there is none */
};

/* Each takes one answer in; false when it is not what was asked for. */
bool terminal_take_stats(struct terminal_view *v, struct slice json);
bool terminal_take_metrics(struct terminal_view *v, struct slice text);
bool terminal_take_connections(struct terminal_view *v, struct slice json);
bool terminal_take_fleet(struct terminal_view *v, struct slice json);

/* terminal_write writes it, in lines of at most `columns` bytes and at most `rows` of them (0: as many as there are). `ansi`: headings
 * stand out. */
void terminal_write(const struct terminal_view *v, size_t columns, size_t rows, bool ansi, struct buf *out);

#endif

/* A ring of rows. A column is a row of the table below; the latencies come after them, from the difference of a histogram to
 * what it was a second before. */
#include "gateway/observe/history.h"

#include "gateway/base/clock.h"
#include "gateway/observe/metrics.h"
#include "protocol/base/alloc.h"

static const struct {
    const char *name;
    enum metric metric;
} columns[] = {
    {"connections", METRIC_CONNECTIONS}, {"subscriptions", METRIC_SUBSCRIPTIONS}, {"sent", METRIC_MESSAGES_OUT},
    {"received", METRIC_MESSAGES_IN},    {"sent_bytes", METRIC_BYTES_OUT},        {"changes", METRIC_CHANGES},
    {"conflated", METRIC_CONFLATED},     {"queued_bytes", METRIC_QUEUED_BYTES},   {"dirty", METRIC_DIRTY},
};

static const struct {
    const char *name;
    int64_t percent;
} latencies[] = {{"latency_p50_us", 50}, {"latency_p99_us", 99}};

enum {
    COLUMNS = sizeof(columns) / sizeof(columns[0]),
    LATENCIES = sizeof(latencies) / sizeof(latencies[0]),
    NONE = -1 /* a latency of nothing */
};

struct row {
    int64_t time_ms; /* since 1970 */
    int64_t values[COLUMNS + LATENCIES];
};

struct ring {
    struct row *rows;
    size_t max, next, len;
    struct histogram before; /* of the changes, as of the newest row */
};

struct history {
    struct ring minutes, hour;
    int since_coarse; /* seconds since the hour got a row */
    struct row fine[HISTORY_SECONDS], coarse[HISTORY_COARSE_ROWS];
};

struct history *history_new(void)
{
    struct history *h = sg_calloc(1, sizeof(struct history));
    h->minutes = (struct ring){.rows = h->fine, .max = HISTORY_SECONDS};
    h->hour = (struct ring){.rows = h->coarse, .max = HISTORY_COARSE_ROWS};
    return h;
}

void history_free(struct history *h)
{
    free(h);
}

/* The row that was taken `i` rows before the last one. */
static const struct row *back(const struct ring *r, size_t i)
{
    return &r->rows[(r->next + r->max - 1 - i) % r->max];
}

/* The bound of the bucket in which that many percent are reached: at most twice the true value. */
static int64_t quantile(const struct histogram *h, struct histogram_shape shape, int64_t percent)
{
    int64_t count = histogram_count(h), seen = 0;
    for (size_t i = 0; i < shape.buckets && count > 0; i++) {
        seen += h->buckets[i];
        if (seen * 100 >= count * percent)
            return histogram_bound(shape, i);
    }
    return count > 0 ? histogram_bound(shape, shape.buckets) : NONE;
}

static void take_latencies(struct ring *r, int64_t *values)
{
    struct histogram now, passed = {0};
    metrics_histogram_total(HISTOGRAM_CHANGE_TO_WRITE, &now);
    for (size_t i = 0; i <= HISTOGRAM_BUCKETS_MAX; i++)
        passed.buckets[i] = now.buckets[i] - r->before.buckets[i];
    r->before = now;
    for (size_t i = 0; i < LATENCIES; i++)
        values[i] = quantile(&passed, histogram_shapes[HISTOGRAM_CHANGE_TO_WRITE], latencies[i].percent);
}

static void take(struct ring *r)
{
    struct row *row = &r->rows[r->next];
    row->time_ms = clock_wall_ms();
    for (size_t i = 0; i < COLUMNS; i++)
        row->values[i] = metrics_total(columns[i].metric);
    take_latencies(r, row->values + COLUMNS);
    r->next = (r->next + 1) % r->max;
    r->len += r->len < r->max;
}

void history_take(struct history *h)
{
    take(&h->minutes);
    if (++h->since_coarse < HISTORY_COARSE && h->hour.len > 0)
        return;
    h->since_coarse = 0;
    take(&h->hour);
}

static void write_row(const struct row *row, struct jsonw *w)
{
    jsonw_open(w, NULL, '[');
    jsonw_i64(w, NULL, row->time_ms);
    for (size_t i = 0; i < COLUMNS; i++)
        jsonw_i64(w, NULL, row->values[i]);
    for (size_t i = COLUMNS; i < COLUMNS + LATENCIES; i++) {
        if (row->values[i] == NONE)
            jsonw_raw(w, NULL, SLICE_LIT("null"));
        else
            jsonw_i64(w, NULL, row->values[i]);
    }
    jsonw_close(w, ']');
}

void history_write(const struct history *h, struct jsonw *w, enum history_span span, int64_t since_ms)
{
    const struct ring *r = span == HISTORY_HOUR ? &h->hour : &h->minutes;
    jsonw_open(w, "history", '{');
    jsonw_open(w, "columns", '[');
    jsonw_str(w, NULL, "time_ms");
    for (size_t i = 0; i < COLUMNS; i++)
        jsonw_str(w, NULL, columns[i].name);
    for (size_t i = 0; i < LATENCIES; i++)
        jsonw_str(w, NULL, latencies[i].name);
    jsonw_close(w, ']');
    jsonw_open(w, "rows", '[');
    for (size_t i = r->len; i > 0; i--)
        if (back(r, i - 1)->time_ms > since_ms)
            write_row(back(r, i - 1), w);
    jsonw_close(w, ']');
    jsonw_close(w, '}');
}

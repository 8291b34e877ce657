/* Where the numbers are kept, and their rendering as Prometheus text (exposition format 0.0.4). Each process writes its own
 * slot and reads all of them; a number is one aligned word, so what is read is never half of one. */
#include "gateway/observe/metrics.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include "gateway/observe/process.h"
#include "protocol/dialects.h"

enum { DIALECTS_MAX = 16 };

/* Aligned, so that no two workers write to one cache line. */
struct slot {
    alignas(128) int64_t pid; /* 0: not started yet */
    int64_t values[METRIC_COUNT];
    int64_t connections[2][DIALECTS_MAX]; /* open, closing */
    struct histogram histograms[HISTOGRAM_COUNT];
};

static struct slot alone;
static struct slot *slots = &alone, *own = &alone;
static size_t nslots = 1;
static bool shared;

int64_t *metrics = alone.values;
struct histogram *histograms = alone.histograms;

struct row {
    const char *type;
    const char *name;
    const char *labels; /* "" = none */
    const char *help;   /* used from the first row of a name */
    size_t index;       /* of the value or the histogram */
};

static const struct row rows[] = {
#define METRIC_ROW(suffix, type, name, labels, help)              {type, name, labels, help, METRIC_##suffix},
#define HISTOGRAM_ROW(suffix, shift, buckets, name, labels, help) {"histogram", name, labels, help, HISTOGRAM_##suffix},
    FOR_EACH_METRIC(METRIC_ROW, HISTOGRAM_ROW)
#undef METRIC_ROW
#undef HISTOGRAM_ROW
};

#define HISTOGRAM_CHECK(suffix, shift, buckets, name, labels, help)                                                    \
    _Static_assert((buckets) >= 1 && (buckets) <= HISTOGRAM_BUCKETS_MAX, "as many buckets as there are");
#define METRIC_NOTHING(suffix, type, name, labels, help)
FOR_EACH_METRIC(METRIC_NOTHING, HISTOGRAM_CHECK)
#undef HISTOGRAM_CHECK
#undef METRIC_NOTHING

/* --- slots --- */

void metrics_share(size_t workers)
{
    assert(workers > 0 && !shared);
    void *room = mmap(NULL, workers * sizeof(*slots), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED)
        abort(); /* as every small allocation of ours */
    slots = room;
    nslots = workers;
    shared = true;
}

static bool is_gauge(const struct row *r)
{
    return strcmp(r->type, "gauge") == 0;
}

static void clear_gauges(struct slot *s)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (is_gauge(&rows[i]))
            s->values[rows[i].index] = 0;
    memset(s->connections, 0, sizeof(s->connections));
}

void metrics_begin(int worker)
{
    size_t at = worker < 0 ? 0 : (size_t)worker;
    assert(at < nslots);
    struct slot *s = &slots[at];
    clear_gauges(s);
    own = s;
    metrics = s->values;
    histograms = s->histograms;
    metrics[METRIC_BUILD_INFO] = 1;
    process_begin(metrics);
    s->pid = getpid();
}

void metrics_connections(const struct dialect *d, bool closing, int64_t n)
{
    size_t at = 0;
    while (dialects[at] && dialects[at] != d)
        at++;
    assert(at < DIALECTS_MAX);
    own->connections[closing][at] += n;
    metric_add(closing ? METRIC_CONNECTIONS_CLOSING : METRIC_CONNECTIONS, n);
}

size_t metrics_workers(void)
{
    return nslots;
}

/* --- samples --- */

static void put_text(struct buf *out, const char *text)
{
    buf_put_slice(out, slice_str(text));
}

static void put_head(struct buf *out, const struct row *r)
{
    buf_put_lit(out, "# HELP ");
    put_text(out, r->name);
    buf_put_char(out, ' ');
    put_text(out, r->help);
    buf_put_lit(out, "\n# TYPE ");
    put_text(out, r->name);
    buf_put_char(out, ' ');
    put_text(out, r->type);
    buf_put_char(out, '\n');
}

static void put_label(struct buf *out, bool *first, const char *name, const char *value)
{
    buf_put_char(out, *first ? '{' : ',');
    *first = false;
    put_text(out, name);
    buf_put_lit(out, "=\"");
    put_text(out, value);
    buf_put_char(out, '"');
}

/* The row's labels, then those that are not in the table; `le` NULL: none. */
static void put_labels_of(struct buf *out, const struct row *r, const char *protocol, size_t worker, const char *le)
{
    bool first = true;
    if (protocol)
        put_label(out, &first, "protocol", protocol);
    if (r->labels[0]) {
        buf_put_char(out, first ? '{' : ',');
        put_text(out, r->labels);
        first = false;
    }
    if (shared) {
        char number[24];
        snprintf(number, sizeof(number), "%zu", worker);
        put_label(out, &first, "worker", number);
    }
    if (le)
        put_label(out, &first, "le", le);
    if (!first)
        buf_put_char(out, '}');
}

static void put_labels(struct buf *out, const struct row *r, size_t worker, const char *le)
{
    put_labels_of(out, r, NULL, worker, le);
}

/* What is kept in microseconds is told in seconds. */
static bool in_seconds(const struct row *r)
{
    return strstr(r->name, "_seconds") != NULL;
}

static void number_text(char *out, size_t size, int64_t value, bool micro)
{
    if (!micro) {
        snprintf(out, size, "%lld", (long long)value);
        return;
    }
    size_t len = (size_t)snprintf(out, size, "%lld.%06lld", (long long)(value / 1000000), (long long)(value % 1000000));
    while (out[len - 1] == '0')
        len--;
    out[out[len - 1] == '.' ? len - 1 : len] = '\0';
}

static void put_number(struct buf *out, int64_t value, bool micro)
{
    char text[32];
    number_text(text, sizeof(text), value, micro);
    buf_put_char(out, ' ');
    put_text(out, text);
    buf_put_char(out, '\n');
}

static void put_histogram(struct buf *out, const struct row *r, size_t worker, const struct histogram *h)
{
    struct histogram_shape shape = histogram_shapes[r->index];
    bool micro = in_seconds(r);
    int64_t sum = h->sum, count = 0;
    for (size_t i = 0; i <= shape.buckets; i++) {
        char le[32] = "+Inf";
        if (i < shape.buckets)
            number_text(le, sizeof(le), histogram_bound(shape, i), micro);
        count += h->buckets[i];
        put_text(out, r->name);
        buf_put_lit(out, "_bucket");
        put_labels(out, r, worker, le);
        put_number(out, count, false);
    }
    put_text(out, r->name);
    buf_put_lit(out, "_sum");
    put_labels(out, r, worker, NULL);
    put_number(out, sum, micro);
    put_text(out, r->name);
    buf_put_lit(out, "_count");
    put_labels(out, r, worker, NULL);
    put_number(out, count, false);
}

/* --- all of it --- */

/* The histogram of writes counts two others already, at no cost. */
static int64_t value_of(const struct slot *s, size_t metric)
{
    const struct histogram *writes = &s->histograms[HISTOGRAM_MESSAGES_PER_WRITE];
    if (metric == METRIC_WRITES)
        return histogram_count(writes);
    return metric == METRIC_MESSAGES_OUT ? writes->sum : s->values[metric];
}

/* What is told of one worker: its numbers at one moment, and those that its process has. */
struct told {
    struct slot slot;
    bool alive;
};

static bool lives(const struct slot *s)
{
    return s->pid == getpid() || (s->pid > 0 && (kill((pid_t)s->pid, 0) == 0 || errno == EPERM));
}

static void take(struct told *t, const struct slot *from)
{
    t->slot = *from;
    t->alive = lives(from) && process_sample((pid_t)from->pid, t->slot.values);
}

static void put_connections(struct buf *out, const struct row *r, size_t worker, const struct told *t)
{
    for (size_t d = 0; dialects[d]; d++) {
        put_text(out, r->name);
        put_labels_of(out, r, dialects[d]->name, worker, NULL);
        put_number(out, t->alive ? t->slot.connections[r->index == METRIC_CONNECTIONS_CLOSING][d] : 0, false);
    }
}

/* Of a worker that died: what it counted stays true, what it held is gone, and there is no process to tell of. */
static void put_row(struct buf *out, const struct row *r, size_t worker, const struct told *t)
{
    const struct slot *s = &t->slot;
    if (strcmp(r->type, "histogram") == 0) {
        put_histogram(out, r, worker, &s->histograms[r->index]);
        return;
    }
    if (!t->alive && strncmp(r->name, "process_", 8) == 0)
        return;
    if (r->index == METRIC_CONNECTIONS || r->index == METRIC_CONNECTIONS_CLOSING) {
        put_connections(out, r, worker, t);
        return;
    }
    put_text(out, r->name);
    put_labels(out, r, worker, NULL);
    put_number(out, t->alive || !is_gauge(r) ? value_of(s, r->index) : 0, in_seconds(r));
}

void metrics_render(struct buf *out)
{
    struct told *told = aligned_alloc(alignof(struct told), nslots * sizeof(*told));
    if (!told)
        abort(); /* as every small allocation of ours */
    for (size_t w = 0; w < nslots; w++)
        take(&told[w], &slots[w]);
    const char *name = "";
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(name, rows[i].name) != 0)
            put_head(out, &rows[i]);
        name = rows[i].name;
        for (size_t w = 0; w < nslots; w++)
            put_row(out, &rows[i], w, &told[w]);
    }
    free(told);
}

static bool is_gauge_metric(enum metric m)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].index == (size_t)m && strcmp(rows[i].type, "histogram") != 0)
            return is_gauge(&rows[i]);
    return false;
}

int64_t metrics_total(enum metric m)
{
    bool gauge = is_gauge_metric(m);
    int64_t total = 0;
    for (size_t i = 0; i < nslots; i++) {
        if (!gauge || lives(&slots[i]))
            total += value_of(&slots[i], m);
    }
    return total;
}

void metrics_histogram_total(enum metric_histogram h, struct histogram *out)
{
    *out = (struct histogram){0};
    for (size_t i = 0; i < nslots; i++) {
        const struct histogram *one = &slots[i].histograms[h];
        out->sum += one->sum;
        for (size_t b = 0; b <= HISTOGRAM_BUCKETS_MAX; b++)
            out->buckets[b] += one->buckets[b];
    }
}

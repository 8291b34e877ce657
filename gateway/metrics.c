/* The counters themselves and their rendering as Prometheus text (exposition format 0.0.4). */
#include "gateway/metrics.h"

int64_t metrics[METRIC_COUNT];

struct row {
    const char *type;
    const char *name;
    const char *labels; /* "" = none */
    const char *help;   /* used from the first row of a name */
};

static const struct row rows[] = {
#define METRIC_ROW(suffix, type, name, labels, help) [METRIC_##suffix] = {type, name, labels, help},
    FOR_EACH_METRIC(METRIC_ROW)
#undef METRIC_ROW
};

_Static_assert(sizeof(rows) / sizeof(rows[0]) == METRIC_COUNT, "one row per metric");

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

/* `labels` and the worker's number in braces; nothing when there is neither. */
static void put_labels(struct buf *out, const char *labels, int worker)
{
    bool has_labels = labels[0] != '\0';
    if (!has_labels && worker < 0)
        return;
    buf_put_char(out, '{');
    put_text(out, labels);
    if (worker >= 0) {
        if (has_labels)
            buf_put_char(out, ',');
        buf_put_lit(out, "worker=\"");
        buf_put_i64(out, worker);
        buf_put_char(out, '"');
    }
    buf_put_char(out, '}');
}

void metrics_render(struct buf *out, int worker)
{
    const char *name = "";
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        const struct row *r = &rows[i];
        if (strcmp(name, r->name) != 0)
            put_head(out, r);
        name = r->name;
        put_text(out, r->name);
        put_labels(out, r->labels, worker);
        buf_put_char(out, ' ');
        buf_put_i64(out, metrics[i]);
        buf_put_char(out, '\n');
    }
}

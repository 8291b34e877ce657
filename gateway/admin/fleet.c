/* Beats go out while the link is up; probe.c looks at their answers. A request waits for Redis with its HTTP connection,
 * which may be gone by then. */
#include "gateway/admin/fleet.h"

#include <unistd.h>

#include "gateway/admin/inspect.h"
#include "gateway/base/clock.h"
#include "gateway/net/conns.h"
#include "gateway/net/http_reply.h"
#include "gateway/net/ws.h"
#include "gateway/observe/metrics.h"
#include "protocol/base/alloc.h"
#include "protocol/json.h"

enum {
    KEEP_MS = 15000, /* a gateway that has not spoken for so long is not shown any more */
    RECORD_BYTES_MAX = 4096,
    RECORD_DEPTH_MAX = 4,
    ANSWER_BYTES_MAX = 8 * 1024 * 1024,
    WAITING_MAX = 16 /* requests; the page asks one at a time */
};

struct fleet {
    struct gateway *gw;
    char host[65];
    size_t waiting;
    /* Counters as of the last beat, for the rates in the next. */
    int64_t beat_ms, sent, changes;
};

/* A request that waits for Redis. */
struct asker {
    struct fleet *fleet;
    struct http_wait wait;
};

/* The histogram of writes counts the messages in them. */
static int64_t sent_so_far(void)
{
    return histograms[HISTOGRAM_MESSAGES_PER_WRITE].sum;
}

struct fleet *fleet_new(struct gateway *g)
{
    struct fleet *f = sg_calloc(1, sizeof(*f));
    f->gw = g;
    if (gethostname(f->host, sizeof(f->host) - 1) != 0)
        f->host[0] = '\0';
    f->beat_ms = clock_now_ms();
    f->sent = sent_so_far(); /* those of a worker that died go on */
    f->changes = metrics[METRIC_CHANGES];
    return f;
}

void fleet_free(struct fleet *f)
{
    free(f);
}

/* --- what this gateway says --- */

static int64_t per_second(int64_t from, int64_t to, int64_t passed_ms)
{
    return passed_ms > 0 ? (to - from) * 1000 / passed_ms : 0;
}

static void write_record(struct jsonw *w, const struct fleet *f)
{
    const struct gateway *g = f->gw;
    jsonw_open(w, NULL, '{');
    jsonw_str(w, "host", f->host);
    jsonw_str(w, "address", ws_address(g->ws));
    jsonw_bool(w, "tls", g->opt->tls_cert != NULL);
    jsonw_str(w, "version", options_version());
    jsonw_str(w, "state", inspect_state(g));
    jsonw_i64(w, "worker", g->worker < 0 ? 0 : g->worker);
    jsonw_i64(w, "workers", g->opt->workers);
    jsonw_i64(w, "pid", getpid());
    jsonw_i64(w, "started_ms", g->started_ms);
    jsonw_i64(w, "connections", (int64_t)g->conns->open.count);
    int64_t passed_ms = clock_now_ms() - f->beat_ms;
    jsonw_i64(w, "sent_per_s", per_second(f->sent, sent_so_far(), passed_ms));
    jsonw_i64(w, "changes_per_s", per_second(f->changes, metrics[METRIC_CHANGES], passed_ms));
    jsonw_i64(w, "queued_bytes", metrics[METRIC_QUEUED_BYTES]);
    jsonw_close(w, '}');
}

void fleet_beat(struct fleet *f, store_write_fn *cb, void *arg)
{
    if (!f->gw->redis_up)
        return;
    struct buf *record = &f->gw->scratch;
    buf_reset(record);
    struct jsonw w = {.out = record};
    write_record(&w, f);
    f->beat_ms = clock_now_ms();
    f->sent = sent_so_far();
    f->changes = metrics[METRIC_CHANGES];
    store_fleet_beat(f->gw->store, slice_str(f->gw->id), buf_slice(record), KEEP_MS, cb, arg);
}

/* --- what all of them said --- */

static bool record_is_good(struct slice record)
{
    enum json_kind top;
    return record.len <= RECORD_BYTES_MAX && json_members(record, RECORD_DEPTH_MAX, NULL, 0, NULL, &top) == JSON_OK &&
           top == JSON_OBJECT;
}

static void write_gateway(struct jsonw *w, const struct gateway *self, const struct store_gateway *g)
{
    jsonw_open(w, NULL, '{');
    jsonw_text(w, "id", g->gw);
    jsonw_bool(w, "self", slice_eq(g->gw, slice_str(self->id)));
    jsonw_i64(w, "age_ms", g->age_ms);
    jsonw_raw(w, "record", g->record);
    jsonw_close(w, '}');
}

static void on_listed(void *arg, const struct store_result *r, const struct store_fleet *list)
{
    struct asker *a = arg;
    struct gateway *g = a->fleet->gw;
    a->fleet->waiting--;
    if (a->wait.wsi && r->status != STORE_OK)
        http_wait_text(&a->wait, 503, r->status == STORE_AWAY ? "redis away" : "redis refused to list the fleet");
    if (a->wait.wsi && r->status == STORE_OK) {
        struct buf out;
        buf_init(&out, ANSWER_BYTES_MAX);
        struct jsonw w = {.out = &out};
        inspect_head(&w, g);
        jsonw_i64(&w, "keep_ms", KEEP_MS);
        jsonw_open(&w, "gateways", '[');
        for (size_t i = 0; i < list->len; i++)
            if (record_is_good(list->gateways[i].record))
                write_gateway(&w, g, &list->gateways[i]);
        jsonw_close(&w, ']');
        jsonw_close(&w, '}');
        buf_put_char(&out, '\n');
        http_wait_reply(&a->wait, 200, "application/json", &out);
    }
    free(a);
}

int fleet_answer(const struct http_request *r)
{
    struct fleet *f = r->g->fleet;
    if (!r->g->redis_up)
        return http_reply_text(r->wsi, 503, "redis away");
    if (f->waiting >= WAITING_MAX)
        return http_reply_text(r->wsi, 503, "too many ask at once");
    struct asker *a = sg_calloc(1, sizeof(*a));
    a->fleet = f;
    f->waiting++;
    int result = http_wait(r->wsi, &a->wait);
    store_fleet_list(r->g->store, KEEP_MS, on_listed, a); /* last: it may answer and free at once */
    return result;
}

/* Everything here is read off what the parts keep for their work; each answer is bounded, and the next one begins where it
 * ended. */
#include "gateway/admin/looks.h"

#include "gateway/admin/inspect.h"
#include "gateway/calls/calls.h"
#include "gateway/calls/catalogue.h"
#include "gateway/calls/executor.h"
#include "gateway/net/conn.h"
#include "gateway/net/http_reply.h"
#include "gateway/state/fanout.h"
#include "gateway/state/subscriber.h"
#include "gateway/state/topic.h"
#include "gateway/state/view.h"
#include "gateway/state/watch.h"
#include "protocol/window.h"

enum {
    GLOB_BYTES = 512,
    LIMIT_DEFAULT = 50,
    LIMIT_MAX = 200,
    BUCKETS_MAX = 20000, /* looked at for one answer */
    CALLS_SHOWN = 100,
    ANSWER_BYTES_MAX = 16 * 1024 * 1024 /* all functions of one connection, with the longest names */
};

bool looks_misdirected(const struct http_request *r, int *result)
{
    int64_t own = r->g->worker < 0 ? 0 : r->g->worker, wanted = own;
    if (!inspect_number(r, "worker", &wanted)) {
        *result = http_reply_text(r->wsi, 400, "worker is the number of one");
        return true;
    }
    if (wanted == own)
        return false;
    *result = http_reply_text(r->wsi, 421, "another worker answers; ask again");
    return true;
}

static const char *read_page(const struct http_request *r, int64_t *after, int64_t *limit)
{
    *after = 0;
    *limit = LIMIT_DEFAULT;
    if (!inspect_number(r, "limit", limit) || *limit < 1 || *limit > LIMIT_MAX)
        return "limit is 1 to 200";
    return inspect_number(r, "after", after) ? NULL : "after is what `next` said";
}

/* --- one connection --- */

static void write_told(struct jsonw *w, const struct sub *s)
{
    jsonw_open(w, "told", '{');
    jsonw_i64(w, "page", s->told->number);
    jsonw_i64(w, "page_size", s->told->size);
    jsonw_i64(w, "items", s->told->count);
    jsonw_i64(w, "total", s->told->total);
    jsonw_i64(w, "rev", s->told_rev);
    jsonw_close(w, '}');
}

static void write_sub(struct jsonw *w, const struct sub *s)
{
    int64_t page, size;
    jsonw_open(w, NULL, '{');
    jsonw_str(w, "kind", s->topic->kind == KIND_VAR ? "var" : "list");
    jsonw_text(w, "name", s->topic->name);
    if (s->watch)
        jsonw_text(w, "item", watch_id(s->watch));
    if (sub_window(s, &page, &size)) {
        jsonw_open(w, "window", '{');
        jsonw_i64(w, "page", page);
        jsonw_i64(w, "page_size", size);
        jsonw_close(w, '}');
    }
    if (s->told)
        write_told(w, s);
    jsonw_i64(w, "rev", s->topic->rev);
    jsonw_i64(w, "interval_ms", sub_interval_ms(s));
    jsonw_bool(w, "pending", s->pending);
    jsonw_bool(w, "behind", list_linked(&s->in_dirty));
    jsonw_close(w, '}');
}

/* In the order they were made; `after` is how many come before. */
static void write_subs(struct jsonw *w, const struct conn *c, int64_t after, int64_t limit)
{
    int64_t at = 0;
    jsonw_open(w, "subscriptions", '[');
    list_each(&subscriber_of(c)->subs, n)
    {
        if (at >= after + limit)
            break;
        if (at++ >= after)
            write_sub(w, container_of(n, struct sub, in_conn));
    }
    jsonw_close(w, ']');
    if (at < (int64_t)subscriber_of(c)->subs.count)
        jsonw_i64(w, "next", at);
}

static void write_service(void *arg, const struct service_look *s)
{
    struct jsonw *w = arg;
    jsonw_open(w, NULL, '{');
    jsonw_i64(w, "conn", (int64_t)s->conn);
    jsonw_text(w, "name", s->name);
    jsonw_bool(w, "serving", s->serving);
    jsonw_i64(w, "in_flight", (int64_t)s->running);
    jsonw_i64(w, "answered", s->answered);
    jsonw_i64(w, "timed_out", s->timed_out);
    if (s->answered) {
        jsonw_i64(w, "mean_us", s->sum_us / s->answered);
        jsonw_i64(w, "max_us", s->max_us);
        jsonw_i64(w, "last_us", s->last_us);
    }
    jsonw_close(w, '}');
}

static void write_call(void *arg, struct slice name, int64_t age_us)
{
    struct jsonw *w = arg;
    jsonw_open(w, NULL, '{');
    jsonw_text(w, "name", name);
    jsonw_i64(w, "age_ms", age_us / 1000);
    jsonw_close(w, '}');
}

int looks_connection(const struct http_request *r)
{
    int64_t id = 0, after, limit;
    int result;
    const char *wrong = read_page(r, &after, &limit);
    if (!wrong && (!inspect_number(r, "id", &id) || id < 1))
        wrong = "id is the id of a connection";
    if (wrong)
        return http_reply_text(r->wsi, 400, wrong);
    if (looks_misdirected(r, &result))
        return result;
    const struct conn *c = conn_find(r->g, (uint64_t)id);
    if (!c)
        return http_reply_text(r->wsi, 404, "no such connection");
    struct buf out;
    buf_init(&out, ANSWER_BYTES_MAX);
    struct jsonw w = {.out = &out};
    inspect_head(&w, r->g);
    jsonw_open(&w, "connection", '[');
    inspect_conn(&w, c);
    jsonw_close(&w, ']');
    write_subs(&w, c, after, limit);
    jsonw_open(&w, "functions", '[');
    executors_look_at(calls_executors(r->g->calls), c, write_service, &w);
    jsonw_close(&w, ']');
    jsonw_open(&w, "calls", '[');
    calls_look(c, CALLS_SHOWN, write_call, &w);
    jsonw_close(&w, ']');
    return inspect_reply(r, &w);
}

/* --- functions --- */

int looks_functions(const struct http_request *r)
{
    char match[GLOB_BYTES + 1];
    int64_t after, limit, found = 0, buckets = 0;
    const char *wrong = read_page(r, &after, &limit);
    if (!wrong && http_argument(r->wsi, "match", match, sizeof(match)) == HTTP_ARGUMENT_TOO_LONG)
        wrong = "match is too long";
    if (wrong)
        return http_reply_text(r->wsi, 400, wrong);
    const struct map *all = catalogue_map(calls_catalogue(r->g->calls));
    uint64_t cursor = (uint64_t)after;
    struct buf out;
    buf_init(&out, ANSWER_BYTES_MAX);
    struct jsonw w = {.out = &out};
    inspect_head(&w, r->g);
    jsonw_i64(&w, "total", (int64_t)all->count);
    jsonw_open(&w, "functions", '[');
    do {
        for (const struct map_node *n = map_scan(all, &cursor); n; n = n->next) {
            if (match[0] && !glob_match(match, n->key))
                continue;
            jsonw_text(&w, NULL, n->key);
            found++;
        }
    } while (cursor && found < limit && ++buckets < BUCKETS_MAX);
    jsonw_close(&w, ']');
    if (cursor)
        jsonw_i64(&w, "next", (int64_t)cursor);
    return inspect_reply(r, &w);
}

struct counted {
    struct jsonw *w;
    int64_t found;
};

static void count_service(void *arg, const struct service_look *s)
{
    struct counted *c = arg;
    c->found++;
    write_service(c->w, s);
}

int looks_executors(const struct http_request *r)
{
    int64_t after, limit, buckets = 0;
    const char *wrong = read_page(r, &after, &limit);
    if (wrong)
        return http_reply_text(r->wsi, 400, wrong);
    const struct executors *all = calls_executors(r->g->calls);
    uint64_t cursor = (uint64_t)after;
    struct buf out;
    buf_init(&out, ANSWER_BYTES_MAX);
    struct jsonw w = {.out = &out};
    struct counted counted = {.w = &w};
    inspect_head(&w, r->g);
    jsonw_i64(&w, "total", (int64_t)executors_services(all));
    jsonw_i64(&w, "in_flight", (int64_t)executors_jobs(all));
    jsonw_i64(&w, "calls", (int64_t)calls_in_flight(r->g->calls));
    jsonw_open(&w, "executors", '[');
    do
        executors_look(all, &cursor, count_service, &counted);
    while (cursor && counted.found < limit && ++buckets < BUCKETS_MAX);
    jsonw_close(&w, ']');
    if (cursor)
        jsonw_i64(&w, "next", (int64_t)cursor);
    return inspect_reply(r, &w);
}

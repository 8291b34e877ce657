/* A page of names is a walk over so many buckets of the registry as one turn can bear; the cursor is the place in the hash table,
 * which is kept nowhere. A value is never taken from the cache: Redis is asked, so that what is shown is what is there, also
 * for a name that nobody here is subscribed to. */
#include "gateway/admin/names.h"

#include "gateway/admin/census.h"
#include "gateway/admin/inspect.h"
#include "gateway/base/largest.h"
#include "gateway/base/text.h"
#include "gateway/net/http_reply.h"
#include "gateway/observe/turn.h"
#include "gateway/state/topic.h"
#include "gateway/state/topics.h"
#include "protocol/base/alloc.h"

enum {
    NAME_BYTES = 512,
    LIMIT_DEFAULT = 50,
    LIMIT_MAX = 200,                 /* of LARGEST_MAX: in no order a bucket may come on top */
    LOOKED_AT_MAX = 20000,           /* names of one answer: a few milliseconds */
    BUCKETS_MAX = 2 * LOOKED_AT_MAX, /* and of these many are empty */
    ANSWER_BYTES_MAX = 4 * 1024 * 1024,
    WAITING_MAX = 16, /* requests that wait for Redis */
    ITEMS_SHOWN = 20,
    VALUE_BYTES = 64 * 1024, /* of a variable; the rest is cut */
    ITEM_BYTES = 2048,       /* of an item of a list, and of its id */
    ROOM_BYTES = 1024 * 1024 /* of what Redis may answer: a larger value is not shown, but for its size */
};

struct names {
    struct gateway *gw;
    struct census *census;
    size_t waiting;
};

/* --- what is known here --- */

static const char *kind_text(enum kind kind)
{
    return kind == KIND_VAR ? "var" : "list";
}

static const char *state_text(const struct topic *t)
{
    static const char *const texts[] = {[TOPIC_LOADING] = "loading", [TOPIC_READY] = "ready", [TOPIC_STALE] = "stale"};
    return texts[t->state];
}

/* The members of an open object. */
static void write_item(struct jsonw *w, const struct topic *t)
{
    struct topic_look look;
    topic_look(t, &look);
    jsonw_str(w, "state", state_text(t));
    jsonw_bool(w, "exists", t->exists);
    jsonw_i64(w, "subscribers", (int64_t)topic_subscribers(t));
    jsonw_i64(w, "waiting", (int64_t)t->requests.count);
    jsonw_i64(w, "rev", t->rev);
    jsonw_i64(w, "size", look.size);
    if (t->kind == KIND_LIST)
        jsonw_i64(w, "windows", (int64_t)look.windows);
    if (t->changed_us)
        jsonw_i64(w, "changed_ago_ms", (turn_now_us() - t->changed_us) / 1000);
}

static void write_row(struct jsonw *w, const struct topic *t)
{
    jsonw_open(w, NULL, '{');
    jsonw_str(w, "kind", kind_text(t->kind));
    jsonw_text(w, "name", t->name);
    write_item(w, t);
    jsonw_close(w, '}');
}

/* --- a page of names --- */

static int64_t by_nothing(const struct topic *t)
{
    (void)t;
    return 0;
}

static int64_t by_subscribers(const struct topic *t)
{
    return (int64_t)topic_subscribers(t);
}

static int64_t by_size(const struct topic *t)
{
    struct topic_look look;
    topic_look(t, &look);
    return look.size;
}

static int64_t by_change(const struct topic *t)
{
    return t->changed_us;
}

static const struct order {
    const char *name;
    int64_t (*of)(const struct topic *t);
} orders[] = {{"none", by_nothing}, {"subscribers", by_subscribers}, {"size", by_size}, {"changed", by_change}};

struct question {
    char match[NAME_BYTES + 1]; /* "": any */
    const struct order *order;
    size_t limit;
    uint64_t cursor;
};

static const char *read_question(const struct http_request *r, struct question *q)
{
    char order[16];
    int64_t limit = LIMIT_DEFAULT, after = 0;
    q->order = &orders[0];
    if (!inspect_number(r, "limit", &limit) || limit < 1 || limit > LIMIT_MAX)
        return "limit is 1 to 200";
    if (!inspect_number(r, "after", &after))
        return "after is what `next` said";
    if (http_argument(r->wsi, "match", q->match, sizeof(q->match)) == HTTP_ARGUMENT_TOO_LONG)
        return "match is too long";
    enum http_argument ordered = http_argument(r->wsi, "order", order, sizeof(order));
    for (size_t i = 0; ordered == HTTP_ARGUMENT_THERE && i < sizeof(orders) / sizeof(orders[0]); i++)
        if (strcmp(order, orders[i].name) == 0) {
            q->order = &orders[i];
            ordered = HTTP_ARGUMENT_ABSENT;
        }
    q->limit = (size_t)limit;
    q->cursor = (uint64_t)after;
    return ordered == HTTP_ARGUMENT_ABSENT ? NULL : "order is none, subscribers, size or changed";
}

/* Looks at some names and leaves the cursor behind them. In no order it is done with `limit` of them, and may find a few more: a
 * bucket is never cut in two. */
static size_t gather(const struct gateway *g, struct question *q, struct largest *top)
{
    size_t looked_at = 0, buckets = 0;
    bool ordered = q->order != &orders[0];
    top->limit = ordered ? q->limit : LARGEST_MAX;
    do {
        for (const struct map_node *n = map_scan(topics_map(g->topics), &q->cursor); n; n = n->next, looked_at++) {
            const struct topic *t = container_of(n, struct topic, by_key);
            if (!q->match[0] || glob_match(q->match, t->name))
                largest_consider(top, t, q->order->of(t));
        }
    } while (q->cursor && ++buckets < BUCKETS_MAX && looked_at < LOOKED_AT_MAX && (ordered || top->len < q->limit));
    return looked_at;
}

int names_answer(const struct http_request *r)
{
    struct question q;
    const char *wrong = read_question(r, &q);
    if (wrong)
        return http_reply_text(r->wsi, 400, wrong);
    struct largest top = {.len = 0};
    size_t looked_at = gather(r->g, &q, &top);
    struct buf out;
    buf_init(&out, ANSWER_BYTES_MAX);
    struct jsonw w = {.out = &out};
    inspect_head(&w, r->g);
    jsonw_i64(&w, "total", (int64_t)topics_map(r->g->topics)->count);
    jsonw_i64(&w, "looked_at", (int64_t)looked_at);
    jsonw_open(&w, "names", '[');
    for (size_t i = 0; i < top.len; i++)
        write_row(&w, top.what[i]);
    jsonw_close(&w, ']');
    if (q.cursor)
        jsonw_i64(&w, "next", (int64_t)q.cursor);
    return inspect_reply(r, &w);
}

/* --- one name --- */

/* A request that waits: for the fleet, then for Redis. */
struct asker {
    struct names *names;
    struct http_wait wait;
    enum kind kind;
    int64_t first; /* of the items that are shown */
    struct census_result fleet;
    size_t name_len;
    char name[NAME_BYTES];
};

static void asker_free(struct asker *a)
{
    a->names->waiting--;
    free(a);
}

static void write_fleet(struct jsonw *w, const struct census_result *f)
{
    if (f->asked < 0)
        return;
    jsonw_open(w, "fleet", '{');
    jsonw_i64(w, "subscribers", f->subscribers);
    jsonw_i64(w, "gateways", f->gateways);
    jsonw_i64(w, "asked", f->asked);
    jsonw_i64(w, "answered", f->answered);
    jsonw_close(w, '}');
}

static void begin(struct asker *a, struct buf *out, struct jsonw *w)
{
    struct gateway *g = a->names->gw;
    struct slice name = slice_of(a->name, a->name_len);
    const struct topic *t = topics_held(g->topics, a->kind, name);
    buf_init(out, ANSWER_BYTES_MAX);
    *w = (struct jsonw){.out = out};
    inspect_head(w, g);
    jsonw_str(w, "kind", kind_text(a->kind));
    jsonw_text(w, "name", name);
    write_fleet(w, &a->fleet);
    if (t) {
        jsonw_open(w, "here", '{');
        write_item(w, t);
        jsonw_close(w, '}');
    }
    jsonw_open(w, "redis", '{');
}

static void finish(struct asker *a, struct buf *out, struct jsonw *w)
{
    jsonw_close(w, '}');
    jsonw_close(w, '}');
    buf_put_char(out, '\n');
    http_wait_reply(&a->wait, 200, "application/json", out);
}

static void write_text(struct jsonw *w, const char *key, struct slice text, size_t max)
{
    jsonw_text(w, key, text_cut(text, max));
    if (text.len > max)
        jsonw_bool(w, "cut", true);
}

/* False: there is nobody to answer, or nothing to say; a is gone then. */
static bool answerable(struct asker *a, const struct store_result *r)
{
    if (a->wait.wsi && r->status == STORE_OK)
        return true;
    if (a->wait.wsi)
        http_wait_text(&a->wait, 503, r->status == STORE_AWAY ? "redis away" : "redis refused to tell");
    asker_free(a);
    return false;
}

static void on_var(void *arg, const struct store_result *r, const struct store_var *v)
{
    struct asker *a = arg;
    struct buf out;
    struct jsonw w;
    if (!answerable(a, r))
        return;
    begin(a, &out, &w);
    jsonw_bool(&w, "exists", v->exists || v->larger);
    jsonw_i64(&w, "rev", v->rev);
    jsonw_i64(&w, "size", (int64_t)(v->larger ? v->larger : v->exists ? v->value.len : 0));
    if (v->exists)
        write_text(&w, "value", v->value, VALUE_BYTES);
    if (v->larger) {
        jsonw_text(&w, "value", SLICE_LIT(""));
        jsonw_bool(&w, "cut", true);
    }
    finish(a, &out, &w);
    asker_free(a);
}

static void write_items(struct jsonw *w, const struct store_list *l)
{
    jsonw_open(w, "items", '[');
    for (int64_t i = 0; l->nranges && i < l->ranges[0].count; i++) {
        jsonw_open(w, NULL, '{');
        jsonw_i64(w, "index", l->items[i].index);
        jsonw_text(w, "id", text_cut(l->items[i].id, ITEM_BYTES));
        jsonw_i64(w, "size", (int64_t)l->items[i].value.len);
        write_text(w, "value", l->items[i].value, ITEM_BYTES);
        jsonw_close(w, '}');
    }
    jsonw_close(w, ']');
}

static void on_list(void *arg, const struct store_result *r, const struct store_list *l)
{
    struct asker *a = arg;
    struct buf out;
    struct jsonw w;
    if (!answerable(a, r))
        return;
    begin(a, &out, &w);
    jsonw_bool(&w, "exists", l->exists);
    jsonw_i64(&w, "rev", l->rev);
    jsonw_i64(&w, "size", l->total);
    if (l->exists)
        write_items(&w, l);
    finish(a, &out, &w);
    asker_free(a);
}

static void on_counted(void *arg, const struct census_result *r)
{
    struct asker *a = arg;
    struct store *s = a->names->gw->store;
    struct slice name = slice_of(a->name, a->name_len);
    a->fleet = *r;
    if (a->kind == KIND_VAR)
        store_var_read(s, name, ROOM_BYTES, on_var, a);
    else
        store_list_read(s, name,
                        &(struct store_want){ROOM_BYTES, &(struct store_range){a->first, ITEMS_SHOWN}, 1, NULL, 0},
                        on_list, a);
}

static const char *read_name(const struct http_request *r, struct asker *a)
{
    char kind[8], name[NAME_BYTES + 1];
    bool is_kind = http_argument(r->wsi, "kind", kind, sizeof(kind)) == HTTP_ARGUMENT_THERE;
    if (!is_kind || (strcmp(kind, "var") != 0 && strcmp(kind, "list") != 0))
        return "kind is var or list";
    if (http_argument(r->wsi, "name", name, sizeof(name)) != HTTP_ARGUMENT_THERE || !name[0])
        return "name is a name";
    if (!inspect_number(r, "first", &a->first))
        return "first is the index of an item";
    a->kind = strcmp(kind, "var") == 0 ? KIND_VAR : KIND_LIST;
    a->name_len = strlen(name);
    memcpy(a->name, name, a->name_len);
    return NULL;
}

int names_answer_one(const struct http_request *r)
{
    struct names *n = r->g->names;
    if (!r->g->redis_up)
        return http_reply_text(r->wsi, 503, "redis away");
    if (n->waiting >= WAITING_MAX)
        return http_reply_text(r->wsi, 503, "too many ask at once");
    struct asker *a = sg_calloc(1, sizeof(*a));
    const char *wrong = read_name(r, a);
    if (wrong) {
        free(a);
        return http_reply_text(r->wsi, 400, wrong);
    }
    a->names = n;
    n->waiting++;
    int result = http_wait(r->wsi, &a->wait);
    census_ask(n->census, a->kind, slice_of(a->name, a->name_len), on_counted,
               a); /* last: it may answer and free at once */
    return result;
}

/* --- life --- */

struct names *names_new(struct gateway *g)
{
    struct names *n = sg_calloc(1, sizeof(*n));
    n->gw = g;
    n->census = census_new(g);
    return n;
}

void names_leave(struct names *n)
{
    census_leave(n->census);
}

void names_free(struct names *n)
{
    census_free(n->census);
    free(n);
}

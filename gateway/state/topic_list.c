/* A paged list: what is known of it, kept current by changes and reads, and what clients ask of it. Its windows are in view.c,
 * the single items that somebody watches in watch.c.
 *
 * A change is applied to every view. Where content that nobody here knows enters one, one read brings what entered, for all
 * views (and watches) at once. */
#include "gateway/state/topic_list.h"

#include "gateway/observe/metrics.h"
#include "gateway/state/request.h"
#include "gateway/state/subscriber.h"
#include "gateway/state/topic_read.h"
#include "protocol/base/alloc.h"
#include "protocol/json.h"

enum { RANGES_PER_READ = 64, IDS_PER_READ = 256, ID_BYTES_MAX = 256, ROOM_MAX = READS_WINDOW_MAX / 4 };

static struct paged *paged_of(const struct topic *t)
{
    return container_of((struct topic *)(uintptr_t)t, struct paged, base);
}

/* --- entries --- */

static bool value_is_valid(const struct paged *p, struct slice value)
{
    return json_valid(value, p->base.gw->limits.value_depth);
}

/* What a read brought; a value that is not JSON is reported and becomes null: its place in the page is true still. */
static struct slice read_value(const struct paged *p, const struct store_item *it)
{
    if (value_is_valid(p, it->value))
        return it->value;
    topic_bad_change(&p->base, "an item value that is not JSON");
    return SLICE_LIT("null");
}

/* --- answering --- */

static bool paged_serve_request(struct request *q)
{
    if (q->topic->state == TOPIC_LOADING)
        return false;
    return q->watch ? watch_serve(q) : view_serve(q);
}

static void serve_all(struct topic *t)
{
    static uint64_t pass;
    if (t->state == TOPIC_LOADING)
        return;
    pass++;
    for (;;) { /* answering may end several requests at once, so the walk begins again after each */
        bool served = false;
        list_each(&t->requests, n)
        {
            struct request *q = container_of(n, struct request, in_item);
            if (subscriber_of(q->conn)->held_pass == pass)
                continue; /* answers of one connection stay in order */
            if (request_hold(q))
                continue;
            served = paged_serve_request(q);
            if (served)
                break;
            subscriber_of(q->conn)->held_pass = pass;
        }
        if (!served)
            return;
    }
}

/* Most changes leave nothing to be read. */
static void paged_want(struct paged *p)
{
    struct topic *t = &p->base;
    if (t->state != TOPIC_READY || t->confirm || views_incomplete(&p->views) || watches_incomplete(&p->watches))
        topic_want_read(t);
}

/* What was not in the way of a request before may be now: the page that it asked for vanished, and the last one is not known. */
static void paged_serve(struct topic *t)
{
    serve_all(t);
    paged_want(paged_of(t));
}

/* After anything changed. */
static void paged_settle(struct paged *p)
{
    views_settle(&p->views);
    watches_settle(&p->watches);
    if (p->base.waiting.count)
        subs_wake(&p->base);
    paged_serve(&p->base);
}

/* --- changes --- */

static void apply_insert(struct paged *p, const struct change *e)
{
    struct entry *n = entry_new(e->id, e->value);
    p->base.exists = true;
    gone_forget(&p->gone, e->id);
    views_insert(&p->views, e->index, n, e->total);
    watch_changed(p, e->id, n);
    entry_unref(n);
}

static void apply_set(struct paged *p, const struct change *e)
{
    struct entry *n = entry_new(e->id, e->value);
    views_set(&p->views, e->index, n, e->total);
    watch_changed(p, e->id, n);
    entry_unref(n);
}

static void apply_delete(struct paged *p, const struct change *e)
{
    gone_add(&p->gone, e->id, p->base.rev);
    views_delete(&p->views, e->index, e->total);
    watch_changed(p, e->id, NULL);
}

static void apply_move(struct paged *p, const struct change *e)
{
    struct entry *n = entry_new(e->id, e->value);
    views_move(&p->views, e->from, e->index, n, e->total);
    watch_moved(p, e->id, n);
    entry_unref(n);
}

/* Everything may be different: nothing is known but the length. */
static void forget_content(struct paged *p, int64_t total)
{
    gone_clear(&p->gone, p->base.rev);
    p->total = total;
    views_reset(&p->views, total);
    watches_forget(&p->watches);
}

static void apply_all(struct paged *p, const struct change *e)
{
    p->base.exists = true;
    p->replaced_rev = e->rev;
    forget_content(p, e->total);
}

static void apply_drop(struct paged *p, const struct change *e)
{
    p->base.exists = false;
    p->replaced_rev = e->rev;
    forget_content(p, 0);
    watches_drop(&p->watches);
}

static void paged_apply(struct topic *t, const struct change *e)
{
    static void (*const by_op[])(struct paged *, const struct change *) = {
        [CHANGE_LIST_INSERT] = apply_insert, [CHANGE_LIST_SET] = apply_set, [CHANGE_LIST_DELETE] = apply_delete,
        [CHANGE_LIST_MOVE] = apply_move,     [CHANGE_LIST_ALL] = apply_all, [CHANGE_LIST_DROP] = apply_drop,
    };
    struct paged *p = paged_of(t);
    bool has_id = e->op != CHANGE_LIST_ALL && e->op != CHANGE_LIST_DROP;
    bool has_value = has_id && e->op != CHANGE_LIST_DELETE;
    if ((has_id && !json_id_canonical(e->id, ID_BYTES_MAX)) || (has_value && !value_is_valid(p, e->value))) {
        topic_bad_change(t, "a change with an id or value that is not JSON");
        topic_missed(t, READ_MALFORMED); /* what is true, Redis knows */
        return;
    }
    if (e->rev != t->rev + 1) {
        metric_add(METRIC_GAPS, 1);
        topic_missed(t, READ_GAP);
        return;
    }
    t->rev = e->rev;
    by_op[e->op](p, e);
    if (has_id)
        p->total = e->total;
    paged_settle(p);
}

/* --- reading --- */

struct plan {
    struct store_range ranges[RANGES_PER_READ];
    size_t nranges;
    struct slice ids[IDS_PER_READ];
    size_t nids;
};

static void make_plan(struct plan *plan, struct paged *p)
{
    bool whole = p->base.state != TOPIC_READY;
    plan->nranges = views_want(&p->views, whole, plan->ranges, RANGES_PER_READ);
    plan->nids = watches_want(&p->watches, whole, plan->ids, IDS_PER_READ);
}

/* What Redis says is the truth, whatever was held; content comes from this read and the following ones. */
static void paged_adopt(struct paged *p, const struct store_list *read)
{
    /* A list that went back has lower revisions than its readers were told: begin again with everybody. */
    bool back = topic_found(&p->base, read->rev);
    p->base.exists = read->exists;
    if (back)
        p->replaced_rev = 0;
    views_rewind(&p->views, read->rev);
    watches_rewind(&p->watches, read->rev);
    if (topic_healed(&p->base)) {
        p->replaced_rev = read->rev;
        watches_renew(&p->watches);
    }
    forget_content(p, read->exists ? read->total : 0);
}

static bool fill_range(struct paged *p, const struct store_range *range, const struct store_item *items)
{
    size_t count = (size_t)range->count;
    for (size_t k = 0; k < count; k++)
        if (!json_id_canonical(items[k].id, ID_BYTES_MAX))
            return false;
    struct entry **entries = sg_malloc((count + 1) * sizeof(*entries));
    for (size_t k = 0; k < count; k++)
        entries[k] = entry_new(items[k].id, read_value(p, &items[k]));
    views_fill(&p->views, range->start, entries, count);
    for (size_t k = 0; k < count; k++)
        entry_unref(entries[k]);
    free(entries);
    return true;
}

struct list_read {
    struct paged *list;
    struct plan plan;
    char ids[]; /* the planned ids: watches may be gone when the answer comes */
};

static void fill_item(struct paged *p, struct slice id, const struct store_item *it)
{
    bool there = it->index >= 0;
    struct slice value = there ? read_value(p, it) : SLICE_NONE;
    watch_fill(p, id, there ? &value : NULL);
}

static void paged_fill(struct paged *p, const struct list_read *asked, const struct store_list *read)
{
    const struct store_item *items = read->items;
    for (size_t k = 0; k < read->nranges; items += read->ranges[k].count, k++)
        if (!fill_range(p, &read->ranges[k], items)) {
            topic_bad_change(&p->base, "an item id that is not canonical");
            topic_retry_later(&p->base);
        }
    for (size_t k = 0; k < read->nids && k < asked->plan.nids; k++)
        if (read->ids[k].index != STORE_NOT_READ)
            fill_item(p, asked->plan.ids[k], &read->ids[k]);
    views_read_ends(&p->views, read->larger > 0);
}

/* The rest of an answer that was cut comes with the next reads, each a part of it. A single item may need more. */
static void make_room(struct read *r, size_t larger)
{
    size_t more = 4 * r->room < ROOM_MAX ? 4 * r->room : ROOM_MAX;
    if (!larger)
        return;
    if (more > r->expect)
        r->expect = more;
    if (larger > r->expect)
        r->expect = larger;
}

static void on_read(void *arg, const struct store_result *r, const struct store_list *read)
{
    struct list_read *asked = arg;
    struct paged *p = asked->list;
    if (!topic_read_ends(&p->base, r, read->larger)) {
        free(asked);
        return;
    }
    make_room(&p->base.read, read->larger);
    /* Replies and changes come in one order: a reply at another revision than ours means that changes were lost. */
    if (p->base.state != TOPIC_READY || read->rev != p->base.rev)
        paged_adopt(p, read);
    paged_fill(p, asked, read);
    free(asked);
    paged_settle(p);
}

static void paged_read(struct topic *t)
{
    struct paged *p = paged_of(t);
    struct plan plan;
    make_plan(&plan, p);
    if (t->state == TOPIC_READY && !plan.nranges && !plan.nids && !t->confirm)
        return;
    size_t bytes = 0;
    for (size_t k = 0; k < plan.nids; k++)
        bytes += plan.ids[k].len;
    struct list_read *asked = sg_malloc(sizeof(*asked) + bytes);
    asked->list = p;
    asked->plan = plan;
    char *at = asked->ids;
    for (size_t k = 0; k < plan.nids; k++) {
        memcpy(at, plan.ids[k].ptr, plan.ids[k].len);
        asked->plan.ids[k].ptr = at;
        at += plan.ids[k].len;
    }
    topic_read_begins(t);
    const struct store_want want = {topic_room(t), asked->plan.ranges, plan.nranges, asked->plan.ids, plan.nids};
    store_list_read(t->gw->store, t->name, &want, on_read, asked);
}

/* --- subscribing --- */

static int64_t page_size_max(const struct topic *t)
{
    const struct name_pattern *n = options_name(t->gw->opt, KIND_LIST, t->name);
    return n && n->max_page_size ? n->max_page_size : t->gw->opt->max_page_size;
}

static struct request *paged_request(struct conn *c, struct topic *t, bool subscribe, struct view *v, struct watch *w)
{
    if (v)
        view_hold(v);
    if (w)
        watch_hold(w);
    return request_new(t, c, subscribe, v, v ? view_slots(v) : 0, w);
}

/* After somebody asked. */
static void paged_asked(struct topic *t)
{
    paged_serve(t);
    views_trim_crowd(&paged_of(t)->views);
}

/* The view of the page that somebody asks for. page_size: 0 for as large as there is. */
static struct view *asked_view(struct topic *t, int64_t page, int64_t page_size)
{
    struct paged *p = paged_of(t);
    int64_t max = page_size_max(t);
    int64_t size = page_size > 0 && page_size < max ? page_size : max;
    if (page < 0)
        page = 0;
    if (page > INT64_MAX / size - 1)
        page = INT64_MAX / size - 1;
    if (t->state == TOPIC_READY)
        page = page_clamp(page, size, p->total);
    return view_get(p, page, size);
}

static struct view *first_view(const struct sub *s)
{
    return asked_view(s->topic, s->first_page, s->first_page_size);
}

/* What is beyond the room for it is beyond the end of every list, and the largest page. */
static void note_first_page(struct sub *s, const struct sub_wish *wish)
{
    s->first_page = wish->page < UINT32_MAX ? (uint32_t)wish->page : UINT32_MAX;
    s->first_page_size = wish->page_size < 1 << 28 ? (uint32_t)wish->page_size & ((1 << 28) - 1) : 0;
}

static void paged_subscribe(struct conn *c, struct topic *t, const struct slice *id, const struct sub_wish *wish)
{
    struct watch *w = id ? watch_get(paged_of(t), *id) : NULL;
    struct sub *s = sub_find(c, t, w ? (const void *)w : (const void *)t);
    if (!s)
        s = w ? watch_subscribe(c, w) : sub_new(c, t, NULL);
    s->wait = wish->wait;
    note_first_page(s, wish);
    paged_request(c, t, true, w ? NULL : first_view(s), w)->silent = wish->silent;
    paged_asked(t);
}

static void paged_ask_again(struct sub *s)
{
    paged_request(s->key.conn, s->topic, true, s->watch ? NULL : first_view(s), s->watch);
}

static void paged_get(struct conn *c, struct topic *t, const struct slice *id, int64_t page, int64_t page_size)
{
    struct view *v = id ? NULL : asked_view(t, page, page_size);
    paged_request(c, t, false, v, id ? watch_get(paged_of(t), *id) : NULL);
    paged_asked(t);
}

static void paged_sub_gone(struct sub *s)
{
    if (s->watch)
        watch_sub_gone(s);
    else
        view_sub_gone(s);
}

static void paged_request_gone(struct request *q)
{
    if (q->view)
        view_release(q->view);
    if (q->watch)
        watch_release(q->watch);
}

static void paged_each_sub(struct topic *t, void (*each)(struct sub *s))
{
    views_each_sub(&paged_of(t)->views, each);
    watches_each_sub(&paged_of(t)->watches, each);
}

static void paged_lose_sub(struct sub *s)
{
    if (s->watch)
        s->told_rev = -1;
    else
        view_lose_sub(s);
}

static void paged_flush_sub(struct sub *s)
{
    struct topic *t = s->topic;
    if (s->watch) {
        watch_flush_sub(s);
        return;
    }
    view_flush_sub(s);
    paged_serve(t); /* questions that waited for this connection to be current */
}

static struct slice paged_request_id(const struct request *q)
{
    return q->watch ? watch_id(q->watch) : SLICE_NONE;
}

/* --- life --- */

static struct slice paged_sub_id(const struct sub *s)
{
    return s->watch ? watch_id(s->watch) : SLICE_NONE;
}

static const void *paged_target(const struct topic *t, const struct slice *id)
{
    return id ? (const void *)watch_find(&paged_of(t)->watches, *id) : (const void *)t;
}

static const struct view_events page_events = {.before_tell = watches_tell_gone, .told = watches_told};

static struct topic *paged_create(struct gateway *g, struct slice name)
{
    struct paged *p = sg_calloc(1, sizeof(*p));
    topic_init(&p->base, g, &topic_list_kind, name);
    p->view_events = &page_events;
    gone_init(&p->gone);
    views_init(&p->views);
    watches_init(&p->watches);
    return &p->base;
}

static void paged_destroy(struct topic *t)
{
    struct paged *p = paged_of(t);
    views_deinit(&p->views);
    watches_deinit(&p->watches);
    gone_deinit(&p->gone);
    free(p);
}

static void paged_tick(struct topic *t, int64_t now_ms)
{
    views_trim(&paged_of(t)->views, now_ms - t->gw->opt->linger_ms);
}

static void paged_look(const struct topic *t, struct topic_look *out)
{
    const struct paged *p = container_of(t, struct paged, base);
    out->size = p->total;
    out->windows = p->views._all.count;
}

const struct topic_kind topic_list_kind = {
    .kind = KIND_LIST,
    .create = paged_create,
    .destroy = paged_destroy,
    .read = paged_read,
    .apply = paged_apply,
    .subscribe = paged_subscribe,
    .ask_again = paged_ask_again,
    .get = paged_get,
    .sub_gone = paged_sub_gone,
    .request_gone = paged_request_gone,
    .each_sub = paged_each_sub,
    .lose_sub = paged_lose_sub,
    .flush_sub = paged_flush_sub,
    .serve = paged_serve,
    .answer = paged_serve_request,
    .tick = paged_tick,
    .request_id = paged_request_id,
    .sub_id = paged_sub_id,
    .target = paged_target,
    .look = paged_look,
};

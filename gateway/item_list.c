/* A paged list: its windows ("views"), the single items somebody watches, and their subscribers.
 *
 * A change is applied to every view; where content that nobody here knows enters a view, the view has holes until one read
 * brings what entered, for all views at once. A view without holes is compared with what its subscribers were told, once,
 * and the steps are shared. A subscriber that was told something else (it was slow, or its page vanished) gets a comparison
 * of its own. */
#include <assert.h>

#include "gateway/fanout.h"
#include "gateway/item.h"
#include "gateway/metrics.h"
#include "gateway/ws.h"
#include "protocol/base/alloc.h"
#include "protocol/json.h"

enum {
    RANGES_PER_READ = 64,
    IDS_PER_READ = 256,
    ITEMS_PER_READ = 10000, /* a single range may be larger: a page is read whole */
    GONE_MAX = 1024,        /* removed ids that are remembered for slow readers */
    IDLE_VIEWS_MAX = 16,
    ID_BYTES_MAX = 256
};

struct paged {
    struct item base;
    int64_t total;
    struct map views_by_key;
    struct list views;
    size_t idle_views;
    struct map watches_by_id;
    struct list watches;
    struct list changed;  /* struct watch whose subscribers have to be told something */
    struct list absent;   /* struct watch that is known not to be in the list */
    size_t unknown;       /* watches whose item has to be read */
    struct map gone;      /* struct gone: left the list after opaque_rev and did not come back */
    int64_t opaque_rev;   /* what left the list before this revision is not known one by one */
    int64_t replaced_rev; /* the last set_all or drop: whoever was told an older state gets its page whole */
    struct page_steps steps;
    bool total_unsure; /* the connection at hand was just told a delete of an item off its page */
};

struct view {
    struct map_node by_key;
    int64_t key[2]; /* page, size */
    struct list_node in_list;
    struct paged *list;
    struct window window;
    struct page *told; /* the version its healthy subscribers hold; NULL before the first */
    int64_t told_rev;  /* the list's revision when told was last known to be current */
    struct list subs;
    size_t users; /* subs and requests */
    bool mixed;   /* some subscribers hold another version */
    bool asked;   /* its holes are part of the read in flight */
    bool greedy;  /* that came too late once: read the whole window next time, which cannot */
    int64_t idle_since_ms;
    struct frame *page_frame; /* of `told`, for subscribers that come later */
    const struct dialect *page_dialect;
};

struct watch {
    struct map_node by_id;
    struct list_node in_list;
    struct paged *list;
    struct entry *entry; /* NULL: not in the list */
    bool known;          /* entry is current */
    int64_t changed_rev;
    struct list_node in_changed, in_absent;
    struct list subs;
    size_t users; /* subs (pending ones too) and requests */
    char id[];
};

struct gone {
    struct map_node by_id;
    char id[];
};

static struct paged *paged_of(const struct item *i)
{
    return container_of((struct item *)(uintptr_t)i, struct paged, base);
}

/* --- small maps --- */

static void gone_clear(struct paged *p)
{
    for (struct map_node *n = map_next(&p->gone, NULL), *next; n; n = next) {
        next = map_next(&p->gone, n);
        map_remove(&p->gone, n);
        free(container_of(n, struct gone, by_id));
    }
    p->opaque_rev = p->base.rev;
}

static void gone_add(struct paged *p, struct slice id)
{
    if (map_find(&p->gone, id))
        return;
    if (p->gone.count >= GONE_MAX)
        gone_clear(p);
    struct gone *g = sg_malloc(sizeof(*g) + id.len);
    memcpy(g->id, id.ptr, id.len);
    g->by_id.key = slice_of(g->id, id.len);
    map_insert(&p->gone, &g->by_id);
}

static void gone_forget(struct paged *p, struct slice id)
{
    struct map_node *n = map_find(&p->gone, id);
    if (!n)
        return;
    map_remove(&p->gone, n);
    free(container_of(n, struct gone, by_id));
}

/* --- entries --- */

static bool value_is_valid(const struct paged *p, struct slice value)
{
    return json_valid(value, (int)p->base.gw->opt->max_depth - 4);
}

/* The entry for what a read brought. */
static struct entry *read_entry(struct paged *p, const struct store_item *it)
{
    if (value_is_valid(p, it->value))
        return entry_new(it->id, it->value);
    item_bad_change(&p->base, "an item value that is not JSON");
    return entry_new(it->id, SLICE_LIT("null")); /* its place in the page is true still */
}

/* --- views --- */

static struct view *view_find(const struct paged *p, int64_t number, int64_t size)
{
    int64_t key[2] = {number, size};
    struct map_node *n = map_find(&p->views_by_key, slice_of((const char *)key, sizeof(key)));
    return n ? container_of(n, struct view, by_key) : NULL;
}

static struct view *view_get(struct paged *p, int64_t number, int64_t size)
{
    struct view *v = view_find(p, number, size);
    if (v)
        return v;
    v = sg_calloc(1, sizeof(*v));
    v->list = p;
    v->key[0] = number;
    v->key[1] = size;
    v->by_key.key = slice_of((const char *)v->key, sizeof(v->key));
    v->idle_since_ms = gateway_now_ms();
    list_init(&v->subs);
    window_init(&v->window, number, size);
    window_reset(&v->window, p->total);
    map_insert(&p->views_by_key, &v->by_key);
    list_append(&p->views, &v->in_list);
    p->idle_views++;
    return v;
}

static void view_free(struct view *v)
{
    struct paged *p = v->list;
    assert(v->users == 0);
    p->idle_views--;
    map_remove(&p->views_by_key, &v->by_key);
    list_remove(&p->views, &v->in_list);
    window_deinit(&v->window);
    page_unref(v->told);
    frame_unref(v->page_frame);
    free(v);
}

static void view_hold(struct view *v)
{
    if (v->users++ == 0)
        v->list->idle_views--;
}

/* The last user leaves the view behind for a while: churn costs nothing. */
static void view_release(struct view *v)
{
    assert(v->users > 0);
    if (--v->users > 0)
        return;
    v->idle_since_ms = gateway_now_ms();
    v->list->idle_views++;
}

/* Frees the views that nobody used since `since_ms`, and whatever is idle beyond a maximum. */
static void trim_views(struct paged *p, int64_t since_ms)
{
    list_each(&p->views, n)
    {
        struct view *v = container_of(n, struct view, in_list);
        if (!v->users && (p->idle_views > IDLE_VIEWS_MAX || v->idle_since_ms < since_ms))
            view_free(v);
    }
}

static void view_told(struct view *v, struct page *to)
{
    if (v->told == to)
        return;
    page_unref(v->told);
    v->told = page_ref(to);
    frame_unref(v->page_frame);
    v->page_frame = NULL;
}

static struct frame *page_frame_of(struct view *v, const struct dialect *d)
{
    if (v->page_frame && v->page_dialect == d)
        return v->page_frame;
    struct gateway *g = v->list->base.gw;
    buf_reset(&g->scratch);
    uint32_t messages = d->page(&g->scratch, v->list->base.name, v->told);
    frame_unref(v->page_frame);
    v->page_frame = frame_new(buf_slice(&g->scratch), messages);
    v->page_dialect = d;
    return v->page_frame;
}

/* --- watches --- */

static struct watch *watch_get(struct paged *p, struct slice id)
{
    struct map_node *n = map_find(&p->watches_by_id, id);
    if (n)
        return container_of(n, struct watch, by_id);
    struct watch *w = sg_calloc(1, sizeof(*w) + id.len);
    memcpy(w->id, id.ptr, id.len);
    w->list = p;
    w->by_id.key = slice_of(w->id, id.len);
    list_init(&w->subs);
    map_insert(&p->watches_by_id, &w->by_id);
    list_append(&p->watches, &w->in_list);
    p->unknown++;
    return w;
}

/* Keeps the list of absent ones and the count of unknown ones, so that no change has to look at every watch. */
static void watch_known(struct watch *w, bool known)
{
    struct paged *p = w->list;
    if (w->known != known) {
        p->unknown += known ? (size_t)-1 : 1;
        w->known = known;
    }
    bool absent = known && !w->entry;
    if (absent && !list_linked(&w->in_absent))
        list_append(&p->absent, &w->in_absent);
    if (!absent && list_linked(&w->in_absent))
        list_remove(&p->absent, &w->in_absent);
}

static void watch_release(struct watch *w)
{
    assert(w->users > 0);
    if (--w->users > 0)
        return;
    struct paged *p = w->list;
    watch_known(w, true); /* out of the counts */
    if (list_linked(&w->in_changed))
        list_remove(&p->changed, &w->in_changed);
    if (list_linked(&w->in_absent))
        list_remove(&p->absent, &w->in_absent);
    map_remove(&p->watches_by_id, &w->by_id);
    list_remove(&p->watches, &w->in_list);
    entry_unref(w->entry);
    free(w);
}

const struct watch *item_list_find_watch(const struct item *i, struct slice id)
{
    struct map_node *n = map_find(&paged_of(i)->watches_by_id, id);
    return n ? container_of(n, struct watch, by_id) : NULL;
}

struct slice item_list_watch_id(const struct watch *w)
{
    return w->by_id.key;
}

/* The item changed at the current revision; e NULL: it left the list. */
static void watch_changed(struct paged *p, struct slice id, struct entry *e)
{
    struct map_node *n = p->watches.count ? map_find(&p->watches_by_id, id) : NULL;
    if (!n)
        return;
    struct watch *w = container_of(n, struct watch, by_id);
    entry_unref(w->entry);
    w->entry = e ? entry_ref(e) : NULL;
    w->changed_rev = p->base.rev;
    watch_known(w, w->known);
    if (!list_linked(&w->in_changed))
        list_append(&p->changed, &w->in_changed);
}

/* --- telling subscribers --- */

bool item_list_current(const struct conn *c, const struct item *i)
{
    const struct sub *s = sub_find(c, i, i);
    if (!s || s->pending)
        return true;
    return !list_linked(&s->in_dirty) && s->view->window.holes == 0 && s->told == s->view->told;
}

/* A frame for whoever was told `from` as of from_rev, or NULL when nothing differs. *whole: it is the whole page. */
static struct frame *change_frame(struct paged *p, const struct dialect *d, const struct page *from, int64_t from_rev,
                                  const struct page *to, bool *whole)
{
    struct gateway *g = p->base.gw;
    *whole = !from || from_rev < p->replaced_rev;
    if (!*whole && !page_compare(from, to, &p->steps) && !p->total_unsure)
        return NULL;
    p->steps.set_count = p->steps.set_count || p->total_unsure;
    if (!*whole)
        *whole = p->steps.replace || (p->steps.deletes && from_rev < p->opaque_rev);
    buf_reset(&g->scratch);
    uint32_t messages;
    if (*whole) {
        messages = d->page(&g->scratch, p->base.name, to);
    } else {
        for (size_t i = 0; i < p->steps.deletes; i++)
            p->steps.steps[i].gone = map_find(&p->gone, entry_id(p->steps.steps[i].entry)) != NULL;
        messages = d->steps(&g->scratch, p->base.name, &g->limits, to, &p->steps);
    }
    return frame_new(buf_slice(&g->scratch), messages);
}

static void told_by_page(struct paged *p, struct conn *c, struct slice id, bool gone)
{
    const struct watch *w = item_list_find_watch(&p->base, id);
    struct sub *s = w ? sub_find(c, &p->base, w) : NULL;
    if (!s || s->pending)
        return;
    s->told_rev = p->base.rev;
    if (gone)
        sub_free(s);
}

/* What the page just told this connection need not be told again by its item subscriptions. */
static void settle_watches(struct paged *p, struct conn *c, bool whole, const struct page *to)
{
    if (!c->watching)
        return;
    if (whole) {
        for (uint32_t i = 0; i < to->count; i++)
            told_by_page(p, c, entry_id(to->slots[i]), false);
        return;
    }
    for (size_t i = 0; i < p->steps.len; i++) {
        const struct step *step = &p->steps.steps[i];
        if (step->op != STEP_DELETE || step->gone) /* leaving the page says nothing about the item's value */
            told_by_page(p, c, entry_id(step->entry), step->gone);
    }
}

static void sub_told(struct sub *s, struct page *to, int64_t rev)
{
    if (s->told != to) {
        page_unref(s->told);
        s->told = page_ref(to);
    }
    s->told_rev = rev;
}

/* The last comparison of a flush: consecutive subscribers mostly hold the same version, so it serves them all. */
struct shared_change {
    const struct page *from;
    int64_t from_rev;
    const struct dialect *dialect;
    struct frame *frame;
    bool whole;
    bool made;
};

static bool page_holds(const struct page *p, struct slice id)
{
    for (uint32_t i = 0; p && i < p->count; i++)
        if (slice_eq(entry_id(p->slots[i]), id))
            return true;
    return false;
}

static void watch_tell(struct watch *w, struct sub *s, bool counted);

/* A peer that follows a page and, on its own, an item off that page is told by a `delete` when that item leaves the list.
 * Peers may or may not count that in their total, so the total is said right behind it. */
static bool tell_gone_off_page(struct paged *p, struct conn *c, const struct page *from)
{
    bool any = false;
    list_each(&p->absent, n)
    {
        struct watch *w = container_of(n, struct watch, in_absent);
        struct sub *s = sub_find(c, &p->base, w);
        if (!s || s->pending || page_holds(from, w->by_id.key))
            continue;
        watch_tell(w, s, true);
        any = true;
    }
    return any;
}

/* For a connection that also watches items: what it is told depends on them, so nothing is shared. */
static void tell_watcher(struct view *v, struct sub *s, int64_t from_rev, struct page *to)
{
    struct paged *p = v->list;
    struct conn *c = s->key.conn;
    bool whole;
    p->total_unsure = tell_gone_off_page(p, c, s->told);
    struct frame *f = change_frame(p, c->dialect, s->told, from_rev, to, &whole);
    p->total_unsure = false;
    if (f) {
        conn_push(c, f);
        settle_watches(p, c, whole, to);
    }
    frame_unref(f);
}

static void tell(struct view *v, struct sub *s, int64_t from_rev, struct page *to, struct shared_change *last)
{
    struct paged *p = v->list;
    struct conn *c = s->key.conn;
    if (p->watches.count && c->watching) {
        tell_watcher(v, s, from_rev, to);
        if (c->dirty.count)
            ws_want_write(c); /* item subscriptions that waited for this */
        return;
    }
    bool same = last->made && last->from == s->told && last->from_rev == from_rev && last->dialect == c->dialect;
    if (!same) {
        frame_unref(last->frame);
        *last = (struct shared_change){.from = s->told, .from_rev = from_rev, .dialect = c->dialect, .made = true};
        last->frame = change_frame(p, c->dialect, s->told, from_rev, to, &last->whole);
    }
    if (last->frame)
        conn_push(c, last->frame);
}

/* view_flush brings the subscribers of a view without holes to its current version. */
static void view_flush(struct view *v)
{
    struct paged *p = v->list;
    struct page *to = window_version(&v->window);
    bool forced = v->told && v->told_rev < p->replaced_rev;
    if (to != v->told || v->mixed || forced) {
        struct shared_change last = {0};
        struct page *from = v->told ? page_ref(v->told) : NULL; /* so that no new page gets its address meanwhile */
        v->mixed = false;
        list_each(&v->subs, n)
        {
            struct sub *s = container_of(n, struct sub, in_target);
            int64_t from_rev = s->told == from ? v->told_rev : s->told_rev;
            if (s->told == to && from_rev >= p->replaced_rev)
                continue;
            if (!fanout_ready(s, 1)) {
                s->told_rev = from_rev;
                continue;
            }
            tell(v, s, from_rev, to, &last);
            sub_told(s, to, p->base.rev);
        }
        frame_unref(last.frame);
        page_unref(from);
        view_told(v, to);
    }
    v->told_rev = p->base.rev;
    page_unref(to);
}

/* counted: the page's own steps will say the total; otherwise it is said here, right behind a delete. */
static void watch_tell(struct watch *w, struct sub *s, bool counted)
{
    struct conn *c = s->key.conn;
    struct buf *out = &c->gw->scratch;
    buf_reset(out);
    s->told_rev = w->list->base.rev;
    uint32_t messages = w->entry ? c->dialect->item_set(out, w->list->base.name, w->entry)
                                 : c->dialect->item_delete(out, w->list->base.name, w->by_id.key, true);
    const struct sub *page = w->entry || counted ? NULL : sub_find(c, &w->list->base, &w->list->base);
    if (page && page->told) {
        struct page_steps count_only = {.set_count = true};
        messages += c->dialect->steps(out, w->list->base.name, &c->gw->limits, page->told, &count_only);
    }
    struct frame *f = frame_new(buf_slice(out), messages);
    conn_push(c, f);
    frame_unref(f);
    if (!w->entry)
        sub_free(s);
}

static void watch_flush(struct watch *w)
{
    struct paged *p = w->list;
    w->users++; /* its last subscription may end here */
    list_each(&w->subs, n)
    {
        struct sub *s = container_of(n, struct sub, in_target);
        struct conn *c = s->key.conn;
        if (s->told_rev >= w->changed_rev)
            continue;
        if (!item_list_current(c, &p->base))
            fanout_missed(s, 1);
        else if (fanout_ready(s, 1))
            watch_tell(w, s, false);
    }
    watch_release(w);
}

/* --- after anything changed --- */

static bool view_vanished(const struct view *v)
{
    return v->window.number != page_clamp(v->window.number, v->window.size, v->list->total);
}

/* The page no longer exists: its viewers go to the last one that does. */
static void view_move(struct view *v)
{
    struct paged *p = v->list;
    struct view *to = view_get(p, page_clamp(v->window.number, v->window.size, p->total), v->window.size);
    struct list_node *n;
    view_hold(v);
    while ((n = list_pop(&v->subs))) {
        struct sub *s = container_of(n, struct sub, in_target);
        if (s->told == v->told)
            s->told_rev = v->told_rev;
        list_append(&to->subs, n);
        s->view = to;
        view_hold(to);
        view_release(v);
        to->mixed = true;
    }
    view_release(v);
}

static void settle(struct paged *p)
{
    list_each(&p->views, n)
    {
        struct view *v = container_of(n, struct view, in_list);
        if (v->subs.count && view_vanished(v))
            view_move(v);
    }
    list_each(&p->views, n)
    {
        struct view *v = container_of(n, struct view, in_list);
        if (v->users && v->window.holes == 0)
            view_flush(v);
    }
    list_each(&p->changed, n)
    {
        struct watch *w = container_of(n, struct watch, in_changed);
        if (!w->known)
            continue;
        list_remove(&p->changed, n);
        watch_flush(w);
    }
    item_list_kind.serve(&p->base);
    if (p->base.state == ITEM_READY)
        item_want_read(&p->base);
}

/* --- changes --- */

/* A moved item whose value stayed keeps its entry, where one is known, so that only the move is told. */
static struct entry *moved_entry(struct paged *p, const struct change *e)
{
    list_each(&p->views, n)
    {
        const struct window *w = &container_of(n, struct view, in_list)->window;
        int64_t at = e->from - w->number * w->size;
        struct entry *held = at >= 0 && at < (int64_t)w->count ? w->slots[at] : NULL;
        if (held && slice_eq(entry_id(held), e->id) && slice_eq(entry_value(held), e->value))
            return entry_ref(held);
    }
    return entry_new(e->id, e->value);
}

static void apply_insert(struct paged *p, const struct change *e)
{
    struct entry *n = entry_new(e->id, e->value);
    p->base.exists = true;
    gone_forget(p, e->id);
    list_each(&p->views, v) window_insert(&container_of(v, struct view, in_list)->window, e->index, n, e->total);
    watch_changed(p, e->id, n);
    entry_unref(n);
}

static void apply_set(struct paged *p, const struct change *e)
{
    struct entry *n = entry_new(e->id, e->value);
    list_each(&p->views, v) window_set(&container_of(v, struct view, in_list)->window, e->index, n, e->total);
    watch_changed(p, e->id, n);
    entry_unref(n);
}

static void apply_delete(struct paged *p, const struct change *e)
{
    gone_add(p, e->id);
    list_each(&p->views, v) window_delete(&container_of(v, struct view, in_list)->window, e->index, e->total);
    watch_changed(p, e->id, NULL);
}

static void apply_move(struct paged *p, const struct change *e)
{
    struct entry *n = moved_entry(p, e);
    const struct watch *w = item_list_find_watch(&p->base, e->id);
    bool changed = w && (!w->entry || !slice_eq(entry_value(w->entry), entry_value(n)));
    list_each(&p->views, v) window_move(&container_of(v, struct view, in_list)->window, e->from, e->index, n, e->total);
    if (changed)
        watch_changed(p, e->id, n);
    entry_unref(n);
}

/* Everything may be different: nothing is known but the length. */
static void forget_content(struct paged *p, int64_t total)
{
    p->total = total;
    list_each(&p->views, n) window_reset(&container_of(n, struct view, in_list)->window, total);
    list_each(&p->watches, n) watch_known(container_of(n, struct watch, in_list), false);
}

static void apply_all(struct paged *p, const struct change *e)
{
    p->base.exists = true;
    p->replaced_rev = e->rev;
    gone_clear(p);
    forget_content(p, e->total);
}

static void apply_drop(struct paged *p, const struct change *e)
{
    p->base.exists = false;
    p->replaced_rev = e->rev;
    gone_clear(p);
    forget_content(p, 0);
    list_each(&p->watches, n)
    {
        struct watch *w = container_of(n, struct watch, in_list);
        watch_changed(p, w->by_id.key, NULL);
        watch_known(w, true);
    }
}

static void apply(struct item *i, const struct change *e)
{
    static void (*const by_op[])(struct paged *, const struct change *) = {
        [CHANGE_LIST_INSERT] = apply_insert, [CHANGE_LIST_SET] = apply_set, [CHANGE_LIST_DELETE] = apply_delete,
        [CHANGE_LIST_MOVE] = apply_move,     [CHANGE_LIST_ALL] = apply_all, [CHANGE_LIST_DROP] = apply_drop,
    };
    struct paged *p = paged_of(i);
    bool has_id = e->op != CHANGE_LIST_ALL && e->op != CHANGE_LIST_DROP;
    bool has_value = has_id && e->op != CHANGE_LIST_DELETE;
    if ((has_id && !json_id_canonical(e->id, ID_BYTES_MAX)) || (has_value && !value_is_valid(p, e->value))) {
        item_bad_change(i, "a change with an id or value that is not JSON");
        item_missed(i, READ_MALFORMED); /* what is true, Redis knows */
        return;
    }
    if (e->rev != i->rev + 1) {
        metric_add(METRIC_GAPS, 1);
        item_missed(i, READ_GAP);
        return;
    }
    i->rev = e->rev;
    by_op[e->op](p, e);
    if (has_id)
        p->total = e->total;
    settle(p);
}

/* --- reading --- */

struct plan {
    struct store_range ranges[RANGES_PER_READ];
    size_t nranges;
    struct slice ids[IDS_PER_READ];
    size_t nids;
    int64_t items;
};

static bool plan_view(struct plan *plan, struct view *v, bool whole)
{
    struct store_range r = {v->window.number * v->window.size, v->window.size};
    if (!whole && !window_want(&v->window, &r.start, &r.count))
        return true;
    if (v->greedy)
        r = (struct store_range){v->window.number * v->window.size, v->window.size};
    if (plan->nranges == RANGES_PER_READ || (plan->items && plan->items + r.count > ITEMS_PER_READ))
        return false; /* the rest has holes still, and comes with the next read */
    plan->ranges[plan->nranges++] = r;
    plan->items += r.count;
    v->asked = true;
    return true;
}

static void make_plan(struct plan *plan, struct paged *p)
{
    bool whole = p->base.state != ITEM_READY;
    plan->nranges = plan->nids = 0;
    plan->items = 0;
    list_each(&p->views, n)
    {
        struct view *v = container_of(n, struct view, in_list);
        if (v->users && !plan_view(plan, v, whole))
            break;
    }
    if (!whole && !p->unknown)
        return;
    list_each(&p->watches, n)
    {
        const struct watch *w = container_of(n, struct watch, in_list);
        if ((whole || !w->known) && plan->nids < IDS_PER_READ)
            plan->ids[plan->nids++] = w->by_id.key;
    }
}

/* What Redis says is the truth, whatever was held; content comes from this read and the following ones. */
static void adopt(struct paged *p, const struct store_list *read)
{
    /* A list that went back has lower revisions than its readers were told: begin again with everybody. */
    bool back = read->rev < p->base.rev;
    p->base.rev = read->rev;
    p->base.exists = read->exists;
    p->base.state = ITEM_READY;
    if (back)
        p->replaced_rev = 0;
    list_each(&p->views, n)
    {
        struct view *v = container_of(n, struct view, in_list);
        if (v->told_rev >= read->rev)
            v->told_rev = read->rev - 1;
        list_each(&v->subs, m)
        {
            struct sub *s = container_of(m, struct sub, in_target);
            if (s->told_rev >= read->rev)
                s->told_rev = read->rev - 1;
        }
    }
    list_each(&p->watches, n)
    {
        struct watch *w = container_of(n, struct watch, in_list);
        list_each(&w->subs, m)
        {
            struct sub *s = container_of(m, struct sub, in_target);
            bool current = s->told_rev >= w->changed_rev;
            s->told_rev = read->rev - (current ? 1 : 2);
        }
        w->changed_rev = read->rev - 1;
    }
    gone_clear(p);
    forget_content(p, read->exists ? read->total : 0);
}

static bool same_content(const struct entry *a, const struct entry *b)
{
    return slice_eq(entry_id(a), entry_id(b)) && slice_eq(entry_value(a), entry_value(b));
}

/* What this view's subscribers were told about the item already, when that is still all there is to tell: after a loss most
 * items stand where they stood, and an item may leave and come back unchanged. */
static struct entry *told_entry(const struct view *v, int64_t slot, struct entry *e)
{
    if (!v->told)
        return e;
    if (slot < (int64_t)v->told->count && same_content(v->told->slots[slot], e))
        return v->told->slots[slot];
    for (uint32_t k = 0; k < v->told->count; k++)
        if (same_content(v->told->slots[k], e))
            return v->told->slots[k];
    return e;
}

static void fill_view(struct view *v, int64_t start, struct entry *const *entries, int64_t count)
{
    struct window *w = &v->window;
    int64_t first = w->number * w->size;
    int64_t from = start > first ? start : first;
    int64_t end = start + count < first + w->count ? start + count : first + w->count;
    for (int64_t at = from; at < end; at++) {
        if (w->slots[at - first])
            continue;
        struct entry *e = told_entry(v, at - first, entries[at - start]);
        window_fill(w, at, &e, 1, false);
    }
}

static void fill_views(struct paged *p, int64_t start, struct entry *const *entries, size_t count)
{
    list_each(&p->views, n)
    {
        struct view *v = container_of(n, struct view, in_list);
        if (v->window.holes)
            fill_view(v, start, entries, (int64_t)count);
    }
}

static bool fill_range(struct paged *p, const struct store_range *range, const struct store_item *items)
{
    size_t count = (size_t)range->count;
    for (size_t k = 0; k < count; k++)
        if (!json_id_canonical(items[k].id, ID_BYTES_MAX))
            return false;
    struct entry **entries = sg_malloc((count + 1) * sizeof(*entries));
    for (size_t k = 0; k < count; k++)
        entries[k] = read_entry(p, &items[k]);
    fill_views(p, range->start, entries, count);
    for (size_t k = 0; k < count; k++)
        entry_unref(entries[k]);
    free(entries);
    return true;
}

static void fill_watch(struct paged *p, const struct plan *plan, size_t k, const struct store_item *it)
{
    struct map_node *n = map_find(&p->watches_by_id, plan->ids[k]);
    if (!n)
        return;
    struct watch *w = container_of(n, struct watch, by_id);
    if (w->known)
        return;
    watch_known(w, true);
    struct slice held = w->entry ? entry_value(w->entry) : SLICE_NONE;
    bool present = it->index >= 0;
    if (present == (w->entry != NULL) && (!present || slice_eq(held, it->value)))
        return;
    struct entry *e = present ? read_entry(p, it) : NULL;
    watch_changed(p, w->by_id.key, e);
    entry_unref(e);
}

struct list_read {
    struct paged *list;
    struct plan plan;
    char ids[]; /* the planned ids: watches may be gone when the answer comes */
};

static void fill(struct paged *p, const struct list_read *asked, const struct store_list *read)
{
    const struct store_item *items = read->items;
    for (size_t k = 0; k < read->nranges; items += read->ranges[k].count, k++)
        if (!fill_range(p, &read->ranges[k], items)) {
            item_bad_change(&p->base, "an item id that is not canonical");
            item_retry_later(&p->base);
        }
    for (size_t k = 0; k < read->nids && k < asked->plan.nids; k++)
        fill_watch(p, &asked->plan, k, &read->ids[k]);
    list_each(&p->views, n)
    {
        struct view *v = container_of(n, struct view, in_list);
        v->greedy = v->asked && v->users && v->window.holes;
        v->asked = false;
    }
}

static void on_read(void *arg, const struct store_result *r, const struct store_list *read)
{
    struct list_read *asked = arg;
    struct paged *p = asked->list;
    item_read_ends(&p->base, r->status == STORE_OK);
    if (r->status != STORE_OK) {
        item_read_failed(&p->base, r);
        free(asked);
        return;
    }
    /* Replies and changes come in one order: a reply at another revision than ours means that changes were lost. */
    if (p->base.state != ITEM_READY || read->rev != p->base.rev)
        adopt(p, read);
    fill(p, asked, read);
    free(asked);
    settle(p);
}

static void read(struct item *i)
{
    struct paged *p = paged_of(i);
    struct plan plan;
    make_plan(&plan, p);
    if (i->state == ITEM_READY && !plan.nranges && !plan.nids && !i->confirm)
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
    item_read_begins(i);
    store_list_read(i->gw->store, i->name, asked->plan.ranges, plan.nranges, asked->plan.ids, plan.nids, on_read,
                    asked);
}

/* --- answering --- */

static void follow(struct sub *s, struct view *v)
{
    view_hold(v);
    if (s->view) {
        list_remove(&s->view->subs, &s->in_target);
        view_release(s->view);
    }
    s->view = v;
    list_append(&v->subs, &s->in_target);
}

static void answer_page(struct request *q)
{
    struct view *v = q->view;
    struct paged *p = v->list;
    struct conn *c = q->conn;
    struct sub *s = sub_find(c, q->item, q->item);
    assert(s);
    s->pending = false;
    follow(s, v);
    fanout_forget(s);
    sub_told(s, v->told, v->told_rev);
    conn_answer_frame(c, page_frame_of(v, c->dialect));
    settle_watches(p, c, true, v->told);
    request_free(q);
}

/* Both return false when the request has to wait. */
static bool serve_page(struct request *q)
{
    struct paged *p = paged_of(q->item);
    const struct sub *s = sub_find(q->conn, q->item, q->item);
    assert(s);
    if (s->pending && item_unknown(&p->base))
        return request_fail_unknown(q);
    if (view_vanished(q->view)) {
        struct view *v =
            view_get(p, page_clamp(q->view->window.number, q->view->window.size, p->total), q->view->window.size);
        view_hold(v);
        view_release(q->view);
        q->view = v;
    }
    if (q->view->window.holes)
        return false;
    view_flush(q->view);
    answer_page(q);
    return true;
}

static void answer_item(struct request *q)
{
    struct conn *c = q->conn;
    struct watch *w = q->watch;
    struct sub *s = sub_find(c, q->item, w);
    if (s && s->pending) {
        s->pending = false;
        list_append(&w->subs, &s->in_target);
    }
    if (s) {
        fanout_forget(s);
        s->told_rev = q->item->rev;
    }
    struct buf *out = &c->gw->scratch;
    buf_reset(out);
    uint32_t messages = c->dialect->item_set(out, q->item->name, w->entry);
    conn_answer(c, buf_slice(out), messages);
    request_free(q);
}

static bool serve_item(struct request *q)
{
    struct paged *p = paged_of(q->item);
    const struct sub *s = sub_find(q->conn, q->item, q->watch);
    bool pending = s && s->pending;
    if (pending && item_unknown(&p->base))
        return request_fail_unknown(q);
    /* Never newer nor older than what this connection was told of the list. */
    if (!q->watch->known || !item_list_current(q->conn, q->item))
        return false;
    if (!q->watch->entry)
        request_fail(q, ERROR_ID, "no such item");
    else
        answer_item(q);
    return true;
}

static void serve(struct item *i)
{
    static uint64_t pass;
    if (i->state == ITEM_LOADING)
        return;
    pass++;
    for (;;) { /* answering may end several requests at once, so the walk begins again after each */
        bool served = false;
        list_each(&i->requests, n)
        {
            struct request *q = container_of(n, struct request, in_item);
            if (q->conn->held_pass == pass)
                continue; /* answers of one connection stay in order */
            served = q->watch ? serve_item(q) : serve_page(q);
            if (served)
                break;
            q->conn->held_pass = pass;
        }
        if (!served)
            return;
    }
}

/* --- subscribing --- */

static int64_t page_size_max(const struct item *i)
{
    const struct name_pattern *n = options_name(i->gw->opt, KIND_LIST, i->name);
    return n && n->max_page_size ? n->max_page_size : i->gw->opt->max_page_size;
}

static void ask(struct conn *c, struct item *i, bool subscribe, struct view *v, struct watch *w)
{
    if (v)
        view_hold(v);
    if (w)
        w->users++;
    request_new(i, c, subscribe, v, w);
    serve(i);
    item_want_read(i);
    if (paged_of(i)->idle_views > 2 * (size_t)IDLE_VIEWS_MAX)
        trim_views(paged_of(i), 0);
}

static void subscribe(struct conn *c, struct item *i, const struct slice *id)
{
    struct paged *p = paged_of(i);
    struct watch *w = id ? watch_get(p, *id) : NULL;
    const void *target = w ? (const void *)w : (const void *)i;
    if (!sub_find(c, i, target)) {
        sub_new(c, i, w);
        if (w) {
            w->users++;
            c->watching++;
        }
    }
    ask(c, i, true, w ? NULL : view_get(p, 0, page_size_max(i)), w);
}

static void get(struct conn *c, struct item *i, const struct slice *id, int64_t page, int64_t page_size)
{
    struct paged *p = paged_of(i);
    int64_t max = page_size_max(i);
    int64_t size = page_size > 0 && page_size < max ? page_size : max;
    if (page < 0)
        page = 0;
    if (page > INT64_MAX / size - 1)
        page = INT64_MAX / size - 1;
    if (!id && i->state == ITEM_READY)
        page = page_clamp(page, size, p->total);
    ask(c, i, false, id ? NULL : view_get(p, page, size), id ? watch_get(p, *id) : NULL);
}

static void sub_gone(struct sub *s)
{
    if (s->watch) {
        if (list_linked(&s->in_target))
            list_remove(&s->watch->subs, &s->in_target);
        s->key.conn->watching--;
        watch_release(s->watch);
        return;
    }
    if (s->view) {
        list_remove(&s->view->subs, &s->in_target);
        view_release(s->view);
    }
    page_unref(s->told);
}

static void request_gone(struct request *q)
{
    if (q->view)
        view_release(q->view);
    if (q->watch)
        watch_release(q->watch);
}

static void flush_page(struct sub *s)
{
    struct view *v = s->view;
    if (v->window.holes) {
        v->mixed = true; /* the flush of the view tells it */
        return;
    }
    struct shared_change last = {0};
    int64_t from_rev = s->told == v->told ? v->told_rev : s->told_rev;
    tell(v, s, from_rev, v->told, &last);
    frame_unref(last.frame);
    sub_told(s, v->told, v->told_rev);
}

static void lose_sub(struct sub *s)
{
    page_unref(s->told);
    s->told = NULL; /* the next flush sends the page whole */
    s->told_rev = -1;
}

static void flush_sub(struct sub *s)
{
    struct item *i = s->item;
    if (!s->watch) {
        flush_page(s);
        serve(i); /* questions that waited for this connection to be current */
    } else if (!item_list_current(s->key.conn, i)) {
        fanout_wait(s);
    } else if (s->told_rev < s->watch->changed_rev) {
        watch_tell(s->watch, s, false);
    }
}

static struct slice request_id(const struct request *q)
{
    return q->watch ? q->watch->by_id.key : SLICE_NONE;
}

/* --- life --- */

static struct item *create(struct gateway *g, struct slice name)
{
    struct paged *p = sg_calloc(1, sizeof(*p));
    item_init(&p->base, g, KIND_LIST, name);
    map_init(&p->views_by_key);
    map_init(&p->watches_by_id);
    map_init(&p->gone);
    list_init(&p->views);
    list_init(&p->watches);
    list_init(&p->changed);
    list_init(&p->absent);
    page_steps_init(&p->steps);
    return &p->base;
}

static void destroy(struct item *i)
{
    struct paged *p = paged_of(i);
    list_each(&p->views, n) view_free(container_of(n, struct view, in_list));
    assert(p->watches.count == 0);
    gone_clear(p);
    map_deinit(&p->views_by_key);
    map_deinit(&p->watches_by_id);
    map_deinit(&p->gone);
    page_steps_deinit(&p->steps);
    free(p);
}

static void tick(struct item *i, int64_t now_ms)
{
    trim_views(paged_of(i), now_ms - i->gw->opt->linger_ms);
}

const struct item_kind item_list_kind = {
    .create = create,
    .destroy = destroy,
    .read = read,
    .apply = apply,
    .subscribe = subscribe,
    .get = get,
    .sub_gone = sub_gone,
    .request_gone = request_gone,
    .lose_sub = lose_sub,
    .flush_sub = flush_sub,
    .serve = serve,
    .tick = tick,
    .request_id = request_id,
};

/* The windows onto a list and who follows them. A change is applied to every view; where content that nobody here knows enters
 * one, it has holes until a read brings what entered. A subscriber that was told something else than the others (it was slow, or
 * its page vanished) gets a comparison of its own. */
#include "gateway/state/view.h"

#include <assert.h>

#include "gateway/base/clock.h"
#include "gateway/net/socket.h"
#include "gateway/state/fanout.h"
#include "gateway/state/frames.h"
#include "gateway/state/request.h"
#include "gateway/state/subscriber.h"
#include "gateway/state/topic_list.h"
#include "gateway/state/topic_read.h"
#include "protocol/base/alloc.h"

enum {
    ITEMS_PER_READ = 10000, /* a single range may be larger: a page is read whole */
    IDLE_VIEWS_MAX = 16
};

struct view {
    struct map_node by_key;
    int64_t key[2]; /* page, size */
    struct list_node in_all;
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
    struct frames page_frames; /* of `told`, for subscribers that come later */
};

static struct view *in_all(struct list_node *n)
{
    return container_of(n, struct view, in_all);
}

/* --- life --- */

static struct view *view_find(const struct views *vs, int64_t number, int64_t size)
{
    int64_t key[2] = {number, size};
    struct map_node *n = map_find(&vs->_by_key, slice_of((const char *)key, sizeof(key)));
    return n ? container_of(n, struct view, by_key) : NULL;
}

struct view *view_get(struct paged *p, int64_t number, int64_t size)
{
    struct views *vs = &p->views;
    struct view *v = view_find(vs, number, size);
    if (v)
        return v;
    v = sg_calloc(1, sizeof(*v));
    v->list = p;
    v->key[0] = number;
    v->key[1] = size;
    v->by_key.key = slice_of((const char *)v->key, sizeof(v->key));
    v->idle_since_ms = clock_now_ms();
    list_init(&v->subs);
    window_init(&v->window, number, size);
    window_reset(&v->window, p->total);
    map_insert(&vs->_by_key, &v->by_key);
    list_append(&vs->_all, &v->in_all);
    vs->_idle++;
    return v;
}

static void view_free(struct view *v)
{
    struct views *vs = &v->list->views;
    assert(v->users == 0);
    vs->_idle--;
    map_remove(&vs->_by_key, &v->by_key);
    list_remove(&vs->_all, &v->in_all);
    window_deinit(&v->window);
    page_unref(v->told);
    frames_clear(&v->page_frames);
    free(v);
}

void view_window(const struct view *v, int64_t *page, int64_t *size)
{
    *page = v->key[0];
    *size = v->key[1];
}

uint32_t view_slots(const struct view *v)
{
    return (uint32_t)v->window.size;
}

void view_hold(struct view *v)
{
    if (v->users++ == 0)
        v->list->views._idle--;
}

/* The last user leaves the view behind for a while: churn costs nothing. */
void view_release(struct view *v)
{
    assert(v->users > 0);
    if (--v->users > 0)
        return;
    v->idle_since_ms = clock_now_ms();
    v->list->views._idle++;
}

void views_init(struct views *vs)
{
    map_init(&vs->_by_key);
    list_init(&vs->_all);
    vs->_idle = 0;
    page_steps_init(&vs->_steps);
}

void views_deinit(struct views *vs)
{
    list_each(&vs->_all, n) view_free(in_all(n));
    map_deinit(&vs->_by_key);
    page_steps_deinit(&vs->_steps);
}

void views_trim(struct views *vs, int64_t since_ms)
{
    list_each(&vs->_all, n)
    {
        struct view *v = in_all(n);
        if (!v->users && (vs->_idle > IDLE_VIEWS_MAX || v->idle_since_ms < since_ms))
            view_free(v);
    }
}

void views_trim_crowd(struct views *vs)
{
    if (vs->_idle > 2 * (size_t)IDLE_VIEWS_MAX)
        views_trim(vs, 0);
}

/* --- changes of the list --- */

void views_insert(struct views *vs, int64_t index, struct entry *e, int64_t total)
{
    list_each(&vs->_all, n) window_insert(&in_all(n)->window, index, e, total);
}

void views_set(struct views *vs, int64_t index, struct entry *e, int64_t total)
{
    list_each(&vs->_all, n) window_set(&in_all(n)->window, index, e, total);
}

void views_delete(struct views *vs, int64_t index, int64_t total)
{
    list_each(&vs->_all, n) window_delete(&in_all(n)->window, index, total);
}

static bool same_content(const struct entry *a, const struct entry *b)
{
    return slice_eq(entry_id(a), entry_id(b)) && slice_eq(entry_value(a), entry_value(b));
}

/* What this window holds there, if it is the same: then only the move is told. */
static struct entry *moved_entry(const struct window *w, int64_t from, struct entry *e)
{
    int64_t slot = from - w->number * w->size;
    struct entry *held = slot >= 0 && slot < (int64_t)w->count ? w->slots[slot] : NULL;
    return held && same_content(held, e) ? held : e;
}

void views_move(struct views *vs, int64_t from, int64_t to, struct entry *e, int64_t total)
{
    list_each(&vs->_all, n)
    {
        struct window *w = &in_all(n)->window;
        struct entry *moved = entry_ref(moved_entry(w, from, e));
        window_move(w, from, to, moved, total);
        entry_unref(moved);
    }
}

void views_reset(struct views *vs, int64_t total)
{
    list_each(&vs->_all, n) window_reset(&in_all(n)->window, total);
}

void views_rewind(struct views *vs, int64_t rev)
{
    list_each(&vs->_all, n)
    {
        struct view *v = in_all(n);
        if (v->told_rev >= rev)
            v->told_rev = rev - 1;
        list_each(&v->subs, m)
        {
            struct sub *s = container_of(m, struct sub, in_target);
            if (s->told_rev >= rev)
                s->told_rev = rev - 1;
        }
    }
}

void views_each_sub(const struct views *vs, void (*each)(struct sub *s))
{
    list_each(&vs->_all, n) list_each(&in_all(n)->subs, m) each(container_of(m, struct sub, in_target));
}

/* --- telling subscribers --- */

bool view_current(const struct conn *c, const struct topic *t)
{
    const struct sub *s = sub_find(c, t, t);
    if (!s || s->pending)
        return true;
    return !list_linked(&s->in_dirty) && s->view->window.holes == 0 && s->told == s->view->told;
}

/* A frame for whoever was told `from` as of from_rev, or NULL when nothing differs. total_unsure: tell the total in any case.
 * *whole: it is the whole page; otherwise the steps are in the list's views._steps. */
static struct frame *change_frame(struct paged *p, const struct dialect *d, const struct page *from, int64_t from_rev,
                                  const struct page *to, bool total_unsure, bool *whole)
{
    struct gateway *g = p->base.gw;
    struct page_steps *steps = &p->views._steps;
    *whole = !from || from_rev < p->replaced_rev;
    if (!*whole && !page_compare(from, to, steps) && !total_unsure)
        return NULL;
    steps->set_count = steps->set_count || total_unsure;
    if (!*whole)
        *whole = steps->replace || (steps->deletes && from_rev < p->gone.opaque_rev);
    buf_reset(&g->scratch);
    uint32_t messages;
    if (*whole) {
        messages = d->list->page(&g->scratch, p->base.name, to);
    } else {
        for (size_t i = 0; i < steps->deletes; i++)
            steps->steps[i].gone = gone_has(&p->gone, entry_id(steps->steps[i].entry));
        messages = d->list->steps(&g->scratch, p->base.name, &g->limits, to, steps);
    }
    return topic_frame(&p->base, messages);
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
    struct frames frames;
    bool made;
    bool nothing; /* differs */
};

static struct frame *shared_frame(struct paged *p, struct shared_change *last, const struct dialect *d,
                                  const struct sub *s, int64_t from_rev, const struct page *to)
{
    bool whole;
    if (!last->made || last->from != s->told || last->from_rev != from_rev) {
        frames_clear(&last->frames);
        *last = (struct shared_change){.from = s->told, .from_rev = from_rev, .made = true};
    }
    struct frame *f = frames_find(&last->frames, d);
    if (f || last->nothing)
        return f;
    f = change_frame(p, d, s->told, from_rev, to, false, &whole);
    last->nothing = !f;
    return f ? frames_put(&last->frames, d, f) : NULL;
}

/* For a connection that also watches items: what it is told depends on them, so nothing is shared. */
static void tell_watcher(struct view *v, struct sub *s, int64_t from_rev, struct page *to)
{
    struct paged *p = v->list;
    struct conn *c = s->key.conn;
    bool whole;
    bool total_unsure = p->view_events->before_tell(p, c, s->told);
    struct frame *f = change_frame(p, c->dialect, s->told, from_rev, to, total_unsure, &whole);
    if (f) {
        conn_push(c, f);
        p->view_events->told(p, c, whole, to);
    }
    frame_unref(f);
}

static void view_tell(struct view *v, struct sub *s, int64_t from_rev, struct page *to, struct shared_change *last)
{
    struct paged *p = v->list;
    struct conn *c = s->key.conn;
    if (watches_any(&p->watches) && subscriber_of(c)->watching) {
        tell_watcher(v, s, from_rev, to);
        if (subscriber_of(c)->dirty.count)
            socket_want_write(c); /* item subscriptions that waited for this */
        return;
    }
    struct frame *f = shared_frame(p, last, c->dialect, s, from_rev, to);
    if (f)
        conn_push(c, f);
}

static void view_told(struct view *v, struct page *to)
{
    if (v->told == to)
        return;
    page_unref(v->told);
    v->told = page_ref(to);
    frames_clear(&v->page_frames);
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
            view_tell(v, s, from_rev, to, &last);
            sub_told(s, to, p->base.rev);
        }
        frames_clear(&last.frames);
        page_unref(from);
        view_told(v, to);
    }
    v->told_rev = p->base.rev;
    page_unref(to);
}

static struct view *last_page(struct paged *p, const struct view *v)
{
    return view_get(p, page_clamp(v->window.number, v->window.size, p->total), v->window.size);
}

static bool view_vanished(const struct view *v)
{
    return v->window.number != page_clamp(v->window.number, v->window.size, v->list->total);
}

/* The page no longer exists: its viewers go to the last one that does. */
static void view_move(struct view *v)
{
    struct view *to = last_page(v->list, v);
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

void views_settle(struct views *vs)
{
    list_each(&vs->_all, n)
    {
        struct view *v = in_all(n);
        if (v->subs.count && view_vanished(v))
            view_move(v);
    }
    list_each(&vs->_all, n)
    {
        struct view *v = in_all(n);
        if (v->users && v->window.holes == 0)
            view_flush(v);
    }
}

/* --- reads --- */

static bool want(const struct view *v, bool whole, struct store_range *range)
{
    const struct store_range all = {v->window.number * v->window.size, v->window.size};
    *range = all;
    if (!whole && !window_want(&v->window, &range->start, &range->count))
        return false;
    if (v->greedy)
        *range = all;
    return true;
}

bool views_incomplete(const struct views *vs)
{
    list_each(&vs->_all, n)
    {
        const struct view *v = in_all(n);
        if (v->users && v->window.holes)
            return true;
    }
    return false;
}

size_t views_want(struct views *vs, bool whole, struct store_range *ranges, size_t max)
{
    size_t count = 0;
    int64_t items = 0;
    list_each(&vs->_all, n)
    {
        struct view *v = in_all(n);
        struct store_range range;
        if (!v->users || !want(v, whole, &range))
            continue;
        if (count == max || (items && items + range.count > ITEMS_PER_READ))
            break; /* the rest has holes still, and comes with the next read */
        ranges[count++] = range;
        items += range.count;
        v->asked = true;
    }
    return count;
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

static void view_fill(struct view *v, int64_t start, struct entry *const *entries, int64_t count)
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

void views_fill(struct views *vs, int64_t start, struct entry *const *entries, size_t count)
{
    list_each(&vs->_all, n)
    {
        struct view *v = in_all(n);
        if (v->window.holes)
            view_fill(v, start, entries, (int64_t)count);
    }
}

void views_read_ends(struct views *vs, bool cut)
{
    list_each(&vs->_all, n)
    {
        struct view *v = in_all(n);
        v->greedy = !cut && v->asked && v->users && v->window.holes;
        v->asked = false;
    }
}

/* --- answers --- */

static struct frame *page_frame_of(struct view *v, const struct dialect *d)
{
    struct frame *made = frames_find(&v->page_frames, d);
    if (made)
        return made;
    struct gateway *g = v->list->base.gw;
    buf_reset(&g->scratch);
    uint32_t messages = d->list->page(&g->scratch, v->list->base.name, v->told);
    return frames_put(&v->page_frames, d, topic_frame(&v->list->base, messages));
}

static void view_follow(struct sub *s, struct view *v)
{
    view_hold(v);
    if (s->view) {
        list_remove(&s->view->subs, &s->in_target);
        view_release(s->view);
    }
    s->view = v;
    list_append(&v->subs, &s->in_target);
}

static void view_answer(struct request *q)
{
    struct view *v = q->view;
    struct paged *p = v->list;
    struct conn *c = q->conn;
    struct sub *s = sub_find(c, q->topic, q->topic);
    assert(s);
    s->pending = false;
    view_follow(s, v);
    fanout_forget(s);
    sub_told(s, v->told, v->told_rev);
    conn_answer_frame(c, page_frame_of(v, c->dialect));
    p->view_events->told(p, c, true, v->told);
    request_free(q);
}

bool view_serve(struct request *q)
{
    const struct sub *s = sub_find(q->conn, q->topic, q->topic);
    assert(s);
    if (s->pending && topic_unknown(q->topic))
        return request_fail_unknown(q);
    if (q->silent) { /* the subscription stays pending: there is no page yet that it follows */
        sub_find(q->conn, q->topic, q->topic)->quiet = true;
        request_free(q);
        return true;
    }
    if (view_vanished(q->view)) {
        struct view *v = last_page(q->view->list, q->view);
        view_hold(v);
        view_release(q->view);
        q->view = v;
    }
    if (q->view->window.holes)
        return false;
    view_flush(q->view);
    view_answer(q);
    return true;
}

/* --- one subscription --- */

void view_flush_sub(struct sub *s)
{
    struct view *v = s->view;
    if (v->window.holes) {
        v->mixed = true; /* the flush of the view tells it */
        return;
    }
    struct shared_change last = {0};
    int64_t from_rev = s->told == v->told ? v->told_rev : s->told_rev;
    view_tell(v, s, from_rev, v->told, &last);
    frames_clear(&last.frames);
    sub_told(s, v->told, v->told_rev);
}

void view_lose_sub(struct sub *s)
{
    page_unref(s->told);
    s->told = NULL;
    s->told_rev = -1;
}

void view_sub_gone(struct sub *s)
{
    if (s->view) {
        list_remove(&s->view->subs, &s->in_target);
        view_release(s->view);
    }
    page_unref(s->told);
}

bool sub_window(const struct sub *s, int64_t *page, int64_t *size)
{
    if (!s->view)
        return false;
    view_window(s->view, page, size);
    return true;
}

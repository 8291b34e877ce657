/* Single items of a list, and who watches them. What is known of an item follows the changes of the list; only when nothing is
 * known, or after a loss, it is read. */
#include "gateway/state/watch.h"

#include <assert.h>

#include "gateway/state/fanout.h"
#include "gateway/state/frames.h"
#include "gateway/state/request.h"
#include "gateway/state/subscriber.h"
#include "gateway/state/topic_list.h"
#include "gateway/state/topic_read.h"
#include "protocol/base/alloc.h"

struct watch {
    struct map_node by_id;
    struct list_node in_all;
    struct paged *list;
    struct entry *entry;  /* NULL: not in the list */
    bool known;           /* entry is current */
    struct frames frames; /* that tell entry, for all who watch */
    int64_t changed_rev;
    struct list_node in_changed, in_absent;
    struct list subs;
    size_t users; /* subs (pending ones too) and requests */
    char id[];
};

static struct watch *in_all(struct list_node *n)
{
    return container_of(n, struct watch, in_all);
}

/* --- life --- */

struct watch *watch_find(const struct watches *ws, struct slice id)
{
    struct map_node *n = map_find(&ws->_by_id, id);
    return n ? container_of(n, struct watch, by_id) : NULL;
}

struct watch *watch_get(struct paged *p, struct slice id)
{
    struct watches *ws = &p->watches;
    struct watch *w = watch_find(ws, id);
    if (w)
        return w;
    w = sg_calloc(1, sizeof(*w) + id.len);
    memcpy(w->id, id.ptr, id.len);
    w->list = p;
    w->by_id.key = slice_of(w->id, id.len);
    list_init(&w->subs);
    map_insert(&ws->_by_id, &w->by_id);
    list_append(&ws->_all, &w->in_all);
    ws->_unknown++;
    return w;
}

struct slice watch_id(const struct watch *w)
{
    return w->by_id.key;
}

/* Keeps the list of absent ones and the count of unknown ones, so that no change has to look at every watch. */
static void watch_known(struct watch *w, bool known)
{
    struct watches *ws = &w->list->watches;
    if (w->known != known) {
        ws->_unknown += known ? (size_t)-1 : 1;
        w->known = known;
    }
    bool absent = known && !w->entry;
    if (absent && !list_linked(&w->in_absent))
        list_append(&ws->_absent, &w->in_absent);
    if (!absent && list_linked(&w->in_absent))
        list_remove(&ws->_absent, &w->in_absent);
}

void watch_hold(struct watch *w)
{
    w->users++;
}

void watch_release(struct watch *w)
{
    assert(w->users > 0);
    if (--w->users > 0)
        return;
    struct watches *ws = &w->list->watches;
    watch_known(w, true); /* out of the counts */
    if (list_linked(&w->in_changed))
        list_remove(&ws->_changed, &w->in_changed);
    if (list_linked(&w->in_absent))
        list_remove(&ws->_absent, &w->in_absent);
    map_remove(&ws->_by_id, &w->by_id);
    list_remove(&ws->_all, &w->in_all);
    entry_unref(w->entry);
    frames_clear(&w->frames);
    free(w);
}

void watches_init(struct watches *ws)
{
    map_init(&ws->_by_id);
    list_init(&ws->_all);
    list_init(&ws->_changed);
    list_init(&ws->_absent);
    ws->_unknown = 0;
}

void watches_deinit(struct watches *ws)
{
    assert(ws->_all.count == 0);
    map_deinit(&ws->_by_id);
}

/* --- changes of the list --- */

/* Its subscribers, or some of them, have to be told. */
static void watch_unsettled(struct watch *w)
{
    if (!list_linked(&w->in_changed))
        list_append(&w->list->watches._changed, &w->in_changed);
}

static void watch_change(struct watch *w, struct entry *e)
{
    entry_unref(w->entry);
    w->entry = e ? entry_ref(e) : NULL;
    frames_clear(&w->frames);
    w->changed_rev = w->list->base.rev;
    watch_known(w, w->known);
    watch_unsettled(w);
}

void watch_changed(struct paged *p, struct slice id, struct entry *e)
{
    struct watch *w = watches_any(&p->watches) ? watch_find(&p->watches, id) : NULL;
    if (w)
        watch_change(w, e);
}

void watch_moved(struct paged *p, struct slice id, struct entry *e)
{
    struct watch *w = watches_any(&p->watches) ? watch_find(&p->watches, id) : NULL;
    if (w && (!w->entry || !slice_eq(entry_value(w->entry), entry_value(e))))
        watch_change(w, e);
}

void watches_forget(struct watches *ws)
{
    list_each(&ws->_all, n) watch_known(in_all(n), false);
}

void watches_drop(struct watches *ws)
{
    list_each(&ws->_all, n)
    {
        struct watch *w = in_all(n);
        watch_change(w, NULL);
        watch_known(w, true);
    }
}

void watches_rewind(struct watches *ws, int64_t rev)
{
    list_each(&ws->_all, n)
    {
        struct watch *w = in_all(n);
        list_each(&w->subs, m)
        {
            struct sub *s = container_of(m, struct sub, in_target);
            bool current = s->told_rev >= w->changed_rev;
            s->told_rev = rev - (current ? 1 : 2);
        }
        w->changed_rev = rev - 1;
    }
}

void watches_renew(struct watches *ws)
{
    list_each(&ws->_all, n)
    {
        struct watch *w = in_all(n);
        list_each(&w->subs, m) container_of(m, struct sub, in_target)->told_rev = w->changed_rev - 1;
        watch_unsettled(w);
    }
}

void watches_each_sub(const struct watches *ws, void (*each)(struct sub *s))
{
    list_each(&ws->_all, n) list_each(&in_all(n)->subs, m) each(container_of(m, struct sub, in_target));
}

/* --- reads --- */

size_t watches_want(const struct watches *ws, bool whole, struct slice *ids, size_t max)
{
    size_t count = 0;
    if (!whole && !ws->_unknown)
        return 0;
    list_each(&ws->_all, n)
    {
        const struct watch *w = in_all(n);
        if ((whole || !w->known) && count < max)
            ids[count++] = w->by_id.key;
    }
    return count;
}

void watch_fill(struct paged *p, struct slice id, const struct slice *value)
{
    struct watch *w = watch_find(&p->watches, id);
    if (!w || w->known)
        return;
    watch_known(w, true);
    struct slice held = w->entry ? entry_value(w->entry) : SLICE_NONE;
    if ((value != NULL) == (w->entry != NULL) && (!value || slice_eq(held, *value)))
        return;
    struct entry *e = value ? entry_new(id, *value) : NULL;
    watch_change(w, e);
    entry_unref(e);
}

/* --- telling subscribers --- */

static struct frame *frame_of(struct watch *w, const struct dialect *d)
{
    struct frame *made = frames_find(&w->frames, d);
    if (made)
        return made;
    struct buf *out = &w->list->base.gw->scratch;
    buf_reset(out);
    uint32_t messages = d->list->item_set(out, w->list->base.name, w->entry);
    return frames_put(&w->frames, d, topic_frame(&w->list->base, messages));
}

/* counted: the page's own steps will say the total; otherwise it is said here, right behind the delete. */
static void tell_gone(const struct watch *w, struct sub *s, bool counted)
{
    const struct topic *t = &w->list->base;
    struct conn *c = s->key.conn;
    struct buf *out = &c->gw->scratch;
    buf_reset(out);
    uint32_t messages = c->dialect->list->item_delete(out, t->name, w->by_id.key, true);
    const struct sub *page = counted ? NULL : sub_find(c, t, t);
    if (page && page->told) {
        struct page_steps count_only = {.set_count = true};
        messages += c->dialect->list->steps(out, t->name, &c->gw->limits, page->told, &count_only);
    }
    conn_tell(c, buf_slice(out), messages);
    sub_free(s);
}

static void watch_tell(struct watch *w, struct sub *s)
{
    s->told_rev = w->list->base.rev;
    if (w->entry)
        conn_push(s->key.conn, frame_of(w, s->key.conn->dialect));
    else
        tell_gone(w, s, false);
}

static void watch_flush(struct watch *w)
{
    watch_hold(w); /* its last subscription may end here */
    list_each(&w->subs, n)
    {
        struct sub *s = container_of(n, struct sub, in_target);
        struct conn *c = s->key.conn;
        if (s->told_rev >= w->changed_rev)
            continue;
        if (!view_current(c, &w->list->base))
            fanout_missed(s, 1);
        else if (fanout_ready(s, 1))
            watch_tell(w, s);
    }
    watch_release(w);
}

void watches_settle(struct watches *ws)
{
    list_each(&ws->_changed, n)
    {
        struct watch *w = container_of(n, struct watch, in_changed);
        if (!w->known)
            continue;
        list_remove(&ws->_changed, n);
        watch_flush(w);
    }
}

static void watch_told(struct paged *p, struct conn *c, struct slice id, bool gone)
{
    const struct watch *w = watch_find(&p->watches, id);
    struct sub *s = w ? sub_find(c, &p->base, w) : NULL;
    if (!s || s->pending)
        return;
    s->told_rev = p->base.rev;
    if (gone)
        sub_free(s);
}

/* What the page just told this connection need not be told again by its item subscriptions. */
void watches_told(struct paged *p, struct conn *c, bool whole, const struct page *to)
{
    if (!subscriber_of(c)->watching)
        return;
    if (whole) {
        for (uint32_t i = 0; i < to->count; i++)
            watch_told(p, c, entry_id(to->slots[i]), false);
        return;
    }
    const struct page_steps *steps = &p->views._steps;
    for (size_t i = 0; i < steps->len; i++) {
        const struct step *step = &steps->steps[i];
        if (step->op != STEP_DELETE || step->gone) /* leaving the page says nothing about the item's value */
            watch_told(p, c, entry_id(step->entry), step->gone);
    }
}

static bool page_holds(const struct page *p, struct slice id)
{
    for (uint32_t i = 0; p && i < p->count; i++)
        if (slice_eq(entry_id(p->slots[i]), id))
            return true;
    return false;
}

bool watches_tell_gone(struct paged *p, struct conn *c, const struct page *from)
{
    bool any = false;
    list_each(&p->watches._absent, n)
    {
        struct watch *w = container_of(n, struct watch, in_absent);
        struct sub *s = sub_find(c, &p->base, w);
        if (!s || s->pending || page_holds(from, w->by_id.key))
            continue;
        tell_gone(w, s, true);
        any = true;
    }
    return any;
}

/* --- answers --- */

static void watch_answer(struct request *q)
{
    struct conn *c = q->conn;
    struct watch *w = q->watch;
    if (q->subscribe && !sub_find(c, q->topic, w)) /* it was there, and the item left the list while this waited */
        watch_subscribe(c, w);
    struct sub *s = sub_find(c, q->topic, w);
    if (s && s->pending) {
        s->pending = false;
        list_append(&w->subs, &s->in_target);
    }
    if (s) {
        fanout_forget(s);
        s->told_rev = q->topic->rev;
    }
    conn_answer_frame(c, frame_of(w, c->dialect));
    request_free(q);
}

bool watch_serve(struct request *q)
{
    const struct sub *s = sub_find(q->conn, q->topic, q->watch);
    bool pending = s && s->pending;
    if (pending && topic_unknown(q->topic))
        return request_fail_unknown(q);
    /* Never newer nor older than what this connection was told of the list. */
    if (!q->watch->known || !view_current(q->conn, q->topic))
        return false;
    if (!q->watch->entry)
        request_fail(q, ERROR_ID, "no such item");
    else
        watch_answer(q);
    return true;
}

/* --- one subscription --- */

struct sub *watch_subscribe(struct conn *c, struct watch *w)
{
    struct sub *s = sub_new(c, &w->list->base, w);
    watch_hold(w);
    subscriber_of(c)->watching++;
    return s;
}

void watch_flush_sub(struct sub *s)
{
    struct watch *w = s->watch;
    if (!w->known) /* a read is to bring it, and then it is told to all who were not told */
        watch_unsettled(w);
    else if (!view_current(s->key.conn, s->topic))
        fanout_wait(s);
    else if (s->told_rev < w->changed_rev)
        watch_tell(w, s);
}

void watch_sub_gone(struct sub *s)
{
    if (list_linked(&s->in_target))
        list_remove(&s->watch->subs, &s->in_target);
    subscriber_of(s->key.conn)->watching--;
    watch_release(s->watch);
}

/* A variable: the newest value, one frame of it for everybody, and its subscribers. Every change carries the whole value, so a
 * lost one is healed by the next. */
#include <assert.h>

#include "gateway/observe/metrics.h"
#include "gateway/state/fanout.h"
#include "gateway/state/topic_var.h"
#include "gateway/state/frames.h"
#include "gateway/state/registry.h"
#include "gateway/state/request.h"
#include "gateway/state/topic_read.h"
#include "protocol/base/alloc.h"
#include "protocol/json.h"

/* Changes that arrive in one turn of the loop are told in one frame that all subscribers share: each connection is then
 * visited once per turn and not once per change. When they take more than this they are told at once. */
enum { BURST_BYTES = 16 * 1024, BURST_KEPT = 32 * 1024 };

enum { VALUE_SLACK = 64 };

struct var {
    struct topic base;
    char *value; /* NULL: null (never set, or deleted) */
    size_t value_len, value_cap;
    struct frames frames; /* of the current value */
    struct list subs;     /* struct sub, answered ones */
};

static struct var *var_of(struct topic *t)
{
    return container_of(t, struct var, base);
}

static struct topic *var_create(struct gateway *g, struct slice name)
{
    struct var *v = sg_calloc(1, sizeof(*v));
    topic_init(&v->base, g, &topic_var_kind, name);
    list_init(&v->subs);
    return &v->base;
}

static void var_destroy(struct topic *t)
{
    struct var *v = var_of(t);
    frames_clear(&v->frames);
    metric_add(METRIC_MEMORY_VARIABLES, -(int64_t)v->value_cap);
    free(v->value);
    free(v);
}

__attribute__((noinline)) static struct frame *make_frame(struct var *v, const struct dialect *d)
{
    struct buf *out = &v->base.gw->scratch;
    buf_reset(out);
    struct slice value = v->value ? slice_of(v->value, v->value_len) : SLICE_LIT("null");
    uint32_t messages = d->var->set(out, v->base.name, value);
    return frames_put(&v->frames, d, topic_frame(&v->base, messages));
}

static struct frame *frame_of(struct var *v, const struct dialect *d)
{
    struct frame *f = frames_find(&v->frames, d);
    return f ? f : make_frame(v, d);
}

/* The memory of the last value is used again unless it is far too large: values of one name are about equally long. */
static void fit_value(struct var *v, struct slice value)
{
    if (value.ptr && value.len <= v->value_cap && v->value_cap <= 2 * value.len + VALUE_SLACK)
        return;
    metric_add(METRIC_MEMORY_VARIABLES, (int64_t)value.len - (int64_t)v->value_cap);
    free(v->value);
    v->value = value.ptr ? sg_malloc(value.len) : NULL;
    v->value_cap = value.len;
}

/* value.ptr NULL: null. */
static void var_hold(struct var *v, struct slice value)
{
    fit_value(v, value);
    if (value.ptr)
        memcpy(v->value, value.ptr, value.len);
    v->value_len = value.len;
    frames_clear(&v->frames);
}

struct slice topic_var_value(const struct topic *t)
{
    const struct var *v = container_of((struct topic *)(uintptr_t)t, struct var, base);
    return v->value ? slice_of(v->value, v->value_len) : SLICE_NONE;
}

/* --- telling --- */

/* The values of a burst lie one behind the other, each behind its length. */
static void burst_add(struct var *v)
{
    struct buf *burst = &v->base.gw->topics->burst;
    buf_put(burst, &v->value_len, sizeof(v->value_len));
    buf_put(burst, v->value, v->value_len);
}

static bool burst_next(struct slice *rest, struct slice *value)
{
    size_t len;
    if (!rest->len)
        return false;
    memcpy(&len, rest->ptr, sizeof(len));
    *value = len ? slice_of(rest->ptr + sizeof(len), len) : SLICE_LIT("null");
    *rest = slice_of(rest->ptr + sizeof(len) + len, rest->len - sizeof(len) - len);
    return true;
}

static uint32_t burst_count(struct slice burst)
{
    uint32_t count = 0;
    for (struct slice value; burst_next(&burst, &value);)
        count++;
    return count;
}

static struct frame *make_burst_frame(struct var *v, struct frames *all, const struct dialect *d)
{
    struct buf *out = &v->base.gw->scratch;
    buf_reset(out);
    uint32_t messages = 0;
    struct slice rest = buf_slice(&v->base.gw->topics->burst);
    for (struct slice value; burst_next(&rest, &value);)
        messages += d->var->set(out, v->base.name, value);
    return frames_put(all, d, topic_frame(&v->base, messages));
}

static struct frame *burst_frame(struct var *v, struct frames *all, const struct dialect *d)
{
    struct frame *f = frames_find(all, d);
    return f ? f : make_burst_frame(v, all, d);
}

/* Tells what happened. A peer that asked for fewer updates, or missed some, gets the newest value only. */
static void var_settle(struct topic *t)
{
    struct var *v = var_of(t);
    struct buf *burst = &t->gw->topics->burst;
    uint32_t changes = burst_count(buf_slice(burst));
    struct frames all = {.frame = NULL};
    list_each(&v->subs, n)
    {
        struct sub *s = container_of(n, struct sub, in_target);
        struct conn *c = s->key.conn;
        if (!fanout_ready(s, changes))
            continue;
        conn_push(c, changes > 1 && !s->rate ? burst_frame(v, &all, c->dialect) : frame_of(v, c->dialect));
    }
    frames_clear(&all);
    buf_reset(burst);
    buf_trim(burst, BURST_KEPT);
}

/* The value that is held is new. */
static void var_tell(struct var *v)
{
    struct gateway *g = v->base.gw;
    assert(!g->topics->untold || g->topics->untold == &v->base);
    if (!v->subs.count)
        return;
    burst_add(v);
    g->topics->untold = &v->base;
    g->holds_back = true;
    if (g->topics->burst.len > BURST_BYTES)
        conn_settle(g);
}

/* Also whoever waited for the name. */
static void var_tell_waiting(struct var *v)
{
    var_tell(v);
    subs_wake(&v->base);
    topic_var_kind.serve(&v->base);
}

static bool value_is_valid(const struct topic *t, struct slice value)
{
    if (json_valid(value, t->gw->limits.value_depth))
        return true;
    topic_bad_change(t, "a value that is not JSON");
    return false;
}

static void var_apply(struct topic *t, const struct change *e)
{
    struct var *v = var_of(t);
    if (e->op == CHANGE_VAR_SET && !value_is_valid(t, e->value)) {
        topic_missed(t, READ_MALFORMED); /* what is true, Redis knows */
        return;
    }
    if (e->rev != t->rev + 1)
        metric_add(METRIC_GAPS, 1); /* healed at once: this change is the newest state */
    t->rev = e->rev;
    t->exists = e->op == CHANGE_VAR_SET;
    var_hold(v, t->exists ? e->value : SLICE_NONE);
    t->read.expect = v->value_len;
    if (t->waiting.count)
        var_tell_waiting(v);
    else
        var_tell(v);
}

/* --- reading --- */

static bool differs(const struct var *v, struct slice value)
{
    struct slice held = v->value ? slice_of(v->value, v->value_len) : SLICE_NONE;
    return (held.ptr == NULL) != (value.ptr == NULL) || !slice_eq(held, value);
}

static void on_read(void *arg, const struct store_result *r, const struct store_var *read)
{
    struct topic *t = arg;
    struct var *v = var_of(t);
    if (!topic_read_ends(t, r, read->larger))
        return;
    if (read->larger) {
        t->read.expect = read->larger;
        topic_want_read(t);
        return;
    }
    /* Whatever Redis holds is the truth, also when it went back (a restore, a failover that lost writes). */
    struct slice value = read->exists && value_is_valid(t, read->value) ? read->value : SLICE_NONE;
    conn_settle(t->gw);
    bool healed = topic_healed(t);
    (void)topic_found(t, read->rev); /* whoever was told the old value is told the new one, if it is another */
    t->exists = read->exists;
    t->read.expect = value.len;
    if (differs(v, value) || healed) {
        var_hold(v, value);
        var_tell(v);
    }
    subs_wake(t);
    topic_var_kind.serve(t);
    if (t->confirm)
        topic_want_read(t);
}

static void var_read(struct topic *t)
{
    topic_read_begins(t);
    store_var_read(t->gw->store, t->name, topic_room(t), on_read, t);
}

/* --- subscribers --- */

static void var_answer(struct conn *c, struct var *v)
{
    conn_answer_frame(c, frame_of(v, c->dialect));
}

/* False: this request has to wait. What was held may have become void meanwhile. */
static bool var_serve_request(struct request *q)
{
    struct var *v = var_of(q->topic);
    struct sub *s = sub_find(q->conn, q->topic, q->topic);
    assert(s);
    if (q->topic->state == TOPIC_LOADING)
        return false;
    if (s->pending && topic_unknown(&v->base))
        return request_fail_unknown(q);
    if (s->pending) {
        s->pending = false;
        list_append(&v->subs, &s->in_target);
    }
    if (!q->silent) {
        fanout_forget(s); /* this is the newest, also of what it missed */
        var_answer(q->conn, v);
    }
    request_free(q);
    return true;
}

static void var_serve(struct topic *t)
{
    struct list_node *n;
    conn_settle(t->gw); /* whoever comes now gets the newest value, and not these changes again */
    while (t->state != TOPIC_LOADING && (n = list_first(&t->requests))) {
        struct request *q = container_of(n, struct request, in_item);
        if (!request_hold(q) && !var_serve_request(q))
            return;
    }
}

static void var_ask(struct conn *c, struct topic *t, bool subscribe, bool silent)
{
    request_new(t, c, subscribe, NULL, 0, NULL)->silent = silent;
    var_serve(t);
    if (t->state != TOPIC_READY || t->confirm)
        topic_want_read(t);
}

static void var_subscribe(struct conn *c, struct topic *t, const struct slice *id, const struct sub_wish *wish)
{
    (void)id; /* ignored for variables (docs/protocol.md) */
    struct sub *s = sub_find(c, t, t);
    if (!s)
        s = sub_new(c, t, NULL);
    s->wait = wish->wait;
    var_ask(c, t, true, wish->silent);
}

static void var_ask_again(struct sub *s)
{
    request_new(s->topic, s->key.conn, true, NULL, 0, NULL);
}

static void var_get(struct conn *c, struct topic *t, const struct slice *id, int64_t page, int64_t page_size)
{
    (void)id;
    (void)page;
    (void)page_size;
    var_ask(c, t, false, false);
}

static void var_sub_gone(struct sub *s)
{
    if (list_linked(&s->in_target))
        list_remove(&var_of(s->topic)->subs, &s->in_target);
}

static void var_request_gone(struct request *q)
{
    (void)q;
}

static void var_each_sub(struct topic *t, void (*each)(struct sub *s))
{
    list_each(&var_of(t)->subs, n) each(container_of(n, struct sub, in_target));
}

static void var_lose_sub(struct sub *s)
{
    (void)s; /* a flush tells the whole value anyway */
}

static void var_flush_sub(struct sub *s)
{
    conn_push(s->key.conn, frame_of(var_of(s->topic), s->key.conn->dialect));
}

static struct slice var_request_id(const struct request *q)
{
    (void)q;
    return SLICE_NONE;
}

static struct slice var_sub_id(const struct sub *s)
{
    (void)s;
    return SLICE_NONE;
}

static const void *var_target(const struct topic *t, const struct slice *id)
{
    (void)id;
    return t;
}

static void var_look(const struct topic *t, struct topic_look *out)
{
    out->size = t->exists ? (int64_t)container_of(t, struct var, base)->value_len : 0;
}

const struct topic_kind topic_var_kind = {
    .kind = KIND_VAR,
    .create = var_create,
    .destroy = var_destroy,
    .read = var_read,
    .apply = var_apply,
    .subscribe = var_subscribe,
    .ask_again = var_ask_again,
    .get = var_get,
    .sub_gone = var_sub_gone,
    .request_gone = var_request_gone,
    .each_sub = var_each_sub,
    .lose_sub = var_lose_sub,
    .flush_sub = var_flush_sub,
    .settle = var_settle,
    .serve = var_serve,
    .answer = var_serve_request,
    .request_id = var_request_id,
    .sub_id = var_sub_id,
    .target = var_target,
    .look = var_look,
};

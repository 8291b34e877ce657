/* The registry: finds and makes topics, hands changes to them, and looks after them as time goes by. */
#include "gateway/state/topics.h"

#include <assert.h>

#include "gateway/base/clock.h"
#include "gateway/net/pace.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "gateway/observe/turn.h"
#include "gateway/state/fanout.h"
#include "gateway/state/registry.h"
#include "gateway/state/request.h"
#include "gateway/state/subscriber.h"
#include "gateway/state/topic_list.h"
#include "gateway/state/topic_read.h"
#include "gateway/state/topic_var.h"
#include "protocol/base/alloc.h"

enum {
    NAME_BYTES_MAX = 512,
    IDLE_MAX = 20000, /* names that live without users, and bytes of them: over it the longest idle ones go early */
    IDLE_BYTES_MAX = 64 * 1024 * 1024,
    SWEEPS_MAX = 1000, /* per tick, and in flight */
    BURST_BYTES_MAX = 256 * 1024 * 1024
};

static const struct topic_kind *const kinds[KINDS] = {[KIND_VAR] = &topic_var_kind, [KIND_LIST] = &topic_list_kind};

struct topics *topics_new(struct gateway *g)
{
    struct topics *r = sg_calloc(1, sizeof(*r));
    r->g = g;
    map_init(&r->by_key);
    map_init(&r->subs);
    list_init(&r->all);
    list_init(&r->idle);
    list_init(&r->deadlines);
    list_init(&r->refused);
    reads_init(&r->reads);
    buf_init(&r->burst, BURST_BYTES_MAX);
    return r;
}

void topics_leave(struct topics *r)
{
    list_each(&r->all, n) hub_leave(r->g->hub, &container_of(n, struct topic, all)->member);
}

void topics_free(struct topics *r)
{
    list_each(&r->all, n)
    {
        struct topic *t = container_of(n, struct topic, all);
        t->reading = t->sweeping = false; /* the link is gone, and its callbacks with it */
        topic_free(t);
    }
    assert(r->subs.count == 0);
    map_deinit(&r->by_key);
    map_deinit(&r->subs);
    buf_deinit(&r->burst);
    free(r);
}

static struct topic *topics_find(struct topics *r, enum kind kind, struct slice name)
{
    char key[1 + NAME_BYTES_MAX];
    assert(name.len <= NAME_BYTES_MAX);
    key[0] = (char)kind;
    memcpy(key + 1, name.ptr, name.len);
    struct map_node *n = map_find(&r->by_key, slice_of(key, 1 + name.len));
    return n ? container_of(n, struct topic, by_key) : NULL;
}

/* --- changes --- */

static void on_message(struct hub_member *m, struct slice payload)
{
    struct topic *t = container_of(m, struct topic, member);
    struct change e;
    if (!change_parse(payload, &e)) {
        if (t->kind == KIND_VAR || !topics_find(t->gw->topics, KIND_VAR, t->name)) /* both listen here; one counts it */
            topic_bad_change(t, "not an event");
        return;
    }
    if (change_is_var(&e) != (t->kind == KIND_VAR))
        return;       /* a variable and a list of one name share the channel */
    if (t->damaged) { /* perhaps this mended it */
        t->retry_ms = 0;
        topic_want_read(t);
    }
    if (t->state != TOPIC_READY)
        return;            /* the read that is under way contains it */
    if (e.rev <= t->rev) { /* one link keeps the order, so what is held is not what Redis holds any more */
        t->back = true;
        topic_missed(t, READ_BACK);
        return;
    }
    metric_add(METRIC_CHANGES, 1);
    t->changed_us = link_heard_us(t->gw->link);
    turn_change(t->changed_us);
    if (t->gw->topics->untold != t)
        conn_settle(t->gw);
    t->ops->apply(t, &e);
}

void topics_settle_untold(struct gateway *g)
{
    struct topic *t = g->topics->untold;
    g->topics->untold = NULL;
    g->holds_back = false;
    t->ops->settle(t);
}

static void on_resync(struct hub_member *m)
{
    struct topic *t = container_of(m, struct topic, member);
    t->retry_ms = 0;
    topic_missed(t, READ_RECONNECT);
}

/* Until Redis lets us listen: what is read meanwhile would go stale unnoticed. */
static void on_refused(struct hub_member *m, struct slice why)
{
    struct topic *t = container_of(m, struct topic, member);
    log_limited(LOG_FAILED, LOG_LEVEL_WARN, "redis refused a subscription name=%s error=%s", log_value(t->name),
                log_value(why));
    topic_refused(t, why);
}

static struct topic *topics_find_or_create(struct topics *r, enum kind kind, struct slice name)
{
    struct topic *t = topics_find(r, kind, name);
    if (t)
        return t;
    t = kinds[kind]->create(r->g, name);
    t->member.on_message = on_message;
    t->member.on_resync = on_resync;
    t->member.on_refused = on_refused;
    map_insert(&r->by_key, &t->by_key);
    list_append(&r->all, &t->all);
    t->idle_since_ms = clock_now_ms();
    list_append(&r->idle, &t->idle);
    metric_add(METRIC_NAMES, 1);
    metric_add(METRIC_NAMES_STALE, 1);
    topic_join(t);
    return t;
}

/* --- questions --- */

bool topics_known(struct topics *r, enum kind kind, struct slice name)
{
    if (options_name(r->g->opt, kind, name))
        return true;
    const struct topic *t = topics_find(r, kind, name);
    return t && t->exists;
}

void topics_wake_declared(struct topics *r)
{
    list_each(&r->all, n)
    {
        struct topic *t = container_of(n, struct topic, all);
        if (!t->waiting.count || !topic_declared(t))
            continue;
        subs_wake(t);
        t->ops->serve(t);
        if (t->requests.count)
            topic_want_read(t);
    }
}

const struct map *topics_map(const struct topics *r)
{
    return &r->by_key;
}

const struct topic *topics_held(struct topics *r, enum kind kind, struct slice name)
{
    return topics_find(r, kind, name);
}

const struct topic *topics_find_used(struct topics *r, enum kind kind, struct slice name)
{
    const struct topic *t = topics_find(r, kind, name);
    return t && t->users && t->state == TOPIC_READY ? t : NULL;
}

/* --- what peers do --- */

/* Those behind one that has to wait for Redis wait with it: answers about one list stay in order. */
static void release_behind(struct conn *c, uint64_t pass)
{
    list_each(&subscriber_of(c)->held, n)
    {
        struct request *q = container_of(n, struct request, in_item);
        if (q->topic && q->topic->held_pass == pass)
            request_release(q);
    }
}

void topics_answer_held(struct conn *c, size_t limit)
{
    static uint64_t pass;
    struct list_node *n;
    bool unknown = false;
    pass++;
    while (c->out.bytes < limit && (n = list_first(&subscriber_of(c)->held))) {
        struct request *q = container_of(n, struct request, in_item);
        struct topic *t = q->topic;
        if (!t) {
            request_send_reply(q);
            continue;
        }
        request_release(q);
        if (t->held_pass == pass || t->ops->answer(q))
            continue;
        t->held_pass = pass;
        unknown = true;
        topic_want_read(t);
    }
    if (unknown)
        release_behind(c, pass);
}

struct sub *topics_find_sub(struct conn *c, enum kind kind, struct slice name, const struct slice *id)
{
    struct topic *t = topics_find(c->gw->topics, kind, name);
    const void *target = t ? t->ops->target(t, id) : NULL;
    return target ? sub_find(c, t, target) : NULL;
}

static size_t asked_of_redis(const struct conn *c)
{
    return subscriber_of(c)->requests.count - subscriber_of(c)->held.count;
}

/* What variables and items of lists hold. */
static bool cache_is_full(const struct gateway *g)
{
    int64_t max = g->opt->max_cache;
    return max && metrics[METRIC_MEMORY_VARIABLES] + (int64_t)entry_bytes_live() > max;
}

/* One subscription more is too many, or one name. What is held already costs nothing more. */
static bool may_not_follow(struct conn *c, enum kind kind, struct slice name, const struct slice *item_id)
{
    const struct options *opt = c->gw->opt;
    struct slice why;
    if (subscriber_of(c)->subs.count >= (size_t)opt->subscriptions_per_connection) {
        metric_add(METRIC_LIMITED_SUBSCRIPTIONS, 1);
        why = SLICE_LIT("too many subscriptions: end some (subscriptions_per_connection)");
    } else if (item_id && subscriber_of(c)->watching >= (size_t)opt->items_per_connection) {
        metric_add(METRIC_LIMITED_ITEMS, 1);
        why = SLICE_LIT("too many items: end some, or follow a page (items_per_connection)");
    } else if (cache_is_full(c->gw) && !topics_find(c->gw->topics, kind, name)) {
        metric_add(METRIC_LIMITED_CACHE, 1);
        why = SLICE_LIT("busy: this gateway holds as much as it may, try another or later (max_cache)");
    } else {
        return false;
    }
    conn_error(c, ERROR_OTHER, why, kind, name, item_id ? *item_id : SLICE_NONE);
    return true;
}

void topics_subscribe(struct conn *c, enum kind kind, struct slice name, const struct slice *id,
                      const struct sub_wish *wish)
{
    const struct slice *item_id = kind == KIND_LIST ? id : NULL;
    size_t asked = asked_of_redis(c);
    struct sub *s = topics_find_sub(c, kind, name, item_id);
    if (!s && may_not_follow(c, kind, name, item_id))
        return;
    if (s)
        sub_wait_no_more(s); /* it is asked anew */
    struct topic *t = topics_find_or_create(c->gw->topics, kind, name);
    t->ops->subscribe(c, t, id, wish);
    s = topics_find_sub(c, kind, name, item_id);
    if (s) /* else it was refused at once */
        fanout_limit(s, wish->interval_ms);
    if (asked_of_redis(c) > asked)
        pace_asked(c, subscriber_of(c)->requests.count, subscriber_of(c)->slots);
}

void topics_get(struct conn *c, enum kind kind, struct slice name, const struct slice *id, int64_t page,
                int64_t page_size)
{
    size_t asked = asked_of_redis(c);
    struct topic *t = topics_find(c->gw->topics, kind, name);
    assert(t); /* the peer is subscribed */
    t->ops->get(c, t, id, page, page_size);
    if (asked_of_redis(c) > asked)
        pace_asked(c, subscriber_of(c)->requests.count, subscriber_of(c)->slots);
}

/* What was asked for by `get` with an id is answered all the same: the list's subscription allowed it. */
static bool ends_with(const struct request *q, const struct sub *s)
{
    return q->conn == s->key.conn && request_target(q) == s->key.target && (q->subscribe || !q->watch);
}

static void end_all(const struct list *requests, const struct sub *s)
{
    list_each(requests, n)
    {
        struct request *q = container_of(n, struct request, in_item);
        if (ends_with(q, s))
            request_free(q);
    }
}

void topics_unsubscribe(struct sub *s)
{
    struct topic *t = s->topic;
    struct conn *c = s->key.conn;
    end_all(&t->requests, s);
    end_all(&subscriber_of(c)->held, s);
    sub_free(s);
    /* What waited for this page to be told need not wait any more: questions, and items. */
    t->ops->serve(t);
    if (subscriber_of(c)->dirty.count)
        conn_wait_for_room(c);
}

void topics_unsubscribe_all(struct conn *c)
{
    list_each(&subscriber_of(c)->requests, n) request_free(container_of(n, struct request, in_conn));
    list_each(&subscriber_of(c)->subs, n) sub_free(container_of(n, struct sub, in_conn));
}

static bool granted(const struct conn *c, const struct topic *t)
{
    return grants_allow(c->grants, GRANT_SUBSCRIBE, t->name);
}

void topics_revoke(struct conn *c)
{
    struct buf *out = &c->gw->scratch;
    uint32_t messages = 0;
    conn_settle(c->gw);
    buf_reset(out);
    list_each(&subscriber_of(c)->requests, n)
    {
        struct request *q = container_of(n, struct request, in_conn);
        if (q->topic && !granted(c, q->topic))
            request_free(q);
    }
    list_each(&subscriber_of(c)->subs, m)
    {
        struct sub *s = container_of(m, struct sub, in_conn);
        if (granted(c, s->topic))
            continue;
        messages += c->dialect->error(out, ERROR_NAME, SLICE_LIT("no longer granted"), s->topic->kind, s->topic->name,
                                      s->topic->ops->sub_id(s));
        metric_add(METRIC_ERRORS_3, 1);
        sub_free(s);
    }
    if (messages)
        conn_answer(c, buf_slice(out), messages);
}

/* --- time --- */

static void end_overdue_requests(struct topics *r, int64_t now)
{
    struct list_node *n;
    while ((n = list_first(&r->deadlines))) {
        struct request *q = container_of(n, struct request, in_deadlines);
        if (q->deadline_ms > now)
            return;
        request_fail(q, ERROR_OTHER, r->g->redis_up ? "timeout" : "redis away");
    }
}

/* What a name holds is about what its next answer will bring. */
static size_t idle_bytes(const struct topics *r)
{
    size_t bytes = 0;
    list_each(&r->idle, n) bytes += container_of(n, struct topic, idle)->read.expect;
    return bytes;
}

static bool worth_keeping(const struct topic *t, int64_t now)
{
    return (t->exists || topic_declared(t)) && now - t->idle_since_ms < t->gw->opt->linger_ms;
}

static void free_idle(struct topics *r, int64_t now)
{
    size_t bytes = idle_bytes(r);
    list_each(&r->idle, n)
    {
        struct topic *t = container_of(n, struct topic, idle);
        bool crowded = r->idle.count > IDLE_MAX || bytes > IDLE_BYTES_MAX || cache_is_full(r->g);
        if (t->reading || t->sweeping || t->barred || (!crowded && worth_keeping(t, now)))
            continue;
        bytes -= t->read.expect;
        topic_free(t);
    }
}

static void on_swept(void *arg, const struct store_result *res, const struct store_state *st)
{
    struct topic *t = arg;
    t->sweeping = false;
    t->gw->topics->sweeping--;
    if (res->status != STORE_OK || t->state != TOPIC_READY)
        return;
    int64_t rev = t->kind == KIND_VAR ? st->var_rev : st->list_rev;
    bool exists = t->kind == KIND_VAR ? st->var_exists : st->list_exists;
    if (rev == t->rev && exists == t->exists)
        return;
    log_limited(LOG_GARBAGE, LOG_LEVEL_INFO, "the sweep found another revision name=%s found=%lld held=%lld",
                log_value(t->name), (long long)rev, (long long)t->rev);
    metric_add(METRIC_GAPS, 1);
    topic_missed(t, READ_SWEEP);
}

/* A silent loss ends within one period: every topic's revision is compared once in it, spread evenly. */
static void topics_sweep(struct topics *r)
{
    int64_t each = r->g->opt->sweep_interval_ms;
    r->sweep_credit += (int64_t)r->all.count * TOPICS_TICK_MS;
    if (r->sweep_credit > SWEEPS_MAX * each)
        r->sweep_credit = SWEEPS_MAX * each;
    for (size_t left = r->all.count; r->sweep_credit >= each && left > 0 && r->sweeping < SWEEPS_MAX; left--) {
        r->sweep_credit -= each;
        struct list_node *n = list_pop(&r->all);
        list_append(&r->all, n);
        struct topic *t = container_of(n, struct topic, all);
        if (t->ops->tick)
            t->ops->tick(t, clock_now_ms());
        if (t->state != TOPIC_READY) {
            topic_want_read(t); /* waits for its turn already, unless something went wrong */
        } else if (!t->sweeping && r->g->redis_up) {
            t->sweeping = true;
            r->sweeping++;
            store_state(r->g->store, t->name, on_swept, t);
        }
    }
}

static void retry_refused(struct topics *r, int64_t now)
{
    list_each(&r->refused, n)
    {
        struct topic *t = container_of(n, struct topic, refused);
        if (t->retry_ms > now)
            continue;
        list_remove(&r->refused, n);
        topic_want_read(t);
    }
}

void topics_tick(struct topics *r)
{
    int64_t now = clock_now_ms();
    retry_refused(r, now);
    end_overdue_requests(r, now);
    free_idle(r, now);
    topics_sweep(r);
}

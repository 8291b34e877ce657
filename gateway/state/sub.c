/* A map from (connection, target), and the lists that a subscription is in. */
#include "gateway/state/sub.h"

#include "gateway/observe/metrics.h"
#include "gateway/state/fanout.h"
#include "gateway/state/registry.h"
#include "gateway/state/subscriber.h"
#include "protocol/base/alloc.h"

struct sub *sub_find(const struct conn *c, const struct topic *t, const void *target)
{
    struct {
        const struct conn *conn;
        const void *target;
    } key = {c, target};
    struct map_node *n = map_find(&t->gw->topics->subs, slice_of((const char *)&key, sizeof(key)));
    return n ? container_of(n, struct sub, by_key) : NULL;
}

struct sub *sub_new(struct conn *c, struct topic *t, struct watch *w)
{
    struct sub *s = sg_calloc(1, sizeof(*s));
    s->key.conn = c;
    s->key.target = w ? (const void *)w : (const void *)t;
    s->topic = t;
    s->watch = w;
    s->pending = true;
    s->by_key.key = slice_of((const char *)&s->key, sizeof(s->key));
    map_insert(&t->gw->topics->subs, &s->by_key);
    list_append(&subscriber_of(c)->subs, &s->in_conn);
    topic_use(t);
    metric_add(METRIC_SUBSCRIPTIONS, 1);
    return s;
}

void sub_free(struct sub *s)
{
    struct topic *t = s->topic;
    fanout_forget(s);
    fanout_limit(s, 0);
    sub_wait_no_more(s);
    map_remove(&t->gw->topics->subs, &s->by_key);
    list_remove(&subscriber_of(s->key.conn)->subs, &s->in_conn);
    t->ops->sub_gone(s);
    free(s);
    metric_add(METRIC_SUBSCRIPTIONS, -1);
    topic_release(t);
}

/* --- waiting for a name --- */

/* It did nothing wrong, so it does not count against the peer. */
void sub_wait(struct sub *s)
{
    struct conn *c = s->key.conn;
    struct buf *out = &c->gw->scratch;
    s->waiting = true;
    list_append(&s->topic->waiting, &s->in_target);
    buf_reset(out);
    metric_add(METRIC_ERRORS_3, 1);
    conn_answer_scratch(c, c->dialect->waiting(out, SLICE_LIT(SUB_UNKNOWN_TEXT), s->topic->kind, s->topic->name,
                                               s->topic->ops->sub_id(s)));
}

void sub_wait_no_more(struct sub *s)
{
    if (!s->waiting)
        return;
    s->waiting = false;
    list_remove(&s->topic->waiting, &s->in_target);
}

void subs_wake(struct topic *t)
{
    struct list_node *n;
    while (!topic_unknown(t) && (n = list_first(&t->waiting))) {
        struct sub *s = container_of(n, struct sub, in_target);
        sub_wait_no_more(s);
        t->ops->ask_again(s);
    }
}

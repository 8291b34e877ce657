/* Conflation. A subscription that missed something is in its connection's dirty list, once, however many changes it missed.
 * One with a max_rate that has to wait is not dirty until its timer says so. */
#include "gateway/state/fanout.h"

#include <stdlib.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "gateway/base/clock.h"
#include "gateway/base/timer.h"
#include "gateway/net/socket.h"
#include "gateway/observe/metrics.h"
#include "gateway/state/subscriber.h"
#include "gateway/state/topic.h"
#include "protocol/base/alloc.h"

/* How often one subscription may be told. */
struct rate {
    int64_t interval_ms;
    int64_t next_ms;    /* not before */
    struct event timer; /* pending while something waits for next_ms */
};

void fanout_wait(struct sub *s)
{
    if (list_linked(&s->in_dirty))
        return;
    list_append(&subscriber_of(s->key.conn)->dirty, &s->in_dirty);
    conn_waits(s->key.conn, WAIT_STATE, true);
    metric_add(METRIC_DIRTY, 1);
}

static void fanout_due(struct sub *s)
{
    fanout_wait(s);
    if (!s->key.conn->congested)
        socket_want_write(s->key.conn);
}

void fanout_missed(struct sub *s, uint32_t changes)
{
    metric_add(METRIC_CONFLATED, changes);
    fanout_due(s);
}

void fanout_forget(struct sub *s)
{
    if (s->rate)
        event_del(&s->rate->timer);
    if (!list_linked(&s->in_dirty))
        return;
    list_remove(&subscriber_of(s->key.conn)->dirty, &s->in_dirty);
    conn_waits(s->key.conn, WAIT_STATE, subscriber_of(s->key.conn)->dirty.count > 0);
    metric_add(METRIC_DIRTY, -1);
}

/* --- max_rate --- */

static void on_due(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    fanout_due(arg);
}

int64_t fanout_interval_ms(const struct sub *s)
{
    return s->rate->interval_ms;
}

/* True when it may be told now, which is then counted as done. */
static bool in_time(struct rate *r)
{
    if (event_pending(&r->timer, EV_TIMEOUT, NULL))
        return false;
    int64_t now = clock_exact_ms();
    if (now >= r->next_ms) {
        r->next_ms = now + r->interval_ms;
        return true;
    }
    timer_start(&r->timer, r->next_ms - now);
    return false;
}

/* What waited for its time is due. */
static void limit_no_more(struct sub *s)
{
    bool waits = event_pending(&s->rate->timer, EV_TIMEOUT, NULL);
    event_del(&s->rate->timer);
    free(s->rate);
    s->rate = NULL;
    if (waits)
        fanout_due(s);
}

void fanout_limit(struct sub *s, int64_t interval_ms)
{
    if (!interval_ms && s->rate)
        limit_no_more(s);
    if (!interval_ms)
        return;
    if (!s->rate) {
        s->rate = sg_calloc(1, sizeof(*s->rate));
        evtimer_assign(&s->rate->timer, s->key.conn->gw->base, on_due, s);
    }
    s->rate->interval_ms = interval_ms;
    s->rate->next_ms = 0;
}

bool fanout_ready_unusual(struct sub *s, uint32_t changes)
{
    if (s->key.conn->congested || list_linked(&s->in_dirty)) {
        fanout_missed(s, changes);
        return false;
    }
    if (!s->rate)
        return true;
    bool now = in_time(s->rate);
    metric_add(METRIC_CONFLATED, now ? changes - 1 : changes);
    return now;
}

/* --- the newest state --- */

void fanout_flush(struct conn *c, size_t limit)
{
    for (size_t left = subscriber_of(c)->dirty.count;
         left > 0 && subscriber_of(c)->dirty.count > 0 && c->out.bytes < limit; left--) {
        struct sub *s = container_of(list_first(&subscriber_of(c)->dirty), struct sub, in_dirty);
        fanout_forget(s);
        if (s->rate && !in_time(s->rate))
            continue;             /* it became congested behind an update: the newest comes when it is time */
        if (!s->topic->told_void) /* what is true then will be told whole */
            s->topic->ops->flush_sub(s);
    }
}

static int by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t) * (const void *const *)a, y = (uintptr_t) * (const void *const *)b;
    return (x > y) - (x < y);
}

/* of: pointers to topics, of which some may not be there any more; sorted. A failure of the buffer: of anybody. */
static bool is_among(const struct topic *t, const struct buf *of)
{
    const void *key = t;
    return of->failed || bsearch(&key, of->ptr, of->len / sizeof(key), sizeof(key), by_address);
}

/* What was written already is not told again: only who lost something needs the newest state. A page tells of items that are followed one
 * by one, too, so a frame stands for all that the connection follows of its topic. */
void fanout_shed(struct conn *c)
{
    struct buf *of = &c->gw->scratch;
    size_t bytes = c->out.bytes;
    buf_reset(of);
    size_t dropped = outq_shed(&c->out, of);
    if (!dropped)
        return;
    metric_add(METRIC_CONFLATED, (int64_t)dropped);
    metric_add(METRIC_QUEUED_BYTES, (int64_t)c->out.bytes - (int64_t)bytes);
    if (of->len)
        qsort(of->ptr, of->len / sizeof(void *), sizeof(void *), by_address);
    list_each(&subscriber_of(c)->subs, n)
    {
        struct sub *s = container_of(n, struct sub, in_conn);
        if (s->pending || !is_among(s->topic, of))
            continue;
        s->topic->ops->lose_sub(s);
        fanout_wait(s);
    }
}

int64_t sub_interval_ms(const struct sub *s)
{
    return s->rate ? fanout_interval_ms(s) : 0;
}

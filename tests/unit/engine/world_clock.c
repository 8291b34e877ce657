/* The clock and everything that waits for a time: libevent's timers, of which the gateway knows no others. */
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "gateway/base/clock.h"
#include "gateway/observe/turn.h"
#include "protocol/base/alloc.h"
#include "tests/unit/engine/world_parts.h"

/* One that is pending. */
struct timer {
    struct list_node node;
    struct event *event;
    int64_t due_ms, every_ms;
};

static struct list timers = {{&timers.head, &timers.head}, 0}; /* struct timer */
static int64_t now_ms;

int64_t clock_now_ms(void)
{
    return now_ms;
}

int64_t clock_exact_ms(void)
{
    return now_ms;
}

int64_t clock_wall_ms(void)
{
    return now_ms;
}

int64_t turn_now_us(void)
{
    return now_ms * 1000;
}

void turn_begins(void) {}

void turn_change(int64_t read_us)
{
    (void)read_us;
}

void turn_ends(int64_t heard_us)
{
    (void)heard_us;
}

static struct timer *timer_of(const struct event *ev)
{
    list_each(&timers, n)
    {
        struct timer *t = container_of(n, struct timer, node);
        if (t->event == ev)
            return t;
    }
    return NULL;
}

int event_assign(struct event *ev, struct event_base *base, evutil_socket_t fd, short events, event_callback_fn cb,
                 void *arg)
{
    (void)base;
    ev->ev_evcallback = (struct event_callback){.evcb_flags = EVLIST_INIT, .evcb_arg = arg};
    ev->ev_evcallback.evcb_cb_union.evcb_callback = cb;
    ev->ev_fd = fd;
    ev->ev_events = events;
    return 0;
}

int event_add(struct event *ev, const struct timeval *timeout)
{
    struct timer *t = timer_of(ev);
    if (!t) {
        t = sg_calloc(1, sizeof(*t));
        t->event = ev;
        list_append(&timers, &t->node);
    }
    t->every_ms = (int64_t)timeout->tv_sec * 1000 + timeout->tv_usec / 1000;
    t->due_ms = now_ms + t->every_ms;
    return 0;
}

int event_del(struct event *ev)
{
    struct timer *t = timer_of(ev);
    if (t)
        list_remove(&timers, &t->node);
    free(t);
    return 0;
}

int event_pending(const struct event *ev, short events, struct timeval *tv)
{
    (void)events;
    (void)tv;
    return timer_of(ev) ? EV_TIMEOUT : 0;
}

static struct timer *due(void)
{
    struct timer *first = NULL;
    list_each(&timers, n)
    {
        struct timer *t = container_of(n, struct timer, node);
        if (t->due_ms <= now_ms && (!first || t->due_ms < first->due_ms))
            first = t;
    }
    return first;
}

void clock_set(int64_t now)
{
    now_ms = now;
}

void clock_advance(int64_t ms)
{
    struct timer *t;
    now_ms += ms;
    while ((t = due())) {
        struct event *ev = t->event;
        t->due_ms += t->every_ms;
        if (!(ev->ev_events & EV_PERSIST))
            event_del(ev);
        ev->ev_evcallback.evcb_cb_union.evcb_callback(ev->ev_fd, EV_TIMEOUT, ev->ev_evcallback.evcb_arg);
    }
}

void clock_forget(void)
{
    struct list_node *n;
    while ((n = list_pop(&timers)))
        free(container_of(n, struct timer, node));
}

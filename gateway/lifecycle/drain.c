/* A small clock with three stages: the delay in which a balancer notices, the period in which connections are closed one by
 * one, and the rest, in which calls and closing handshakes may end. */
#include "gateway/lifecycle/drain.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/timer.h"
#include "gateway/lifecycle/notify.h"
#include "gateway/lifecycle/stop.h"
#include "gateway/net/conn.h"
#include "gateway/net/ws.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "protocol/base/alloc.h"

enum {
    STEP_MS = 50,
    CALLS_MS = 5000,      /* after the period: for calls in flight, and for their results to be heard */
    HANDSHAKES_MS = 6000, /* after that: for peers that do not answer the close, then they are cut */
    WAIT_MIN_MS = 1000,   /* the spread of the waits, at least */
    WAIT_MAX_MS = 60000,  /* and at most */
    TELL_MIN_MS = 1000,   /* how many are left is told five times in the period, as far as that is not oftener, */
    TELL_MAX_MS = 10000,  /* or rarer */
    COMEBACKS_PER_MS = 1  /* what the rest of the fleet may be asked to take */
};

struct drain {
    struct gateway *g;
    const struct drain_events *events;
    struct event timer;
    pid_t parent; /* of a worker */
    struct stop told;
    bool asked;       /* the parent was told */
    bool said;        /* that results wait */
    int64_t since_ms; /* the period began */
    size_t first;     /* connections that were open then */
    int64_t wait_max_ms;
    int64_t told_ms;  /* when it was told last how many are left, */
    size_t told_left; /* and how many that were */
};

struct drain *drain_new(struct gateway *g, const struct drain_events *events)
{
    struct drain *d = sg_calloc(1, sizeof(*d));
    d->g = g;
    d->events = events;
    d->parent = getppid();
    return d;
}

void drain_free(struct drain *d)
{
    if (event_initialized(&d->timer))
        event_del(&d->timer);
    free(d);
}

/* The closes are spread over the period already, so the waits only have to be as long as makes up for a period that is too
 * short for so many, and to blur the steps of this gateway with those of others that drain at the same time. */
int64_t drain_wait_max_ms(int64_t clients, int64_t period_ms)
{
    int64_t wait_ms = clients / COMEBACKS_PER_MS - period_ms;
    return wait_ms < WAIT_MIN_MS ? WAIT_MIN_MS : wait_ms > WAIT_MAX_MS ? WAIT_MAX_MS : wait_ms;
}

/* Rounded down: the first connection is closed at the beginning of its share of the period. */
size_t drain_remaining(size_t first, int64_t left_ms, int64_t period_ms)
{
    return left_ms <= 0 ? 0 : (size_t)((double)first * (double)left_ms / (double)period_ms);
}

static void send_away(struct drain *d, struct conn *c)
{
    char text[32];
    snprintf(text, sizeof(text), "retry=%ldms", random() % (long)(d->wait_max_ms + 1));
    conn_close_saying(c, 1012, "draining", text);
}

/* Closes `count` connections, of those without a call in flight unless `busy_too`. */
static void close_some(struct drain *d, size_t count, bool busy_too)
{
    list_each(&d->g->conns->open, n)
    {
        struct conn *c = container_of(n, struct conn, node);
        if (count == 0)
            return;
        if (c->state != CONN_OPEN || (!busy_too && d->events->busy(c)))
            continue;
        send_away(d, c);
        count--;
    }
}

/* So that who waits for the end sees it come nearer, or not. */
static void tell_left(struct drain *d, int64_t period_ms)
{
    int64_t now = clock_now_ms(), every = period_ms / 5;
    size_t left = d->g->conns->open.count;
    every = every < TELL_MIN_MS ? TELL_MIN_MS : every > TELL_MAX_MS ? TELL_MAX_MS : every;
    if (left == 0 || left == d->told_left || now - d->told_ms < every)
        return;
    log_info("closing connections left=%zu of=%zu", left, d->first);
    d->told_ms = now;
    d->told_left = left;
}

static void end(struct drain *d)
{
    size_t left = d->g->conns->open.count;
    int64_t ms = clock_now_ms() - d->since_ms;
    if (left == 0)
        log_info("drained: all connections are closed count=%zu ms=%lld", d->first, (long long)ms);
    else
        log_warn("the drain ends, and who did not leave is cut left=%zu of=%zu ms=%lld", left, d->first, (long long)ms);
    d->g->stopped = true;
}

/* What was done here, its callers shall know, if Redis comes back in time. */
static bool waits_for_results(struct drain *d, int64_t left_ms)
{
    size_t unheard = d->events->unheard(d->g);
    if (unheard == 0 || left_ms < -CALLS_MS)
        return false;
    if (!d->said)
        log_info("clients are gone, results have to be told still count=%zu", unheard);
    d->said = true;
    return true;
}

static void on_step(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct drain *d = arg;
    struct gateway *g = d->g;
    int64_t period_ms = g->opt->drain_seconds * 1000;
    int64_t left_ms = period_ms - (clock_now_ms() - d->since_ms);
    size_t open = g->conns->open.count - g->conns->closing.count,
           remaining = drain_remaining(d->first, left_ms, period_ms);
    if (left_ms < -(CALLS_MS + HANDSHAKES_MS) || (g->conns->open.count == 0 && !waits_for_results(d, left_ms))) {
        end(d);
        return;
    }
    if (open > remaining)
        close_some(d, open - remaining, left_ms < -CALLS_MS);
    tell_left(d, period_ms);
}

static void close_doors(struct drain *d)
{
    struct gateway *g = d->g;
    g->closed_doors = true;
    ws_stop_listening(g->ws);
    d->since_ms = clock_now_ms();
    d->told_ms = d->since_ms;
    d->first = d->told_left = g->conns->open.count;
    int64_t workers = g->worker >= 0 ? g->opt->workers : 1; /* the others have about as many clients */
    d->wait_max_ms = drain_wait_max_ms((int64_t)d->first * workers, g->opt->drain_seconds * 1000);
    log_info("closing connections count=%zu seconds=%lld", d->first, (long long)g->opt->drain_seconds);
    event_assign(&d->timer, g->base, -1, EV_PERSIST, on_step, d);
    timer_start(&d->timer, STEP_MS);
}

static void on_delay(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    close_doors(arg);
}

void drain_begin(struct drain *d)
{
    struct gateway *g = d->g;
    int64_t ms = g->opt->drain_delay_ms;
    if (g->draining)
        return;
    g->draining = true;
    metrics[METRIC_DRAINING] = 1;
    log_info("draining connections=%zu delay_ms=%lld seconds=%lld", g->conns->open.count, (long long)ms,
             (long long)g->opt->drain_seconds);
    notify_stopping();
    d->events->begun(g);
    if (ms == 0) {
        close_doors(d);
        return;
    }
    evtimer_assign(&d->timer, g->base, on_delay, d);
    timer_start(&d->timer, ms);
}

void drain_signal(struct drain *d, int number)
{
    int times = stop_signal(&d->told, number, clock_now_ms());
    if (times == 1)
        drain_begin(d);
    if (times <= 1)
        return;
    log_warn("second signal: ending at once");
    d->g->exit_code = 1;
    d->g->stopped = true;
}

void drain_program(struct drain *d)
{
    if (d->g->worker < 0) {
        drain_begin(d);
    } else if (!d->g->draining && !d->asked && getppid() == d->parent) { /* else it has died, and we are told to end */
        d->asked = true;
        kill(d->parent, SIGUSR1); /* workers.c passes it on to all, this one included */
    }
}

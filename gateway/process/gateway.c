/* Puts the parts of one process together, runs its loop, and takes them apart again. */
#include "gateway/process/gateway.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "gateway/admin/endpoints.h"
#include "gateway/admin/fleet.h"
#include "gateway/admin/gauges.h"
#include "gateway/admin/names.h"
#include "gateway/admin/tap.h"
#include "gateway/base/clock.h"
#include "gateway/base/evalloc.h"
#include "gateway/base/timer.h"
#include "gateway/calls/calls.h"
#include "gateway/lifecycle/drain.h"
#include "gateway/lifecycle/notify.h"
#include "gateway/lifecycle/probe.h"
#include "gateway/lifecycle/reload.h"
#include "gateway/net/addresses.h"
#include "gateway/net/admission.h"
#include "gateway/net/conn.h"
#include "gateway/net/pace.h"
#include "gateway/net/users.h"
#include "gateway/net/ws.h"
#include "gateway/observe/history.h"
#include "gateway/observe/metrics.h"
#include "gateway/observe/rejects.h"
#include "gateway/observe/turn.h"
#include "gateway/peer/peer.h"
#include "gateway/process/demo.h"
#include "gateway/process/waiting.h"
#include "gateway/state/topic.h"
#include "gateway/state/topic_read.h"
#include "gateway/state/topics.h"
#include "protocol/base/alloc.h"

enum {
    SCRATCH_BYTES_MAX = 256 * 1024 * 1024, /* a whole page of the largest values, encoded */
    SCRATCH_KEPT = 1024 * 1024,
    ITEMS_PER_SET_ALL = 100000,
    MESSAGE_DEPTH = 4 /* a value must still fit into every message and every text that will carry it */
};

struct run {
    struct gateway g;
    void (*on_second)(void *);
    void *arg;
    struct waiting waiting;
    struct event tick_topics, tick_conns, second, sigterm, sigint, sigusr1, sighup;
};

/* --- Redis link --- */

static void on_up(void *arg)
{
    struct run *r = arg;
    r->g.redis_up = true;
    metrics[METRIC_REDIS_UP] = 1;
    metric_add(METRIC_REDIS_CONNECTS, 1);
    hub_on_up(r->g.hub);
    calls_on_up(r->g.calls);
    probe_on_up(r->g.probe);
}

static void on_down(void *arg, const char *why)
{
    struct run *r = arg;
    r->g.redis_up = false;
    metrics[METRIC_REDIS_UP] = 0;
    metric_add(METRIC_REDIS_LOSSES, 1);
    topics_link_down(r->g.topics);
    (void)why; /* the link told */
}

static void on_push(void *arg, const struct reply *push)
{
    struct run *r = arg;
    hub_on_push(r->g.hub, push);
}

static void on_pong(void *arg, int64_t round_trip_us)
{
    (void)arg;
    metric_observe(HISTOGRAM_REDIS_ROUND_TRIP, round_trip_us);
}

static void on_log(void *arg, int level, const char *text)
{
    (void)arg;
    log_line((enum log_level)level, "redis: %s", text);
}

/* --- timers --- */

static void on_tick_topics(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct run *r = arg;
    topics_tick(r->g.topics);
    conn_tick_stalled(&r->g);
    pace_tick(&r->g, conn_close);
}

static void on_tick_conns(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct run *r = arg;
    conn_tick(&r->g);
}

static void tell_waiting(struct run *r)
{
    if (waiting_second(&r->waiting, r->g.redis_up))
        log_warn("still waiting for Redis seconds=%lld", (long long)r->waiting.seconds);
}

static void on_second(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct run *r = arg;
    buf_reset(&r->g.scratch);
    buf_trim(&r->g.scratch, SCRATCH_KEPT);
    admission_tick(r->g.admission);
    gauges_refresh(&r->g);
    log_suppressed();
    notify_alive();
    history_take(r->g.history);
    hub_tick(r->g.hub, clock_now_ms());
    probe_second(r->g.probe);
    tap_second(&r->g);
    tell_waiting(r);
    demo_second(&r->g);
    if (r->on_second)
        r->on_second(r->arg);
}

static void every(struct run *r, struct event *ev, int64_t ms, event_callback_fn fn)
{
    event_assign(ev, r->g.base, -1, EV_PERSIST, fn, r);
    timer_start(ev, ms);
}

/* --- signals --- */

static void on_stop_signal(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct run *r = arg;
    drain_signal(r->g.drain, fd); /* the signal's number */
}

static void on_drain_signal(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct run *r = arg;
    drain_begin(r->g.drain);
}

static void on_reload_signal(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct run *r = arg;
    reload_now(r->g.reload);
}

static void catch_signal(struct run *r, struct event *ev, int signo, event_callback_fn fn)
{
    event_assign(ev, r->g.base, signo, EV_SIGNAL | EV_PERSIST, fn, r);
    event_add(ev, NULL);
}

static void catch_signals(struct run *r)
{
    sigset_t kept; /* by workers.c, until they do no harm */
    catch_signal(r, &r->sigterm, SIGTERM, on_stop_signal);
    catch_signal(r, &r->sigint, SIGINT, on_stop_signal);
    catch_signal(r, &r->sigusr1, SIGUSR1, on_drain_signal);
    catch_signal(r, &r->sighup, SIGHUP, on_reload_signal);
    sigemptyset(&kept);
    sigaddset(&kept, SIGHUP);
    sigaddset(&kept, SIGUSR1);
    sigprocmask(SIG_UNBLOCK, &kept, NULL);
}

/* --- start and stop --- */

static bool new_id(struct gateway *g)
{
    unsigned char seed[16], id[8];
    unsigned int dice;
    if (getrandom(seed, sizeof(seed), 0) != sizeof(seed) || getrandom(id, sizeof(id), 0) != sizeof(id) ||
        getrandom(&dice, sizeof(dice), 0) != sizeof(dice)) {
        log_error("no randomness");
        return false;
    }
    map_seed(seed);
    srandom(dice); /* for waits, so that no two gateways hand out the same ones */
    for (size_t i = 0; i < sizeof(id); i++)
        snprintf(g->id + 2 * i, 3, "%02x", id[i]);
    return true;
}

/* The URL without user and password. */
static char *public_url(const char *url)
{
    const char *authority = strstr(url, "://"), *at = authority ? strrchr(authority, '@') : NULL;
    int scheme = at ? (int)(authority + 3 - url) : 0;
    size_t size = strlen(url) + 1;
    char *text = sg_malloc(size);
    snprintf(text, size, "%.*s%s", scheme, url, at ? at + 1 : url);
    return text;
}

static bool new_link(struct run *r, const char *redis_url)
{
    static const struct link_events events = {
        .on_up = on_up, .on_down = on_down, .on_push = on_push, .on_pong = on_pong, .on_log = on_log};
    struct link_config config;
    const char *wrong = link_config_parse(redis_url, &config);
    if (wrong) {
        log_error("--redis: %s", wrong);
        return false;
    }
    r->g.redis_url = public_url(redis_url);
    r->g.link = link_new(r->g.base, &config, &events, r);
    r->g.hub = hub_new(r->g.link);
    r->g.store = store_new(r->g.link, r->g.opt->prefix, config.db);
    link_config_deinit(&config);
    return true;
}

static void start_wheel(struct run *r)
{
    int64_t step_ms = r->g.opt->ping_interval_ms / WHEEL_SLOTS;
    every(r, &r->tick_conns, step_ms > 10 ? step_ms : 10, on_tick_conns);
}

static void take_limits(struct gateway *g)
{
    g->limits = (struct dialect_limits){.max_depth = (int)g->opt->max_depth,
                                        .value_depth = (int)g->opt->max_depth - MESSAGE_DEPTH,
                                        .max_items = ITEMS_PER_SET_ALL,
                                        .index_absolute = g->opt->index_absolute};
}

static void on_new_options(void *arg)
{
    struct run *r = arg;
    take_limits(&r->g);
    calls_retime(r->g.calls);
    taps_end(&r->g);
    event_del(&r->tick_conns);
    start_wheel(r);
}

/* Whom the new grants cover no longer must not hear of a name first. */
static void on_new_grants(void *arg)
{
    struct run *r = arg;
    topics_wake_declared(r->g.topics);
    addresses_recount(&r->g);
}

static const struct reload_events reloading = {.changed = on_new_options, .regranted = on_new_grants};

/* --- what the parts of a life cycle tell the others --- */

static void tell_fleet(struct gateway *g, store_write_fn *cb, void *arg)
{
    fleet_beat(g->fleet, cb, arg);
}

static void on_drain(struct gateway *g)
{
    fleet_beat(g->fleet, NULL, NULL);
    calls_retire(g->calls);
}

static size_t unheard(const struct gateway *g)
{
    return calls_unheard(g->calls);
}

static const struct drain_events draining = {.begun = on_drain, .busy = calls_busy, .unheard = unheard};

static bool start(struct run *r, const char *redis_url)
{
    struct gateway *g = &r->g;
    if (!new_id(g))
        return false;
    g->base = event_base_new();
    g->conns = conns_new();
    g->conn_events = &peer_events;
    g->peers = peers_new(g);
    g->pace = pace_new();
    g->addresses = addresses_new();
    g->users = users_new();
    g->taps = taps_new(g);
    buf_init(&g->scratch, SCRATCH_BYTES_MAX);
    if (!g->base || !new_link(r, redis_url))
        return false;
    g->started_ms = clock_wall_ms();
    g->history = history_new();
    g->rejects = rejects_new();
    g->fleet = fleet_new(g);
    g->names = names_new(g);
    g->topics = topics_new(g);
    g->calls = calls_new(g);
    g->probe = probe_new(g, tell_fleet);
    g->ws = ws_new(g, endpoints_request);
    if (!g->ws)
        return false;
    g->drain = drain_new(g, &draining);
    g->admission = admission_new(g);
    g->reload = reload_new(g, &reloading, r);
    catch_signals(r);
    every(r, &r->tick_topics, TOPICS_TICK_MS, on_tick_topics);
    start_wheel(r);
    every(r, &r->second, 1000, on_second);
    link_start(g->link);
    return true;
}

/* From here on it ends, whoever says so again: without a handler a signal would end it in the middle. */
static void block_signals(void)
{
    sigset_t all;
    sigemptyset(&all);
    sigaddset(&all, SIGTERM);
    sigaddset(&all, SIGINT);
    sigaddset(&all, SIGUSR1);
    sigaddset(&all, SIGHUP);
    sigprocmask(SIG_BLOCK, &all, NULL);
}

static void stop_timer(struct event *ev)
{
    if (event_initialized(ev))
        event_del(ev);
}

/* Everything that speaks to Redis, or waits for it. Connections must be gone. */
static void stop_redis(struct gateway *g)
{
    if (g->calls)
        calls_free(g->calls);
    if (g->probe)
        probe_leave(g->probe);
    if (g->names)
        names_leave(g->names);
    if (g->topics)
        topics_leave(g->topics);
    if (g->link && link_state(g->link) == LINK_UP)
        event_base_loop(g->base, EVLOOP_NONBLOCK); /* lets the last commands out */
    log_suppressed_end();
    if (g->link)
        link_free(g->link); /* pending callbacks run now */
    if (g->probe)
        probe_free(g->probe);
    if (g->names)
        names_free(g->names);
    if (g->topics)
        topics_free(g->topics);
    if (g->hub)
        hub_free(g->hub);
    if (g->store)
        store_free(g->store);
}

static void stop(struct run *r)
{
    struct gateway *g = &r->g;
    struct event *events[] = {&r->tick_topics, &r->tick_conns, &r->second, &r->sigterm,
                              &r->sigint,      &r->sigusr1,    &r->sighup};
    block_signals();
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        stop_timer(events[i]);
    if (g->drain)
        drain_free(g->drain);
    if (g->admission)
        admission_free(g->admission);
    if (g->ws)
        ws_free(g->ws); /* ends the connections that are left */
    notify_alive();
    stop_redis(g);
    fleet_free(g->fleet);
    rejects_free(g->rejects);
    history_free(g->history);
    conns_free(g->conns);
    peers_free(g->peers);
    pace_free(g->pace);
    addresses_free(g->addresses);
    users_free(g->users);
    taps_free(g->taps);
    buf_deinit(&g->scratch);
    free(g->redis_url);
    if (g->reload)
        reload_free(g->reload); /* connections were held by its options */
    if (g->base)
        event_base_free(g->base);
}

int gateway_run(const struct options *o, const char *redis_url, int worker, void (*second)(void *), void *arg)
{
    struct run *r = sg_calloc(1, sizeof(*r));
    evalloc_begin();
    r->on_second = second;
    r->arg = arg;
    r->g.opt = o;
    r->g.worker = worker;
    metrics_begin(worker);
    take_limits(&r->g);
    if (start(r, redis_url)) {
        notify_ready();
        if (r->on_second)
            r->on_second(r->arg);
        while (!r->g.stopped) {
            event_base_loop(r->g.base, EVLOOP_ONCE);
            conn_settle(&r->g);
            ws_end_turn(r->g.ws);
            conn_end_turn(&r->g);
            pace_end_turn(&r->g);
            turn_ends(link_heard_us(r->g.link));
        }
    } else {
        r->g.exit_code = 1;
    }
    stop(r);
    int code = r->g.exit_code;
    evalloc_end();
    free(r);
    return code;
}

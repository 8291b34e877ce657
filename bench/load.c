/* The course of a run is written down from top to bottom; in between the loop turns until something is so.
 *
 * Publishes are numbered 0, 1, … over all names in turn: number s goes to name s % names. A client therefore knows what must
 * come next, and a publish is done when as many clients have it as its name had subscribers. */
#include "bench/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/client.h"
#include "bench/dialect.h"
#include "bench/publisher.h"

#define SECOND_NS 1000000000

#define PATIENCE_NS ((int64_t)3 * SECOND_NS)

enum { FLIGHTS = 1 << 20, QUIET_NS = SECOND_NS / 5, TICK_NS = SECOND_NS / 20, PROBE_SECONDS = 30 };

struct flight {
    int64_t sent_ns;
    int64_t left; /* clients that do not have it yet */
};

/* Reading of the clocks and counters. */
struct moment {
    int64_t at_ns, self_us, reads, commands;
    struct proc_sample server, redis;
};

struct load {
    const struct options *opt;
    struct report *report;
    struct loop loop;
    struct clients all;
    struct publisher *publisher;
    struct client *clients;
    int64_t names;
    int64_t *subscribers; /* by name: clients that are ready and read */
    int64_t reading;      /* sum of them */

    /* connecting */
    int64_t wanted, started, ready;
    int64_t connect_since_ns, connect_first;

    /* publishing */
    struct flight *flights; /* by number, modulo FLIGHTS */
    int64_t next_seq, in_flight;
    bool strict;                           /* order and completeness are checked */
    bool publishing;                       /* go on by yourself */
    int64_t paced_from_ns, paced;          /* at a rate: when it began, and how many since */
    int64_t measured_from, measured_until; /* the numbers that count, without the last; INT64_MAX before */
    int64_t arrived_ns;                    /* when something arrived last */
};

static struct load *load_of(const struct client *c)
{
    return c->all->user;
}

static void complain(struct load *l, const char *what)
{
    if (!l->report->why[0])
        snprintf(l->report->why, sizeof(l->report->why), "%s", what);
}

/* --- what arrives --- */

static void settle(struct load *l, int64_t seq)
{
    struct flight *f = &l->flights[seq % FLIGHTS];
    if (f->left > 0 && --f->left == 0)
        l->in_flight--;
}

static void count_delivery(struct load *l, int64_t seq, int64_t since_ns, int64_t now_ns)
{
    settle(l, seq);
    if (seq < l->measured_from)
        return;
    l->report->deliveries++;
    histogram_add(&l->report->latency, now_ns - since_ns);
}

/* True when the arrival needs no further look: it is of a phase in which order does not count. */
static bool loose(struct load *l, struct client *c, int64_t seq, int64_t now_ns)
{
    if (c->state != CLIENT_READY)
        return true;
    l->arrived_ns = now_ns;
    if (l->strict && !c->slow)
        return false;
    c->seen = true;
    c->next_seq = seq + l->names;
    return true;
}

static void advance(struct load *l, struct client *c)
{
    c->next_seq += l->names;
    c->ahead >>= 1;
}

/* Notes that a number arrived, and what it tells of those before it. Publishes over several connections (HTTP) may overtake each
 * other; then a number may come early. False when it came twice. */
static bool in_place(struct load *l, struct client *c, int64_t seq)
{
    enum { AHEAD_BITS = 64 };
    int64_t early = (seq - c->next_seq) / l->names;
    if (seq < c->next_seq || (early < AHEAD_BITS && (c->ahead >> early & 1))) {
        l->report->duplicates++;
        return false;
    }
    if (early > 0 && early < AHEAD_BITS && l->opt->publish == PUBLISH_HTTP) {
        c->ahead |= (uint64_t)1 << early;
        l->report->overtaken++;
        return true;
    }
    for (; c->next_seq < seq; advance(l, c))
        if (!(c->ahead & 1)) {
            l->report->gaps++;
            settle(l, c->next_seq);
        }
    do
        advance(l, c);
    while (c->ahead & 1);
    return true;
}

static void on_delivered(struct client *c, int64_t seq, int64_t time_ns, int64_t now_ns)
{
    struct load *l = load_of(c);
    if (seq >= l->next_seq || seq % l->names != c->name) {
        l->report->misplaced += c->state == CLIENT_READY && l->strict;
        return;
    }
    if (!loose(l, c, seq, now_ns) && in_place(l, c, seq))
        count_delivery(l, seq, time_ns, now_ns);
}

/* A length of the list tells of all inserts up to it. */
static void on_counted(struct client *c, int64_t total, int64_t now_ns)
{
    struct load *l = load_of(c);
    int64_t seq = (total - l->opt->list_items - 1) * l->names + c->name;
    if (seq < 0)
        return;
    if (seq >= l->next_seq) {
        l->report->misplaced += c->state == CLIENT_READY && l->strict;
        return;
    }
    if (loose(l, c, seq, now_ns))
        return;
    if (seq + l->names < c->next_seq)
        l->report->duplicates++;
    for (; c->next_seq <= seq; c->next_seq += l->names)
        count_delivery(l, c->next_seq, l->flights[c->next_seq % FLIGHTS].sent_ns, now_ns);
}

/* What this client has not got will not come any more. */
static int64_t give_up(struct load *l, struct client *c)
{
    int64_t count = 0;
    for (; c->next_seq < l->next_seq; advance(l, c))
        if (!(c->ahead & 1)) {
            settle(l, c->next_seq);
            count++;
        }
    return count;
}

static void on_ready(struct client *c)
{
    struct load *l = load_of(c);
    if (c->publisher)
        return;
    l->ready++;
    l->arrived_ns = bench_now_ns();
    histogram_add(&l->report->ready, l->arrived_ns - c->begun_ns);
    if (!c->slow) {
        l->subscribers[c->name]++;
        l->reading++;
    }
}

static void on_dead(struct client *c, const char *why)
{
    struct load *l = load_of(c);
    if (c->publisher)
        bench_die("publishing: %s", why);
    if (!c->slow || c->reading)
        complain(l, why);
    if (!c->was_ready) {
        l->report->failed++;
        return;
    }
    l->arrived_ns = bench_now_ns();
    if (c->slow) {
        l->report->slow_closed++;
        return;
    }
    l->report->disconnected++;
    l->subscribers[c->name]--;
    l->reading--;
    if (l->strict)
        give_up(l, c);
}

/* --- publishing --- */

static bool publish(struct load *l, int64_t now_ns)
{
    int64_t seq = l->next_seq, name = seq % l->names;
    struct flight *f = &l->flights[seq % FLIGHTS];
    if (f->left > 0) {
        l->report->held_back++;
        return false;
    }
    if (seq >= l->measured_until)
        return false;
    f->sent_ns = now_ns;
    f->left = l->strict ? l->subscribers[name] : 0;
    if (f->left > 0)
        l->in_flight++;
    l->next_seq++;
    l->report->publishes += seq >= l->measured_from;
    publisher_put(l->publisher, name, seq, now_ns);
    return true;
}

/* At a rate, the time of a publish is when it was due, so that a late one does not look better than it is. */
static void publish_paced(struct load *l, int64_t now_ns)
{
    enum { BURST = 1000 };
    for (int i = 0; i < BURST; i++) {
        int64_t due_ns = l->paced_from_ns + (int64_t)((double)l->paced / l->opt->rate * SECOND_NS);
        if (due_ns > now_ns || !publish(l, due_ns))
            return;
        l->paced++;
    }
}

static void go_on_publishing(struct load *l)
{
    if (!l->publishing || l->reading == 0)
        return;
    int64_t now_ns = bench_now_ns();
    if (l->opt->rate > 0)
        publish_paced(l, now_ns);
    else
        while (l->in_flight < l->opt->window && publish(l, now_ns)) {
        }
}

static void begin_publishing(struct load *l)
{
    l->publishing = true;
    l->paced_from_ns = l->arrived_ns = bench_now_ns();
    l->paced = 0;
}

/* A long silence means that the rest is lost. */
static void check_stall(struct load *l)
{
    if (l->in_flight == 0 || bench_now_ns() - l->arrived_ns < (int64_t)(l->opt->stall * SECOND_NS))
        return;
    for (int64_t i = 0; i < l->opt->clients; i++)
        if (l->clients[i].state == CLIENT_READY && !l->clients[i].slow)
            l->report->lost += give_up(l, &l->clients[i]);
    l->arrived_ns = bench_now_ns();
}

/* --- connecting --- */

static void go_on_connecting(struct load *l)
{
    const struct options *o = l->opt;
    while (l->started < l->wanted && l->started - l->ready - l->report->failed < o->handshakes) {
        if (o->connect_rate > 0) {
            int64_t due_ns = (l->started - l->connect_first) * SECOND_NS / o->connect_rate;
            if (l->connect_since_ns + due_ns > bench_now_ns())
                return;
        }
        struct client *c = &l->clients[l->started];
        c->slow = l->started >= o->clients - o->slow;
        int64_t number = l->started++;
        client_start(c, &l->all, number, number % l->names);
    }
}

/* --- the loop --- */

static int64_t next_due_ns(const struct load *l)
{
    int64_t now_ns = bench_now_ns(), due_ns = now_ns + TICK_NS;
    if (l->publishing && l->opt->rate > 0) {
        int64_t at_ns = l->paced_from_ns + (int64_t)((double)l->paced / l->opt->rate * SECOND_NS);
        due_ns = at_ns < due_ns ? at_ns : due_ns;
    }
    if (l->started < l->wanted && l->opt->connect_rate > 0) {
        int64_t at_ns = l->connect_since_ns + (l->started - l->connect_first) * SECOND_NS / l->opt->connect_rate;
        due_ns = at_ns < due_ns ? at_ns : due_ns;
    }
    return due_ns > now_ns ? due_ns : now_ns + 1;
}

static void turn(struct load *l)
{
    /* The tick is only re-armed when it is over or something is due earlier: a system call less per turn. */
    int64_t due_ns = next_due_ns(l);
    if (l->loop.timer_ns == 0 || due_ns < l->loop.timer_ns)
        loop_wake_at(&l->loop, due_ns);
    loop_turn(&l->loop);
    go_on_connecting(l);
    go_on_publishing(l);
    if (l->publisher)
        publisher_flush(l->publisher);
}

static void turn_for(struct load *l, double seconds)
{
    int64_t end_ns = bench_now_ns() + (int64_t)(seconds * SECOND_NS);
    while (bench_now_ns() < end_ns) {
        turn(l);
        check_stall(l);
    }
}

static void turn_until_published(struct load *l)
{
    while (l->next_seq < l->measured_until && l->reading > 0) {
        turn(l);
        check_stall(l);
    }
}

static bool is_quiet(const struct load *l, int64_t for_ns)
{
    return bench_now_ns() - l->arrived_ns >= for_ns;
}

/* Stops publishing and waits until everything has arrived. */
static void drain(struct load *l)
{
    l->publishing = false;
    while (l->in_flight > 0 || !publisher_idle(l->publisher)) {
        turn(l);
        check_stall(l);
    }
}

/* --- measuring --- */

static void take_sample(const struct proc_pids *pids, struct proc_sample *out)
{
    if (!proc_sample(pids, out))
        bench_die("a process that was named cannot be looked at");
}

static struct moment moment_now(struct load *l)
{
    struct moment m = {.reads = -1, .commands = -1};
    struct redis *redis = publisher_redis(l->publisher);
    if (redis) {
        m.reads = redis_calls(redis, "fcall_ro");
        m.commands = redis_calls(redis, "");
    }
    take_sample(&l->opt->server, &m.server);
    take_sample(&l->opt->redis, &m.redis);
    m.self_us = proc_self_us();
    m.at_ns = bench_now_ns();
    return m;
}

static struct report_span span(const struct moment *a, const struct moment *b)
{
    return (struct report_span){
        .seconds = (double)(b->at_ns - a->at_ns) / SECOND_NS,
        .server_user_us = b->server.user_us - a->server.user_us,
        .server_system_us = b->server.system_us - a->server.system_us,
        .redis_us = b->redis.user_us + b->redis.system_us - a->redis.user_us - a->redis.system_us,
        .self_us = b->self_us - a->self_us,
        .rss_before = a->server.rss_bytes,
        .rss_after = b->server.rss_bytes,
        .redis_reads = a->reads < 0 || b->reads < 0 ? -1 : b->reads - a->reads,
        /* our own looking is not counted */
        .redis_commands = a->commands < 0 || b->commands < 0 ? -1 : b->commands - a->commands - 2,
    };
}

/* --- the run --- */

static void connect_up_to(struct load *l, int64_t wanted)
{
    enum { PATIENCE_SECONDS = 30 };
    l->wanted = wanted;
    l->connect_first = l->started;
    l->connect_since_ns = l->arrived_ns = bench_now_ns();
    go_on_connecting(l);
    while (l->ready + l->report->failed < wanted) {
        turn(l);
        if (is_quiet(l, (int64_t)PATIENCE_SECONDS * SECOND_NS)) {
            complain(l, "connecting takes too long");
            l->report->failed = wanted - l->ready;
        }
    }
}

/* The first client alone, so that the name is known and cached when the others come; they are measured. */
static void connect_all(struct load *l)
{
    connect_up_to(l, 1);
    if (l->ready == 0)
        return;
    turn_for(l, 0.2);
    struct moment a = moment_now(l);
    connect_up_to(l, l->opt->clients);
    struct moment b = moment_now(l);
    l->report->connect = span(&a, &b);
    /* What a handshake needs is given back a moment later. */
    turn_for(l, l->opt->idle ? 2 : 0.2);
    take_sample(&l->opt->server, &b.server);
    l->report->connect.rss_after = b.server.rss_bytes;
}

static bool all_seen(const struct load *l)
{
    for (int64_t i = 0; i < l->opt->clients; i++)
        if (l->clients[i].state == CLIENT_READY && !l->clients[i].seen)
            return false;
    return true;
}

/* Servers that confirm no subscription are published to until everybody hears it. From here on order counts. */
static void probe(struct load *l)
{
    int64_t end_ns = bench_now_ns() + (int64_t)PROBE_SECONDS * SECOND_NS;
    int rounds = 0;
    do {
        for (int64_t n = 0; n < l->names; n++) {
            publish(l, bench_now_ns());
            if (n % 1000 == 999) {
                publisher_flush(l->publisher);
                turn(l);
            }
        }
        rounds++;
        l->arrived_ns = bench_now_ns();
        /* A slow server may still be busy with an earlier round. */
        while (!publisher_idle(l->publisher) || !is_quiet(l, all_seen(l) && rounds == 1 ? QUIET_NS : PATIENCE_NS))
            turn(l);
        if (publisher_error(l->publisher))
            bench_die("publishing: %s", publisher_error(l->publisher));
    } while (!all_seen(l) && bench_now_ns() < end_ns);
    if (!all_seen(l))
        complain(l, "some clients hear nothing");
    l->strict = true;
    for (int64_t i = 0; i < l->opt->clients; i++)
        l->clients[i].next_seq = l->next_seq + l->clients[i].name;
}

static void measure(struct load *l)
{
    struct moment a = moment_now(l);
    int64_t messages = l->all.messages, bytes = l->all.bytes;
    l->measured_from = l->next_seq;
    if (l->opt->count > 0)
        l->measured_until = l->next_seq + l->opt->count;
    begin_publishing(l);
    if (l->opt->count > 0)
        turn_until_published(l);
    else
        turn_for(l, l->opt->seconds);
    drain(l);
    struct moment b = moment_now(l);
    l->report->run = span(&a, &b);
    l->report->messages = l->all.messages - messages;
    l->report->bytes = l->all.bytes - bytes;
}

static int64_t last_seq(const struct load *l, int64_t name)
{
    int64_t last = l->next_seq - 1;
    return last - ((last - name) % l->names + l->names) % l->names;
}

static bool slow_have_newest(struct load *l)
{
    l->report->slow_newest = 0;
    for (int64_t i = 0; i < l->opt->clients; i++) {
        const struct client *c = &l->clients[i];
        l->report->slow_newest += c->slow && c->state == CLIENT_READY && c->next_seq == last_seq(l, c->name) + l->names;
    }
    return l->report->slow_newest + l->report->slow_closed >= l->opt->slow;
}

static void pause_slow(struct load *l)
{
    for (int64_t i = 0; i < l->opt->clients; i++)
        if (l->clients[i].slow && l->clients[i].state == CLIENT_READY) {
            client_pause(&l->clients[i]);
            l->clients[i].messages = l->clients[i].bytes = 0;
        }
}

/* Those that stopped reading go on; what they get is counted, and they must end with the newest. */
static void resume_slow(struct load *l)
{
    for (int64_t i = 0; i < l->opt->clients; i++)
        if (l->clients[i].slow && l->clients[i].state == CLIENT_READY)
            client_resume(&l->clients[i]);
    l->arrived_ns = bench_now_ns();
    while (!(slow_have_newest(l) && is_quiet(l, QUIET_NS)) && !is_quiet(l, (int64_t)(l->opt->stall * SECOND_NS)))
        turn(l);
    for (int64_t i = 0; i < l->opt->clients; i++) {
        const struct client *c = &l->clients[i];
        if (c->slow && c->messages > l->report->slow_messages_max)
            l->report->slow_messages_max = c->messages;
        if (c->slow && c->bytes > l->report->slow_bytes_max)
            l->report->slow_bytes_max = c->bytes;
    }
}

static void run(struct load *l)
{
    connect_all(l);
    l->report->connected = l->ready;
    if (!l->publisher || l->opt->idle || l->ready == 0)
        return;
    probe(l);
    pause_slow(l);
    if (l->opt->warmup > 0) {
        begin_publishing(l);
        turn_for(l, l->opt->warmup);
        drain(l);
    }
    measure(l);
    if (l->opt->slow > 0)
        resume_slow(l);
}

static void begin(struct load *l)
{
    const struct options *o = l->opt;
    static const struct client_events events = {on_ready, on_delivered, on_counted, on_dead};
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
        if ((int64_t)files.rlim_cur < o->clients + 100)
            bench_die("%lld clients need more open files than the limit of %llu (ulimit -n)", (long long)o->clients,
                      (unsigned long long)files.rlim_cur);
    }
    stream_verify(!o->insecure);
    loop_init(&l->loop);
    clients_init(&l->all, &l->loop, o, dialect_of(o->kind), &events, l);
    l->names = options_name_count(o);
    l->subscribers = bench_alloc((size_t)l->names, sizeof(*l->subscribers));
    l->clients = bench_alloc((size_t)o->clients, sizeof(*l->clients));
    l->flights = bench_alloc(FLIGHTS, sizeof(*l->flights));
    l->measured_from = l->measured_until = INT64_MAX;
    l->publisher = publisher_new(&l->loop, o, &l->all);
    while (l->publisher && !publisher_ready(l->publisher))
        turn(l);
    if (!l->publisher)
        return;
    publisher_prepare(l->publisher);
    if (o->publish == PUBLISH_WS) /* which gets no answer */
        turn_for(l, 0.5);
}

static void end(struct load *l)
{
    struct report *r = l->report;
    r->errors = l->all.errors;
    r->unmarked = l->all.unmarked;
    if (l->all.errors)
        complain(l, l->all.error);
    if (l->publisher && publisher_error(l->publisher)) {
        r->errors++;
        complain(l, publisher_error(l->publisher));
    }
    for (int64_t i = 0; i < l->started; i++) {
        client_stop(&l->clients[i]);
        bytes_deinit(&l->clients[i].in);
        bytes_deinit(&l->clients[i].out);
    }
    if (l->publisher)
        publisher_clean(l->publisher);
    publisher_free(l->publisher);
    clients_deinit(&l->all);
    loop_deinit(&l->loop);
    free(l->clients);
    free(l->subscribers);
    free(l->flights);
}

void load_run(const struct options *opt, struct report *report)
{
    struct load l = {.opt = opt, .report = report};
    report->opt = opt;
    report->connect.redis_reads = report->run.redis_reads = -1;
    begin(&l);
    run(&l);
    end(&l);
}

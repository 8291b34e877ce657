/* Answers and messages come over one connection, in order: Redis sends a probe right behind the answer to its publishing, or before
 * it. So a probe that was not heard when the next one is answered is lost, however slow everything is; and lost ones are counted
 * in probes that were answered, not in time. A link that does not even answer is the business of its pings. */
#include "gateway/lifecycle/probe.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "gateway/base/timer.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "gateway/observe/turn.h"
#include "protocol/base/alloc.h"

enum {
    LOST_MAX = 3,       /* in a row, then the link is deaf */
    UNANSWERED_MAX = 8, /* more are not sent */
    PAYLOAD_BYTES = 64,
    FRESH_MS = 5000 /* what went through so long ago still counts; or three probe intervals, if those are longer */
};

/* One of the three, as it went last. */
struct way {
    int64_t passed_us;
    bool passed;   /* on this link */
    bool refused;  /* which was told */
    bool underway; /* not answered yet; messages are counted */
};

struct probe {
    struct gateway *g;
    probe_beat_fn *beat;
    struct hub_member member;
    struct event timer; /* every probe interval */
    int64_t sent;       /* number of the last one */
    int64_t answered;   /* the newest whose publishing Redis answered */
    int64_t heard;      /* the newest that came back, or needs not */
    struct way ways[PROBE_KINDS];
    bool deaf;
    bool unready; /* as the fleet was told */
    size_t channel_len;
    char channel[256];
};

static const char *const names[] = {[PROBE_READ] = "read", [PROBE_WRITE] = "write", [PROBE_MESSAGE] = "message"};

static struct slice channel_of(const struct probe *p)
{
    return slice_of(p->channel, p->channel_len);
}

static void went_deaf(struct probe *p)
{
    p->deaf = true;
    metric_add(METRIC_REDIS_DEAF, 1);
    log_warn("redis answers, but what is published is not heard: not ready, and the link is rebuilt");
    link_rebuild(p->g->link, "it is deaf");
}

static void went_through(struct probe *p, enum probe_kind kind)
{
    struct way *w = &p->ways[kind];
    w->passed_us = turn_now_us();
    w->passed = true;
    if (w->refused)
        log_limited(LOG_REDIS, LOG_LEVEL_INFO, "redis takes a probe again probe=%s", names[kind]);
    w->refused = false;
    if (p->unready && !probe_unready(p))
        p->beat(p->g, NULL, NULL); /* says so at once */
    p->unready = probe_unready(p) != NULL;
}

static void was_refused(struct probe *p, enum probe_kind kind, struct slice error)
{
    struct way *w = &p->ways[kind];
    metric_add(METRIC_REDIS_PROBES_REFUSED, 1);
    if (!w->refused)
        log_limited(LOG_REDIS, LOG_LEVEL_WARN, "redis refuses a probe probe=%s error=%s", names[kind],
                    log_value(error));
    w->refused = true;
}

static void was_answered(struct probe *p, enum probe_kind kind, const struct store_result *r)
{
    p->ways[kind].underway = false;
    if (r->status == STORE_OK)
        went_through(p, kind);
    else if (r->status != STORE_AWAY)
        was_refused(p, kind, r->text);
}

static void on_read(void *arg, const struct store_result *r, const struct store_state *state)
{
    (void)state; /* there is none */
    was_answered(arg, PROBE_READ, r);
}

static void on_written(void *arg, const struct store_result *r, int64_t n)
{
    (void)n;
    was_answered(arg, PROBE_WRITE, r);
}

static void on_published(void *arg, const struct reply *r)
{
    struct probe *p = arg;
    if (!r)
        return; /* the link is gone, and what was on its way */
    p->answered++;
    if (r->type == REPLY_ERROR) {
        p->heard = p->answered; /* nothing to be heard */
        was_refused(p, PROBE_MESSAGE, r->text);
        return;
    }
    if (p->answered - p->heard > LOST_MAX)
        went_deaf(p);
}

static void send_probe(struct probe *p)
{
    char payload[PAYLOAD_BYTES];
    if (link_state(p->g->link) != LINK_UP || p->sent - p->answered >= UNANSWERED_MAX)
        return;
    int len = snprintf(payload, sizeof(payload), "%lld %lld", (long long)++p->sent, (long long)turn_now_us());
    struct slice argv[] = {SLICE_LIT("SPUBLISH"), channel_of(p), slice_of(payload, (size_t)len)};
    link_command(p->g->link, on_published, p, 3, argv);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    send_probe(arg);
}

/* Anybody may publish anything; only what we sent and did not hear yet counts. */
static bool parse(const struct probe *p, struct slice payload, int64_t *number, int64_t *sent_us)
{
    struct slice digits;
    return slice_cut(&payload, ' ', &digits) && slice_i64(digits, number) && slice_i64(payload, sent_us) &&
           *number > p->heard && *number <= p->sent && *sent_us > 0 && *sent_us <= turn_now_us();
}

static void on_message(struct hub_member *m, struct slice payload)
{
    struct probe *p = container_of(m, struct probe, member);
    int64_t number, sent_us;
    if (!parse(p, payload, &number, &sent_us))
        return;
    p->heard = number;
    metric_observe(HISTOGRAM_REDIS_LAG, turn_now_us() - sent_us);
    if (p->deaf)
        log_info("what redis publishes is heard again");
    p->deaf = false;
    went_through(p, PROBE_MESSAGE);
}

static void on_resync(struct hub_member *m)
{
    (void)m; /* probe_on_up does it, after a reconnect; a channel that moved is heard or not */
}

static void on_refused(struct hub_member *m, struct slice why)
{
    was_refused(container_of(m, struct probe, member), PROBE_MESSAGE, why);
}

struct probe *probe_new(struct gateway *g, probe_beat_fn *beat)
{
    struct probe *p = sg_calloc(1, sizeof(*p));
    p->g = g;
    p->beat = beat;
    for (int kind = 0; kind < PROBE_KINDS; kind++)
        p->ways[kind].passed_us = turn_now_us();
    p->member.on_message = on_message;
    p->member.on_resync = on_resync;
    p->member.on_refused = on_refused;
    p->channel_len = store_probe_channel(g->store, slice_str(g->id), p->channel, sizeof(p->channel));
    hub_join(g->hub, channel_of(p), &p->member);
    hub_lead(&p->member); /* behind very many names, a link that hears everything would look deaf */
    event_assign(&p->timer, g->base, -1, EV_PERSIST, on_timer, p);
    timer_start(&p->timer, g->opt->probe_interval_ms);
    return p;
}

void probe_leave(struct probe *p)
{
    event_del(&p->timer);
    hub_leave(p->g->hub, &p->member);
}

void probe_free(struct probe *p)
{
    free(p);
}

/* Redis may be so slow that it has not answered the one before: one of each is enough. */
void probe_second(struct probe *p)
{
    struct way *read = &p->ways[PROBE_READ], *write = &p->ways[PROBE_WRITE];
    if (link_state(p->g->link) != LINK_UP)
        return;
    if (!read->underway) {
        read->underway = true;
        store_probe(p->g->store, slice_str(p->g->id), on_read, p);
    }
    p->unready = probe_unready(p) != NULL;
    if (!write->underway) {
        write->underway = true;
        p->beat(p->g, on_written, p);
    }
}

void probe_on_up(struct probe *p)
{
    p->answered = p->heard = p->sent; /* what was on its way is lost with the link before */
    for (int kind = 0; kind < PROBE_KINDS; kind++)
        p->ways[kind].passed = p->ways[kind].underway = false;
    send_probe(p);
    probe_second(p);
}

int64_t probe_silence_us(const struct probe *p, enum probe_kind kind)
{
    return turn_now_us() - p->ways[kind].passed_us;
}

static bool is_fresh(const struct probe *p, enum probe_kind kind)
{
    int64_t most_ms = FRESH_MS;
    if (kind == PROBE_MESSAGE && LOST_MAX * p->g->opt->probe_interval_ms > most_ms)
        most_ms = LOST_MAX * p->g->opt->probe_interval_ms;
    return p->ways[kind].passed && probe_silence_us(p, kind) <= most_ms * 1000;
}

const char *probe_unready(const struct probe *p)
{
    static const char *const texts[] = {NULL,
                                        "no read",
                                        "no write",
                                        "no read, no write",
                                        "no message",
                                        "no read, no message",
                                        "no write, no message",
                                        "no read, no write, no message"};
    size_t missing = 0;
    for (int kind = 0; kind < PROBE_KINDS; kind++)
        missing |= is_fresh(p, (enum probe_kind)kind) ? 0 : (size_t)1 << kind;
    return p->deaf ? "deaf" : texts[missing];
}

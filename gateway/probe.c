/* Answers and messages come over one connection, in order: Redis sends a probe right behind the answer to its publishing, or before
 * it. So a probe that was not heard when the next one is answered is lost, however slow everything is; and lost ones are counted
 * in probes that were answered, not in time. A link that does not even answer is the business of its pings. */
#include "gateway/probe.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "gateway/log.h"
#include "gateway/metrics.h"
#include "gateway/timer.h"
#include "gateway/turn.h"
#include "protocol/base/alloc.h"

enum {
    LOST_MAX = 3,       /* in a row, then the link is deaf */
    UNANSWERED_MAX = 8, /* more are not sent */
    PAYLOAD_BYTES = 64
};

struct probe {
    struct gateway *g;
    struct hub_member member;
    struct event timer; /* every probe interval */
    int64_t sent;       /* number of the last one */
    int64_t answered;   /* the newest whose publishing Redis answered */
    int64_t heard;      /* the newest that came back, or needs not */
    int64_t heard_us;
    bool deaf;
    bool refused; /* Redis refuses to publish, which was told */
    size_t channel_len;
    char channel[256];
};

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

static void was_refused(struct probe *p, struct slice error)
{
    metric_add(METRIC_REDIS_PROBES_REFUSED, 1);
    p->heard = p->answered; /* nothing to be heard */
    if (!p->refused)
        log_warn("redis refuses to publish a probe: a deaf link will not be noticed error=%s", log_value(error));
    p->refused = true;
}

static void on_published(void *arg, const struct reply *r)
{
    struct probe *p = arg;
    if (!r)
        return; /* the link is gone, and what was on its way */
    p->answered++;
    if (r->type == REPLY_ERROR) {
        was_refused(p, r->text);
        return;
    }
    p->refused = false;
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
    p->heard_us = turn_now_us();
    metric_observe(HISTOGRAM_REDIS_LAG, p->heard_us - sent_us);
    if (p->deaf)
        log_info("what redis publishes is heard again");
    p->deaf = false;
}

static void on_resync(struct hub_member *m)
{
    (void)m; /* probe_on_up does it, after a reconnect; a channel that moved is heard or not */
}

struct probe *probe_new(struct gateway *g)
{
    struct probe *p = sg_calloc(1, sizeof(*p));
    p->g = g;
    p->heard_us = turn_now_us();
    p->member.on_message = on_message;
    p->member.on_resync = on_resync;
    p->channel_len = store_probe_channel(g->store, slice_str(g->id), p->channel, sizeof(p->channel));
    hub_join(g->hub, channel_of(p), &p->member);
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

void probe_on_up(struct probe *p)
{
    p->answered = p->heard = p->sent; /* what was on its way is lost with the link before */
    send_probe(p);
}

bool probe_deaf(const struct probe *p)
{
    return p->deaf;
}

int64_t probe_silence_us(const struct probe *p)
{
    return turn_now_us() - p->heard_us;
}

/* Redis answers a publishing with the number of those who heard it, so it is known whose answers are to come. What is heard may be
 * from anybody: one question costs a look into a table and one message, to the channel of a gateway and no other. */
#include "gateway/admin/census.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "gateway/base/timer.h"
#include "gateway/state/topic.h"
#include "gateway/state/topics.h"
#include "protocol/base/alloc.h"
#include "redis/hub.h"

enum { NAME_BYTES = 512, PAYLOAD_BYTES = NAME_BYTES + 64, CHANNEL_BYTES = 256, ID_DIGITS = 16, COUNT_MAX = 1000000000 };

struct channel {
    struct hub_member member;
    size_t len;
    char text[CHANNEL_BYTES];
};

struct census {
    struct gateway *g;
    struct channel all, own; /* questions to everybody; answers to this one */
    struct list open;        /* struct question */
    int64_t number;          /* of the last question */
};

struct question {
    struct list_node node; /* census->open, until it was told */
    struct census *census; /* NULL: it was told */
    struct event timer;
    int64_t number;
    bool published; /* Redis answered that */
    struct census_result result;
    census_fn *cb;
    void *arg;
};

static struct slice text_of(const struct channel *ch)
{
    return slice_of(ch->text, ch->len);
}

/* --- asking --- */

static void tell(struct question *q)
{
    struct census *c = q->census;
    list_remove(&c->open, &q->node);
    event_del(&q->timer);
    q->census = NULL;
    q->cb(q->arg, &q->result);
    if (q->published)
        free(q);
}

static void tell_if_complete(struct question *q)
{
    if (q->published && q->result.answered >= q->result.asked)
        tell(q);
}

static void on_published(void *arg, const struct reply *r)
{
    struct question *q = arg;
    q->published = true;
    if (!q->census) {
        free(q);
        return;
    }
    q->result.asked = r && r->type == REPLY_INTEGER ? r->integer : -1;
    tell_if_complete(q);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    tell(arg);
}

static struct question *question_new(struct census *c, census_fn *cb, void *arg)
{
    struct question *q = sg_calloc(1, sizeof(*q));
    q->census = c;
    q->number = ++c->number;
    q->result.asked = -1;
    q->cb = cb;
    q->arg = arg;
    list_append(&c->open, &q->node);
    event_assign(&q->timer, c->g->base, -1, 0, on_timer, q);
    timer_start(&q->timer, CENSUS_MS);
    return q;
}

void census_ask(struct census *c, enum kind kind, struct slice name, census_fn *cb, void *arg)
{
    char payload[PAYLOAD_BYTES];
    struct question *q = question_new(c, cb, arg);
    int len = snprintf(payload, sizeof(payload), "%s %lld %c %.*s", c->g->id, (long long)q->number,
                       kind == KIND_VAR ? 'v' : 'l', (int)name.len, name.ptr);
    struct slice argv[] = {SLICE_LIT("SPUBLISH"), text_of(&c->all), slice_of(payload, (size_t)len)};
    link_command(c->g->link, on_published, q, 3, argv); /* last: it may answer and free at once */
}

static struct question *find(const struct census *c, int64_t number)
{
    list_each(&c->open, n)
    {
        struct question *q = container_of(n, struct question, node);
        if (q->number == number)
            return q;
    }
    return NULL;
}

static void on_answer(struct hub_member *m, struct slice payload)
{
    struct census *c = container_of(m, struct census, own.member);
    struct slice digits;
    int64_t number, count;
    if (!slice_cut(&payload, ' ', &digits) || !slice_i64(digits, &number) || !slice_i64(payload, &count) || count < 0 ||
        count > COUNT_MAX)
        return;
    struct question *q = find(c, number);
    if (!q)
        return;
    q->result.answered++;
    q->result.gateways += count > 0;
    q->result.subscribers += count;
    tell_if_complete(q);
}

/* --- answering --- */

struct asked {
    struct slice gw, number, name;
    enum kind kind;
};

static bool is_id(struct slice gw)
{
    size_t digits = 0;
    while (digits < gw.len && strchr("0123456789abcdef", gw.ptr[digits]) && gw.ptr[digits])
        digits++;
    return digits == ID_DIGITS && gw.len == ID_DIGITS;
}

static bool parse(struct slice payload, struct asked *a)
{
    struct slice kind;
    int64_t number;
    if (!slice_cut(&payload, ' ', &a->gw) || !slice_cut(&payload, ' ', &a->number) || !slice_cut(&payload, ' ', &kind))
        return false;
    a->name = payload;
    a->kind = slice_eq(kind, SLICE_LIT("v")) ? KIND_VAR : KIND_LIST;
    return is_id(a->gw) && slice_i64(a->number, &number) && number > 0 && a->name.len > 0 &&
           a->name.len <= NAME_BYTES && (a->kind == KIND_VAR || slice_eq(kind, SLICE_LIT("l")));
}

static void on_question(struct hub_member *m, struct slice payload)
{
    const struct census *c = container_of(m, struct census, all.member);
    struct asked a;
    char channel[CHANNEL_BYTES], answer[PAYLOAD_BYTES];
    if (!parse(payload, &a))
        return;
    const struct topic *t = topics_held(c->g->topics, a.kind, a.name);
    int len =
        snprintf(answer, sizeof(answer), "%.*s %zu", (int)a.number.len, a.number.ptr, t ? topic_subscribers(t) : 0);
    struct slice argv[] = {SLICE_LIT("SPUBLISH"),
                           slice_of(channel, store_census_channel(c->g->store, a.gw, channel, sizeof(channel))),
                           slice_of(answer, (size_t)len)};
    link_command(c->g->link, NULL, NULL, 3, argv);
}

/* --- life --- */

static void on_resync(struct hub_member *m)
{
    (void)m; /* what was missed is missing in an answer, which says so */
}

static void join(struct census *c, struct channel *ch, struct slice gw,
                 void (*on_message)(struct hub_member *, struct slice))
{
    ch->member.on_message = on_message;
    ch->member.on_resync = on_resync;
    ch->len = store_census_channel(c->g->store, gw, ch->text, sizeof(ch->text));
    hub_join(c->g->hub, text_of(ch), &ch->member);
}

struct census *census_new(struct gateway *g)
{
    struct census *c = sg_calloc(1, sizeof(*c));
    c->g = g;
    list_init(&c->open);
    join(c, &c->all, SLICE_NONE, on_question);
    join(c, &c->own, slice_str(g->id), on_answer);
    return c;
}

void census_leave(struct census *c)
{
    struct list_node *n;
    while ((n = list_first(&c->open)))
        tell(container_of(n, struct question, node));
    hub_leave(c->g->hub, &c->all.member);
    hub_leave(c->g->hub, &c->own.member);
}

void census_free(struct census *c)
{
    free(c);
}

/* The map of channels. A channel stays in it while it has members, while its members are being called, and while Redis has
 * still to answer what it was asked about it. */
#include "redis/hub.h"

#include <assert.h>
#include <stdlib.h>

#include "protocol/base/alloc.h"
#include "protocol/base/map.h"

struct hub_channel {
    struct map_node node;  /* key: name */
    struct list_node link; /* in one of the lists of the hub */
    struct list *in;
    struct list members;
    struct hub *hub;
    size_t asked;     /* SSUBSCRIBEs and SUNSUBSCRIBEs that Redis has not answered */
    bool walking;     /* its members are being called */
    bool leads;       /* stands in front of every list */
    int64_t retry_ms; /* in `refused`: when Redis is asked again */
    char *why;        /* in `refused`: what Redis said; else NULL */
    char name[];
};

enum { HUB_WHY_MAX = 200 };

struct hub {
    struct link *link;
    int64_t now_ms; /* of the last hub_tick */
    struct map map;
    struct list done;    /* channels that were subscribed on this connection of the link, the first joined in front */
    struct list fresh;   /* to be subscribed: joined while the link was up, so somebody waits for them */
    struct list again;   /* to be subscribed after those */
    struct list refused; /* by Redis; asked again in this order */
    size_t joined;       /* channels with members */
    size_t unconfirmed;  /* SSUBSCRIBEs that Redis has not confirmed */
};

struct hub *hub_new(struct link *l)
{
    struct hub *h = sg_calloc(1, sizeof *h);
    h->link = l;
    map_init(&h->map);
    list_init(&h->done);
    list_init(&h->fresh);
    list_init(&h->again);
    list_init(&h->refused);
    return h;
}

static void put(struct list *l, struct hub_channel *c)
{
    if (c->in)
        list_remove(c->in, &c->link);
    c->in = l;
    if (c->leads)
        list_prepend(l, &c->link);
    else
        list_append(l, &c->link);
}

static struct hub_channel *first(const struct list *l)
{
    struct list_node *n = list_first(l);
    return n ? container_of(n, struct hub_channel, link) : NULL;
}

static void channel_free(struct hub *h, struct hub_channel *c)
{
    map_remove(&h->map, &c->node);
    list_remove(c->in, &c->link);
    free(c->why);
    free(c);
}

void hub_free(struct hub *h)
{
    if (!h)
        return;
    assert(h->joined == 0);
    struct list *const all[] = {&h->done, &h->fresh, &h->again, &h->refused};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        list_each(all[i], n) channel_free(h, container_of(n, struct hub_channel, link));
    map_deinit(&h->map);
    free(h);
}

size_t hub_channels(const struct hub *h)
{
    return h->joined;
}

static struct hub_channel *channel_find(const struct hub *h, struct slice name)
{
    struct map_node *n = map_find(&h->map, name);
    return n ? container_of(n, struct hub_channel, node) : NULL;
}

static struct hub_channel *channel_new(struct hub *h, struct slice name)
{
    assert(name.len > 0);
    struct hub_channel *c = sg_calloc(1, sizeof *c + name.len);
    memcpy(c->name, name.ptr, name.len);
    c->node.key = slice_of(c->name, name.len);
    c->hub = h;
    list_init(&c->members);
    map_insert(&h->map, &c->node);
    put(&h->again, c);
    return c;
}

static bool is_subscribed(const struct hub *h, const struct hub_channel *c)
{
    return c->in == &h->done && link_state(h->link) == LINK_UP;
}

bool hub_subscribed(const struct hub *h, const struct hub_member *m)
{
    return m->channel && is_subscribed(h, m->channel);
}

static bool may_subscribe(const struct hub *h)
{
    return link_state(h->link) == LINK_UP && h->unconfirmed < HUB_UNCONFIRMED_MAX;
}

const char *hub_refusal(const struct hub_member *m)
{
    return m->channel ? m->channel->why : NULL;
}

static void on_subscribed(void *arg, const struct reply *answer);
static void on_unsubscribed(void *arg, const struct reply *answer);

/* One command per channel: on a cluster, channels of several slots must not share one. */
static void ask(struct hub *h, struct hub_channel *c)
{
    if (!link_subscribe(h->link, c->node.key, on_subscribed, c))
        return;
    h->unconfirmed++;
    c->asked++;
}

static void subscribe(struct hub *h, struct hub_channel *c)
{
    put(&h->done, c);
    ask(h, c);
}

static void unsubscribe(struct hub *h, struct hub_channel *c)
{
    if (is_subscribed(h, c) && link_unsubscribe(h->link, c->node.key, on_unsubscribed, c))
        c->asked++;
}

static void release(struct hub *h, struct hub_channel *c)
{
    if (c->members.count == 0 && c->asked == 0 && !c->walking)
        channel_free(h, c);
}

/* forget_refusal: what becomes of it is not known any more. */
static void forget_refusal(struct hub *h, struct hub_channel *c)
{
    if (!c->why)
        return;
    free(c->why);
    c->why = NULL;
    put(&h->again, c);
}

void hub_join(struct hub *h, struct slice channel, struct hub_member *m)
{
    assert(!m->channel);
    struct hub_channel *c = channel_find(h, channel);
    if (!c)
        c = channel_new(h, channel);
    /* While members are called the list holds one more entry, the end of the walk. */
    bool first = c->members.count == (c->walking ? 1 : 0);
    m->channel = c;
    list_append(&c->members, &m->node);
    if (!first)
        return;
    h->joined++;
    if (may_subscribe(h))
        subscribe(h, c);
    else
        put(link_state(h->link) == LINK_UP ? &h->fresh : &h->again, c);
}

void hub_lead(const struct hub_member *m)
{
    struct hub_channel *c = m->channel;
    c->leads = true;
    list_remove(c->in, &c->link);
    list_prepend(c->in, &c->link);
}

void hub_leave(struct hub *h, struct hub_member *m)
{
    struct hub_channel *c = m->channel;
    if (!c)
        return;
    list_remove(&c->members, &m->node);
    m->channel = NULL;
    if (c->members.count > (c->walking ? 1 : 0))
        return;
    h->joined--;
    forget_refusal(h, c);
    unsubscribe(h, c);
    release(h, c);
}

/* --- calling members --- */

/* walk calls each member that the channel has now. A callback may leave and join, itself or others: each member is moved to
 * the tail before it is called, so the walk holds no pointer but the entry of its own that marks the end. */
static void walk(struct hub *h, struct hub_channel *c, void (*call)(struct hub_member *m, struct slice payload),
                 struct slice payload)
{
    struct list_node end = {NULL, NULL};
    assert(!c->walking);
    c->walking = true;
    list_append(&c->members, &end);
    while (list_first(&c->members) != &end) {
        struct list_node *n = list_pop(&c->members);
        list_append(&c->members, n);
        call(container_of(n, struct hub_member, node), payload);
    }
    list_remove(&c->members, &end);
    c->walking = false;
    release(h, c);
}

static void call_message(struct hub_member *m, struct slice payload)
{
    m->on_message(m, payload);
}

static void call_resync(struct hub_member *m, struct slice payload)
{
    (void)payload;
    m->on_resync(m);
}

static void call_refused(struct hub_member *m, struct slice why)
{
    if (m->on_refused)
        m->on_refused(m, why);
}

/* pump subscribes what waits for it, as far as the confirmations that are under way allow. Callbacks may add channels and take
 * channels away. */
static void pump(struct hub *h)
{
    struct hub_channel *c;
    while (may_subscribe(h) && (c = h->fresh.count ? first(&h->fresh) : first(&h->again))) {
        if (c->members.count == 0) { /* left, and Redis has still to confirm it */
            put(&h->done, c);
            continue;
        }
        subscribe(h, c);
        walk(h, c, call_resync, SLICE_NONE);
    }
}

/* A new connection has no subscriptions, and its user may have other rights. */
static void begin_again(struct hub *h)
{
    struct hub_channel *c;
    while ((c = first(&h->refused)))
        forget_refusal(h, c);
    while ((c = first(&h->fresh)))
        put(&h->again, c);
    while ((c = first(&h->again))) /* behind those that were earlier, so that the order stays */
        put(&h->done, c);
    while ((c = first(&h->done))) {
        put(&h->again, c);
        release(h, c);
    }
}

void hub_on_up(struct hub *h)
{
    begin_again(h);
    pump(h);
}

/* --- what Redis answers --- */

static char *copy_text(struct slice text)
{
    return sg_memdup(text.ptr, text.len < HUB_WHY_MAX ? text.len : HUB_WHY_MAX);
}

/* Whoever is refused again hears nothing new. */
static void refuse(struct hub *h, struct hub_channel *c, struct slice text)
{
    bool again = c->why != NULL;
    put(&h->refused, c);
    c->retry_ms = h->now_ms + HUB_RETRY_MS;
    if (again)
        return;
    c->why = copy_text(text);
    walk(h, c, call_refused, slice_str(c->why));
}

/* Only now a read does not miss what comes after it. */
static void accept(struct hub *h, struct hub_channel *c)
{
    if (!c->why)
        return;
    forget_refusal(h, c);
    put(&h->done, c);
    walk(h, c, call_resync, SLICE_NONE);
}

/* The answer counts that was asked for last. */
static void settle(struct hub *h, struct hub_channel *c, const struct reply *answer)
{
    if (c->members.count == 0 && answer->type != REPLY_ERROR) { /* left while Redis was asked once more */
        put(&h->done, c);
        unsubscribe(h, c);
    } else if (c->members.count == 0)
        release(h, c);
    else if (answer->type == REPLY_ERROR)
        refuse(h, c, answer->text);
    else
        accept(h, c);
}

static void on_subscribed(void *arg, const struct reply *answer)
{
    struct hub_channel *c = arg;
    struct hub *h = c->hub;
    h->unconfirmed--;
    c->asked--;
    if (!answer)
        release(h, c);
    else if (c->asked == 0)
        settle(h, c, answer);
    if (answer)
        pump(h);
}

static void on_unsubscribed(void *arg, const struct reply *answer)
{
    struct hub_channel *c = arg;
    (void)answer; /* whatever it is: nobody listens any more, or somebody does again behind it */
    c->asked--;
    release(c->hub, c);
}

void hub_tick(struct hub *h, int64_t now_ms)
{
    struct hub_channel *c;
    h->now_ms = now_ms;
    for (int i = 0; i < HUB_RETRIES_MAX && may_subscribe(h) && (c = first(&h->refused)) && c->retry_ms <= now_ms; i++) {
        put(&h->refused, c);
        c->retry_ms = now_ms + HUB_RETRY_MS;
        if (c->asked == 0)
            ask(h, c);
    }
}

/* --- pushes --- */

/* Redis took it away. Where something was asked for, the answer tells. */
static void on_left(struct hub *h, struct slice channel)
{
    struct hub_channel *c = channel_find(h, channel);
    if (!c || c->asked > 0 || c->in != &h->done)
        return;
    put(&h->again, c);
    pump(h);
}

static void on_message(struct hub *h, struct slice channel, struct slice payload)
{
    struct hub_channel *c = channel_find(h, channel);
    if (c && c->members.count > 0)
        walk(h, c, call_message, payload);
}

bool hub_on_push(struct hub *h, const struct reply *push)
{
    struct slice kind = reply_at(push, 0)->text, channel = reply_at(push, 1)->text;
    if (slice_eq(kind, SLICE_LIT("smessage")))
        on_message(h, channel, reply_at(push, 2)->text);
    else if (slice_eq(kind, SLICE_LIT("sunsubscribe")))
        on_left(h, channel);
    else
        return false;
    return true;
}

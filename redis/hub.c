/* The map of channels. A channel stays in it while it has members, while its members are being called, and while Redis has
 * still to confirm that it was left: only then can a confirmation that nobody asked for be told from one that somebody did. */
#include "redis/hub.h"

#include <assert.h>
#include <stdlib.h>

#include "protocol/base/alloc.h"
#include "protocol/base/map.h"

struct hub_channel {
    struct map_node node;  /* key: name */
    struct list_node link; /* in hub.channels */
    struct list members;
    size_t leaving; /* SUNSUBSCRIBEs that are not confirmed */
    bool walking;   /* its members are being called */
    uint64_t round; /* of hub_on_up that subscribed it, or in which it was made */
    char name[];
};

struct hub {
    struct link *link;
    struct map map;
    struct list channels;
    size_t joined;  /* channels with members */
    uint64_t round; /* connections of the link so far */
};

struct hub *hub_new(struct link *l)
{
    struct hub *h = sg_calloc(1, sizeof *h);
    h->link = l;
    map_init(&h->map);
    list_init(&h->channels);
    return h;
}

static void channel_free(struct hub *h, struct hub_channel *c)
{
    map_remove(&h->map, &c->node);
    list_remove(&h->channels, &c->link);
    free(c);
}

void hub_free(struct hub *h)
{
    if (!h)
        return;
    assert(h->joined == 0);
    list_each(&h->channels, n) channel_free(h, container_of(n, struct hub_channel, link));
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
    c->round = h->round;
    memcpy(c->name, name.ptr, name.len);
    c->node.key = slice_of(c->name, name.len);
    list_init(&c->members);
    map_insert(&h->map, &c->node);
    list_append(&h->channels, &c->link);
    return c;
}

/* One command per channel: on a cluster, channels of several slots must not share one. */
static void subscribe(struct hub *h, const struct hub_channel *c)
{
    link_send(h->link, 2, (struct slice[]){SLICE_LIT("SSUBSCRIBE"), c->node.key});
}

static void unsubscribe(struct hub *h, struct hub_channel *c)
{
    if (link_state(h->link) != LINK_UP)
        return;
    link_send(h->link, 2, (struct slice[]){SLICE_LIT("SUNSUBSCRIBE"), c->node.key});
    c->leaving++;
}

static void release(struct hub *h, struct hub_channel *c)
{
    if (c->members.count == 0 && c->leaving == 0 && !c->walking)
        channel_free(h, c);
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
    subscribe(h, c);
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

static void resubscribe(struct hub *h, struct hub_channel *c)
{
    if (c->members.count == 0)
        return;
    subscribe(h, c);
    walk(h, c, call_resync, SLICE_NONE);
}

/* What the connection before had left unconfirmed will never be confirmed. */
static void forget_leaving(struct hub *h)
{
    list_each(&h->channels, n)
    {
        struct hub_channel *c = container_of(n, struct hub_channel, link);
        c->leaving = 0;
        release(h, c);
    }
}

/* Callbacks may add channels, at the tail, and take channels away. Those that are done are moved to the tail, so the walk is
 * over when a channel of this round is at the front. */
void hub_on_up(struct hub *h)
{
    forget_leaving(h);
    h->round++;
    for (struct list_node *n; (n = list_first(&h->channels));) {
        struct hub_channel *c = container_of(n, struct hub_channel, link);
        if (c->round == h->round)
            return;
        c->round = h->round;
        list_remove(&h->channels, n);
        list_append(&h->channels, n);
        resubscribe(h, c);
    }
}

/* --- pushes --- */

static void on_left(struct hub *h, struct slice channel)
{
    struct hub_channel *c = channel_find(h, channel);
    if (!c)
        return;
    if (c->leaving > 0) {
        c->leaving--;
        release(h, c);
    } else {
        resubscribe(h, c);
    }
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
    else if (!slice_eq(kind, SLICE_LIT("ssubscribe")))
        return false;
    return true;
}

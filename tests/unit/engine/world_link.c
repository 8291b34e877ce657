/* Two queues for each gateway. Commands wait to be taken by Redis; what it says, answers and changes, waits in one queue, because they
 * come through one link. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/calls/calls.h"
#include "gateway/state/topic_read.h"
#include "protocol/base/alloc.h"
#include "redis/hub.h"
#include "redis/store.h"
#include "tests/unit/engine/world_parts.h"

struct host world_hosts[WORLD_GATEWAYS];

/* --- the hub --- */

struct hub_channel {
    char name[32];
    bool subscribed; /* on the link as it is */
};

static bool is_name(const struct hub_channel *c)
{
    return strlen(c->name) == 2;
}

void hub_join(struct hub *h, struct slice channel, struct hub_member *m)
{
    m->channel = sg_calloc(1, sizeof(*m->channel));
    assert(channel.len < sizeof(m->channel->name));
    memcpy(m->channel->name, channel.ptr, channel.len);
    m->channel->subscribed = !h->host->cut;
    list_append(&h->host->members, &m->node);
}

void hub_leave(struct hub *h, struct hub_member *m)
{
    if (!m->channel)
        return;
    list_remove(&h->host->members, &m->node);
    free(m->channel);
    m->channel = NULL;
}

bool hub_subscribed(const struct hub *h, const struct hub_member *m)
{
    (void)h;
    return m->channel && m->channel->subscribed;
}

const char *hub_refusal(const struct hub_member *m)
{
    (void)m;
    return NULL;
}

static struct hub_member *member_of(const struct host *h, const char *channel)
{
    list_each(&h->members, n)
    {
        struct hub_member *m = container_of(n, struct hub_member, node);
        if (m->channel->subscribed && strcmp(m->channel->name, channel) == 0)
            return m;
    }
    return NULL;
}

/* A change goes to those who were subscribed when Redis published it; in one process that is the same as when it is heard. A variable and
 * a list never share a name here, so a channel has one member. */
static void tell_member(const struct host *h, const char *channel, struct slice payload)
{
    struct hub_member *m = member_of(h, channel);
    world_trace("gateway %d hears %s: %.*s", (int)(h - world_hosts), channel, (int)payload.len, payload.ptr);
    if (m)
        m->on_message(m, payload);
}

/* --- the link --- */

enum link_state link_state(const struct link *l)
{
    return l->host->cut ? LINK_WAITING : LINK_UP;
}

int64_t link_heard_us(const struct link *l)
{
    (void)l;
    return 0;
}

void errand_send(struct errand *e)
{
    if (e->host->cut) {
        e->answer(e, true);
        free(e);
        return;
    }
    list_append(&e->host->to_redis, &e->node);
}

struct errand *errand_new(struct store *s, void (*run)(struct errand *), void (*answer)(struct errand *, bool),
                          struct slice name, void *cb, void *arg)
{
    struct errand *e = sg_calloc(1, sizeof(*e));
    e->host = s->host;
    e->run = run;
    e->answer = answer;
    e->is_list = name.len > 0 && name.ptr[0] == 'l';
    e->name = name.len == 2 ? number_of(name) : 0;
    e->cb = cb;
    e->arg = arg;
    return e;
}

struct store_result errand_result(const struct errand *e, bool away)
{
    if (away)
        return (struct store_result){.status = STORE_AWAY};
    if (e->refusal)
        return (struct store_result){.status = STORE_REFUSED, .refusal = e->refusal, .text = SLICE_LIT("SG refused")};
    return (struct store_result){.status = STORE_OK};
}

void errand_wrote(struct errand *e, bool away)
{
    struct store_result r = errand_result(e, away);
    if (e->cb)
        ((store_write_fn *)e->cb)(e->arg, &r, e->rev);
}

int publish(const char *channel, const char *format, ...)
{
    char text[sizeof(((struct errand *)NULL)->event)];
    int listening = 0;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    world_trace("%s: %s", channel, text);
    for (int i = 0; i < WORLD_GATEWAYS; i++) {
        struct host *h = &world_hosts[i];
        if (h->cut || !member_of(h, channel))
            continue;
        struct errand *e = sg_calloc(1, sizeof(*e));
        snprintf(e->channel, sizeof(e->channel), "%s", channel);
        snprintf(e->event, sizeof(e->event), "%s", text);
        list_append(&h->to_gateway, &e->node);
        listening++;
    }
    return listening;
}

/* --- both queues move --- */

size_t world_redis(int gateway, size_t most)
{
    struct host *h = &world_hosts[gateway];
    size_t n = 0;
    for (struct list_node *node; n < most && (node = list_pop(&h->to_redis)); n++) {
        struct errand *e = container_of(node, struct errand, node);
        e->run(e);
        list_append(&h->to_gateway, &e->node);
    }
    return n;
}

static void hear(const struct host *h, struct errand *e)
{
    if (e->answer)
        e->answer(e, false);
    else
        tell_member(h, e->channel, slice_str(e->event));
    free(e);
}

size_t world_hear(int gateway, size_t most)
{
    struct host *h = &world_hosts[gateway];
    size_t n = 0;
    for (struct list_node *node; n < most && (node = list_pop(&h->to_gateway)); n++)
        hear(h, container_of(node, struct errand, node));
    return n;
}

static size_t exchange_once(void)
{
    size_t moved = 0;
    for (int i = 0; i < WORLD_GATEWAYS; i++) {
        moved += world_redis(i, SIZE_MAX);
        moved += world_hear(i, SIZE_MAX);
    }
    return moved;
}

void world_exchange(void)
{
    for (int i = 0; i < 1000 && exchange_once(); i++)
        world_turn();
    world_turn();
}

void world_lose_event(int gateway)
{
    struct host *h = &world_hosts[gateway];
    list_each(&h->to_gateway, n)
    {
        struct errand *e = container_of(n, struct errand, node);
        bool is_change = strlen(e->channel) == 2 || e->event[0] == 'f';
        if (e->answer || !is_change)
            continue;
        list_remove(&h->to_gateway, n);
        world_trace("gateway %d does not hear: %s", gateway, e->event);
        free(e);
        return;
    }
}

/* Answers that have not come yet, and never will. */
static void lose(struct list *queue)
{
    struct list_node *n;
    while ((n = list_pop(queue))) {
        struct errand *e = container_of(n, struct errand, node);
        if (e->answer)
            e->answer(e, true);
        free(e);
    }
}

/* What Redis had taken happened, whether or not anybody hears of it. */
void world_cut(int gateway)
{
    struct host *h = &world_hosts[gateway];
    if (h->cut)
        return;
    world_trace("gateway %d is cut", gateway);
    h->cut = true;
    h->g.redis_up = false;
    list_each(&h->members, m) container_of(m, struct hub_member, node)->channel->subscribed = false;
    lose(&h->to_gateway);
    lose(&h->to_redis);
    topics_link_down(h->g.topics);
}

void world_mend(int gateway)
{
    struct host *h = &world_hosts[gateway];
    if (!h->cut)
        return;
    world_trace("gateway %d is up", gateway);
    h->cut = false;
    h->g.redis_up = true;
    list_each(&h->members, n)
    {
        struct hub_member *m = container_of(n, struct hub_member, node);
        m->channel->subscribed = true;
        if (is_name(m->channel))
            m->on_resync(m);
    }
    calls_on_up(h->g.calls);
}

void host_begin(struct host *h)
{
    *h = (struct host){.link = {h}, .hub = {h}, .store = {h}};
    list_init(&h->to_redis);
    list_init(&h->to_gateway);
    list_init(&h->members);
    h->g.link = &h->link;
    h->g.hub = &h->hub;
    h->g.store = &h->store;
}

void host_end(struct host *h)
{
    lose(&h->to_gateway);
    lose(&h->to_redis);
}

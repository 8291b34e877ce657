/* Its life: made for the first who asks, kept for a while after the last one left. */
#include "gateway/state/topic.h"

#include <assert.h>

#include "gateway/base/clock.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "gateway/state/registry.h"
#include "protocol/base/alloc.h"

struct frame *topic_frame(const struct topic *t, uint32_t messages)
{
    struct frame *f = frame_new(buf_slice(&t->gw->scratch), messages);
    f->of = t;
    return f;
}

void topic_init(struct topic *t, struct gateway *g, const struct topic_kind *ops, struct slice name)
{
    char *key = sg_malloc(1 + name.len);
    key[0] = (char)ops->kind;
    memcpy(key + 1, name.ptr, name.len);
    t->gw = g;
    t->ops = ops;
    t->kind = ops->kind;
    t->state = TOPIC_LOADING;
    t->by_key.key = slice_of(key, 1 + name.len);
    t->name = slice_of(key + 1, name.len);
    list_init(&t->requests);
    list_init(&t->waiting);
}

void topic_free(struct topic *t)
{
    struct topics *r = t->gw->topics;
    assert(t->users == 0 && !t->reading && !t->sweeping);
    conn_settle(t->gw);
    if (t->member.channel)
        hub_leave(t->gw->hub, &t->member);
    map_remove(&r->by_key, &t->by_key);
    list_remove(&r->all, &t->all);
    reads_done(&r->reads, &t->read);
    metric_add(METRIC_NAMES_STALE, -(t->state != TOPIC_READY));
    metric_add(METRIC_NAMES_TOO_LARGE, -t->barred);
    if (list_linked(&t->refused))
        list_remove(&r->refused, &t->refused);
    if (list_linked(&t->idle))
        list_remove(&r->idle, &t->idle);
    free((char *)(uintptr_t)t->by_key.key.ptr);
    metric_add(METRIC_NAMES, -1);
    t->ops->destroy(t);
}

void topic_join(struct topic *t)
{
    char channel[1024];
    size_t len = store_channel(t->gw->store, t->name, channel, sizeof(channel));
    hub_join(t->gw->hub, slice_of(channel, len), &t->member);
}

void topic_use(struct topic *t)
{
    if (t->users++ == 0 && list_linked(&t->idle))
        list_remove(&t->gw->topics->idle, &t->idle);
}

void topic_release(struct topic *t)
{
    assert(t->users > 0);
    if (--t->users > 0)
        return;
    t->idle_since_ms = clock_now_ms();
    list_append(&t->gw->topics->idle, &t->idle);
}

/* A name is stale while Redis may have another state that nobody told us. */
void topic_set_state(struct topic *t, enum topic_state state)
{
    metric_add(METRIC_NAMES_STALE, (state != TOPIC_READY) - (t->state != TOPIC_READY));
    t->state = state;
}

bool topic_declared(const struct topic *t)
{
    return options_name(t->gw->opt, t->kind, t->name) != NULL;
}

bool topic_unknown(const struct topic *t)
{
    return !t->exists && !topic_declared(t);
}

void topic_bad_change(const struct topic *t, const char *what)
{
    metric_add(METRIC_BAD_CHANGES, 1);
    log_limited(LOG_GARBAGE, LOG_LEVEL_WARN, "dropped bytes from Redis name=%s what=\"%s\"", log_value(t->name), what);
}

void topic_error(struct conn *c, const struct topic *t, enum error_code code, const char *text, struct slice id)
{
    conn_error(c, code, slice_str(text), t->kind, t->name, id);
}

void topic_look(const struct topic *t, struct topic_look *out)
{
    *out = (struct topic_look){.size = 0};
    t->ops->look(t, out);
}

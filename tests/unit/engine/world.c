/* Two queues and a few tables. Commands wait to be taken by Redis; what it says, answers and changes, waits in one queue, because they
 * come through one link. */
#include "tests/unit/engine/world.h"

#include <assert.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/base/clock.h"
#include "gateway/calls/calls.h"
#include "gateway/net/pace.h"
#include "gateway/net/socket.h"
#include "gateway/observe/kernel.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "gateway/observe/rejects.h"
#include "gateway/peer/peer.h"
#include "gateway/state/topic_read.h"
#include "gateway/state/topics.h"
#include "protocol/base/alloc.h"
#include "protocol/dialects.h"
#include "protocol/json.h"
#include "redis/hub.h"
#include "redis/store.h"

enum { HEARD_MAX = 1 << 20 }; /* bytes of what a client heard that are kept */

struct world_var world_vars[WORLD_NAMES];
struct world_list world_lists[WORLD_NAMES];
struct world_client world_clients[WORLD_CLIENTS];
const struct dialect *world_dialect;
const char *world_wrong;

/* --- queues --- */

/* Something asked of Redis, and then its answer. */
struct errand {
    struct list_node node;
    void (*run)(struct errand *e);               /* Redis takes it: fills in the answer */
    void (*answer)(struct errand *e, bool away); /* and the gateway hears that; away: the link was lost */
    void *cb, *arg;
    int name;
    int64_t index;
    int id, value;
    enum store_refusal refusal;
    int64_t rev;
    struct world_var var; /* snapshots */
    struct world_list list;
    struct store_range ranges[64];
    size_t nranges;
    int ids[64];
    size_t nids;
    int all_ids[WORLD_ITEMS], all_values[WORLD_ITEMS];
    int count;
    bool is_list;
    char event[128]; /* a change, instead of an answer */
    bool is_event;
};

struct timer {
    struct list_node node;
    struct event *event;
    void (*cb)(evutil_socket_t, short, void *);
    void *arg;
    int64_t due_ms, every_ms;
    bool pending;
};

static struct {
    struct gateway g;
    struct options options;
    struct grants grants;
    struct list to_redis, to_gateway; /* struct errand */
    struct list timers;               /* struct timer */
    struct list members;              /* struct hub_member of names, joined */
    int64_t now_ms;
    bool cut;
    struct conn *writing[WORLD_CLIENTS]; /* want a write in this turn */
    struct buf pending[WORLD_CLIENTS];   /* written, and not taken by the socket */
    struct buf inbox[WORLD_CLIENTS];     /* taken, and not a whole message yet */
    struct buf heard[WORLD_CLIENTS];     /* texts, a line each, as far as there is room */
    bool wants_room[WORLD_CLIENTS], kill[WORLD_CLIENTS], paused[WORLD_CLIENTS];
} w;

/* --- the clock --- */

int64_t clock_now_ms(void)
{
    return w.now_ms;
}

int64_t clock_exact_ms(void)
{
    return w.now_ms;
}

int64_t clock_wall_ms(void)
{
    return w.now_ms;
}

static struct timer *timer_of(const struct event *ev)
{
    list_each(&w.timers, n)
    {
        struct timer *t = container_of(n, struct timer, node);
        if (t->event == ev)
            return t;
    }
    return NULL;
}

int event_assign(struct event *ev, struct event_base *base, evutil_socket_t fd, short events, event_callback_fn cb,
                 void *arg)
{
    (void)base;
    (void)fd;
    struct timer *t = timer_of(ev);
    if (!t) {
        t = sg_calloc(1, sizeof(*t));
        list_append(&w.timers, &t->node);
    }
    t->event = ev;
    t->cb = cb;
    t->arg = arg;
    t->every_ms = events & EV_PERSIST ? 1 : 0;
    t->pending = false;
    return 0;
}

int event_add(struct event *ev, const struct timeval *timeout)
{
    struct timer *t = timer_of(ev);
    int64_t ms = (int64_t)timeout->tv_sec * 1000 + timeout->tv_usec / 1000;
    t->due_ms = w.now_ms + ms;
    t->every_ms = t->every_ms ? ms : 0;
    t->pending = true;
    return 0;
}

/* Its owner may free it now. */
int event_del(struct event *ev)
{
    struct timer *t = timer_of(ev);
    if (!t)
        return 0;
    list_remove(&w.timers, &t->node);
    free(t);
    return 0;
}

int event_pending(const struct event *ev, short events, struct timeval *tv)
{
    (void)events;
    (void)tv;
    const struct timer *t = timer_of(ev);
    return t && t->pending ? EV_TIMEOUT : 0;
}

static struct timer *due(void)
{
    struct timer *first = NULL;
    list_each(&w.timers, n)
    {
        struct timer *t = container_of(n, struct timer, node);
        if (t->pending && t->due_ms <= w.now_ms && (!first || t->due_ms < first->due_ms))
            first = t;
    }
    return first;
}

static void fire(void)
{
    struct timer *t;
    while ((t = due())) {
        void (*cb)(evutil_socket_t, short, void *) = t->cb;
        void *arg = t->arg;
        t->pending = t->every_ms > 0;
        t->due_ms += t->every_ms;
        cb(-1, EV_TIMEOUT, arg);
    }
}

/* --- Redis: names --- */

/* "v1" and "l1" are numbers 1 of their kinds. */
static int number_of(struct slice name)
{
    assert(name.len == 2);
    return name.ptr[1] - '0';
}

static void name_text(char out[3], bool list, int name)
{
    snprintf(out, 3, "%c%d", list ? 'l' : 'v', name);
}

static int as_number(struct slice text)
{
    int64_t n;
    return slice_i64(text, &n) ? (int)n : -1;
}

size_t store_channel(const struct store *s, struct slice name, char *out, size_t size)
{
    (void)s;
    assert(size > name.len);
    memcpy(out, name.ptr, name.len);
    return name.len;
}

struct slice store_calls_channel(const struct store *s)
{
    (void)s;
    return SLICE_LIT("calls");
}

/* --- the hub --- */

struct hub_channel {
    char name[64];
    bool subscribed; /* on the link as it is */
};

static bool is_name(const struct hub_channel *c)
{
    return strlen(c->name) == 2;
}

void hub_join(struct hub *h, struct slice channel, struct hub_member *m)
{
    (void)h;
    m->channel = sg_calloc(1, sizeof(*m->channel));
    memcpy(m->channel->name, channel.ptr, channel.len);
    m->channel->subscribed = !w.cut;
    list_append(&w.members, &m->node);
}

void hub_leave(struct hub *h, struct hub_member *m)
{
    (void)h;
    if (!m->channel)
        return;
    list_remove(&w.members, &m->node);
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

/* A change goes to those who were subscribed when Redis published it; in one process that is the same as when it is heard. */
static void tell_members(const char *channel, struct slice payload)
{
    list_each(&w.members, n)
    {
        struct hub_member *m = container_of(n, struct hub_member, node);
        if (m->channel->subscribed && strcmp(m->channel->name, channel) == 0)
            m->on_message(m, payload);
    }
}

/* --- the link --- */

enum link_state link_state(const struct link *l)
{
    (void)l;
    return w.cut ? LINK_WAITING : LINK_UP;
}

int64_t link_heard_us(const struct link *l)
{
    (void)l;
    return w.now_ms * 1000;
}

static void send_errand(struct errand *e)
{
    if (w.cut) {
        e->answer(e, true);
        free(e);
        return;
    }
    list_append(&w.to_redis, &e->node);
}

static struct errand *errand_new(void (*run)(struct errand *), void (*answer)(struct errand *, bool), struct slice name,
                                 void *cb, void *arg)
{
    struct errand *e = sg_calloc(1, sizeof(*e));
    e->run = run;
    e->answer = answer;
    e->is_list = name.len > 0 && name.ptr[0] == 'l';
    e->name = name.len == 2 ? number_of(name) : 0;
    e->cb = cb;
    e->arg = arg;
    return e;
}

static struct store_result result_of(const struct errand *e, bool away)
{
    if (away)
        return (struct store_result){.status = STORE_AWAY};
    if (e->refusal)
        return (struct store_result){.status = STORE_REFUSED, .refusal = e->refusal, .text = SLICE_LIT("SG refused")};
    return (struct store_result){.status = STORE_OK};
}

/* --- what it says of changes --- */

__attribute__((format(printf, 3, 4))) static void publish(bool list, int name, const char *format, ...)
{
    struct errand *e = sg_calloc(1, sizeof(*e));
    va_list args;
    va_start(args, format);
    vsnprintf(e->event, sizeof(e->event), format, args);
    va_end(args);
    e->is_event = true;
    e->is_list = list;
    e->name = name;
    if (w.cut)
        free(e); /* nobody is subscribed */
    else
        list_append(&w.to_gateway, &e->node);
}

void world_var_set(int name, int value)
{
    struct world_var *v = &world_vars[name];
    *v = (struct world_var){v->rev + 1, true, value};
    publish(false, name, "vs %lld %d", (long long)v->rev, value);
}

void world_var_delete(int name)
{
    struct world_var *v = &world_vars[name];
    if (!v->exists)
        return;
    *v = (struct world_var){.rev = v->rev + 1};
    publish(false, name, "vd %lld", (long long)v->rev);
}

static int place_of(const struct world_list *l, int id)
{
    for (int i = 0; i < l->total; i++)
        if (l->ids[i] == id)
            return i;
    return -1;
}

static int digits(int n)
{
    return n > 9 ? 2 : 1;
}

void world_insert(int name, int index, int id, int value)
{
    struct world_list *l = &world_lists[name];
    if (l->total == WORLD_ITEMS || place_of(l, id) >= 0)
        return;
    index = index < 0 || index > l->total ? l->total : index;
    size_t behind = (size_t)(l->total - index) * sizeof(int);
    memmove(l->ids + index + 1, l->ids + index, behind);
    memmove(l->values + index + 1, l->values + index, behind);
    l->ids[index] = id;
    l->values[index] = value;
    l->total++;
    l->exists = true;
    l->rev++;
    publish(true, name, "li %lld %d %d %d %d %d", (long long)l->rev, index, l->total, digits(id), id, value);
}

void world_set(int name, int id, int value)
{
    struct world_list *l = &world_lists[name];
    int at = place_of(l, id);
    if (at < 0)
        return;
    l->values[at] = value;
    l->rev++;
    publish(true, name, "ls %lld %d %d %d %d %d", (long long)l->rev, at, l->total, digits(id), id, value);
}

void world_delete(int name, int id)
{
    struct world_list *l = &world_lists[name];
    int at = place_of(l, id);
    if (at < 0)
        return;
    size_t behind = (size_t)(l->total - at - 1) * sizeof(int);
    memmove(l->ids + at, l->ids + at + 1, behind);
    memmove(l->values + at, l->values + at + 1, behind);
    l->total--;
    l->rev++;
    publish(true, name, "lx %lld %d %d %d %d", (long long)l->rev, at, l->total, digits(id), id);
}

void world_replace(int name, int count)
{
    struct world_list *l = &world_lists[name];
    l->exists = true;
    l->total = count;
    l->rev++;
    for (int i = 0; i < count; i++) {
        l->ids[i] = (i * 7 + (int)l->rev) % WORLD_IDS;
        for (int j = 0; j < i; j++)
            while (l->ids[j] == l->ids[i]) {
                l->ids[i] = (l->ids[i] + 1) % WORLD_IDS;
                j = 0;
            }
        l->values[i] = (int)l->rev + i;
    }
    publish(true, name, "la %lld %d", (long long)l->rev, count);
}

void world_drop(int name)
{
    struct world_list *l = &world_lists[name];
    if (!l->exists)
        return;
    *l = (struct world_list){.rev = l->rev + 1};
    publish(true, name, "lz %lld", (long long)l->rev);
}

void world_flush(void)
{
    memset(world_vars, 0, sizeof(world_vars));
    memset(world_lists, 0, sizeof(world_lists));
}

/* --- reads --- */

static void take_snapshot(struct errand *e)
{
    e->var = world_vars[e->name];
    e->list = world_lists[e->name];
}

static void var_answer(struct errand *e, bool away)
{
    struct store_result r = result_of(e, away);
    char text[16];
    struct store_var v = {.rev = e->var.rev, .exists = e->var.exists};
    v.value = slice_of(text, (size_t)snprintf(text, sizeof(text), "%d", e->var.value));
    ((store_var_fn *)e->cb)(e->arg, &r, &v);
}

void store_var_read(struct store *s, struct slice name, size_t room, store_var_fn *cb, void *arg)
{
    (void)s;
    (void)room;
    send_errand(errand_new(take_snapshot, var_answer, name, (void *)cb, arg));
}

static struct slice number_text(char (*texts)[12], size_t *used, int n)
{
    char *text = texts[(*used)++];
    return slice_of(text, (size_t)snprintf(text, 12, "%d", n));
}

static struct store_item item_at(const struct world_list *l, int at, char (*texts)[12], size_t *used)
{
    struct store_item it = {.index = at};
    if (at < 0)
        return it;
    it.id = number_text(texts, used, l->ids[at]);
    it.value = number_text(texts, used, l->values[at]);
    return it;
}

static void list_answer(struct errand *e, bool away)
{
    static char texts[4096][12];
    static struct store_item items[2048];
    struct store_item ids[64];
    struct store_result r = result_of(e, away);
    struct store_list read = {.rev = e->list.rev, .exists = e->list.exists, .total = e->list.total};
    size_t used = 0, n = 0;
    for (size_t k = 0; k < e->nranges; k++) {
        int64_t start = e->ranges[k].start, count = e->ranges[k].count;
        count = start >= e->list.total ? 0 : count < e->list.total - start ? count : e->list.total - start;
        e->ranges[k].count = count;
        for (int64_t i = 0; i < count; i++)
            items[n++] = item_at(&e->list, (int)(start + i), texts, &used);
    }
    for (size_t k = 0; k < e->nids; k++)
        ids[k] = item_at(&e->list, place_of(&e->list, e->ids[k]), texts, &used);
    read.ranges = e->ranges;
    read.nranges = e->nranges;
    read.items = items;
    read.ids = ids;
    read.nids = e->nids;
    ((store_list_fn *)e->cb)(e->arg, &r, &read);
}

void store_list_read(struct store *s, struct slice name, const struct store_want *want, store_list_fn *cb, void *arg)
{
    (void)s;
    struct errand *e = errand_new(take_snapshot, list_answer, name, (void *)cb, arg);
    assert(want->nranges <= 64 && want->nids <= 64);
    if (want->nranges)
        memcpy(e->ranges, want->ranges, want->nranges * sizeof(*want->ranges));
    e->nranges = want->nranges;
    for (size_t k = 0; k < want->nids; k++)
        e->ids[k] = as_number(want->ids[k]);
    e->nids = want->nids;
    send_errand(e);
}

static void state_answer(struct errand *e, bool away)
{
    struct store_result r = result_of(e, away);
    struct store_state st = {e->var.rev, e->list.rev, e->var.exists, e->list.exists};
    ((store_state_fn *)e->cb)(e->arg, &r, &st);
}

void store_state(struct store *s, struct slice name, store_state_fn *cb, void *arg)
{
    (void)s;
    send_errand(errand_new(take_snapshot, state_answer, name, (void *)cb, arg));
}

/* --- writes --- */

static void write_answer(struct errand *e, bool away)
{
    struct store_result r = result_of(e, away);
    if (e->cb)
        ((store_write_fn *)e->cb)(e->arg, &r, e->rev);
}

static void run_var_set(struct errand *e)
{
    world_var_set(e->name, e->value);
}

void store_var_set(struct store *s, struct slice name, struct slice value, store_write_fn *cb, void *arg)
{
    (void)s;
    struct errand *e = errand_new(run_var_set, write_answer, name, (void *)cb, arg);
    e->value = as_number(value);
    send_errand(e);
}

static void run_insert(struct errand *e)
{
    const struct world_list *l = &world_lists[e->name];
    if (place_of(l, e->id) >= 0)
        e->refusal = REFUSAL_ID;
    else if (e->index > l->total || l->total == WORLD_ITEMS)
        e->refusal = REFUSAL_ARG;
    else
        world_insert(e->name, (int)e->index, e->id, e->value);
}

void store_list_insert(struct store *s, struct slice name, int64_t index, struct slice id, struct slice value,
                       store_write_fn *cb, void *arg)
{
    (void)s;
    struct errand *e = errand_new(run_insert, write_answer, name, (void *)cb, arg);
    e->index = index;
    e->id = as_number(id);
    e->value = as_number(value);
    send_errand(e);
}

static void run_set(struct errand *e)
{
    e->refusal = place_of(&world_lists[e->name], e->id) < 0 ? REFUSAL_ID : REFUSAL_NONE;
    world_set(e->name, e->id, e->value);
}

void store_list_set(struct store *s, struct slice name, struct slice id, struct slice value, store_write_fn *cb,
                    void *arg)
{
    (void)s;
    struct errand *e = errand_new(run_set, write_answer, name, (void *)cb, arg);
    e->id = as_number(id);
    e->value = as_number(value);
    send_errand(e);
}

static void run_delete(struct errand *e)
{
    e->refusal = place_of(&world_lists[e->name], e->id) < 0 ? REFUSAL_ID : REFUSAL_NONE;
    world_delete(e->name, e->id);
}

void store_list_delete(struct store *s, struct slice name, struct slice id, store_write_fn *cb, void *arg)
{
    (void)s;
    struct errand *e = errand_new(run_delete, write_answer, name, (void *)cb, arg);
    e->id = as_number(id);
    send_errand(e);
}

/* Not asked for by the clients of this world. */
void store_list_set_at(struct store *s, struct slice name, int64_t index, struct slice value, store_write_fn *cb,
                       void *arg)
{
    (void)s, (void)name, (void)index, (void)value, (void)cb, (void)arg;
    abort();
}

void store_list_delete_at(struct store *s, struct slice name, int64_t index, store_write_fn *cb, void *arg)
{
    (void)s, (void)name, (void)index, (void)cb, (void)arg;
    abort();
}

void store_list_set_all(struct store *s, struct slice name, struct slice items_json, store_write_fn *cb, void *arg)
{
    (void)s, (void)name, (void)items_json, (void)cb, (void)arg;
    abort();
}

/* --- both queues move --- */

size_t world_redis(size_t most)
{
    size_t n = 0;
    for (struct list_node *node; n < most && (node = list_pop(&w.to_redis)); n++) {
        struct errand *e = container_of(node, struct errand, node);
        e->run(e);
        list_append(&w.to_gateway, &e->node);
    }
    return n;
}

static void hear(struct errand *e)
{
    char name[3];
    if (!e->is_event) {
        e->answer(e, false);
        return;
    }
    name_text(name, e->is_list, e->name);
    tell_members(name, slice_str(e->event));
}

size_t world_hear(size_t most)
{
    size_t n = 0;
    for (struct list_node *node; n < most && (node = list_pop(&w.to_gateway)); n++) {
        struct errand *e = container_of(node, struct errand, node);
        hear(e);
        free(e);
    }
    return n;
}

void world_lose_event(void)
{
    list_each(&w.to_gateway, n)
    {
        struct errand *e = container_of(n, struct errand, node);
        if (!e->is_event)
            continue;
        list_remove(&w.to_gateway, n);
        free(e);
        return;
    }
}

/* What Redis had taken happened, whether or not anybody hears of it. */
void world_cut(void)
{
    struct list_node *n;
    if (w.cut)
        return;
    w.cut = true;
    w.g.redis_up = false;
    list_each(&w.members, m) container_of(m, struct hub_member, node)->channel->subscribed = false;
    while ((n = list_pop(&w.to_gateway)) || (n = list_pop(&w.to_redis))) {
        struct errand *e = container_of(n, struct errand, node);
        if (!e->is_event)
            e->answer(e, true);
        free(e);
    }
    topics_link_down(w.g.topics);
}

void world_mend(void)
{
    if (!w.cut)
        return;
    w.cut = false;
    w.g.redis_up = true;
    list_each(&w.members, n)
    {
        struct hub_member *m = container_of(n, struct hub_member, node);
        m->channel->subscribed = true;
        if (is_name(m->channel))
            m->on_resync(m);
    }
    calls_on_up(w.g.calls);
}

bool world_is_cut(void)
{
    return w.cut;
}

/* --- sockets --- */

static int client_of(const struct conn *c)
{
    for (int i = 0; i < WORLD_CLIENTS; i++)
        if (world_clients[i].conn == c)
            return i;
    abort();
}

void socket_want_write(struct conn *c)
{
    w.writing[client_of(c)] = c;
}

void socket_want_room(struct conn *c, bool on)
{
    w.wants_room[client_of(c)] = on;
}

void socket_kill(struct conn *c)
{
    w.kill[client_of(c)] = true;
}

void socket_pause_reading(struct conn *c, bool pause)
{
    w.paused[client_of(c)] = pause;
}

static void client_takes(int client, struct slice bytes);

/* What the socket takes of what waits. */
static void drain(int client)
{
    struct world_client *c = &world_clients[client];
    struct buf *pending = &w.pending[client];
    size_t n = pending->len < c->room ? pending->len : c->room;
    if (!n)
        return;
    if (c->room != SIZE_MAX)
        c->room -= n;
    client_takes(client, slice_of(pending->ptr, n));
    memmove(pending->ptr, pending->ptr + n, pending->len - n);
    pending->len -= n;
}

enum socket_result socket_write(struct conn *c, const char *bytes, size_t len)
{
    int client = client_of(c);
    assert(w.pending[client].len == 0);
    buf_put(&w.pending[client], bytes, len);
    drain(client);
    return w.pending[client].len ? SOCKET_PARTIAL : SOCKET_ALL;
}

bool socket_buffered(const struct conn *c)
{
    return w.pending[client_of(c)].len > 0;
}

int socket_descriptor(const struct conn *c)
{
    return client_of(c);
}

bool kernel_has_room(int fd)
{
    return world_clients[fd].room > 0;
}

uint64_t kernel_unsent(int fd)
{
    (void)fd;
    return 0;
}

static void gone(int client)
{
    struct world_client *c = &world_clients[client];
    conn_dead(c->conn, 0);
    c->conn = NULL;
    w.writing[client] = NULL;
    w.wants_room[client] = w.kill[client] = w.paused[client] = false;
    buf_reset(&w.pending[client]);
    buf_reset(&w.inbox[client]);
}

static void write_to(int client)
{
    struct world_client *c = &world_clients[client];
    w.writing[client] = NULL;
    if (c->conn && !w.pending[client].len && !conn_write(c->conn))
        gone(client);
}

void world_turn(void)
{
    bool again = true;
    conn_settle(&w.g);
    while (again) {
        again = false;
        for (int i = 0; i < WORLD_CLIENTS; i++)
            if (w.writing[i]) {
                write_to(i);
                again = true;
            }
    }
    conn_end_turn(&w.g);
    pace_end_turn(&w.g);
    for (int i = 0; i < WORLD_CLIENTS; i++) {
        struct world_client *c = &world_clients[i];
        if (c->conn && w.kill[i])
            gone(i);
        if (c->conn && c->conn->out.bytes > c->most)
            c->most = c->conn->out.bytes;
    }
}

void world_stop(int client, size_t bytes)
{
    world_clients[client].room = bytes;
}

void world_read(int client, size_t bytes)
{
    struct world_client *c = &world_clients[client];
    c->room = bytes == SIZE_MAX || c->room == SIZE_MAX ? SIZE_MAX : c->room + bytes;
    if (!c->conn)
        return;
    bool waited = w.pending[client].len > 0;
    drain(client);
    if (!w.pending[client].len && (waited || w.wants_room[client]))
        write_to(client);
}

/* --- clients --- */

static void wrong(const char *what)
{
    if (!world_wrong)
        world_wrong = what;
}

static int held_at(const struct world_held *h, int id)
{
    for (int i = 0; i < h->count; i++)
        if (h->ids[i] == id)
            return i;
    return -1;
}

enum { F_FUNC, F_TYPE, F_NAME, F_ID, F_VALUE, F_INDEX, F_PAGE, F_TOTAL, F_ITEMS, F_CODE, FIELDS };

static void on_page(struct world_held *h, const struct json_value *f)
{
    static const struct slice keys[] = {SLICE_LIT("id"), SLICE_LIT("value")};
    struct json_value item[2];
    struct slice rest = f[F_ITEMS].text;
    h->told = true;
    h->page = as_number(f[F_PAGE].text);
    h->total = as_number(f[F_TOTAL].text);
    h->count = 0;
    while (json_next(&rest, keys, 2, item) == JSON_OBJECT) {
        if (h->count == WORLD_PAGE) {
            wrong("a page that is too long");
            return;
        }
        h->ids[h->count] = as_number(item[0].text);
        h->values[h->count++] = as_number(item[1].text);
    }
}

static void on_insert(struct world_held *h, int index, int id, int value)
{
    if (!h->told || index < 0 || index > h->count || h->count == WORLD_PAGE || held_at(h, id) >= 0) {
        wrong("an insert that does not apply");
        return;
    }
    size_t behind = (size_t)(h->count - index) * sizeof(int);
    memmove(h->ids + index + 1, h->ids + index, behind);
    memmove(h->values + index + 1, h->values + index, behind);
    h->ids[index] = id;
    h->values[index] = value;
    h->count++;
    h->total++;
}

static void on_delete(struct world_held *h, int id)
{
    int at = held_at(h, id);
    if (at < 0) {
        wrong("a delete that does not apply");
        return;
    }
    size_t behind = (size_t)(h->count - at - 1) * sizeof(int);
    memmove(h->ids + at, h->ids + at + 1, behind);
    memmove(h->values + at, h->values + at + 1, behind);
    h->count--;
    h->total--;
}

static void on_list(struct world_held *h, struct slice func, const struct json_value *f)
{
    int at = held_at(h, as_number(f[F_ID].text));
    if (slice_eq(func, SLICE_LIT("\"set_all\"")))
        on_page(h, f);
    else if (slice_eq(func, SLICE_LIT("\"insert\"")))
        on_insert(h, as_number(f[F_INDEX].text), as_number(f[F_ID].text), as_number(f[F_VALUE].text));
    else if (slice_eq(func, SLICE_LIT("\"delete\"")))
        on_delete(h, as_number(f[F_ID].text));
    else if (slice_eq(func, SLICE_LIT("\"set_count\"")))
        h->total = as_number(f[F_TOTAL].text);
    else if (!slice_eq(func, SLICE_LIT("\"set\"")) || at < 0)
        wrong("a set that does not apply");
    else
        h->values[at] = as_number(f[F_VALUE].text);
}

static void on_error(struct world_client *c, const struct json_value *f)
{
    struct slice name = f[F_NAME].text;
    if (name.len != 4 || as_number(f[F_CODE].text) != ERROR_NAME)
        return;
    struct world_held *h = name.ptr[1] == 'l' ? &c->lists[name.ptr[2] - '0'] : &c->vars[name.ptr[2] - '0'];
    h->subscribed = h->told = false;
}

static void client_hears(struct world_client *c, struct slice text)
{
    static const struct slice keys[FIELDS] = {
        SLICE_LIT("func"),  SLICE_LIT("type"),       SLICE_LIT("name"), SLICE_LIT("id"),
        SLICE_LIT("value"), SLICE_LIT("index"),      SLICE_LIT("page"), SLICE_LIT("total_item_count"),
        SLICE_LIT("items"), SLICE_LIT("error_code"),
    };
    struct json_value f[FIELDS];
    enum json_kind top;
    if (json_members(text, 64, keys, FIELDS, f, &top) != JSON_OK || top != JSON_OBJECT) {
        wrong("no JSON");
        return;
    }
    struct slice func = f[F_FUNC].text;
    if (slice_eq(func, SLICE_LIT("\"error\""))) {
        on_error(c, f);
        return;
    }
    if (f[F_NAME].text.len != 4)
        return;
    int name = f[F_NAME].text.ptr[2] - '0';
    if (slice_eq(f[F_TYPE].text, SLICE_LIT("\"list\""))) {
        on_list(&c->lists[name], func, f);
    } else if (slice_eq(func, SLICE_LIT("\"set\""))) {
        bool none = f[F_VALUE].type == JSON_NULL;
        c->vars[name].told = true;
        c->vars[name].value = none ? -1 : as_number(f[F_VALUE].text);
    }
}

/* One WebSocket frame off the front; false: it is not whole. */
static bool take_frame(struct world_client *c, struct buf *in)
{
    const unsigned char *p = (const unsigned char *)in->ptr;
    if (in->len < 2)
        return false;
    size_t head = p[1] == 126 ? 4 : p[1] == 127 ? 10 : 2, len = p[1];
    if (in->len < head)
        return false;
    if (head > 2)
        len = 0;
    for (size_t i = 2; i < head; i++)
        len = len << 8 | p[i];
    if (in->len < head + len)
        return false;
    if ((p[0] & 0x0F) == 1) {
        struct buf *heard = &w.heard[c - world_clients];
        buf_put(heard, in->ptr + head, len);
        buf_put_char(heard, '\n');
        client_hears(c, slice_of(in->ptr + head, len));
    }
    if ((p[0] & 0x0F) == 8)
        c->closed = in->ptr[head] << 8 | (unsigned char)in->ptr[head + 1];
    memmove(in->ptr, in->ptr + head + len, in->len - head - len);
    in->len -= head + len;
    return true;
}

static void client_takes(int client, struct slice bytes)
{
    struct buf *in = &w.inbox[client];
    buf_put_slice(in, bytes);
    while (take_frame(&world_clients[client], in))
        ;
}

const char *world_heard(int client)
{
    static char text[HEARD_MAX + 1];
    struct buf *b = &w.heard[client];
    snprintf(text, sizeof(text), "%.*s", (int)b->len, b->len ? b->ptr : "");
    buf_reset(b);
    return text;
}

void world_connect(int client)
{
    world_connect_to(client, SLICE_NONE);
}

void world_connect_to(int client, struct slice room)
{
    struct world_client *c = &world_clients[client];
    *c = (struct world_client){.room = SIZE_MAX};
    buf_reset(&w.pending[client]);
    buf_reset(&w.inbox[client]);
    c->conn = conn_new(&w.g, NULL, world_dialect, &w.grants, room);
    conn_open(c->conn);
}

void world_leave(int client)
{
    if (world_clients[client].conn)
        gone(client);
    world_clients[client] = (struct world_client){.conn = NULL};
}

void world_say(int client, const char *format, ...)
{
    static char text[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    world_say_bytes(client, slice_of(text, (size_t)len), false);
}

void world_say_bytes(int client, struct slice bytes, bool binary)
{
    if (world_clients[client].conn)
        conn_receive(world_clients[client].conn, bytes,
                     (struct conn_fragment){.first = true, .final = true, .binary = binary});
}

void world_subscribe(int client, bool list, int name)
{
    struct world_client *c = &world_clients[client];
    struct world_held *h = list ? &c->lists[name] : &c->vars[name];
    h->subscribed = true;
    h->size = WORLD_PAGE;
    world_say(client, "{\"func\":\"subscribe\",\"type\":\"%s\",\"name\":\"%c%d\"}", list ? "list" : "var",
              list ? 'l' : 'v', name);
}

void world_unsubscribe(int client, bool list, int name)
{
    struct world_client *c = &world_clients[client];
    struct world_held *h = list ? &c->lists[name] : &c->vars[name];
    h->subscribed = false;
    world_say(client, "{\"func\":\"unsubscribe\",\"type\":\"%s\",\"name\":\"%c%d\"}", list ? "list" : "var",
              list ? 'l' : 'v', name);
}

void world_page(int client, int name, int page, int size)
{
    world_clients[client].lists[name].size = size;
    world_say(client, "{\"func\":\"get\",\"type\":\"list\",\"name\":\"l%d\",\"page\":%d,\"page_size\":%d}", name, page,
              size);
}

/* --- time --- */

void world_pass(int64_t ms)
{
    enum { TICK_MS = TOPICS_TICK_MS };
    for (int64_t end = w.now_ms + ms; w.now_ms < end;) {
        w.now_ms += TICK_MS;
        fire();
        topics_tick(w.g.topics);
        conn_tick_stalled(&w.g);
        pace_tick(&w.g);
        world_turn();
    }
}

static void exchange(void)
{
    for (int i = 0; i < 1000 && (world_redis(SIZE_MAX) | world_hear(SIZE_MAX)); i++)
        world_turn();
    world_turn();
}

void world_settle(void)
{
    world_mend();
    for (int i = 0; i < WORLD_CLIENTS; i++)
        world_read(i, SIZE_MAX);
    for (int round = 0; round < 3; round++) {
        exchange();
        world_pass(w.options.sweep_interval_ms);
        exchange();
    }
}

static const char *var_difference(const struct world_held *h, const struct world_var *v)
{
    if (!h->subscribed)
        return NULL;
    if (!h->told)
        return "a variable that was not told";
    return h->value == (v->exists ? v->value : -1) ? NULL : "a variable is another one in Redis";
}

static const char *list_difference(const struct world_held *h, const struct world_list *l)
{
    if (!h->subscribed)
        return NULL;
    if (!h->told)
        return "a list that was not told";
    if (h->total != l->total)
        return "another total in Redis";
    int start = h->page * h->size, count = l->total - start < h->size ? l->total - start : h->size;
    if (h->count != (count > 0 ? count : 0))
        return "a page of another length in Redis";
    for (int i = 0; i < h->count; i++)
        if (h->ids[i] != l->ids[start + i] || h->values[i] != l->values[start + i])
            return "another item in Redis";
    return NULL;
}

const char *world_difference(void)
{
    const char *found = NULL;
    for (int i = 0; i < WORLD_CLIENTS && !found; i++) {
        const struct world_client *c = &world_clients[i];
        for (int k = 0; k < WORLD_NAMES && c->conn && !found; k++) {
            found = var_difference(&c->vars[k], &world_vars[k]);
            if (!found)
                found = list_difference(&c->lists[k], &world_lists[k]);
        }
    }
    return found;
}

/* --- the rest of Redis: no functions in this world --- */

static void fn_ok(struct errand *e)
{
    e->rev = 1;
}

#define FN_WRITE(function, ...)                                                                                        \
    void function(__VA_ARGS__, store_write_fn *cb, void *arg)                                                          \
    {                                                                                                                  \
        send_errand(errand_new(fn_ok, write_answer, SLICE_NONE, (void *)cb, arg));                                     \
    }

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
FN_WRITE(store_fn_serve, struct store *s, struct slice gw, struct slice exec, struct slice name, int64_t lease_ms)
FN_WRITE(store_fn_leave, struct store *s, struct slice gw, struct slice exec, struct slice name)
FN_WRITE(store_fn_gone, struct store *s, struct slice gw)
FN_WRITE(store_fn_beat, struct store *s, struct slice gw, int64_t lease_ms, const struct store_busy *busy, size_t nbusy)
FN_WRITE(store_fn_done, struct store *s, struct slice executor_gw, struct slice exec, struct slice corr,
         struct slice caller_gw, struct slice result)
FN_WRITE(store_fn_back, struct store *s, struct slice gw, int64_t number)
FN_WRITE(store_fn_again, struct store *s, struct slice caller_gw, const struct store_again *calls, size_t ncalls)
#pragma GCC diagnostic pop

static void held_answer(struct errand *e, bool away)
{
    struct store_result r = result_of(e, away);
    struct store_held held = {.next = SLICE_LIT("0")};
    ((store_fn_held_fn *)e->cb)(e->arg, &r, &held);
}

void store_fn_held(struct store *s, struct slice gw, struct slice place, store_fn_held_fn *cb, void *arg)
{
    (void)s, (void)gw, (void)place;
    send_errand(errand_new(fn_ok, held_answer, SLICE_NONE, (void *)cb, arg));
}

static void functions_answer(struct errand *e, bool away)
{
    struct store_result r = result_of(e, away);
    struct store_functions none = {.rev = 1};
    ((store_fn_list_fn *)e->cb)(e->arg, &r, &none);
}

void store_fn_list(struct store *s, store_fn_list_fn *cb, void *arg)
{
    (void)s;
    send_errand(errand_new(fn_ok, functions_answer, SLICE_NONE, (void *)cb, arg));
}

void store_fn_call(struct store *s, struct slice name, struct slice corr, struct slice gw, int64_t timeout_ms,
                   struct slice args, store_fn_call_fn *cb, void *arg)
{
    (void)s, (void)name, (void)corr, (void)gw, (void)timeout_ms, (void)args, (void)cb, (void)arg;
    abort();
}

/* --- beginning and end --- */

static char *everything[] = {"*"};

void world_begin(void)
{
    memset(&w, 0, sizeof(w));
    world_flush();
    memset(world_clients, 0, sizeof(world_clients));
    world_wrong = NULL;
    world_dialect = dialects[0];
    metrics_begin(-1);
    log_init(LOG_LEVEL_ERROR, -1);
    list_init(&w.to_redis);
    list_init(&w.to_gateway);
    list_init(&w.timers);
    list_init(&w.members);
    for (int i = 0; i < WORLD_CLIENTS; i++) {
        buf_init(&w.pending[i], 64 * 1024 * 1024);
        buf_init(&w.inbox[i], 64 * 1024 * 1024);
        buf_init(&w.heard[i], HEARD_MAX);
    }
    w.now_ms = 1000000;
    w.options = (struct options){.max_message = 1 << 20,
                                 .max_depth = 64,
                                 .max_page_size = WORLD_PAGE,
                                 .call_timeout_ms = 30000,
                                 .calls_per_connection = 8,
                                 .subscribe_timeout_ms = 60000,
                                 .sweep_interval_ms = 3000,
                                 .queue_budget = 64 * 1024,
                                 .stall_timeout_ms = 1000 * 1000,
                                 .errors_per_minute = 1000 * 1000,
                                 .linger_ms = 1000};
    for (int verb = 0; verb < GRANT_COUNT; verb++)
        w.grants.verbs[verb] = (struct patterns){everything, 1};
    w.grants.name = "anybody";
    w.g.opt = &w.options;
    w.g.limits = (struct dialect_limits){.max_depth = 64, .value_depth = 60, .max_items = 100};
    w.g.redis_up = true;
    w.g.worker = -1;
    memcpy(w.g.id, "here", sizeof("here"));
    buf_init(&w.g.scratch, 64 * 1024 * 1024);
    w.g.conns = conns_new();
    w.g.conn_events = &peer_events;
    w.g.peers = peers_new(&w.g);
    w.g.pace = pace_new();
    w.g.rejects = rejects_new();
    w.g.topics = topics_new(&w.g);
    w.g.calls = calls_new(&w.g);
    calls_on_up(w.g.calls);
}

void world_end(void)
{
    struct list_node *n;
    for (int i = 0; i < WORLD_CLIENTS; i++)
        world_leave(i);
    calls_free(w.g.calls);
    topics_leave(w.g.topics);
    world_redis(SIZE_MAX);
    while ((n = list_pop(&w.to_gateway))) { /* pending callbacks, as of a link that is freed */
        struct errand *e = container_of(n, struct errand, node);
        if (!e->is_event)
            e->answer(e, true);
        free(e);
    }
    topics_free(w.g.topics);
    peers_free(w.g.peers);
    pace_free(w.g.pace);
    conns_free(w.g.conns);
    rejects_free(w.g.rejects);
    buf_deinit(&w.g.scratch);
    for (int i = 0; i < WORLD_CLIENTS; i++) {
        buf_deinit(&w.pending[i]);
        buf_deinit(&w.inbox[i]);
        buf_deinit(&w.heard[i]);
    }
    while ((n = list_pop(&w.timers)))
        free(container_of(n, struct timer, node));
}

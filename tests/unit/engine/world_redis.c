/* Variables and lists as Redis holds them, and what is asked of it about them. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "redis/store.h"
#include "tests/unit/engine/world_parts.h"

struct world_var world_vars[WORLD_NAMES];
struct world_list world_lists[WORLD_NAMES];
bool world_flushed;
int writes_begun;

enum { VALUES = 16384 };
static int fresh;
static int orders[VALUES], ordered;

/* --- names --- */

int number_of(struct slice name)
{
    assert(name.len == 2);
    return name.ptr[1] - '0';
}

int as_number(struct slice text)
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

/* --- what was true once --- */

/* Since Redis went back last; the first state is that of a list that never was. */
enum { PAST_MAX = 1024 };
static struct world_list past[WORLD_NAMES][PAST_MAX];
static int past_len[WORLD_NAMES];

static void past_forget(void)
{
    for (int name = 0; name < WORLD_NAMES; name++)
        past_len[name] = 0;
}

int past_find(int name, int from, bool (*matches)(const struct world_list *l, const void *arg), const void *arg)
{
    static const struct world_list never = {.exists = false};
    for (int i = from; i <= past_len[name]; i++)
        if (matches(i ? &past[name][i - 1] : &never, arg))
            return i;
    return -1;
}

/* --- changes --- */

static const char *channel_of(bool list, int name)
{
    static char text[3];
    text[0] = list ? 'l' : 'v';
    text[1] = (char)('0' + name);
    return text;
}

int world_fresh(void)
{
    assert(fresh < VALUES - 1);
    return ++fresh;
}

int order_of(int value)
{
    return orders[value];
}

static void put(int *place, int value)
{
    *place = value;
    orders[value] = ++ordered;
}

void world_var_set(int name, int value)
{
    struct world_var *v = &world_vars[name];
    *v = (struct world_var){.rev = v->rev + 1, .exists = true};
    put(&v->value, value);
    publish(channel_of(false, name), "vs %lld %d", (long long)v->rev, value);
}

void world_var_delete(int name)
{
    struct world_var *v = &world_vars[name];
    if (!v->exists)
        return;
    *v = (struct world_var){.rev = v->rev + 1};
    publish(channel_of(false, name), "vd %lld", (long long)v->rev);
}

/* The list is as it is, at its next revision. */
static void changed(int name)
{
    struct world_list *l = &world_lists[name];
    l->rev++;
    assert(past_len[name] < PAST_MAX);
    past[name][past_len[name]++] = *l;
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

static void make_room(struct world_list *l, int index, int id)
{
    size_t behind = (size_t)(l->total - index) * sizeof(int);
    memmove(l->ids + index + 1, l->ids + index, behind);
    memmove(l->values + index + 1, l->values + index, behind);
    l->ids[index] = id;
    l->total++;
}

static void take_out(struct world_list *l, int at)
{
    size_t behind = (size_t)(l->total - at - 1) * sizeof(int);
    memmove(l->ids + at, l->ids + at + 1, behind);
    memmove(l->values + at, l->values + at + 1, behind);
    l->total--;
}

void world_insert(int name, int index, int id, int value)
{
    struct world_list *l = &world_lists[name];
    if (l->total == WORLD_ITEMS || place_of(l, id) >= 0)
        return;
    index = index < 0 || index > l->total ? l->total : index;
    make_room(l, index, id);
    put(&l->values[index], value);
    l->exists = true;
    changed(name);
    publish(channel_of(true, name), "li %lld %d %d %d %d %d", (long long)l->rev, index, l->total, digits(id), id,
            value);
}

void world_set(int name, int id, int value)
{
    struct world_list *l = &world_lists[name];
    int at = place_of(l, id);
    if (at < 0)
        return;
    put(&l->values[at], value);
    changed(name);
    publish(channel_of(true, name), "ls %lld %d %d %d %d %d", (long long)l->rev, at, l->total, digits(id), id, value);
}

void world_delete(int name, int id)
{
    struct world_list *l = &world_lists[name];
    int at = place_of(l, id);
    if (at < 0)
        return;
    take_out(l, at);
    changed(name);
    publish(channel_of(true, name), "lx %lld %d %d %d %d", (long long)l->rev, at, l->total, digits(id), id);
}

void world_move(int name, int id, int index)
{
    struct world_list *l = &world_lists[name];
    int from = place_of(l, id), value = from < 0 ? 0 : l->values[from];
    if (from < 0)
        return;
    index = index < 0 || index >= l->total ? l->total - 1 : index;
    take_out(l, from);
    make_room(l, index, id);
    l->values[index] = value;
    changed(name);
    publish(channel_of(true, name), "lm %lld %d %d %d %d %d %d", (long long)l->rev, from, index, l->total, digits(id),
            id, value);
}

void world_replace(int name, int count)
{
    struct world_list *l = &world_lists[name];
    l->exists = true;
    l->total = count;
    for (int i = 0; i < count; i++) {
        l->ids[i] = (i * 7 + (int)l->rev + 1) % WORLD_IDS;
        for (int j = 0; j < i; j++)
            while (l->ids[j] == l->ids[i]) {
                l->ids[i] = (l->ids[i] + 1) % WORLD_IDS;
                j = 0;
            }
        put(&l->values[i], world_fresh());
    }
    changed(name);
    publish(channel_of(true, name), "la %lld %d", (long long)l->rev, count);
}

void world_drop(int name)
{
    struct world_list *l = &world_lists[name];
    if (!l->exists)
        return;
    *l = (struct world_list){.rev = l->rev};
    changed(name);
    publish(channel_of(true, name), "lz %lld", (long long)l->rev);
}

void world_flush(void)
{
    memset(world_vars, 0, sizeof(world_vars));
    memset(world_lists, 0, sizeof(world_lists));
    world_flushed = true;
    world_trace("Redis forgets everything");
    past_forget();
    calls_flush();
    callers_bury(NULL);
}

/* --- reads --- */

static void take_snapshot(struct errand *e)
{
    e->var = world_vars[e->name];
    e->list = world_lists[e->name];
}

static void var_answer(struct errand *e, bool away)
{
    struct store_result r = errand_result(e, away);
    char text[16];
    struct store_var v = {.rev = e->var.rev, .exists = e->var.exists};
    v.value = slice_of(text, (size_t)snprintf(text, sizeof(text), "%d", e->var.value));
    ((store_var_fn *)e->cb)(e->arg, &r, &v);
}

void store_var_read(struct store *s, struct slice name, size_t room, store_var_fn *cb, void *arg)
{
    (void)room;
    errand_send(errand_new(s, take_snapshot, var_answer, name, (void *)cb, arg));
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
    struct store_result r = errand_result(e, away);
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
    struct errand *e = errand_new(s, take_snapshot, list_answer, name, (void *)cb, arg);
    assert(want->nranges <= 64 && want->nids <= 64);
    if (want->nranges)
        memcpy(e->ranges, want->ranges, want->nranges * sizeof(*want->ranges));
    e->nranges = want->nranges;
    for (size_t k = 0; k < want->nids; k++)
        e->ids[k] = as_number(want->ids[k]);
    e->nids = want->nids;
    errand_send(e);
}

static void state_answer(struct errand *e, bool away)
{
    struct store_result r = errand_result(e, away);
    struct store_state st = {e->var.rev, e->list.rev, e->var.exists, e->list.exists};
    ((store_state_fn *)e->cb)(e->arg, &r, &st);
}

void store_state(struct store *s, struct slice name, store_state_fn *cb, void *arg)
{
    errand_send(errand_new(s, take_snapshot, state_answer, name, (void *)cb, arg));
}

/* --- writes --- */

static void run_var_set(struct errand *e)
{
    world_var_set(e->name, e->value);
}

void store_var_set(struct store *s, struct slice name, struct slice value, store_write_fn *cb, void *arg)
{
    writes_begun++;
    struct errand *e = errand_new(s, run_var_set, errand_wrote, name, (void *)cb, arg);
    e->value = as_number(value);
    errand_send(e);
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
    writes_begun++;
    struct errand *e = errand_new(s, run_insert, errand_wrote, name, (void *)cb, arg);
    e->index = index;
    e->id = as_number(id);
    e->value = as_number(value);
    errand_send(e);
}

static void run_set(struct errand *e)
{
    e->refusal = place_of(&world_lists[e->name], e->id) < 0 ? REFUSAL_ID : REFUSAL_NONE;
    world_set(e->name, e->id, e->value);
}

void store_list_set(struct store *s, struct slice name, struct slice id, struct slice value, store_write_fn *cb,
                    void *arg)
{
    struct errand *e = errand_new(s, run_set, errand_wrote, name, (void *)cb, arg);
    e->id = as_number(id);
    e->value = as_number(value);
    errand_send(e);
}

static void run_delete(struct errand *e)
{
    e->refusal = place_of(&world_lists[e->name], e->id) < 0 ? REFUSAL_ID : REFUSAL_NONE;
    world_delete(e->name, e->id);
}

void store_list_delete(struct store *s, struct slice name, struct slice id, store_write_fn *cb, void *arg)
{
    struct errand *e = errand_new(s, run_delete, errand_wrote, name, (void *)cb, arg);
    e->id = as_number(id);
    errand_send(e);
}

static void run_move(struct errand *e)
{
    const struct world_list *l = &world_lists[e->name];
    int64_t to = e->index < 0 ? l->total - 1 : e->index;
    bool there = place_of(l, e->id) >= 0;
    e->refusal = !there ? REFUSAL_ID : to >= l->total ? REFUSAL_ARG : REFUSAL_NONE;
    if (!e->refusal)
        world_move(e->name, e->id, (int)to);
}

void store_list_move(struct store *s, struct slice name, struct slice id, int64_t index, store_write_fn *cb, void *arg)
{
    writes_begun++;
    struct errand *e = errand_new(s, run_move, errand_wrote, name, (void *)cb, arg);
    e->id = as_number(id);
    e->index = index;
    errand_send(e);
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

void redis_begin(void)
{
    world_flush();
    world_flushed = false;
    fresh = ordered = 0;
}

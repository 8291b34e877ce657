/* What clients were told, by the book. */
#include "gateway/base/clock.h"
#include "tests/unit/engine/world_parts.h"

const char *world_wrong;

void wrong(const char *what)
{
    if (world_wrong)
        return;
    world_wrong = what;
    world_trace("wrong: %s", what);
}

static void list_settled(struct world_held *h, int name);

/* --- subscriptions --- */

/* It may be told something of this now. */
static bool is_open(const struct world_follow *f)
{
    return f->subscribed || f->asked || f->ended;
}

static void follow_settled(struct world_follow *f)
{
    if (f->lost)
        wrong("a grant went, and its subscription ended without a word");
    if (f->asked)
        f->updated_ms = -1;
    if (f->asked && !f->told)
        f->subscribed = false; /* one error may have ended several questions */
    f->asked = 0;
    f->fresh = f->unsure = f->ended = f->failed = false;
}

/* A question behind one that failed may have been asked after that, and gets an answer of its own. That an item is not there ends no
 * subscription that was there before. */
static void follow_failed(struct world_follow *f, int code)
{
    if (f->ended || !f->subscribed || (code == ERROR_ID && !f->fresh) || (code == ERROR_FUNC && f->told))
        return;
    if (code != ERROR_ID && !f->told && !f->lost && --f->asked > 0)
        return;
    *f = (struct world_follow){.failed = true};
}

static void follow_told(struct world_follow *f)
{
    if (f->denied)
        wrong("told without a grant");
    f->told = f->subscribed;
}

static void follow_loses(struct world_follow *f)
{
    f->lost = f->subscribed && !f->denied && !f->unsure;
}

void client_loses(struct world_client *c, int name)
{
    follow_loses(&c->vars[name].follow);
    follow_loses(&c->lists[name].follow);
    for (int id = 0; id < WORLD_IDS; id++)
        follow_loses(&c->lists[name].items[id].follow);
}

enum rank { RANK_ONLY, RANK_DELETE, RANK_INSERT, RANK_SET, RANK_COUNT };

/* An update. One of a page that is told as several messages is told in one turn, and in their order. */
static void follow_updated(const struct world_client *c, struct world_follow *f, enum rank rank)
{
    int64_t now = clock_now_ms();
    bool another = f->updated_turn != world_turns || rank == RANK_ONLY || (int)rank < f->updated_rank;
    if (f->interval_ms && another && !f->asked && !c->behind && f->updated_ms >= 0 &&
        now - f->updated_ms < f->interval_ms)
        wrong("more updates than its max_rate");
    f->updated_rank = (int)rank;
    f->updated_turn = world_turns;
    f->updated_ms = now;
}

static void each_follow(struct world_client *c, void (*fn)(struct world_follow *f))
{
    for (int k = 0; k < WORLD_NAMES; k++) {
        fn(&c->vars[k].follow);
        fn(&c->lists[k].follow);
        for (int id = 0; id < WORLD_IDS; id++)
            fn(&c->lists[k].items[id].follow);
    }
}

void client_settled(struct world_client *c)
{
    each_follow(c, follow_settled);
    memset(c->refused, 0, sizeof(c->refused));
    memcpy(c->served, c->serves, sizeof(c->served));
    for (int k = 0; k < WORLD_NAMES && !world_flushed && !world_wrong; k++)
        list_settled(&c->lists[k], k);
}

static void fall_behind(struct world_follow *f)
{
    f->updated_ms = -1;
}

void client_fell_behind(struct world_client *c)
{
    each_follow(c, fall_behind);
}

/* In the order of Redis, unless that went back. */
static void note_newest(int *newest, int value)
{
    if (value < 0)
        return;
    if (order_of(value) < *newest && !world_flushed)
        wrong("something older after something newer");
    *newest = order_of(value);
}

/* Nobody is told what it knows, unless it asked: no value is used twice. Not of lists, where an item that left a page and came back in one
 * conflation is told anew. */
static void note_news(const struct world_follow *f, int held, int value)
{
    if (f->told && !f->asked && value >= 0 && held == value)
        wrong("told what it knew");
}

/* --- variables --- */

static void on_var(const struct world_client *c, struct world_held *h, int value)
{
    if (!is_open(&h->follow))
        wrong("a variable that it does not follow");
    if (!h->follow.subscribed)
        return;
    note_newest(&h->newest, value);
    note_news(&h->follow, h->value, value);
    follow_told(&h->follow);
    h->value = value;
    follow_updated(c, &h->follow, RANK_ONLY);
}

/* --- lists --- */

static int held_at(const struct world_held *h, int id)
{
    for (int i = 0; i < h->count; i++)
        if (h->ids[i] == id)
            return i;
    return -1;
}

/* By the page or on its own; but the first time is an answer of its own. */
static void item_told(struct world_held *h, int id, int value)
{
    struct world_item *it = &h->items[id];
    note_newest(&it->newest, value);
    it->value = value;
}

/* Who follows single items cannot tell what is told of the page and what of them. */
static void page_updated(const struct world_client *c, struct world_held *h, enum rank rank)
{
    bool alone = true;
    for (int id = 0; id < WORLD_IDS; id++)
        alone = alone && !is_open(&h->items[id].follow);
    if (alone)
        follow_updated(c, &h->follow, rank);
    else
        h->follow.updated_ms = -1;
}

static void on_page(const struct world_client *c, struct world_held *h, const struct json_value *f)
{
    static const struct slice keys[] = {SLICE_LIT("id"), SLICE_LIT("value")};
    struct json_value item[2];
    struct slice rest = f[F_ITEMS].text;
    page_updated(c, h, RANK_DELETE);
    h->follow.updated_rank = RANK_COUNT;
    follow_told(&h->follow);
    h->page = as_number(f[F_PAGE].text);
    h->total = as_number(f[F_TOTAL].text);
    h->count = 0;
    while (json_next(&rest, keys, 2, item) == JSON_OBJECT) {
        if (h->count == WORLD_PAGE) {
            wrong("a page that is too long");
            return;
        }
        h->ids[h->count] = as_number(item[0].text);
        h->values[h->count] = as_number(item[1].text);
        item_told(h, h->ids[h->count], h->values[h->count]);
        h->count++;
    }
}

static void on_insert(const struct world_client *c, struct world_held *h, int index, int id, int value)
{
    if (!h->follow.told || index < 0 || index > h->count || h->count == WORLD_PAGE || held_at(h, id) >= 0) {
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
    item_told(h, id, value);
    page_updated(c, h, RANK_INSERT);
}

static void page_drop(const struct world_client *c, struct world_held *h, int at)
{
    size_t behind = (size_t)(h->count - at - 1) * sizeof(int);
    memmove(h->ids + at, h->ids + at + 1, behind);
    memmove(h->values + at, h->values + at + 1, behind);
    h->count--;
    h->total--;
    page_updated(c, h, RANK_DELETE);
}

/* gone: from the list, which ends the item's own subscription, unless it was asked for anew. */
static void on_delete(const struct world_client *c, struct world_held *h, int id, bool gone)
{
    struct world_follow *item = &h->items[id].follow;
    int at = held_at(h, id);
    if (at >= 0)
        page_drop(c, h, at);
    else if (!gone || !is_open(item))
        wrong("a delete that does not apply");
    else if (item->subscribed && !h->follow.subscribed)
        follow_updated(c, item, RANK_ONLY);
    if (gone && item->subscribed && item->asked) {
        item->told = item->lost = false;
        item->unsure = true;
    } else if (gone) {
        *item = (struct world_follow){.ended = item->ended, .failed = item->failed, .asked = item->asked};
    }
}

static void on_item(const struct world_client *c, struct world_held *h, int id, int value)
{
    struct world_follow *item = &h->items[id].follow;
    int at = held_at(h, id);
    if (at < 0 && !is_open(item)) {
        wrong("a set that does not apply");
        return;
    }
    item_told(h, id, value);
    follow_told(item);
    if (item->subscribed && !h->follow.subscribed)
        follow_updated(c, item, RANK_ONLY);
    else
        item->updated_ms = -1;
    if (at < 0)
        return;
    h->values[at] = value;
    page_updated(c, h, RANK_SET);
}

static void on_count(const struct world_client *c, struct world_held *h, int total)
{
    h->total = total;
    page_updated(c, h, RANK_COUNT);
}

static void on_list(const struct world_client *c, struct world_held *h, struct slice func, const struct json_value *f)
{
    int id = as_number(f[F_ID].text), value = as_number(f[F_VALUE].text);
    bool of_page = !slice_eq(func, SLICE_LIT("\"set\"")) && !slice_eq(func, SLICE_LIT("\"delete\""));
    if (of_page && !is_open(&h->follow))
        wrong("a page that it does not follow");
    if (of_page && !h->follow.subscribed)
        return;
    if (slice_eq(func, SLICE_LIT("\"set_all\"")))
        on_page(c, h, f);
    else if (slice_eq(func, SLICE_LIT("\"insert\"")))
        on_insert(c, h, as_number(f[F_INDEX].text), id, value);
    else if (slice_eq(func, SLICE_LIT("\"set_count\"")))
        on_count(c, h, as_number(f[F_TOTAL].text));
    else if (id < 0 || id >= WORLD_IDS)
        wrong("an item without an id");
    else if (h->follow.ended && !h->follow.subscribed && !is_open(&h->items[id].follow))
        return; /* of the page that it left */
    else if (slice_eq(func, SLICE_LIT("\"delete\"")))
        on_delete(c, h, id, f[F_GONE].type == JSON_BOOL);
    else
        on_item(c, h, id, value);
}

/* --- all --- */

static void on_error(struct world_client *c, const struct json_value *f)
{
    struct slice name = f[F_NAME].text;
    int code = as_number(f[F_CODE].text), id = as_number(f[F_ID].text);
    if (name.len != 4 || (code != ERROR_FUNC && code != ERROR_NAME && code != ERROR_ID))
        return; /* about a write: nobody here waits too long for an answer */
    struct world_held *h = name.ptr[1] == 'l' ? &c->lists[name.ptr[2] - '0'] : &c->vars[name.ptr[2] - '0'];
    if (id >= 0)
        follow_failed(&h->items[id].follow, code);
    else
        follow_failed(&h->follow, code);
    if (!h->follow.subscribed)
        h->count = 0;
}

void client_hears(struct world_client *c, struct slice text)
{
    static const struct slice keys[FIELDS] = {
        SLICE_LIT("func"),  SLICE_LIT("type"),       SLICE_LIT("name"), SLICE_LIT("id"),
        SLICE_LIT("value"), SLICE_LIT("index"),      SLICE_LIT("page"), SLICE_LIT("total_item_count"),
        SLICE_LIT("items"), SLICE_LIT("error_code"), SLICE_LIT("gone"), SLICE_LIT("args"),
    };
    struct json_value f[FIELDS];
    enum json_kind top;
    if (json_members(text, 64, keys, FIELDS, f, &top) != JSON_OK || top != JSON_OBJECT) {
        wrong("no JSON");
        return;
    }
    struct slice func = f[F_FUNC].text;
    int name = f[F_NAME].text.len == 4 ? f[F_NAME].text.ptr[2] - '0' : -1;
    if (name >= 0 && slice_eq(f[F_TYPE].text, SLICE_LIT("\"function\"")))
        caller_hears(c, func, name, f);
    else if (slice_eq(func, SLICE_LIT("\"error\"")))
        on_error(c, f);
    else if (name < 0)
        return;
    else if (slice_eq(f[F_TYPE].text, SLICE_LIT("\"list\"")))
        on_list(c, &c->lists[name], func, f);
    else if (slice_eq(func, SLICE_LIT("\"set\"")))
        on_var(c, &c->vars[name], f[F_VALUE].type == JSON_NULL ? -1 : as_number(f[F_VALUE].text));
}

/* --- compared with Redis --- */

static const char *var_difference(const struct world_held *h, const struct world_var *v)
{
    if (!h->follow.subscribed)
        return NULL;
    if (!h->follow.told)
        return "a variable that was not told";
    return h->value == (v->exists ? v->value : -1) ? NULL : "a variable is another one in Redis";
}

static const char *page_difference(const struct world_held *h, const struct world_list *l)
{
    if (!h->follow.subscribed)
        return NULL;
    if (!h->follow.told)
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

static const char *item_difference(const struct world_held *h, int id, const struct world_list *l)
{
    const struct world_item *it = &h->items[id];
    if (!it->follow.subscribed)
        return NULL;
    if (!it->follow.told)
        return "an item that was not told";
    for (int i = 0; i < l->total; i++)
        if (l->ids[i] == id)
            return it->value == l->values[i] ? NULL : "a single item is another one in Redis";
    return "an item went, and its subscription did not end";
}

static const char *list_difference(const struct world_held *h, const struct world_list *l)
{
    const char *found = page_difference(h, l);
    for (int id = 0; id < WORLD_IDS && !found; id++)
        found = item_difference(h, id, l);
    return found;
}

struct item_of {
    const struct world_held *held;
    int id;
};

static bool page_was_so(const struct world_list *l, const void *arg)
{
    return !page_difference(arg, l);
}

static bool item_was_so(const struct world_list *l, const void *arg)
{
    const struct item_of *of = arg;
    return !item_difference(of->held, of->id, l);
}

static void item_settled(struct world_held *h, int name, int id)
{
    struct world_item *it = &h->items[id];
    int as_of = past_find(name, it->as_of, item_was_so, &(struct item_of){h, id});
    if (as_of < 0)
        wrong("a single item was never so");
    else if (past_find(name, as_of > h->as_of ? as_of : h->as_of, page_was_so, h) < 0)
        wrong("a single item is newer than the page");
    it->as_of = as_of;
}

/* What it was told of a page was so in Redis, at one moment, and the later the later. */
static void list_settled(struct world_held *h, int name)
{
    int as_of = past_find(name, h->as_of, page_was_so, h);
    if (as_of < 0)
        wrong("a page was never so");
    h->as_of = as_of;
    for (int id = 0; id < WORLD_IDS; id++)
        if (h->items[id].follow.subscribed && !world_wrong)
            item_settled(h, name, id);
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

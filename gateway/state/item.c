/* The registry of items and what variables and lists share: joining the channel, revisions, requests with deadlines,
 * subscriptions, lingering and the sweep. */
#include "gateway/state/item.h"

#include <assert.h>

#include "gateway/state/fanout.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "gateway/net/pace.h"
#include "gateway/observe/turn.h"
#include "gateway/state/view.h"
#include "gateway/state/watch.h"
#include "protocol/base/alloc.h"

enum {
    NAME_BYTES_MAX = 512,
    RETRY_MS = 1000, /* after a read that Redis answered with something unusable */
    SUBS_PER_CONN_MAX = 10000,
    IDLE_MAX = 20000, /* names that live without users, and bytes of them: over it the longest idle ones go early */
    IDLE_BYTES_MAX = 64 * 1024 * 1024,
    SWEEPS_MAX = 1000, /* per tick, and in flight */
    IN_VAIN_FREE = 32,
    BARRED_LOOK_MIN_MS = 2000, /* doubling */
    BARRED_LOOK_MAX_MS = 60 * 1000,
    BARRED_MS = 15 * 60 * 1000 /* then it is tried whether Redis lets it through by now */
};

struct items {
    struct gateway *g;
    struct map by_key;     /* struct item */
    struct map subs;       /* struct sub */
    struct list all;       /* struct item; the sweep takes from the front and puts to the back */
    struct list idle;      /* struct item without users, longest first */
    struct list deadlines; /* struct request, oldest first: all wait equally long */
    struct list refused;   /* struct item whose read Redis refused; tried again after a while */
    struct reads reads;
    bool going_on;        /* inside go_on */
    bool link_full;       /* the link did not take a read */
    size_t sweeping;      /* questions of the sweep in flight */
    int64_t sweep_credit; /* items that may be swept now, times the sweep interval in ms */
};

static void item_refused(struct item *i, struct slice error);

static const struct item_kind *kind_of(const struct item *i)
{
    return i->kind == KIND_VAR ? &item_var_kind : &item_list_kind;
}

/* --- life of an item --- */

struct items *items_new(struct gateway *g)
{
    struct items *r = sg_calloc(1, sizeof(*r));
    r->g = g;
    map_init(&r->by_key);
    map_init(&r->subs);
    list_init(&r->all);
    list_init(&r->idle);
    list_init(&r->deadlines);
    list_init(&r->refused);
    reads_init(&r->reads);
    return r;
}

static void item_free(struct item *i)
{
    struct items *r = i->gw->items;
    assert(i->users == 0 && !i->reading && !i->sweeping);
    items_settle(i->gw);
    if (i->member.channel)
        hub_leave(i->gw->hub, &i->member);
    map_remove(&r->by_key, &i->by_key);
    list_remove(&r->all, &i->all);
    reads_done(&r->reads, &i->read);
    metric_add(METRIC_NAMES_STALE, -(i->state != ITEM_READY));
    metric_add(METRIC_NAMES_TOO_LARGE, -i->barred);
    if (list_linked(&i->refused))
        list_remove(&r->refused, &i->refused);
    if (list_linked(&i->idle))
        list_remove(&r->idle, &i->idle);
    free((char *)(uintptr_t)i->by_key.key.ptr);
    metric_add(METRIC_NAMES, -1);
    kind_of(i)->destroy(i);
}

void items_leave(struct items *r)
{
    list_each(&r->all, n) hub_leave(r->g->hub, &container_of(n, struct item, all)->member);
}

void items_free(struct items *r)
{
    list_each(&r->all, n)
    {
        struct item *i = container_of(n, struct item, all);
        i->reading = i->sweeping = false; /* the link is gone, and its callbacks with it */
        item_free(i);
    }
    assert(r->subs.count == 0);
    map_deinit(&r->by_key);
    map_deinit(&r->subs);
    free(r);
}

static struct item *find(struct items *r, enum kind kind, struct slice name)
{
    char key[1 + NAME_BYTES_MAX];
    assert(name.len <= NAME_BYTES_MAX);
    key[0] = (char)kind;
    memcpy(key + 1, name.ptr, name.len);
    struct map_node *n = map_find(&r->by_key, slice_of(key, 1 + name.len));
    return n ? container_of(n, struct item, by_key) : NULL;
}

static void on_message(struct hub_member *m, struct slice payload)
{
    struct item *i = container_of(m, struct item, member);
    struct change e;
    if (!change_parse(payload, &e)) {
        if (i->kind == KIND_VAR || !find(i->gw->items, KIND_VAR, i->name)) /* both listen here; one counts it */
            item_bad_change(i, "not an event");
        return;
    }
    if (change_is_var(&e) != (i->kind == KIND_VAR))
        return;       /* a variable and a list of one name share the channel */
    if (i->damaged) { /* perhaps this mended it */
        i->retry_ms = 0;
        item_want_read(i);
    }
    if (i->state != ITEM_READY)
        return;            /* the read that is under way contains it */
    if (e.rev <= i->rev) { /* one link keeps the order, so what is held is not what Redis holds any more */
        i->back = true;
        item_missed(i, READ_BACK);
        return;
    }
    metric_add(METRIC_CHANGES, 1);
    i->changed_us = link_heard_us(i->gw->link);
    turn_change(i->changed_us);
    if (i->gw->untold != i)
        items_settle(i->gw);
    kind_of(i)->apply(i, &e);
}

void items_settle_untold(struct gateway *g)
{
    struct item *i = g->untold;
    g->untold = NULL;
    kind_of(i)->settle(i);
}

static void on_resync(struct hub_member *m)
{
    struct item *i = container_of(m, struct item, member);
    i->retry_ms = 0;
    item_missed(i, READ_RECONNECT);
}

/* Until Redis lets us listen: what is read meanwhile would go stale unnoticed. */
static void on_refused(struct hub_member *m, struct slice why)
{
    struct item *i = container_of(m, struct item, member);
    log_limited(LOG_FAILED, LOG_LEVEL_WARN, "redis refused a subscription name=%s error=%s", log_value(i->name),
                log_value(why));
    item_refused(i, why);
}

void item_init(struct item *i, struct gateway *g, enum kind kind, struct slice name)
{
    char *key = sg_malloc(1 + name.len);
    key[0] = (char)kind;
    memcpy(key + 1, name.ptr, name.len);
    i->gw = g;
    i->kind = kind;
    i->state = ITEM_LOADING;
    i->by_key.key = slice_of(key, 1 + name.len);
    i->name = slice_of(key + 1, name.len);
    i->member.on_message = on_message;
    i->member.on_resync = on_resync;
    i->member.on_refused = on_refused;
    list_init(&i->requests);
    list_init(&i->waiting);
}

static void join(struct item *i)
{
    char channel[1024];
    size_t len = store_channel(i->gw->store, i->name, channel, sizeof(channel));
    hub_join(i->gw->hub, slice_of(channel, len), &i->member);
}

static struct item *find_or_create(struct items *r, enum kind kind, struct slice name)
{
    struct item *i = find(r, kind, name);
    if (i)
        return i;
    i = (kind == KIND_VAR ? &item_var_kind : &item_list_kind)->create(r->g, name);
    map_insert(&r->by_key, &i->by_key);
    list_append(&r->all, &i->all);
    i->idle_since_ms = gateway_now_ms();
    list_append(&r->idle, &i->idle);
    metric_add(METRIC_NAMES, 1);
    metric_add(METRIC_NAMES_STALE, 1);
    join(i);
    return i;
}

static void add_user(struct item *i)
{
    if (i->users++ == 0 && list_linked(&i->idle))
        list_remove(&i->gw->items->idle, &i->idle);
}

static void drop_user(struct item *i)
{
    assert(i->users > 0);
    if (--i->users > 0)
        return;
    i->idle_since_ms = gateway_now_ms();
    list_append(&i->gw->items->idle, &i->idle);
}

bool item_declared(const struct item *i)
{
    return options_name(i->gw->opt, i->kind, i->name) != NULL;
}

bool items_known(struct items *r, enum kind kind, struct slice name)
{
    if (options_name(r->g->opt, kind, name))
        return true;
    const struct item *i = find(r, kind, name);
    return i && i->exists;
}

const struct map *items_map(const struct items *r)
{
    return &r->by_key;
}

const struct item *items_held(struct items *r, enum kind kind, struct slice name)
{
    return find(r, kind, name);
}

void item_look(const struct item *i, struct item_look *out)
{
    *out = (struct item_look){.size = 0};
    kind_of(i)->look(i, out);
}

bool sub_window(const struct sub *s, int64_t *page, int64_t *size)
{
    if (!s->view)
        return false;
    view_window(s->view, page, size);
    return true;
}

int64_t sub_interval_ms(const struct sub *s)
{
    return s->rate ? fanout_interval_ms(s) : 0;
}

const struct item *items_find_used(struct items *r, enum kind kind, struct slice name)
{
    const struct item *i = find(r, kind, name);
    return i && i->users && i->state == ITEM_READY ? i : NULL;
}

/* --- reading --- */

/* A name is stale while Redis may have another state that nobody told us. */
static void set_state(struct item *i, enum item_state state)
{
    metric_add(METRIC_NAMES_STALE, (state != ITEM_READY) - (i->state != ITEM_READY));
    i->state = state;
}

static void retry_at(struct item *i, int64_t when_ms)
{
    i->retry_ms = when_ms;
    if (!list_linked(&i->refused))
        list_append(&i->gw->items->refused, &i->refused);
}

void item_retry_later(struct item *i)
{
    retry_at(i, gateway_now_ms() + RETRY_MS);
}

/* A read must be behind the subscription, or it misses what comes between the two. Of a barred name only the size is asked for. */
static bool may_read(const struct item *i)
{
    const struct gateway *g = i->gw;
    return !i->reading && g->redis_up && link_state(g->link) == LINK_UP &&
           (i->barred || hub_subscribed(g->hub, &i->member)) && i->retry_ms <= gateway_now_ms();
}

/* Begins the reads that fit into the window now. One that the link does not take ends it: it is full with other things. */
static void go_on(struct items *r)
{
    struct read *one;
    if (r->going_on)
        return;
    r->going_on = true;
    r->link_full = false;
    while (!r->link_full && (one = reads_next(&r->reads))) {
        struct item *i = container_of(one, struct item, read);
        if (may_read(i))
            kind_of(i)->read(i);
        if (!i->reading)
            reads_done(&r->reads, one);
    }
    r->going_on = false;
}

static struct slice sub_id(const struct sub *s)
{
    return s->watch ? watch_id(s->watch) : SLICE_NONE;
}

/* Whoever waits for the name is told too: it is not unknown any more, and what it is, nobody can say. */
static void fail_requests(struct item *i, const char *text)
{
    struct list_node *n;
    while ((n = list_first(&i->requests)))
        request_fail(container_of(n, struct request, in_item), ERROR_OTHER, text);
    while ((n = list_first(&i->waiting))) {
        struct sub *s = container_of(n, struct sub, in_target);
        item_error(s->key.conn, i, ERROR_OTHER, text, sub_id(s));
        sub_free(s);
    }
}

/* It is nobody's fault, so it does not count against the peer. */
static void tell_void(struct sub *s, const char *text)
{
    struct conn *c = s->key.conn;
    struct buf *out = &c->gw->scratch;
    buf_reset(out);
    metric_add(METRIC_ERRORS_8, 1);
    conn_answer_scratch(c,
                        c->dialect->error(out, ERROR_OTHER, slice_str(text), s->item->kind, s->item->name, sub_id(s)));
}

static const char too_large[] = "value too large", damaged_data[] = ITEM_DAMAGED_TEXT;

static void tell_too_large(struct sub *s)
{
    tell_void(s, too_large);
}

static void tell_damaged(struct sub *s)
{
    tell_void(s, damaged_data);
}

static void tell_refused(struct sub *s)
{
    tell_void(s, s->item->refusal);
}

/* What Redis holds cannot be known for now: subscribers keep what they hold and are told once that it is void, whoever asks is
 * refused. */
static void item_void(struct item *i, void (*tell)(struct sub *s))
{
    items_settle(i->gw);
    set_state(i, ITEM_LOADING);
    i->told_void = true;
    kind_of(i)->each_sub(i, tell);
}

/* What clients are told is the word that stands first in what Redis says: the rest may hold addresses of ours. */
static const char *refusal_text(struct slice error)
{
    static char text[64];
    struct slice rest = error, word = error;
    (void)slice_cut(&rest, ' ', &word);
    snprintf(text, sizeof(text), "redis refuses: %.*s", word.len < 32 ? (int)word.len : 32, word.ptr);
    return text;
}

static void item_refused(struct item *i, struct slice error)
{
    i->refusal = refusal_text(error);
    if (!i->told_void)
        item_void(i, tell_refused);
    fail_requests(i, i->refusal);
    i->refusal = NULL;
}

void item_want_read(struct item *i)
{
    struct items *r = i->gw->items;
    const char *refusal = hub_refusal(&i->member);
    if (i->barred)
        fail_requests(i, too_large);
    else if (refusal)
        fail_requests(i, refusal_text(slice_str(refusal)));
    if (!may_read(i))
        return;
    reads_want(&r->reads, &i->read, i->requests.count > 0);
    go_on(r);
}

static enum read_reason why_read(const struct item *i)
{
    if (i->state == ITEM_LOADING)
        return READ_FIRST;
    if (i->state == ITEM_STALE)
        return i->missed;
    return i->confirm ? READ_CONFIRM : READ_CONTENT;
}

void item_read_begins(struct item *i)
{
    metric_add((enum metric)(METRIC_READS_FIRST + (int)why_read(i)), 1);
    i->reading = true;
    i->confirm = false;
    i->reads++;
}

size_t item_room(const struct item *i)
{
    return i->barred ? 0 : i->read.room;
}

/* What was in flight when the link was lost stays booked until items_link_down looks who it was. */
static bool was_lost(const struct item *i, const struct store_result *r)
{
    return r->status == STORE_AWAY && link_state(i->gw->link) != LINK_UP;
}

/* Until somebody mends it. */
static void item_damaged(struct item *i, struct slice text)
{
    if (!i->damaged) {
        log_limited(LOG_FAILED, LOG_LEVEL_WARN, "damaged data name=%s error=%s", log_value(i->name), log_value(text));
        metric_add(METRIC_DAMAGED, 1);
        i->damaged = true;
        item_void(i, tell_damaged);
    }
    fail_requests(i, damaged_data);
}

bool item_healed(struct item *i)
{
    bool healed = i->told_void;
    if (i->damaged)
        log_limited(LOG_FAILED, LOG_LEVEL_INFO, "damaged data was mended name=%s", log_value(i->name));
    i->damaged = i->told_void = false;
    return healed;
}

/* Not something that passes in a moment: rights of the user, a slot that is elsewhere. */
static bool is_barrier(struct slice error)
{
    static const char *const words[] = {"NOPERM", "MOVED", "ASK", "CLUSTERDOWN"};
    struct slice rest = error, word = error;
    (void)slice_cut(&rest, ' ', &word);
    for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
        if (slice_eq(word, slice_str(words[k])))
            return true;
    }
    return false;
}

/* It may go on for ever, once a second: one line when it begins. */
static void read_barred(struct item *i, struct slice error)
{
    if (!i->told_void)
        log_limited(LOG_FAILED, LOG_LEVEL_WARN, "read refused name=%s error=%s", log_value(i->name), log_value(error));
    item_refused(i, error);
}

static void read_refused(struct item *i, const struct store_result *r)
{
    if (r->status == STORE_AWAY)
        i->gw->items->link_full = true;
    else if (r->status == STORE_REFUSED && r->refusal == REFUSAL_DATA)
        item_damaged(i, r->text);
    else if (is_barrier(r->text))
        read_barred(i, r->text);
    else
        log_limited(LOG_FAILED, LOG_LEVEL_WARN, "read failed name=%s error=%s", log_value(i->name), log_value(r->text));
    item_retry_later(i);
}

static void look_later(struct item *i)
{
    int64_t wait_ms = 2 * i->barred_look_ms;
    wait_ms = wait_ms < BARRED_LOOK_MAX_MS ? wait_ms : BARRED_LOOK_MAX_MS;
    i->barred_look_ms = wait_ms > BARRED_LOOK_MIN_MS ? wait_ms : BARRED_LOOK_MIN_MS;
    retry_at(i, gateway_now_ms() + i->barred_look_ms);
}

static void unbar(struct item *i)
{
    log_info("a name is read again that was too large name=%s", log_value(i->name));
    metric_add(METRIC_NAMES_TOO_LARGE, -1);
    i->barred = false;
    i->retry_ms = 0;
    join(i);
    if (i->users) /* and the hub let it join; else on_resync does */
        item_want_read(i);
}

/* It is smaller than what cut the link, or it is time to try whether Redis lets more through by now. */
static void barred_looked(struct item *i, size_t bytes)
{
    if (bytes < i->barred_bytes || i->barred_until_ms <= gateway_now_ms())
        unbar(i);
    else
        look_later(i);
}

bool item_read_ends(struct item *i, const struct store_result *r, size_t larger)
{
    struct items *all = i->gw->items;
    i->reading = false;
    if (was_lost(i, r))
        return false; /* on_resync reads again */
    reads_done(&all->reads, &i->read);
    bool good = r->status == STORE_OK;
    if (hub_refusal(&i->member)) {
        good = false; /* nobody tells what comes behind it; on_resync reads again */
    } else if (!good) {
        read_refused(i, r);
    } else if (i->barred) {
        barred_looked(i, larger);
        good = false;
    } else {
        i->reads_done = i->reads;
        if (!larger) {
            i->read.blame = 0;
            i->barred_look_ms = 0;
        }
    }
    go_on(all);
    return good;
}

/* Reasons that come from what somebody published: anybody who may publish can make them up, as often as he likes. */
static bool is_doubt(enum read_reason why)
{
    return why == READ_GAP || why == READ_BACK || why == READ_MALFORMED;
}

bool item_found(struct item *i, int64_t rev)
{
    bool back = i->back || rev < i->rev;
    bool in_vain = i->state == ITEM_STALE && is_doubt(i->missed) && rev == i->rev;
    i->in_vain = in_vain ? i->in_vain + 1 : 0;
    i->doubt_ms = i->in_vain > IN_VAIN_FREE ? gateway_now_ms() + RETRY_MS : 0;
    i->back = false;
    i->rev = rev;
    set_state(i, ITEM_READY);
    return back;
}

bool item_unknown(const struct item *i)
{
    return !i->exists && !item_declared(i);
}

void item_missed(struct item *i, enum read_reason why)
{
    if (i->state == ITEM_READY)
        set_state(i, ITEM_STALE);
    i->missed = why;
    if (is_doubt(why) && i->doubt_ms > gateway_now_ms())
        retry_at(i, i->doubt_ms);
    else
        item_want_read(i);
}

/* Its answer cut the link each time, for everybody. Its changes would do the same, so they are not listened to either. */
static void bar(struct item *i)
{
    i->barred = true;
    i->barred_until_ms = gateway_now_ms() + BARRED_MS;
    i->barred_bytes = i->read.expect;
    i->read.expect = 0;
    i->read.blame = READS_BLAME_MAX / 2; /* one more loss will do */
    metric_add(METRIC_NAMES_TOO_LARGE, 1);
    log_error("a name is too large for Redis' client-output-buffer-limit name=%s bytes=%zu", log_value(i->name),
              i->barred_bytes);
    i->exists = false; /* as far as anybody may know */
    hub_leave(i->gw->hub, &i->member);
    look_later(i);
    item_void(i, tell_too_large);
    fail_requests(i, too_large);
}

void items_link_down(struct items *r)
{
    struct read *culprit = reads_lost(&r->reads);
    list_each(&r->all, n)
    {
        struct item *i = container_of(n, struct item, all);
        if (i->state == ITEM_READY)
            set_state(i, ITEM_STALE);
        i->missed = READ_RECONNECT;
    }
    if (culprit)
        bar(container_of(culprit, struct item, read));
}

void item_bad_change(const struct item *i, const char *what)
{
    metric_add(METRIC_BAD_CHANGES, 1);
    log_limited(LOG_GARBAGE, LOG_LEVEL_WARN, "dropped bytes from Redis name=%s what=\"%s\"", log_value(i->name), what);
}

void item_lose_sub(struct sub *s)
{
    kind_of(s->item)->lose_sub(s);
}

void item_flush_sub(struct sub *s)
{
    if (!s->item->told_void) /* what is true then will be told whole */
        kind_of(s->item)->flush_sub(s);
}

/* --- requests --- */

struct request *request_new(struct item *i, struct conn *c, bool subscribe, struct view *view, struct watch *watch)
{
    struct request *q = sg_calloc(1, sizeof(*q));
    q->item = i;
    q->conn = c;
    q->reads = i->reads;
    q->subscribe = subscribe;
    q->view = view;
    q->watch = watch;
    q->slots = view ? view_slots(view) : 0;
    c->slots += q->slots;
    i->gw->slots += q->slots;
    q->deadline_ms = gateway_now_ms() + i->gw->opt->subscribe_timeout_ms;
    list_append(&i->requests, &q->in_item);
    list_append(&c->requests, &q->in_conn);
    list_append(&i->gw->items->deadlines, &q->in_deadlines);
    add_user(i);
    return q;
}

bool request_hold(struct request *q)
{
    struct conn *c = q->conn;
    if (c->state != CONN_OPEN || (!c->held.count && conn_room(c)))
        return false;
    list_remove(&q->item->requests, &q->in_item);
    list_remove(&q->item->gw->items->deadlines, &q->in_deadlines);
    q->item->gw->slots -= q->slots;
    list_append(&c->held, &q->in_item);
    q->held = true;
    conn_wait_for_room(c);
    return true;
}

/* Back to those that wait for Redis. */
static void release(struct request *q)
{
    struct items *r = q->item->gw->items;
    list_remove(&q->conn->held, &q->in_item);
    list_append(&q->item->requests, &q->in_item);
    q->held = false;
    r->g->slots += q->slots;
    q->deadline_ms = gateway_now_ms() + r->g->opt->subscribe_timeout_ms;
    list_append(&r->deadlines, &q->in_deadlines);
}

/* Those behind one that has to wait for Redis wait with it: answers about one list stay in order. */
static void release_behind(struct conn *c, uint64_t pass)
{
    list_each(&c->held, n)
    {
        struct request *q = container_of(n, struct request, in_item);
        if (q->item && q->item->held_pass == pass)
            release(q);
    }
}

bool items_hold_ping(struct conn *c, struct slice id)
{
    if (!c->held.count)
        return false;
    struct request *q = sg_calloc(1, sizeof(*q) + id.len);
    q->conn = c;
    q->held = true;
    if (id.ptr) {
        memcpy(q->id_bytes, id.ptr, id.len);
        q->id = slice_of(q->id_bytes, id.len);
    }
    list_append(&c->requests, &q->in_conn);
    list_append(&c->held, &q->in_item);
    conn_wait_for_room(c);
    return true;
}

static void answer_ping(struct request *q)
{
    struct conn *c = q->conn;
    buf_reset(&c->gw->scratch);
    conn_answer_scratch(c, c->dialect->pong(&c->gw->scratch, q->id));
    request_free(q);
}

void items_answer_held(struct conn *c, size_t limit)
{
    static uint64_t pass;
    struct list_node *n;
    bool unknown = false;
    pass++;
    while (c->out.bytes < limit && (n = list_first(&c->held))) {
        struct request *q = container_of(n, struct request, in_item);
        struct item *i = q->item;
        if (!i) {
            answer_ping(q);
            continue;
        }
        release(q);
        if (i->held_pass == pass || kind_of(i)->answer(q))
            continue;
        i->held_pass = pass;
        unknown = true;
        item_want_read(i);
    }
    if (unknown)
        release_behind(c, pass);
}

static void leave_item(struct request *q)
{
    struct item *i = q->item;
    if (!q->held) {
        i->gw->slots -= q->slots;
        list_remove(&i->requests, &q->in_item);
        list_remove(&i->gw->items->deadlines, &q->in_deadlines);
    }
    kind_of(i)->request_gone(q);
    drop_user(i);
}

void request_free(struct request *q)
{
    if (q->held)
        list_remove(&q->conn->held, &q->in_item);
    list_remove(&q->conn->requests, &q->in_conn);
    q->conn->slots -= q->slots;
    if (q->item)
        leave_item(q);
    pace_answered(q->conn);
    free(q);
}

static const void *target_of(const struct request *q)
{
    return q->watch ? (const void *)q->watch : (const void *)q->item;
}

static void fail_all(const struct list *requests, const struct sub *s, enum error_code code, const char *text)
{
    list_each(requests, n)
    {
        struct request *q = container_of(n, struct request, in_item);
        if (q->conn != s->key.conn || target_of(q) != s->key.target)
            continue;
        item_error(q->conn, q->item, code, text, kind_of(q->item)->request_id(q));
        request_free(q);
    }
}

/* Everything this connection still waits for here ends with its pending subscription. */
static void fail_pending(struct sub *s, enum error_code code, const char *text)
{
    fail_all(&s->item->requests, s, code, text);
    fail_all(&s->key.conn->held, s, code, text);
    sub_free(s);
}

void request_fail(struct request *q, enum error_code code, const char *text)
{
    struct sub *s = sub_find(q->conn, q->item, target_of(q));
    if (s && s->pending && !s->waiting) {
        fail_pending(s, code, text);
        return;
    }
    item_error(q->conn, q->item, code, text, kind_of(q->item)->request_id(q));
    request_free(q);
}

static const char unknown[] = "unknown name";

/* It did nothing wrong, so it does not count against the peer. */
static void wait_for_name(struct sub *s)
{
    struct conn *c = s->key.conn;
    struct buf *out = &c->gw->scratch;
    s->waiting = true;
    list_append(&s->item->waiting, &s->in_target);
    buf_reset(out);
    metric_add(METRIC_ERRORS_3, 1);
    conn_answer_scratch(c, c->dialect->waiting(out, slice_str(unknown), s->item->kind, s->item->name, sub_id(s)));
}

static void wait_no_more(struct sub *s)
{
    if (!s->waiting)
        return;
    s->waiting = false;
    list_remove(&s->item->waiting, &s->in_target);
}

void item_wake(struct item *i)
{
    struct list_node *n;
    while (!item_unknown(i) && (n = list_first(&i->waiting))) {
        struct sub *s = container_of(n, struct sub, in_target);
        wait_no_more(s);
        kind_of(i)->ask_again(s);
    }
}

bool request_fail_unknown(struct request *q)
{
    if (q->item->reads_done <= q->reads) {
        q->item->confirm = true;
        return false;
    }
    struct sub *s = q->subscribe ? sub_find(q->conn, q->item, target_of(q)) : NULL;
    if (!s || !s->wait) {
        request_fail(q, ERROR_NAME, unknown);
        return true;
    }
    request_free(q); /* and what it asked for before and after that, is asked once when the name is there */
    if (!s->waiting)
        wait_for_name(s);
    return true;
}

void item_error(struct conn *c, const struct item *i, enum error_code code, const char *text, struct slice id)
{
    conn_error(c, code, slice_str(text), i->kind, i->name, id);
}

/* --- subscriptions --- */

struct sub *sub_find(const struct conn *c, const struct item *i, const void *target)
{
    struct {
        const struct conn *conn;
        const void *target;
    } key = {c, target};
    struct map_node *n = map_find(&i->gw->items->subs, slice_of((const char *)&key, sizeof(key)));
    return n ? container_of(n, struct sub, by_key) : NULL;
}

struct sub *sub_new(struct conn *c, struct item *i, struct watch *w)
{
    struct sub *s = sg_calloc(1, sizeof(*s));
    s->key.conn = c;
    s->key.target = w ? (const void *)w : (const void *)i;
    s->item = i;
    s->watch = w;
    s->pending = true;
    s->by_key.key = slice_of((const char *)&s->key, sizeof(s->key));
    map_insert(&i->gw->items->subs, &s->by_key);
    list_append(&c->subs, &s->in_conn);
    add_user(i);
    metric_add(METRIC_SUBSCRIPTIONS, 1);
    return s;
}

void sub_free(struct sub *s)
{
    struct item *i = s->item;
    fanout_forget(s);
    fanout_limit(s, 0);
    wait_no_more(s);
    map_remove(&i->gw->items->subs, &s->by_key);
    list_remove(&s->key.conn->subs, &s->in_conn);
    kind_of(i)->sub_gone(s);
    free(s);
    metric_add(METRIC_SUBSCRIPTIONS, -1);
    drop_user(i);
}

struct sub *items_find_sub(struct conn *c, enum kind kind, struct slice name, const struct slice *id)
{
    struct item *i = find(c->gw->items, kind, name);
    if (!i)
        return NULL;
    if (!id)
        return sub_find(c, i, i);
    const struct watch *w = item_list_find_watch(i, *id);
    return w ? sub_find(c, i, w) : NULL;
}

static size_t asked_of_redis(const struct conn *c)
{
    return c->requests.count - c->held.count;
}

void items_subscribe(struct conn *c, enum kind kind, struct slice name, const struct slice *id,
                     const struct sub_wish *wish)
{
    const struct slice *item_id = kind == KIND_LIST ? id : NULL;
    size_t asked = asked_of_redis(c);
    if (c->subs.count >= SUBS_PER_CONN_MAX && !items_find_sub(c, kind, name, item_id)) {
        struct slice told = item_id ? *item_id : SLICE_NONE;
        conn_error(c, ERROR_OTHER, SLICE_LIT("too many subscriptions"), kind, name, told);
        return;
    }
    struct sub *s = items_find_sub(c, kind, name, item_id);
    if (s)
        wait_no_more(s); /* it is asked anew */
    struct item *i = find_or_create(c->gw->items, kind, name);
    kind_of(i)->subscribe(c, i, id, wish->wait);
    s = items_find_sub(c, kind, name, item_id);
    if (s) /* else it was refused at once */
        fanout_limit(s, wish->interval_ms);
    if (asked_of_redis(c) > asked)
        pace_asked(c);
}

void items_get(struct conn *c, enum kind kind, struct slice name, const struct slice *id, int64_t page,
               int64_t page_size)
{
    size_t asked = asked_of_redis(c);
    struct item *i = find(c->gw->items, kind, name);
    assert(i); /* the peer is subscribed */
    kind_of(i)->get(c, i, id, page, page_size);
    if (asked_of_redis(c) > asked)
        pace_asked(c);
}

/* What was asked for by `get` with an id is answered all the same: the list's subscription allowed it. */
static bool ends_with(const struct request *q, const struct sub *s)
{
    return q->conn == s->key.conn && target_of(q) == s->key.target && (q->subscribe || !q->watch);
}

static void end_all(const struct list *requests, const struct sub *s)
{
    list_each(requests, n)
    {
        struct request *q = container_of(n, struct request, in_item);
        if (ends_with(q, s))
            request_free(q);
    }
}

void items_unsubscribe(struct sub *s)
{
    struct item *i = s->item;
    end_all(&i->requests, s);
    end_all(&s->key.conn->held, s);
    sub_free(s);
    kind_of(i)->serve(i); /* what waited for this page to be told need not wait any more */
}

void items_unsubscribe_all(struct conn *c)
{
    list_each(&c->requests, n) request_free(container_of(n, struct request, in_conn));
    list_each(&c->subs, n) sub_free(container_of(n, struct sub, in_conn));
}

static bool granted(const struct conn *c, const struct item *i)
{
    return grants_allow(c->grants, GRANT_SUBSCRIBE, i->name);
}

void items_revoke(struct conn *c)
{
    struct buf *out = &c->gw->scratch;
    uint32_t messages = 0;
    items_settle(c->gw);
    buf_reset(out);
    list_each(&c->requests, n)
    {
        struct request *q = container_of(n, struct request, in_conn);
        if (q->item && !granted(c, q->item))
            request_free(q);
    }
    list_each(&c->subs, m)
    {
        struct sub *s = container_of(m, struct sub, in_conn);
        if (granted(c, s->item))
            continue;
        messages +=
            c->dialect->error(out, ERROR_NAME, SLICE_LIT("no longer granted"), s->item->kind, s->item->name, sub_id(s));
        metric_add(METRIC_ERRORS_3, 1);
        sub_free(s);
    }
    if (messages)
        conn_answer(c, buf_slice(out), messages);
}

/* --- time --- */

static void end_overdue_requests(struct items *r, int64_t now)
{
    struct list_node *n;
    while ((n = list_first(&r->deadlines))) {
        struct request *q = container_of(n, struct request, in_deadlines);
        if (q->deadline_ms > now)
            return;
        request_fail(q, ERROR_OTHER, r->g->redis_up ? "timeout" : "redis away");
    }
}

/* What a name holds is about what its next answer will bring. */
static size_t idle_bytes(const struct items *r)
{
    size_t bytes = 0;
    list_each(&r->idle, n) bytes += container_of(n, struct item, idle)->read.expect;
    return bytes;
}

static bool worth_keeping(const struct item *i, int64_t now)
{
    return (i->exists || item_declared(i)) && now - i->idle_since_ms < i->gw->opt->linger_ms;
}

static void free_idle(struct items *r, int64_t now)
{
    size_t bytes = idle_bytes(r);
    list_each(&r->idle, n)
    {
        struct item *i = container_of(n, struct item, idle);
        bool crowded = r->idle.count > IDLE_MAX || bytes > IDLE_BYTES_MAX;
        if (i->reading || i->sweeping || i->barred || (!crowded && worth_keeping(i, now)))
            continue;
        bytes -= i->read.expect;
        item_free(i);
    }
}

static void on_swept(void *arg, const struct store_result *res, const struct store_state *st)
{
    struct item *i = arg;
    i->sweeping = false;
    i->gw->items->sweeping--;
    if (res->status != STORE_OK || i->state != ITEM_READY)
        return;
    int64_t rev = i->kind == KIND_VAR ? st->var_rev : st->list_rev;
    bool exists = i->kind == KIND_VAR ? st->var_exists : st->list_exists;
    if (rev == i->rev && exists == i->exists)
        return;
    log_limited(LOG_GARBAGE, LOG_LEVEL_INFO, "the sweep found another revision name=%s found=%lld held=%lld",
                log_value(i->name), (long long)rev, (long long)i->rev);
    metric_add(METRIC_GAPS, 1);
    item_missed(i, READ_SWEEP);
}

/* A silent loss ends within one period: every item's revision is compared once in it, spread evenly. */
static void sweep(struct items *r)
{
    int64_t each = r->g->opt->sweep_interval_ms;
    r->sweep_credit += (int64_t)r->all.count * ITEMS_TICK_MS;
    if (r->sweep_credit > SWEEPS_MAX * each)
        r->sweep_credit = SWEEPS_MAX * each;
    for (size_t left = r->all.count; r->sweep_credit >= each && left > 0 && r->sweeping < SWEEPS_MAX; left--) {
        r->sweep_credit -= each;
        struct list_node *n = list_pop(&r->all);
        list_append(&r->all, n);
        struct item *i = container_of(n, struct item, all);
        if (kind_of(i)->tick)
            kind_of(i)->tick(i, gateway_now_ms());
        if (i->state != ITEM_READY) {
            item_want_read(i); /* waits for its turn already, unless something went wrong */
        } else if (!i->sweeping && r->g->redis_up) {
            i->sweeping = true;
            r->sweeping++;
            store_state(r->g->store, i->name, on_swept, i);
        }
    }
}

static void retry_refused(struct items *r, int64_t now)
{
    list_each(&r->refused, n)
    {
        struct item *i = container_of(n, struct item, refused);
        if (i->retry_ms > now)
            continue;
        list_remove(&r->refused, n);
        item_want_read(i);
    }
}

size_t items_waiting(const struct items *r)
{
    return r->deadlines.count;
}

void items_tick(struct items *r)
{
    int64_t now = gateway_now_ms();
    retry_refused(r, now);
    end_overdue_requests(r, now);
    free_idle(r, now);
    sweep(r);
}

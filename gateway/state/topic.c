/* The registry of topics and what variables and lists share: joining the channel, revisions, requests with deadlines,
 * subscriptions, lingering and the sweep. */
#include "gateway/state/topic.h"

#include <assert.h>

#include "gateway/base/clock.h"
#include "gateway/net/pace.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "gateway/observe/turn.h"
#include "gateway/state/fanout.h"
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

struct topics {
    struct gateway *g;
    struct map by_key;     /* struct topic */
    struct map subs;       /* struct sub */
    struct list all;       /* struct topic; the sweep takes from the front and puts to the back */
    struct list idle;      /* struct topic without users, longest first */
    struct list deadlines; /* struct request, oldest first: all wait equally long */
    struct list refused;   /* struct topic whose read Redis refused; tried again after a while */
    struct reads reads;
    bool going_on;        /* inside go_on */
    bool link_full;       /* the link did not take a read */
    size_t sweeping;      /* questions of the sweep in flight */
    int64_t sweep_credit; /* topics that may be swept now, times the sweep interval in ms */
};

static void topic_refused(struct topic *t, struct slice error);

static const struct topic_kind *kind_of(const struct topic *t)
{
    return t->kind == KIND_VAR ? &topic_var_kind : &topic_list_kind;
}

/* --- life of a topic --- */

struct topics *topics_new(struct gateway *g)
{
    struct topics *r = sg_calloc(1, sizeof(*r));
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

static void topic_free(struct topic *t)
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
    kind_of(t)->destroy(t);
}

void topics_leave(struct topics *r)
{
    list_each(&r->all, n) hub_leave(r->g->hub, &container_of(n, struct topic, all)->member);
}

void topics_free(struct topics *r)
{
    list_each(&r->all, n)
    {
        struct topic *t = container_of(n, struct topic, all);
        t->reading = t->sweeping = false; /* the link is gone, and its callbacks with it */
        topic_free(t);
    }
    assert(r->subs.count == 0);
    map_deinit(&r->by_key);
    map_deinit(&r->subs);
    free(r);
}

static struct topic *find(struct topics *r, enum kind kind, struct slice name)
{
    char key[1 + NAME_BYTES_MAX];
    assert(name.len <= NAME_BYTES_MAX);
    key[0] = (char)kind;
    memcpy(key + 1, name.ptr, name.len);
    struct map_node *n = map_find(&r->by_key, slice_of(key, 1 + name.len));
    return n ? container_of(n, struct topic, by_key) : NULL;
}

static void on_message(struct hub_member *m, struct slice payload)
{
    struct topic *t = container_of(m, struct topic, member);
    struct change e;
    if (!change_parse(payload, &e)) {
        if (t->kind == KIND_VAR || !find(t->gw->topics, KIND_VAR, t->name)) /* both listen here; one counts it */
            topic_bad_change(t, "not an event");
        return;
    }
    if (change_is_var(&e) != (t->kind == KIND_VAR))
        return;       /* a variable and a list of one name share the channel */
    if (t->damaged) { /* perhaps this mended it */
        t->retry_ms = 0;
        topic_want_read(t);
    }
    if (t->state != TOPIC_READY)
        return;            /* the read that is under way contains it */
    if (e.rev <= t->rev) { /* one link keeps the order, so what is held is not what Redis holds any more */
        t->back = true;
        topic_missed(t, READ_BACK);
        return;
    }
    metric_add(METRIC_CHANGES, 1);
    t->changed_us = link_heard_us(t->gw->link);
    turn_change(t->changed_us);
    if (t->gw->untold != t)
        conn_settle(t->gw);
    kind_of(t)->apply(t, &e);
}

void topics_settle_untold(struct gateway *g)
{
    struct topic *t = g->untold;
    g->untold = NULL;
    g->holds_back = false;
    kind_of(t)->settle(t);
}

static void on_resync(struct hub_member *m)
{
    struct topic *t = container_of(m, struct topic, member);
    t->retry_ms = 0;
    topic_missed(t, READ_RECONNECT);
}

/* Until Redis lets us listen: what is read meanwhile would go stale unnoticed. */
static void on_refused(struct hub_member *m, struct slice why)
{
    struct topic *t = container_of(m, struct topic, member);
    log_limited(LOG_FAILED, LOG_LEVEL_WARN, "redis refused a subscription name=%s error=%s", log_value(t->name),
                log_value(why));
    topic_refused(t, why);
}

void topic_init(struct topic *t, struct gateway *g, enum kind kind, struct slice name)
{
    char *key = sg_malloc(1 + name.len);
    key[0] = (char)kind;
    memcpy(key + 1, name.ptr, name.len);
    t->gw = g;
    t->kind = kind;
    t->state = TOPIC_LOADING;
    t->by_key.key = slice_of(key, 1 + name.len);
    t->name = slice_of(key + 1, name.len);
    t->member.on_message = on_message;
    t->member.on_resync = on_resync;
    t->member.on_refused = on_refused;
    list_init(&t->requests);
    list_init(&t->waiting);
}

static void join(struct topic *t)
{
    char channel[1024];
    size_t len = store_channel(t->gw->store, t->name, channel, sizeof(channel));
    hub_join(t->gw->hub, slice_of(channel, len), &t->member);
}

static struct topic *find_or_create(struct topics *r, enum kind kind, struct slice name)
{
    struct topic *t = find(r, kind, name);
    if (t)
        return t;
    t = (kind == KIND_VAR ? &topic_var_kind : &topic_list_kind)->create(r->g, name);
    map_insert(&r->by_key, &t->by_key);
    list_append(&r->all, &t->all);
    t->idle_since_ms = clock_now_ms();
    list_append(&r->idle, &t->idle);
    metric_add(METRIC_NAMES, 1);
    metric_add(METRIC_NAMES_STALE, 1);
    join(t);
    return t;
}

static void add_user(struct topic *t)
{
    if (t->users++ == 0 && list_linked(&t->idle))
        list_remove(&t->gw->topics->idle, &t->idle);
}

static void drop_user(struct topic *t)
{
    assert(t->users > 0);
    if (--t->users > 0)
        return;
    t->idle_since_ms = clock_now_ms();
    list_append(&t->gw->topics->idle, &t->idle);
}

bool topic_declared(const struct topic *t)
{
    return options_name(t->gw->opt, t->kind, t->name) != NULL;
}

bool topics_known(struct topics *r, enum kind kind, struct slice name)
{
    if (options_name(r->g->opt, kind, name))
        return true;
    const struct topic *t = find(r, kind, name);
    return t && t->exists;
}

const struct map *topics_map(const struct topics *r)
{
    return &r->by_key;
}

const struct topic *topics_held(struct topics *r, enum kind kind, struct slice name)
{
    return find(r, kind, name);
}

void topic_look(const struct topic *t, struct topic_look *out)
{
    *out = (struct topic_look){.size = 0};
    kind_of(t)->look(t, out);
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

const struct topic *topics_find_used(struct topics *r, enum kind kind, struct slice name)
{
    const struct topic *t = find(r, kind, name);
    return t && t->users && t->state == TOPIC_READY ? t : NULL;
}

/* --- reading --- */

/* A name is stale while Redis may have another state that nobody told us. */
static void set_state(struct topic *t, enum topic_state state)
{
    metric_add(METRIC_NAMES_STALE, (state != TOPIC_READY) - (t->state != TOPIC_READY));
    t->state = state;
}

static void retry_at(struct topic *t, int64_t when_ms)
{
    t->retry_ms = when_ms;
    if (!list_linked(&t->refused))
        list_append(&t->gw->topics->refused, &t->refused);
}

void topic_retry_later(struct topic *t)
{
    retry_at(t, clock_now_ms() + RETRY_MS);
}

/* A read must be behind the subscription, or it misses what comes between the two. Of a barred name only the size is asked for. */
static bool may_read(const struct topic *t)
{
    const struct gateway *g = t->gw;
    return !t->reading && g->redis_up && link_state(g->link) == LINK_UP &&
           (t->barred || hub_subscribed(g->hub, &t->member)) && t->retry_ms <= clock_now_ms();
}

/* Begins the reads that fit into the window now. One that the link does not take ends it: it is full with other things. */
static void go_on(struct topics *r)
{
    struct read *one;
    if (r->going_on)
        return;
    r->going_on = true;
    r->link_full = false;
    while (!r->link_full && (one = reads_next(&r->reads))) {
        struct topic *t = container_of(one, struct topic, read);
        if (may_read(t))
            kind_of(t)->read(t);
        if (!t->reading)
            reads_done(&r->reads, one);
    }
    r->going_on = false;
}

static struct slice sub_id(const struct sub *s)
{
    return s->watch ? watch_id(s->watch) : SLICE_NONE;
}

/* Whoever waits for the name is told too: it is not unknown any more, and what it is, nobody can say. */
static void fail_requests(struct topic *t, const char *text)
{
    struct list_node *n;
    while ((n = list_first(&t->requests)))
        request_fail(container_of(n, struct request, in_item), ERROR_OTHER, text);
    while ((n = list_first(&t->waiting))) {
        struct sub *s = container_of(n, struct sub, in_target);
        topic_error(s->key.conn, t, ERROR_OTHER, text, sub_id(s));
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
    conn_answer_scratch(
        c, c->dialect->error(out, ERROR_OTHER, slice_str(text), s->topic->kind, s->topic->name, sub_id(s)));
}

static const char too_large[] = "value too large", damaged_data[] = TOPIC_DAMAGED_TEXT;

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
    tell_void(s, s->topic->refusal);
}

/* What Redis holds cannot be known for now: subscribers keep what they hold and are told once that it is void, whoever asks is
 * refused. */
static void topic_void(struct topic *t, void (*tell)(struct sub *s))
{
    conn_settle(t->gw);
    set_state(t, TOPIC_LOADING);
    t->told_void = true;
    kind_of(t)->each_sub(t, tell);
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

static void topic_refused(struct topic *t, struct slice error)
{
    t->refusal = refusal_text(error);
    if (!t->told_void)
        topic_void(t, tell_refused);
    fail_requests(t, t->refusal);
    t->refusal = NULL;
}

void topic_want_read(struct topic *t)
{
    struct topics *r = t->gw->topics;
    const char *refusal = hub_refusal(&t->member);
    if (t->barred)
        fail_requests(t, too_large);
    else if (refusal)
        fail_requests(t, refusal_text(slice_str(refusal)));
    if (!may_read(t))
        return;
    reads_want(&r->reads, &t->read, t->requests.count > 0);
    go_on(r);
}

static enum read_reason why_read(const struct topic *t)
{
    if (t->state == TOPIC_LOADING)
        return READ_FIRST;
    if (t->state == TOPIC_STALE)
        return t->missed;
    return t->confirm ? READ_CONFIRM : READ_CONTENT;
}

void topic_read_begins(struct topic *t)
{
    metric_add((enum metric)(METRIC_READS_FIRST + (int)why_read(t)), 1);
    t->reading = true;
    t->confirm = false;
    t->reads++;
}

size_t topic_room(const struct topic *t)
{
    return t->barred ? 0 : t->read.room;
}

/* What was in flight when the link was lost stays booked until topics_link_down looks who it was. */
static bool was_lost(const struct topic *t, const struct store_result *r)
{
    return r->status == STORE_AWAY && link_state(t->gw->link) != LINK_UP;
}

/* Until somebody mends it. */
static void topic_damaged(struct topic *t, struct slice text)
{
    if (!t->damaged) {
        log_limited(LOG_FAILED, LOG_LEVEL_WARN, "damaged data name=%s error=%s", log_value(t->name), log_value(text));
        metric_add(METRIC_DAMAGED, 1);
        t->damaged = true;
        topic_void(t, tell_damaged);
    }
    fail_requests(t, damaged_data);
}

bool topic_healed(struct topic *t)
{
    bool healed = t->told_void;
    if (t->damaged)
        log_limited(LOG_FAILED, LOG_LEVEL_INFO, "damaged data was mended name=%s", log_value(t->name));
    t->damaged = t->told_void = false;
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
static void read_barred(struct topic *t, struct slice error)
{
    if (!t->told_void)
        log_limited(LOG_FAILED, LOG_LEVEL_WARN, "read refused name=%s error=%s", log_value(t->name), log_value(error));
    topic_refused(t, error);
}

static void read_refused(struct topic *t, const struct store_result *r)
{
    if (r->status == STORE_AWAY)
        t->gw->topics->link_full = true;
    else if (r->status == STORE_REFUSED && r->refusal == REFUSAL_DATA)
        topic_damaged(t, r->text);
    else if (is_barrier(r->text))
        read_barred(t, r->text);
    else
        log_limited(LOG_FAILED, LOG_LEVEL_WARN, "read failed name=%s error=%s", log_value(t->name), log_value(r->text));
    topic_retry_later(t);
}

static void look_later(struct topic *t)
{
    int64_t wait_ms = 2 * t->barred_look_ms;
    wait_ms = wait_ms < BARRED_LOOK_MAX_MS ? wait_ms : BARRED_LOOK_MAX_MS;
    t->barred_look_ms = wait_ms > BARRED_LOOK_MIN_MS ? wait_ms : BARRED_LOOK_MIN_MS;
    retry_at(t, clock_now_ms() + t->barred_look_ms);
}

static void unbar(struct topic *t)
{
    log_info("a name is read again that was too large name=%s", log_value(t->name));
    metric_add(METRIC_NAMES_TOO_LARGE, -1);
    t->barred = false;
    t->retry_ms = 0;
    join(t);
    if (t->users) /* and the hub let it join; else on_resync does */
        topic_want_read(t);
}

/* It is smaller than what cut the link, or it is time to try whether Redis lets more through by now. */
static void barred_looked(struct topic *t, size_t bytes)
{
    if (bytes < t->barred_bytes || t->barred_until_ms <= clock_now_ms())
        unbar(t);
    else
        look_later(t);
}

bool topic_read_ends(struct topic *t, const struct store_result *r, size_t larger)
{
    struct topics *all = t->gw->topics;
    t->reading = false;
    if (was_lost(t, r))
        return false; /* on_resync reads again */
    reads_done(&all->reads, &t->read);
    bool good = r->status == STORE_OK;
    if (hub_refusal(&t->member)) {
        good = false; /* nobody tells what comes behind it; on_resync reads again */
    } else if (!good) {
        read_refused(t, r);
    } else if (t->barred) {
        barred_looked(t, larger);
        good = false;
    } else {
        t->reads_done = t->reads;
        if (!larger) {
            t->read.blame = 0;
            t->barred_look_ms = 0;
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

bool topic_found(struct topic *t, int64_t rev)
{
    bool back = t->back || rev < t->rev;
    bool in_vain = t->state == TOPIC_STALE && is_doubt(t->missed) && rev == t->rev;
    t->in_vain = in_vain ? t->in_vain + 1 : 0;
    t->doubt_ms = t->in_vain > IN_VAIN_FREE ? clock_now_ms() + RETRY_MS : 0;
    t->back = false;
    t->rev = rev;
    set_state(t, TOPIC_READY);
    return back;
}

bool topic_unknown(const struct topic *t)
{
    return !t->exists && !topic_declared(t);
}

void topic_missed(struct topic *t, enum read_reason why)
{
    if (t->state == TOPIC_READY)
        set_state(t, TOPIC_STALE);
    t->missed = why;
    if (is_doubt(why) && t->doubt_ms > clock_now_ms())
        retry_at(t, t->doubt_ms);
    else
        topic_want_read(t);
}

/* Its answer cut the link each time, for everybody. Its changes would do the same, so they are not listened to either. */
static void bar(struct topic *t)
{
    t->barred = true;
    t->barred_until_ms = clock_now_ms() + BARRED_MS;
    t->barred_bytes = t->read.expect;
    t->read.expect = 0;
    t->read.blame = READS_BLAME_MAX / 2; /* one more loss will do */
    metric_add(METRIC_NAMES_TOO_LARGE, 1);
    log_error("a name is too large for Redis' client-output-buffer-limit name=%s bytes=%zu", log_value(t->name),
              t->barred_bytes);
    t->exists = false; /* as far as anybody may know */
    hub_leave(t->gw->hub, &t->member);
    look_later(t);
    topic_void(t, tell_too_large);
    fail_requests(t, too_large);
}

void topics_link_down(struct topics *r)
{
    struct read *culprit = reads_lost(&r->reads);
    list_each(&r->all, n)
    {
        struct topic *t = container_of(n, struct topic, all);
        if (t->state == TOPIC_READY)
            set_state(t, TOPIC_STALE);
        t->missed = READ_RECONNECT;
    }
    if (culprit)
        bar(container_of(culprit, struct topic, read));
}

void topic_bad_change(const struct topic *t, const char *what)
{
    metric_add(METRIC_BAD_CHANGES, 1);
    log_limited(LOG_GARBAGE, LOG_LEVEL_WARN, "dropped bytes from Redis name=%s what=\"%s\"", log_value(t->name), what);
}

void topic_lose_sub(struct sub *s)
{
    kind_of(s->topic)->lose_sub(s);
}

void topic_flush_sub(struct sub *s)
{
    if (!s->topic->told_void) /* what is true then will be told whole */
        kind_of(s->topic)->flush_sub(s);
}

/* --- requests --- */

struct request *request_new(struct topic *t, struct conn *c, bool subscribe, struct view *view, struct watch *watch)
{
    struct request *q = sg_calloc(1, sizeof(*q));
    q->topic = t;
    q->conn = c;
    q->reads = t->reads;
    q->subscribe = subscribe;
    q->view = view;
    q->watch = watch;
    q->slots = view ? view_slots(view) : 0;
    c->slots += q->slots;
    pace_waits(c, q->slots);
    q->deadline_ms = clock_now_ms() + t->gw->opt->subscribe_timeout_ms;
    list_append(&t->requests, &q->in_item);
    list_append(&c->requests, &q->in_conn);
    list_append(&t->gw->topics->deadlines, &q->in_deadlines);
    add_user(t);
    return q;
}

/* Among those that wait for room in their connection's queue, or not any more. */
static void hold(struct request *q)
{
    struct conn *c = q->conn;
    q->held = true;
    list_append(&c->held, &q->in_item);
    c->owed += (uint32_t)sizeof(*q);
    conn_waits(c, WAIT_ANSWERS, true);
    conn_wait_for_room(c);
}

static void unhold(struct request *q)
{
    struct conn *c = q->conn;
    q->held = false;
    list_remove(&c->held, &q->in_item);
    c->owed -= (uint32_t)sizeof(*q);
    conn_waits(c, WAIT_ANSWERS, c->held.count > 0);
}

bool request_hold(struct request *q)
{
    struct conn *c = q->conn;
    if (c->state != CONN_OPEN || (!c->held.count && conn_room(c)))
        return false;
    list_remove(&q->topic->requests, &q->in_item);
    list_remove(&q->topic->gw->topics->deadlines, &q->in_deadlines);
    pace_waits_no_more(c, q->slots);
    hold(q);
    return true;
}

/* Back to those that wait for Redis. */
static void release(struct request *q)
{
    struct topics *r = q->topic->gw->topics;
    unhold(q);
    list_append(&q->topic->requests, &q->in_item);
    pace_waits(q->conn, q->slots);
    q->deadline_ms = clock_now_ms() + r->g->opt->subscribe_timeout_ms;
    list_append(&r->deadlines, &q->in_deadlines);
}

/* Those behind one that has to wait for Redis wait with it: answers about one list stay in order. */
static void release_behind(struct conn *c, uint64_t pass)
{
    list_each(&c->held, n)
    {
        struct request *q = container_of(n, struct request, in_item);
        if (q->topic && q->topic->held_pass == pass)
            release(q);
    }
}

bool topics_hold_ping(struct conn *c, struct slice id)
{
    if (!c->held.count)
        return false;
    struct request *q = sg_calloc(1, sizeof(*q) + id.len);
    q->conn = c;
    if (id.ptr) {
        memcpy(q->id_bytes, id.ptr, id.len);
        q->id = slice_of(q->id_bytes, id.len);
    }
    list_append(&c->requests, &q->in_conn);
    hold(q);
    return true;
}

static void answer_ping(struct request *q)
{
    struct conn *c = q->conn;
    buf_reset(&c->gw->scratch);
    conn_answer_scratch(c, c->dialect->pong(&c->gw->scratch, q->id));
    request_free(q);
}

void topics_answer_held(struct conn *c, size_t limit)
{
    static uint64_t pass;
    struct list_node *n;
    bool unknown = false;
    pass++;
    while (c->out.bytes < limit && (n = list_first(&c->held))) {
        struct request *q = container_of(n, struct request, in_item);
        struct topic *t = q->topic;
        if (!t) {
            answer_ping(q);
            continue;
        }
        release(q);
        if (t->held_pass == pass || kind_of(t)->answer(q))
            continue;
        t->held_pass = pass;
        unknown = true;
        topic_want_read(t);
    }
    if (unknown)
        release_behind(c, pass);
}

static void leave_topic(struct request *q)
{
    struct topic *t = q->topic;
    if (!q->held) {
        pace_waits_no_more(q->conn, q->slots);
        list_remove(&t->requests, &q->in_item);
        list_remove(&t->gw->topics->deadlines, &q->in_deadlines);
    }
    kind_of(t)->request_gone(q);
    drop_user(t);
}

void request_free(struct request *q)
{
    list_remove(&q->conn->requests, &q->in_conn);
    q->conn->slots -= q->slots;
    if (q->topic)
        leave_topic(q);
    if (q->held)
        unhold(q);
    pace_answered(q->conn);
    free(q);
}

static const void *target_of(const struct request *q)
{
    return q->watch ? (const void *)q->watch : (const void *)q->topic;
}

static void fail_all(const struct list *requests, const struct sub *s, enum error_code code, const char *text)
{
    list_each(requests, n)
    {
        struct request *q = container_of(n, struct request, in_item);
        if (q->conn != s->key.conn || target_of(q) != s->key.target)
            continue;
        topic_error(q->conn, q->topic, code, text, kind_of(q->topic)->request_id(q));
        request_free(q);
    }
}

/* Everything this connection still waits for here ends with its pending subscription. */
static void fail_pending(struct sub *s, enum error_code code, const char *text)
{
    fail_all(&s->topic->requests, s, code, text);
    fail_all(&s->key.conn->held, s, code, text);
    sub_free(s);
}

void request_fail(struct request *q, enum error_code code, const char *text)
{
    struct sub *s = sub_find(q->conn, q->topic, target_of(q));
    if (s && s->pending && !s->waiting) {
        fail_pending(s, code, text);
        return;
    }
    topic_error(q->conn, q->topic, code, text, kind_of(q->topic)->request_id(q));
    request_free(q);
}

static const char unknown[] = "unknown name";

/* It did nothing wrong, so it does not count against the peer. */
static void wait_for_name(struct sub *s)
{
    struct conn *c = s->key.conn;
    struct buf *out = &c->gw->scratch;
    s->waiting = true;
    list_append(&s->topic->waiting, &s->in_target);
    buf_reset(out);
    metric_add(METRIC_ERRORS_3, 1);
    conn_answer_scratch(c, c->dialect->waiting(out, slice_str(unknown), s->topic->kind, s->topic->name, sub_id(s)));
}

static void wait_no_more(struct sub *s)
{
    if (!s->waiting)
        return;
    s->waiting = false;
    list_remove(&s->topic->waiting, &s->in_target);
}

void topic_wake(struct topic *t)
{
    struct list_node *n;
    while (!topic_unknown(t) && (n = list_first(&t->waiting))) {
        struct sub *s = container_of(n, struct sub, in_target);
        wait_no_more(s);
        kind_of(t)->ask_again(s);
    }
}

bool request_fail_unknown(struct request *q)
{
    if (q->topic->reads_done <= q->reads) {
        q->topic->confirm = true;
        return false;
    }
    struct sub *s = q->subscribe ? sub_find(q->conn, q->topic, target_of(q)) : NULL;
    if (!s || !s->wait) {
        request_fail(q, ERROR_NAME, unknown);
        return true;
    }
    request_free(q); /* and what it asked for before and after that, is asked once when the name is there */
    if (!s->waiting)
        wait_for_name(s);
    return true;
}

void topic_error(struct conn *c, const struct topic *t, enum error_code code, const char *text, struct slice id)
{
    conn_error(c, code, slice_str(text), t->kind, t->name, id);
}

/* --- subscriptions --- */

struct sub *sub_find(const struct conn *c, const struct topic *t, const void *target)
{
    struct {
        const struct conn *conn;
        const void *target;
    } key = {c, target};
    struct map_node *n = map_find(&t->gw->topics->subs, slice_of((const char *)&key, sizeof(key)));
    return n ? container_of(n, struct sub, by_key) : NULL;
}

struct sub *sub_new(struct conn *c, struct topic *t, struct watch *w)
{
    struct sub *s = sg_calloc(1, sizeof(*s));
    s->key.conn = c;
    s->key.target = w ? (const void *)w : (const void *)t;
    s->topic = t;
    s->watch = w;
    s->pending = true;
    s->by_key.key = slice_of((const char *)&s->key, sizeof(s->key));
    map_insert(&t->gw->topics->subs, &s->by_key);
    list_append(&c->subs, &s->in_conn);
    add_user(t);
    metric_add(METRIC_SUBSCRIPTIONS, 1);
    return s;
}

void sub_free(struct sub *s)
{
    struct topic *t = s->topic;
    fanout_forget(s);
    fanout_limit(s, 0);
    wait_no_more(s);
    map_remove(&t->gw->topics->subs, &s->by_key);
    list_remove(&s->key.conn->subs, &s->in_conn);
    kind_of(t)->sub_gone(s);
    free(s);
    metric_add(METRIC_SUBSCRIPTIONS, -1);
    drop_user(t);
}

struct sub *topics_find_sub(struct conn *c, enum kind kind, struct slice name, const struct slice *id)
{
    struct topic *t = find(c->gw->topics, kind, name);
    if (!t)
        return NULL;
    if (!id)
        return sub_find(c, t, t);
    const struct watch *w = topic_list_find_watch(t, *id);
    return w ? sub_find(c, t, w) : NULL;
}

static size_t asked_of_redis(const struct conn *c)
{
    return c->requests.count - c->held.count;
}

void topics_subscribe(struct conn *c, enum kind kind, struct slice name, const struct slice *id,
                      const struct sub_wish *wish)
{
    const struct slice *item_id = kind == KIND_LIST ? id : NULL;
    size_t asked = asked_of_redis(c);
    if (c->subs.count >= SUBS_PER_CONN_MAX && !topics_find_sub(c, kind, name, item_id)) {
        struct slice told = item_id ? *item_id : SLICE_NONE;
        conn_error(c, ERROR_OTHER, SLICE_LIT("too many subscriptions"), kind, name, told);
        return;
    }
    struct sub *s = topics_find_sub(c, kind, name, item_id);
    if (s)
        wait_no_more(s); /* it is asked anew */
    struct topic *t = find_or_create(c->gw->topics, kind, name);
    kind_of(t)->subscribe(c, t, id, wish->wait);
    s = topics_find_sub(c, kind, name, item_id);
    if (s) /* else it was refused at once */
        fanout_limit(s, wish->interval_ms);
    if (asked_of_redis(c) > asked)
        pace_asked(c);
}

void topics_get(struct conn *c, enum kind kind, struct slice name, const struct slice *id, int64_t page,
                int64_t page_size)
{
    size_t asked = asked_of_redis(c);
    struct topic *t = find(c->gw->topics, kind, name);
    assert(t); /* the peer is subscribed */
    kind_of(t)->get(c, t, id, page, page_size);
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

void topics_unsubscribe(struct sub *s)
{
    struct topic *t = s->topic;
    end_all(&t->requests, s);
    end_all(&s->key.conn->held, s);
    sub_free(s);
    kind_of(t)->serve(t); /* what waited for this page to be told need not wait any more */
}

void topics_unsubscribe_all(struct conn *c)
{
    list_each(&c->requests, n) request_free(container_of(n, struct request, in_conn));
    list_each(&c->subs, n) sub_free(container_of(n, struct sub, in_conn));
}

static bool granted(const struct conn *c, const struct topic *t)
{
    return grants_allow(c->grants, GRANT_SUBSCRIBE, t->name);
}

void topics_revoke(struct conn *c)
{
    struct buf *out = &c->gw->scratch;
    uint32_t messages = 0;
    conn_settle(c->gw);
    buf_reset(out);
    list_each(&c->requests, n)
    {
        struct request *q = container_of(n, struct request, in_conn);
        if (q->topic && !granted(c, q->topic))
            request_free(q);
    }
    list_each(&c->subs, m)
    {
        struct sub *s = container_of(m, struct sub, in_conn);
        if (granted(c, s->topic))
            continue;
        messages += c->dialect->error(out, ERROR_NAME, SLICE_LIT("no longer granted"), s->topic->kind, s->topic->name,
                                      sub_id(s));
        metric_add(METRIC_ERRORS_3, 1);
        sub_free(s);
    }
    if (messages)
        conn_answer(c, buf_slice(out), messages);
}

/* --- time --- */

static void end_overdue_requests(struct topics *r, int64_t now)
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
static size_t idle_bytes(const struct topics *r)
{
    size_t bytes = 0;
    list_each(&r->idle, n) bytes += container_of(n, struct topic, idle)->read.expect;
    return bytes;
}

static bool worth_keeping(const struct topic *t, int64_t now)
{
    return (t->exists || topic_declared(t)) && now - t->idle_since_ms < t->gw->opt->linger_ms;
}

static void free_idle(struct topics *r, int64_t now)
{
    size_t bytes = idle_bytes(r);
    list_each(&r->idle, n)
    {
        struct topic *t = container_of(n, struct topic, idle);
        bool crowded = r->idle.count > IDLE_MAX || bytes > IDLE_BYTES_MAX;
        if (t->reading || t->sweeping || t->barred || (!crowded && worth_keeping(t, now)))
            continue;
        bytes -= t->read.expect;
        topic_free(t);
    }
}

static void on_swept(void *arg, const struct store_result *res, const struct store_state *st)
{
    struct topic *t = arg;
    t->sweeping = false;
    t->gw->topics->sweeping--;
    if (res->status != STORE_OK || t->state != TOPIC_READY)
        return;
    int64_t rev = t->kind == KIND_VAR ? st->var_rev : st->list_rev;
    bool exists = t->kind == KIND_VAR ? st->var_exists : st->list_exists;
    if (rev == t->rev && exists == t->exists)
        return;
    log_limited(LOG_GARBAGE, LOG_LEVEL_INFO, "the sweep found another revision name=%s found=%lld held=%lld",
                log_value(t->name), (long long)rev, (long long)t->rev);
    metric_add(METRIC_GAPS, 1);
    topic_missed(t, READ_SWEEP);
}

/* A silent loss ends within one period: every topic's revision is compared once in it, spread evenly. */
static void sweep(struct topics *r)
{
    int64_t each = r->g->opt->sweep_interval_ms;
    r->sweep_credit += (int64_t)r->all.count * TOPICS_TICK_MS;
    if (r->sweep_credit > SWEEPS_MAX * each)
        r->sweep_credit = SWEEPS_MAX * each;
    for (size_t left = r->all.count; r->sweep_credit >= each && left > 0 && r->sweeping < SWEEPS_MAX; left--) {
        r->sweep_credit -= each;
        struct list_node *n = list_pop(&r->all);
        list_append(&r->all, n);
        struct topic *t = container_of(n, struct topic, all);
        if (kind_of(t)->tick)
            kind_of(t)->tick(t, clock_now_ms());
        if (t->state != TOPIC_READY) {
            topic_want_read(t); /* waits for its turn already, unless something went wrong */
        } else if (!t->sweeping && r->g->redis_up) {
            t->sweeping = true;
            r->sweeping++;
            store_state(r->g->store, t->name, on_swept, t);
        }
    }
}

static void retry_refused(struct topics *r, int64_t now)
{
    list_each(&r->refused, n)
    {
        struct topic *t = container_of(n, struct topic, refused);
        if (t->retry_ms > now)
            continue;
        list_remove(&r->refused, n);
        topic_want_read(t);
    }
}

void topics_tick(struct topics *r)
{
    int64_t now = clock_now_ms();
    retry_refused(r, now);
    end_overdue_requests(r, now);
    free_idle(r, now);
    sweep(r);
}

/* From actions to effects. Reads and subscriptions go to the items, calls to calls.c, writes to Redis; a write that Redis
 * refuses is answered by the protocol's table. */
#include "gateway/peer/peer.h"

#include <assert.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stddef.h>
#include <stdio.h>

#include "gateway/access/identity.h"
#include "gateway/base/clock.h"
#include "gateway/base/timer.h"
#include "gateway/calls/calls.h"
#include "gateway/net/pace.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "gateway/state/fanout.h"
#include "gateway/state/request.h"
#include "gateway/state/topic.h"
#include "gateway/state/topics.h"
#include "protocol/base/alloc.h"
#include "protocol/json.h"

enum { REPLIES_BYTES_MAX = 16 * 1024 * 1024 }; /* of one message */

/* A connection, with what each room keeps of it. Behind it lies what its dialect does. */
struct peer {
    struct subscriber subscriber;
    struct caller caller;
};

static struct dialect_peer *dialect_of(const struct conn *c)
{
    return (struct dialect_peer *)(uintptr_t)((const char *)c + sizeof(struct peer));
}

static struct conn *conn_of(const struct dialect_peer *peer)
{
    return (struct conn *)(uintptr_t)((const char *)peer - sizeof(struct peer));
}

/* --- grants and subscriptions: the dialect's question --- */

static bool may_read(const struct conn *c, struct slice name)
{
    return grants_allow(c->grants, GRANT_SUBSCRIBE, name);
}

/* Whoever may write a name and not read it learns nothing about it, also not whether it is there. */
static enum access refused(const struct conn *c, enum kind kind, struct slice name)
{
    if (!may_read(c, name))
        return grants_allow(c->grants, GRANT_WRITE, name) ? ACCESS_UNSUBSCRIBED : ACCESS_UNKNOWN;
    return topics_known(c->gw->topics, kind, name) ? ACCESS_UNSUBSCRIBED : ACCESS_UNRESOLVED;
}

static enum access allow(bool yes)
{
    return yes ? ACCESS_OK : ACCESS_UNKNOWN;
}

static enum access function_access(struct conn *c, enum action_op op, struct slice name)
{
    switch (op) {
    case ACTION_SUBSCRIBE:
        return allow(grants_allow(c->grants, GRANT_SERVE, name));
    case ACTION_UNSUBSCRIBE:
        if (calls_serves(c, name))
            return ACCESS_OK;
        return calls_known(c->gw->calls, name) && grants_allow(c->grants, GRANT_SERVE, name) ? ACCESS_UNSUBSCRIBED
                                                                                             : ACCESS_UNKNOWN;
    case ACTION_CALL:
        return allow(grants_allow(c->grants, GRANT_CALL, name) && calls_known(c->gw->calls, name));
    default: /* return */
        return allow(calls_serves(c, name) || calls_executes(c, name));
    }
}

static enum access state_access(struct conn *c, enum action_op op, enum kind kind, struct slice name,
                                const struct slice *id)
{
    if (kind == KIND_VAR)
        id = NULL;
    switch (op) {
    case ACTION_SUBSCRIBE:
        return allow(grants_allow(c->grants, GRANT_SUBSCRIBE, name));
    case ACTION_UNSUBSCRIBE:
        return topics_find_sub(c, kind, name, id) ? ACCESS_OK : refused(c, kind, name);
    case ACTION_GET:
        if (topics_find_sub(c, kind, name, NULL) || (id && topics_find_sub(c, kind, name, id)))
            return ACCESS_OK;
        return refused(c, kind, name);
    default: /* writes */
        return grants_allow(c->grants, GRANT_WRITE, name) ? ACCESS_OK : refused(c, kind, name);
    }
}

static enum access access_of(struct dialect_peer *peer, enum action_op op, enum kind kind, struct slice name,
                             const struct slice *id)
{
    struct conn *c = conn_of(peer);
    return kind == KIND_FUNCTION ? function_access(c, op, name) : state_access(c, op, kind, name, id);
}

static struct slice room_of(const struct dialect_peer *peer)
{
    return conn_room_name(conn_of(peer));
}

static const struct dialect_limits *limits_of(const struct dialect_peer *peer)
{
    return &conn_of(peer)->gw->limits;
}

static const struct dialect_host host = {.access = access_of, .room = room_of, .limits = limits_of};

/* --- how writes end --- */

/* What is told to a dialect that asked for it with a tag. While its actions are carried out it waits: their slices are the dialect's. */
struct outcome_late {
    struct list_node node;
    uint64_t conn;
    struct answer answer;
};

struct peers {
    struct gateway *g;
    struct buf bytes;  /* of the replies among the actions that are carried out */
    bool at_work;      /* they are */
    struct list late;  /* struct outcome_late */
    struct map timers; /* struct peer_timer, by conn->id */
    uint64_t item_ids; /* given to items that came without one */
};

static void peer_tell(struct conn *c, const struct answer *a);

static void tell_outcome(struct gateway *g, uint64_t conn, const struct answer *a)
{
    struct conn *c = conn_find(g, conn);
    if (!a->tag || !c || !c->dialect->answer)
        return;
    if (!g->peers->at_work) {
        peer_tell(c, a);
        return;
    }
    struct outcome_late *late = sg_calloc(1, sizeof(*late));
    late->conn = conn;
    late->answer = *a;
    list_append(&g->peers->late, &late->node);
}

/* --- questions to Redis that end in an error or in nothing --- */

/* What an answer from Redis needs to become an error frame. The connection may be gone by then. */
struct pending {
    struct gateway *g;
    uint64_t conn;
    enum kind kind;
    enum error_code error; /* pending knowledge: what to answer when the name is known */
    const char *text;
    uint32_t tag; /* of a write whose end is to be told */
    size_t bytes; /* as told to pace.c */
    struct slice name, id;
    char names[];
};

static struct pending *pending_new(struct conn *c, const struct action *a)
{
    struct pending *p = sg_malloc(sizeof(*p) + a->name.len + a->id.len);
    *p =
        (struct pending){.g = c->gw, .conn = c->id, .kind = a->kind, .error = a->error, .text = a->text, .tag = a->tag};
    memcpy(p->names, a->name.ptr, a->name.len);
    p->name = slice_of(p->names, a->name.len);
    if (a->has_id) {
        memcpy(p->names + a->name.len, a->id.ptr, a->id.len);
        p->id = slice_of(p->names + a->name.len, a->id.len);
    }
    p->bytes = sizeof(*p) + a->name.len + a->id.len + a->value.len + a->items_json.len;
    pace_begins(c, p->bytes);
    return p;
}

static void answer_error(const struct pending *p, enum error_code code, struct slice text)
{
    struct conn *c = conn_find(p->g, p->conn);
    if (c)
        conn_error(c, code, text, p->kind, p->name, p->id);
}

static void on_known(void *arg, const struct store_result *r, const struct store_state *st)
{
    struct pending *p = arg;
    pace_ends(p->g, p->conn, p->bytes);
    bool known = r->status != STORE_OK || (p->kind == KIND_VAR ? st->var_exists : st->list_exists);
    if (known)
        answer_error(p, p->error, slice_str(p->text));
    else
        answer_error(p, ERROR_NAME, SLICE_LIT("unknown name"));
    free(p);
}

static void fault_if_known(struct conn *c, const struct action *a)
{
    struct pending *p = pending_new(c, a);
    pace_asked(c, subscriber_of(c)->requests.count, subscriber_of(c)->slots);
    store_state(c->gw->store, a->name, on_known, p);
}

/* --- writes --- */

static const struct {
    enum error_code code;
    const char *text;
} refusals[] = {
    [REFUSAL_NONE] = {ERROR_OTHER, "refused by Redis"},
    [REFUSAL_NAME] = {ERROR_NAME, "unknown name"},
    [REFUSAL_JSON] = {ERROR_ARGUMENTS, "value is refused"},
    [REFUSAL_ID] = {ERROR_ID, "no such item, or it is there already"},
    [REFUSAL_ARG] = {ERROR_ARGUMENTS, "out of range, or not possible for this list"},
    [REFUSAL_REV] = {ERROR_OTHER, "revision conflict"},
    [REFUSAL_DATA] = {ERROR_OTHER, TOPIC_DAMAGED_TEXT},
};

/* A dialect that wants to know tells its peer itself. */
static void write_refused(const struct pending *p, enum error_code code, const char *text)
{
    if (p->tag)
        tell_outcome(p->g, p->conn, &(struct answer){ANSWER_REFUSED, p->tag, 0, code, text});
    else
        answer_error(p, code, slice_str(text));
}

/* What Redis refuses depends on what is there: which ids a list holds, how long it is, of what kind. A writer that may not read the
 * name gets the silence of a write that worked. */
static void answer_refusal(const struct pending *p, enum store_refusal refusal)
{
    const struct conn *c = conn_find(p->g, p->conn);
    if (c && !may_read(c, p->name) && refusal != REFUSAL_JSON)
        metric_add(METRIC_WRITES_UNTOLD, 1);
    else
        write_refused(p, refusals[refusal].code, refusals[refusal].text);
}

static void on_written(void *arg, const struct store_result *r, int64_t n)
{
    struct pending *p = arg;
    pace_ends(p->g, p->conn, p->bytes);
    switch (r->status) {
    case STORE_OK: /* the change itself is the answer, and goes to every subscriber */
        tell_outcome(p->g, p->conn, &(struct answer){.what = ANSWER_WRITTEN, .tag = p->tag, .number = n});
        break;
    case STORE_AWAY:
        if (p->tag)
            tell_outcome(p->g, p->conn, &(struct answer){.what = ANSWER_AWAY, .tag = p->tag});
        else
            answer_error(p, ERROR_OTHER, SLICE_LIT("redis away; it is not known whether the write happened"));
        break;
    case STORE_REFUSED:
        answer_refusal(p, r->refusal);
        break;
    case STORE_BROKEN:
        log_limited(LOG_FAILED, LOG_LEVEL_WARN, "a write failed name=%s error=%s", log_value(p->name),
                    log_value(r->text));
        write_refused(p, ERROR_OTHER, "redis refused the write");
        break;
    }
    free(p);
}

/* An id that no other item of any list has: items of a dialect that knows none need one. JSON text, valid until the next call. */
static struct slice fresh_id(struct peers *ps)
{
    static char text[64];
    int len = snprintf(text, sizeof(text), "\"%s-%llu\"", ps->g->id, (unsigned long long)++ps->item_ids);
    return slice_of(text, (size_t)len);
}

static void write_set(struct conn *c, const struct action *a, struct pending *p)
{
    struct store *st = c->gw->store;
    if (a->kind == KIND_VAR)
        store_var_set(st, a->name, a->value, on_written, p);
    else if (a->has_id)
        store_list_set(st, a->name, a->id, a->value, on_written, p);
    else
        store_list_set_at(st, a->name, a->index, a->value, on_written, p);
}

static void write_insert(struct conn *c, const struct action *a, struct pending *p)
{
    struct slice id = a->has_id ? a->id : fresh_id(c->gw->peers);
    store_list_insert(c->gw->store, a->name, a->index, id, a->value, on_written, p);
}

static void write_delete(struct conn *c, const struct action *a, struct pending *p)
{
    if (a->has_id)
        store_list_delete(c->gw->store, a->name, a->id, on_written, p);
    else
        store_list_delete_at(c->gw->store, a->name, a->index, on_written, p);
}

static void write_move(struct conn *c, const struct action *a, struct pending *p)
{
    store_list_move(c->gw->store, a->name, a->id, a->index, on_written, p);
}

static void write_all(struct conn *c, const struct action *a, struct pending *p)
{
    store_list_set_all(c->gw->store, a->name, a->items_json, on_written, p);
}

static bool has_large_item(struct slice items, size_t max)
{
    static const struct slice keys[] = {SLICE_LIT("value")};
    struct json_value value[1];
    while (json_next(&items, keys, 1, value) != JSON_ABSENT)
        if (value[0].type != JSON_ABSENT && value[0].text.len > max)
            return true;
    return false;
}

static bool is_too_large(const struct conn *c, const struct action *a)
{
    size_t max = (size_t)c->gw->opt->max_value;
    return max && (a->value.len > max || (a->items_json.len > max && has_large_item(a->items_json, max)));
}

static void refuse_large(struct conn *c, const struct action *a)
{
    static const char why[] = "value too large (max_value)";
    metric_add(METRIC_LIMITED_VALUE, 1);
    if (a->tag)
        tell_outcome(c->gw, c->id, &(struct answer){ANSWER_REFUSED, a->tag, 0, ERROR_ARGUMENTS, why});
    else
        conn_error(c, ERROR_ARGUMENTS, slice_str(why), a->kind, a->name, a->has_id ? a->id : SLICE_NONE);
}

static void write_state(struct conn *c, const struct action *a)
{
    static void (*const writes[ACTION_OPS])(struct conn *, const struct action *, struct pending *) = {
        [ACTION_SET] = write_set,   [ACTION_INSERT] = write_insert, [ACTION_DELETE] = write_delete,
        [ACTION_MOVE] = write_move, [ACTION_SET_ALL] = write_all,
    };
    if (is_too_large(c, a))
        refuse_large(c, a);
    else
        writes[a->op](c, a, pending_new(c, a));
}

/* --- actions --- */

static const struct slice *id_of(const struct action *a)
{
    return a->has_id && a->kind == KIND_LIST ? &a->id : NULL;
}

static void subscribe(struct conn *c, const struct action *a)
{
    if (a->kind == KIND_FUNCTION)
        calls_serve(c, a->name);
    else
        topics_subscribe(c, a->kind, a->name, id_of(a),
                         &(struct sub_wish){a->interval_ms, a->page, a->page_size, a->wait, a->silent});
}

static void unsubscribe(struct conn *c, const struct action *a)
{
    if (a->kind == KIND_FUNCTION)
        calls_unserve(c, a->name);
    else
        topics_unsubscribe(topics_find_sub(c, a->kind, a->name, id_of(a)));
}

static void unsubscribe_all(struct conn *c, const struct action *a)
{
    (void)a;
    topics_unsubscribe_all(c);
    calls_unserve_all(c);
}

/* An answer like any other, in its place among them: one that overtook what is queued would say more than is true. */
static void reply(struct conn *c, const struct action *a)
{
    struct slice wire = slice_of(c->gw->peers->bytes.ptr + a->bytes_at, a->bytes_len);
    if (a->messages && !request_hold_reply(c, wire, a->messages))
        conn_answer(c, wire, a->messages);
}

static void get(struct conn *c, const struct action *a)
{
    topics_get(c, a->kind, a->name, id_of(a), a->page, a->page_size);
}

static void fault(struct conn *c, const struct action *a)
{
    conn_error(c, a->error, slice_str(a->text), a->kind, a->name, a->has_id ? a->id : SLICE_NONE);
}

static void close_conn(struct conn *c, const struct action *a)
{
    conn_close(c, a->close_code, a->text);
}

/* A token that does not count leaves everything as it was. */
static void auth(struct conn *c, const struct action *a)
{
    char text[128];
    const char *why;
    struct buf *out = &c->gw->scratch;
    const struct grants *g = a->value.len ? options_present(c->gw->opt, a->value, &why) : NULL;
    if (!g) {
        metric_add(METRIC_REFUSED_UNAUTHORIZED, 1);
        snprintf(text, sizeof(text), "auth: %s", a->value.len ? why : "the token is empty");
        conn_error(c, ERROR_ARGUMENTS, slice_str(text), KIND_NONE, SLICE_NONE, SLICE_NONE);
        return;
    }
    conn_regrant(c, g);
    const struct jwt_claims *claims = g->identity ? &g->identity->claims : NULL;
    buf_reset(out);
    uint32_t messages = c->dialect->signed_in(out, claims ? claims->user : SLICE_NONE, claims ? claims->expires_s : 0);
    options_release(g);
    conn_answer_scratch(c, messages);
}

static void nothing(struct conn *c, const struct action *a)
{
    (void)c;
    (void)a;
}

static void (*const effects[ACTION_OPS])(struct conn *, const struct action *) = {
    [ACTION_NONE] = nothing,
    [ACTION_REPLY] = reply,
    [ACTION_FAULT] = fault,
    [ACTION_FAULT_IF_KNOWN] = fault_if_known,
    [ACTION_CLOSE] = close_conn,
    [ACTION_SUBSCRIBE] = subscribe,
    [ACTION_UNSUBSCRIBE] = unsubscribe,
    [ACTION_UNSUBSCRIBE_ALL] = unsubscribe_all,
    [ACTION_GET] = get,
    [ACTION_SET] = write_state,
    [ACTION_SET_ALL] = write_state,
    [ACTION_INSERT] = write_state,
    [ACTION_DELETE] = write_state,
    [ACTION_MOVE] = write_state,
    [ACTION_CALL] = calls_call,
    [ACTION_RETURN] = calls_return,
    [ACTION_AUTH] = auth,
    [ACTION_CALL_FAILED] = calls_failed,
};

/* --- timers --- */

struct peer_timer {
    struct map_node by_id;
    struct conn *conn;
    struct event timer;
};

static struct peer_timer *timer_of(const struct conn *c)
{
    struct map_node *n = map_find(&c->gw->peers->timers, slice_of((const char *)&c->id, sizeof(c->id)));
    return n ? container_of(n, struct peer_timer, by_id) : NULL;
}

static void timer_forget(const struct conn *c)
{
    struct peer_timer *t = timer_of(c);
    if (!t)
        return;
    event_del(&t->timer);
    map_remove(&c->gw->peers->timers, &t->by_id);
    free(t);
}

static void on_due(evutil_socket_t fd, short what, void *arg);

static void timer_set(struct conn *c, int64_t due_ms)
{
    struct peer_timer *t = timer_of(c);
    int64_t left_ms = due_ms - clock_now_ms();
    if (!t) {
        t = sg_calloc(1, sizeof(*t));
        t->conn = c;
        t->by_id.key = slice_of((const char *)&c->id, sizeof(c->id));
        evtimer_assign(&t->timer, c->gw->base, on_due, t);
        map_insert(&c->gw->peers->timers, &t->by_id);
    }
    timer_start(&t->timer, left_ms > 0 ? left_ms : 0);
}

/* --- what a dialect says --- */

static void carry_out(struct conn *c, const struct actions *as)
{
    struct peers *ps = c->gw->peers;
    ps->at_work = true;
    if (as->overflow)
        conn_error(c, ERROR_OTHER, SLICE_LIT("one message asks for too much"), KIND_NONE, SLICE_NONE, SLICE_NONE);
    for (size_t i = 0; i < as->len && !as->overflow && c->state == CONN_OPEN; i++) {
        assert(as->list[i].op < ACTION_OPS);
        effects[as->list[i].op](c, &as->list[i]);
    }
    ps->at_work = false;
    if (as->due_ms > 0 && c->state == CONN_OPEN)
        timer_set(c, as->due_ms);
    else if (as->due_ms == 0)
        timer_forget(c);
}

/* Outcomes that came while something was carried out. */
static void tell_late(struct peers *ps)
{
    struct list_node *n;
    while (!ps->at_work && (n = list_pop(&ps->late))) {
        struct outcome_late *late = container_of(n, struct outcome_late, node);
        struct conn *c = conn_find(ps->g, late->conn);
        if (c)
            peer_tell(c, &late->answer);
        free(late);
    }
}

static void peer_tell(struct conn *c, const struct answer *a)
{
    struct actions as;
    actions_init(&as, &c->gw->peers->bytes);
    c->dialect->answer(dialect_of(c), a, &as);
    carry_out(c, &as);
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct conn *c = ((struct peer_timer *)arg)->conn;
    struct peers *ps = c->gw->peers;
    struct actions as;
    actions_init(&as, &ps->bytes);
    as.due_ms = 0; /* unless it says so again */
    c->dialect->tick(dialect_of(c), clock_now_ms(), &as);
    carry_out(c, &as);
    tell_late(ps);
}

static void peer_message(struct conn *c, struct slice text, bool binary)
{
    struct peers *ps = c->gw->peers;
    struct actions as;
    actions_init(&as, &ps->bytes);
    c->dialect->receive(dialect_of(c), text, binary, &as);
    carry_out(c, &as);
    if (ps->late.count)
        tell_late(ps);
}

/* --- life --- */

static bool was_literal(const struct grants *g, const char *name)
{
    const struct patterns *w = &g->verbs[GRANT_WRITE];
    for (size_t i = 0; i < w->len; i++)
        if (strcmp(w->globs[i], name) == 0)
            return true;
    return false;
}

/* A literal write grant makes the gateway a subscriber of that name at the peer: a strict peer waits for being told. Whether the
 * name is a variable or a list is the peer's choice, so both are announced. What `old` (may be NULL) had announced is not repeated. */
static void announce_writable(struct conn *c, const struct grants *old)
{
    const struct patterns *w = &c->grants->verbs[GRANT_WRITE];
    struct buf *out = &c->gw->scratch;
    buf_reset(out);
    uint32_t messages = 0;
    for (size_t i = 0; i < w->len && c->dialect->offered; i++) {
        if (!glob_is_literal(w->globs[i]) || (old && was_literal(old, w->globs[i])))
            continue;
        if (c->dialect->var)
            messages += c->dialect->offered(out, KIND_VAR, slice_str(w->globs[i]));
        if (c->dialect->list)
            messages += c->dialect->offered(out, KIND_LIST, slice_str(w->globs[i]));
    }
    if (messages)
        conn_answer(c, buf_slice(out), messages);
}

static void peer_open(struct conn *c)
{
    struct peers *ps = c->gw->peers;
    subscriber_init(subscriber_of(c));
    list_init(&caller_of(c)->calls);
    dialect_of(c)->host = &host;
    if (c->dialect->open) {
        struct actions as;
        actions_init(&as, &ps->bytes);
        c->dialect->open(dialect_of(c), &as);
        carry_out(c, &as);
        tell_late(ps);
    }
    announce_writable(c, NULL);
    calls_conn_open(c);
}

/* What was announced and may no longer be written. */
static void withdraw_writable(struct conn *c, const struct grants *old)
{
    const struct patterns *w = &old->verbs[GRANT_WRITE];
    struct buf *out = &c->gw->scratch;
    uint32_t messages = 0;
    buf_reset(out);
    for (size_t i = 0; i < w->len && c->dialect->withdrawn; i++) {
        if (!glob_is_literal(w->globs[i]) || grants_allow(c->grants, GRANT_WRITE, slice_str(w->globs[i])))
            continue;
        if (c->dialect->var)
            messages += c->dialect->withdrawn(out, KIND_VAR, slice_str(w->globs[i]));
        if (c->dialect->list)
            messages += c->dialect->withdrawn(out, KIND_LIST, slice_str(w->globs[i]));
    }
    if (messages)
        conn_answer(c, buf_slice(out), messages);
}

static void peer_regrant(struct conn *c, const struct grants *old)
{
    topics_revoke(c);
    calls_regrant(c, old);
    withdraw_writable(c, old);
    announce_writable(c, old);
}

static void peer_close(struct conn *c)
{
    timer_forget(c);
    if (c->dialect->close)
        c->dialect->close(dialect_of(c));
    topics_unsubscribe_all(c);
    calls_conn_close(c);
}

static void peer_refill(struct conn *c, size_t step)
{
    if (c->waits & WAIT_CALLS)
        calls_deliver(c, step);
    if (c->waits & WAIT_ANSWERS)
        topics_answer_held(c, 2 * step);
    if (c->waits & WAIT_STATE)
        fanout_flush(c, 3 * step);
}

struct peers *peers_new(struct gateway *g)
{
    struct peers *ps = sg_calloc(1, sizeof(*ps));
    ps->g = g;
    g->caller_at = offsetof(struct peer, caller);
    buf_init(&ps->bytes, REPLIES_BYTES_MAX);
    list_init(&ps->late);
    map_init(&ps->timers);
    return ps;
}

void peers_free(struct peers *ps)
{
    struct list_node *n;
    if (!ps)
        return;
    while ((n = list_pop(&ps->late)))
        free(container_of(n, struct outcome_late, node));
    map_deinit(&ps->timers);
    buf_deinit(&ps->bytes);
    free(ps);
}

const struct conn_events peer_events = {
    .size = sizeof(struct peer),
    .opened = peer_open,
    .message = peer_message,
    .regranted = peer_regrant,
    .refill = peer_refill,
    .shed = fanout_shed,
    .before_queue = topics_settle_untold,
    .closed = peer_close,
};

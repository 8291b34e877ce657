/* From actions to effects. Reads and subscriptions go to the items, calls to calls.c, writes to Redis; a write that Redis
 * refuses is answered by the protocol's table. */
#include "gateway/peer/peer.h"

#include <assert.h>

#include "gateway/calls/calls.h"
#include "gateway/net/pace.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "gateway/state/fanout.h"
#include "gateway/state/request.h"
#include "gateway/state/topic.h"
#include "gateway/state/topics.h"
#include "protocol/base/alloc.h"

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
    struct conn *c = container_of(peer, struct conn, peer);
    return kind == KIND_FUNCTION ? function_access(c, op, name) : state_access(c, op, kind, name, id);
}

/* --- questions to Redis that end in an error or in nothing --- */

/* What an answer from Redis needs to become an error frame. The connection may be gone by then. */
struct pending {
    struct gateway *g;
    uint64_t conn;
    enum kind kind;
    enum error_code error; /* pending knowledge: what to answer when the name is known */
    const char *text;
    size_t bytes; /* as told to pace.c */
    struct slice name, id;
    char names[];
};

static struct pending *pending_new(struct conn *c, const struct action *a)
{
    struct pending *p = sg_malloc(sizeof(*p) + a->name.len + a->id.len);
    *p = (struct pending){.g = c->gw, .conn = c->id, .kind = a->kind, .error = a->error, .text = a->text};
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
    pace_asked(c);
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

/* What Redis refuses depends on what is there: which ids a list holds, how long it is, of what kind. A writer that may not read the
 * name gets the silence of a write that worked. */
static void answer_refusal(const struct pending *p, enum store_refusal refusal)
{
    const struct conn *c = conn_find(p->g, p->conn);
    if (c && !may_read(c, p->name) && refusal != REFUSAL_JSON)
        metric_add(METRIC_WRITES_UNTOLD, 1);
    else
        answer_error(p, refusals[refusal].code, slice_str(refusals[refusal].text));
}

static void on_written(void *arg, const struct store_result *r, int64_t n)
{
    struct pending *p = arg;
    (void)n; /* the revision: the change itself is the answer, and goes to every subscriber */
    pace_ends(p->g, p->conn, p->bytes);
    switch (r->status) {
    case STORE_OK:
        break;
    case STORE_AWAY:
        answer_error(p, ERROR_OTHER, SLICE_LIT("redis away; it is not known whether the write happened"));
        break;
    case STORE_REFUSED:
        answer_refusal(p, r->refusal);
        break;
    case STORE_BROKEN:
        log_limited(LOG_FAILED, LOG_LEVEL_WARN, "a write failed name=%s error=%s", log_value(p->name),
                    log_value(r->text));
        answer_error(p, ERROR_OTHER, SLICE_LIT("redis refused the write"));
        break;
    }
    free(p);
}

static void write_state(struct conn *c, const struct action *a)
{
    struct store *st = c->gw->store;
    struct pending *p = pending_new(c, a);
    switch (a->op) {
    case ACTION_SET:
        if (a->kind == KIND_VAR)
            store_var_set(st, a->name, a->value, on_written, p);
        else
            store_list_set(st, a->name, a->id, a->value, on_written, p);
        return;
    case ACTION_INSERT:
        store_list_insert(st, a->name, a->index, a->id, a->value, on_written, p);
        return;
    case ACTION_DELETE:
        store_list_delete(st, a->name, a->id, on_written, p);
        return;
    default:
        assert(a->op == ACTION_SET_ALL);
        store_list_set_all(st, a->name, a->items_json, on_written, p);
        return;
    }
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
        topics_subscribe(c, a->kind, a->name, id_of(a), &(struct sub_wish){a->interval_ms, a->wait});
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
static void pong(struct conn *c, const struct action *a)
{
    struct slice id = a->has_id ? a->id : SLICE_NONE;
    if (request_hold_ping(c, id))
        return;
    buf_reset(&c->gw->scratch);
    conn_answer_scratch(c, c->dialect->pong(&c->gw->scratch, id));
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
    conn_close(c, a->close_code, "invalid UTF-8");
}

static void nothing(struct conn *c, const struct action *a)
{
    (void)c;
    (void)a;
}

static void (*const effects[])(struct conn *, const struct action *) = {
    [ACTION_NONE] = nothing,
    [ACTION_FAULT] = fault,
    [ACTION_FAULT_IF_KNOWN] = fault_if_known,
    [ACTION_CLOSE] = close_conn,
    [ACTION_SUBSCRIBE] = subscribe,
    [ACTION_UNSUBSCRIBE] = unsubscribe,
    [ACTION_UNSUBSCRIBE_ALL] = unsubscribe_all,
    [ACTION_PING] = pong,
    [ACTION_GET] = get,
    [ACTION_SET] = write_state,
    [ACTION_SET_ALL] = write_state,
    [ACTION_INSERT] = write_state,
    [ACTION_DELETE] = write_state,
    [ACTION_CALL] = calls_call,
    [ACTION_RETURN] = calls_return,
    [ACTION_CALL_FAILED] = calls_failed,
};

static void peer_message(struct conn *c, struct slice text, bool binary)
{
    struct action a;
    c->dialect->receive(&c->gw->limits, &c->peer, text, binary, &a);
    assert((size_t)a.op < sizeof(effects) / sizeof(effects[0]));
    effects[a.op](c, &a);
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
    for (size_t i = 0; i < w->len; i++) {
        if (!glob_is_literal(w->globs[i]) || (old && was_literal(old, w->globs[i])))
            continue;
        messages += c->dialect->subscribe(out, KIND_VAR, slice_str(w->globs[i]));
        messages += c->dialect->subscribe(out, KIND_LIST, slice_str(w->globs[i]));
    }
    if (messages)
        conn_answer(c, buf_slice(out), messages);
}

static void peer_open(struct conn *c)
{
    c->peer.access = access_of;
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
    for (size_t i = 0; i < w->len; i++) {
        if (!glob_is_literal(w->globs[i]) || grants_allow(c->grants, GRANT_WRITE, slice_str(w->globs[i])))
            continue;
        messages += c->dialect->unsubscribe(out, KIND_VAR, slice_str(w->globs[i]));
        messages += c->dialect->unsubscribe(out, KIND_LIST, slice_str(w->globs[i]));
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

const struct conn_events peer_events = {
    .opened = peer_open,
    .message = peer_message,
    .regranted = peer_regrant,
    .refill = peer_refill,
    .shed = fanout_shed,
    .before_queue = topics_settle_untold,
    .closed = peer_close,
};

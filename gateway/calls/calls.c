/* Function calls across the fleet. A call of a local client travels through Redis to the gateway of the least busy executor,
 * is a job there (executor.c), and its result comes back to this gateway's mailbox. Here are the calls of local clients, the two
 * channels, and the beat, which keep the catalogue (catalogue.c) and the executors in step with Redis.
 *
 * What ends a call: its result, a refusal by Redis, the burial of the executor's gateway, its deadline, or its caller's end.
 * Whichever comes first takes the call out of the maps, so everything later finds nothing and is silent.
 *
 * A link that is cut ends no call by itself. Results that met no listener are kept by the gateway of the executor (results.c).
 * Whoever comes back says so (sg_fn_back), and each caller asks the gateways of its calls for what may have got lost. */
#include "gateway/calls/calls.h"

#include <assert.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "gateway/base/ask.h"
#include "gateway/base/decimal.h"
#include "gateway/base/timer.h"
#include "gateway/calls/catalogue.h"
#include "gateway/calls/executor.h"
#include "gateway/calls/outcome.h"
#include "gateway/calls/results.h"
#include "gateway/net/pace.h"
#include "gateway/net/users.h"
#include "gateway/observe/garbage.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "gateway/observe/turn.h"
#include "protocol/base/alloc.h"
#include "redis/change.h"

enum {
    WORD_MAX = RESULT_WORD_MAX, /* ids of gateways and calls in events */
    AGAIN_BATCH = 256           /* results asked for by one command */
};

struct calls {
    struct gateway *gw;
    struct catalogue *catalogue;
    struct executors *executors;
    struct hub_member catalogue_member;
    struct hub_member mailbox_member;
    struct event beat;   /* every EXECUTORS_BEAT_MS */
    struct event resync; /* at the end of the turn, once for many reasons */
    struct asks asks;
    struct map by_corr; /* struct call */
    uint64_t corrs;     /* last one given */
    bool choosing;      /* Redis is being asked to choose: an answer that comes meanwhile means that it was not */
    bool back;          /* the mailbox had no subscriber for a while: messages may be lost */
};

/* A call that a local client made. */
struct call {
    struct list_node node; /* struct caller */
    struct map_node by_corr;
    struct conn *conn; /* its close forgets the call before it goes */
    struct user *user; /* users.c */
    struct event deadline;
    int64_t began_us;
    uint64_t number;
    struct decimal corr;
    bool unsure;                /* the link was cut when Redis was asked: it may or may not have chosen */
    char executor_gw[WORD_MAX]; /* known after Redis answered */
    size_t executor_gw_len;
    struct slice name;
    struct slice id;
    char bytes[];
};

/* Redis is asked to choose an executor. The call may end meanwhile. */
struct choice {
    struct ask ask;
    struct decimal corr;
    uint64_t conn; /* of the caller */
    size_t bytes;  /* as told to pace.c */
};

/* --- calls of local clients --------------------------------------------------------------------------------------- */

static void on_call_deadline(evutil_socket_t fd, short what, void *arg);

static struct call *call_new(struct conn *c, struct slice name, struct slice id)
{
    struct calls *k = c->gw->calls;
    struct call *call = sg_calloc(1, sizeof *call + name.len + id.len);
    char *at = call->bytes;
    call->name = slice_put(&at, name);
    call->id = slice_put(&at, id);
    call->conn = c;
    call->user = users_call_begins(c);
    call->began_us = turn_now_us();
    call->number = ++k->corrs;
    call->corr = decimal_of(call->number);
    call->by_corr.key = decimal_slice(&call->corr);
    map_insert(&k->by_corr, &call->by_corr);
    list_append(&caller_of(c)->calls, &call->node);
    evtimer_assign(&call->deadline, k->gw->base, on_call_deadline, call);
    timer_start(&call->deadline, k->gw->opt->call_timeout_ms);
    metric_add(METRIC_CALLS_IN_FLIGHT, 1);
    return call;
}

static struct call *call_find(const struct calls *k, struct slice corr)
{
    struct map_node *n = map_find(&k->by_corr, corr);
    return n ? container_of(n, struct call, by_corr) : NULL;
}

/* call_unlink takes a call out of everything: from here on nothing can end it a second time. */
static void call_unlink(struct call *call)
{
    struct calls *k = call->conn->gw->calls;
    event_del(&call->deadline);
    map_remove(&k->by_corr, &call->by_corr);
    list_remove(&caller_of(call->conn)->calls, &call->node);
    users_call_ends(call->conn->gw, call->user);
    metric_add(METRIC_CALLS_IN_FLIGHT, -1);
}

/* call_count: how a call ended, and how long it took. */
static void call_count(const struct call *call, enum metric outcome)
{
    enum metric_histogram duration = outcome == METRIC_CALLS_OK      ? HISTOGRAM_CALL_RETURN
                                     : outcome == METRIC_CALLS_ERROR ? HISTOGRAM_CALL_ERROR
                                                                     : HISTOGRAM_CALL_TIMEOUT;
    metric_add(outcome, 1);
    metric_observe(duration, turn_now_us() - call->began_us);
}

/* call_fail ends a call with an error frame. It does not go through conn_error: how a function ends is no fault of its
 * caller and must not count as a malformed message does. */
static void call_fail(struct call *call, enum error_code code, struct slice text, enum metric outcome)
{
    struct conn *c = call->conn;
    call_unlink(call);
    buf_reset(&c->gw->scratch);
    uint32_t messages = c->dialect->error(&c->gw->scratch, code, text, KIND_FUNCTION, call->name, call->id);
    call_count(call, outcome);
    metric_add((enum metric)(METRIC_ERRORS_1 + (int)code - 1), 1);
    free(call);
    conn_answer_scratch(c, messages);
}

static void call_succeed(struct call *call, struct slice value)
{
    struct conn *c = call->conn;
    buf_reset(&c->gw->scratch);
    uint32_t messages = c->dialect->call->ret(&c->gw->scratch, call->name, call->id, value);
    if (c->gw->scratch.failed) {
        call_fail(call, ERROR_OTHER, SLICE_LIT("result too large"), METRIC_CALLS_ERROR);
        return;
    }
    call_unlink(call);
    call_count(call, METRIC_CALLS_OK);
    free(call);
    conn_answer_scratch(c, messages);
}

static void on_call_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    call_fail(arg, ERROR_OTHER, SLICE_LIT("timeout"), METRIC_CALLS_TIMEOUT);
}

static void call_refused(struct call *call, const struct store_result *r)
{
    if (r->status == STORE_REFUSED && r->refusal == REFUSAL_NAME) {
        call_fail(call, ERROR_NAME, SLICE_LIT("unknown name"), METRIC_CALLS_ERROR);
    } else if (r->status == STORE_AWAY) {
        call_fail(call, ERROR_OTHER, SLICE_LIT("redis away"), METRIC_CALLS_ERROR);
    } else if (r->status == STORE_REFUSED && r->refusal == REFUSAL_AWAY) {
        call_fail(call, ERROR_OTHER, SLICE_LIT("executor away"), METRIC_CALLS_ERROR);
    } else {
        log_limited(LOG_FAILED, LOG_LEVEL_WARN, "redis refused a call error=%s", log_value(r->text));
        call_fail(call, ERROR_OTHER, SLICE_LIT("call refused"), METRIC_CALLS_ERROR);
    }
}

static void call_chosen(struct call *call, const struct store_executor *x)
{
    if (x->gw.len > WORD_MAX) {
        garbage_dropped("executor");
        return;
    }
    memcpy(call->executor_gw, x->gw.ptr, x->gw.len);
    call->executor_gw_len = x->gw.len;
}

static void on_chosen(void *arg, const struct store_result *r, const struct store_executor *x)
{
    struct choice *choice = arg;
    struct calls *k = ask_end(&choice->ask);
    struct call *call = k ? call_find(k, decimal_slice(&choice->corr)) : NULL; /* NULL: it ended meanwhile */
    if (k)
        pace_ends(k->gw, choice->conn, choice->bytes);
    free(choice);
    if (call && r->status == STORE_OK)
        call_chosen(call, x);
    else if (call && r->status == STORE_AWAY && !k->choosing)
        call->unsure = true; /* the answer to sg_fn_back tells, or its result comes */
    else if (call)
        call_refused(call, r);
}

/* The answer may come, and free call and choice, from inside the store: nothing of theirs is handed to it. */
static void call_send(struct conn *c, struct decimal corr, const struct action *a)
{
    struct calls *k = c->gw->calls;
    struct choice *choice = sg_malloc(sizeof *choice);
    choice->corr = corr;
    choice->conn = c->id;
    choice->bytes = sizeof *choice + a->name.len + (a->has_value ? a->value.len : 0);
    pace_begins(c, choice->bytes);
    ask_begin(&choice->ask, &k->asks);
    k->choosing = true;
    store_fn_call(k->gw->store, a->name, decimal_slice(&corr), slice_str(k->gw->id), k->gw->opt->call_timeout_ms,
                  a->has_value ? a->value : SLICE_NONE, on_chosen, choice);
    k->choosing = false;
}

/* By walking: there are at most calls-per-connection, and a table would cost every connection memory. */
static bool id_in_flight(const struct conn *c, struct slice id)
{
    list_each(&caller_of(c)->calls, n)
    {
        if (slice_eq(container_of(n, struct call, node)->id, id))
            return true;
    }
    return false;
}

void calls_call(struct conn *c, const struct action *a)
{
    if (id_in_flight(c, a->id)) {
        conn_error(c, ERROR_ID, SLICE_LIT("call id in flight"), KIND_FUNCTION, a->name, a->id);
        return;
    }
    if (caller_of(c)->calls.count >= (size_t)c->gw->opt->calls_per_connection) {
        metric_add(METRIC_LIMITED_CALLS, 1);
        conn_error(c, ERROR_OTHER, SLICE_LIT("too many calls: wait for some (calls_per_connection)"), KIND_FUNCTION,
                   a->name, a->id);
        return;
    }
    if (users_calls_full(c)) {
        conn_error(c, ERROR_OTHER, SLICE_LIT("too many calls of this user: wait for some (calls_per_user)"),
                   KIND_FUNCTION, a->name, a->id);
        return;
    }
    call_send(c, call_new(c, a->name, a->id)->corr, a);
}

static void on_result(struct calls *k, const struct call_event *e)
{
    struct call *call = call_find(k, e->corr);
    if (!call) /* late, or its caller left */
        return;
    struct outcome o;
    if (!outcome_parse(e->body, &o)) {
        garbage_dropped("result");
        call_fail(call, ERROR_OTHER, SLICE_LIT("bad result"), METRIC_CALLS_ERROR);
    } else if (o.failed) {
        call_fail(call, o.code, o.rest, o.timed_out ? METRIC_CALLS_TIMEOUT : METRIC_CALLS_ERROR);
    } else {
        call_succeed(call, o.rest);
    }
}

/* The calls that a gateway executed when it was buried fail at once. */
static void calls_bury(struct calls *k, struct slice gw)
{
    struct map *m = &k->by_corr;
    for (struct map_node *n = map_next(m, NULL), *next; n; n = next) {
        next = map_next(m, n); /* stays: an answer that closes its connection ends other calls after the turn */
        struct call *call = container_of(n, struct call, by_corr);
        if (slice_eq(gw, slice_of(call->executor_gw, call->executor_gw_len)))
            call_fail(call, ERROR_OTHER, SLICE_LIT("executor gone"), METRIC_CALLS_ERROR);
    }
}

static void calls_forget(struct conn *c)
{
    list_each(&caller_of(c)->calls, n)
    {
        struct call *call = container_of(n, struct call, node);
        call_unlink(call);
        metric_add(METRIC_CALLS_ABANDONED, 1);
        free(call);
    }
}

size_t calls_in_flight(const struct calls *k)
{
    return k->by_corr.count;
}

size_t calls_unheard(const struct calls *k)
{
    return executors_unheard(k->executors);
}

/* --- after a link was cut ------------------------------------------------------------------------------------------ */

/* The calls that a gateway has (all do: ptr NULL) may have lost their results, or never have come there. It is asked. */
static void calls_ask_again(struct calls *k, struct slice gw)
{
    struct store_again asked[AGAIN_BATCH];
    struct slice here = slice_str(k->gw->id);
    size_t len = 0;
    for (struct map_node *n = map_next(&k->by_corr, NULL); n; n = map_next(&k->by_corr, n)) {
        struct call *call = container_of(n, struct call, by_corr);
        struct slice executor = slice_of(call->executor_gw, call->executor_gw_len);
        if (executor.len == 0 || (gw.ptr && !slice_eq(gw, executor)))
            continue;
        asked[len++] = (struct store_again){executor, decimal_slice(&call->corr)};
        if (len < AGAIN_BATCH)
            continue;
        store_fn_again(k->gw->store, here, asked, len, NULL, NULL);
        len = 0;
    }
    if (len > 0)
        store_fn_again(k->gw->store, here, asked, len, NULL, NULL);
}

/* What was told of the calls up to number `told` of this gateway: the last one that came. */
struct comeback {
    struct ask ask;
    uint64_t told;
};

/* Those behind the last one never ran and never will; those up to it came, and end by their result or their deadline. */
static void calls_settle(struct calls *k, uint64_t told, uint64_t last)
{
    struct map *m = &k->by_corr;
    for (struct map_node *n = map_next(m, NULL), *next; n; n = next) {
        next = map_next(m, n); /* stays, as in calls_bury */
        struct call *call = container_of(n, struct call, by_corr);
        if (!call->unsure || call->number > told)
            continue;
        call->unsure = false;
        if (call->number > last)
            call_fail(call, ERROR_OTHER, SLICE_LIT("redis away"), METRIC_CALLS_ERROR);
    }
}

static void on_back(void *arg, const struct store_result *r, int64_t n)
{
    struct comeback *b = arg;
    struct calls *k = ask_end(&b->ask);
    if (k && r->status == STORE_OK)
        calls_settle(k, b->told, n > 0 ? (uint64_t)n : 0);
    else if (k)
        k->back = true;
    free(b);
}

/* Whoever never called nor served has missed nothing. */
static void come_back(struct calls *k)
{
    if (!k->back)
        return;
    k->back = false;
    if (k->corrs + executors_services(k->executors) + executors_jobs(k->executors) == 0)
        return;
    struct comeback *b = sg_malloc(sizeof *b);
    b->told = k->corrs;
    ask_begin(&b->ask, &k->asks);
    store_fn_back(k->gw->store, slice_str(k->gw->id), (int64_t)k->corrs, on_back, b);
    calls_ask_again(k, SLICE_NONE);
    executors_back(k->executors, SLICE_NONE);
}

/* --- in step with Redis ------------------------------------------------------------------------------------------- */

/* resync makes Redis and this gateway agree: first registrations, then the list, which so holds them all. */
static void resync(struct calls *k)
{
    event_del(&k->resync);
    come_back(k);
    executors_register(k->executors);
    catalogue_read(k->catalogue);
}

static void on_resync_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    resync(arg);
}

static void resync_soon(struct calls *k)
{
    timer_start(&k->resync, 0);
}

void calls_on_up(struct calls *k)
{
    k->back = true;
    resync(k);
}

static void on_beaten(void *arg, const struct store_result *r, int64_t rev)
{
    struct calls *k = ask_take(arg);
    if (!k || r->status == STORE_AWAY)
        return;
    if (r->status != STORE_OK)
        log_limited(LOG_REDIS, LOG_LEVEL_WARN, "redis refused to renew the lease error=%s", log_value(r->text));
    else if (!catalogue_heard(k->catalogue, rev))
        resync_soon(k);
}

/* Jobs need the lease too: when it ends, their callers are told that the executor is gone. And whoever knows of a function beats,
 * because beats are what buries a gateway that died: its functions end also where nobody else serves any. */
static bool beats(const struct calls *k)
{
    return executors_services(k->executors) + executors_jobs(k->executors) + catalogue_count(k->catalogue) > 0;
}

static void on_beat(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct calls *k = arg;
    bool involved = beats(k), back = catalogue_back(k->catalogue);
    bool unsettled = executors_unsettled(k->executors) || k->back || back;
    if (!k->gw->redis_up || (!involved && !unsettled))
        return;
    bool gap = catalogue_gap(k->catalogue);
    if (gap)
        metric_add(METRIC_GAPS, 1);
    if (gap || unsettled)
        resync(k);
    executors_resend(k->executors);
    if (involved)
        executors_beat(k->executors, &k->asks, on_beaten);
}

/* Whoever missed its lease was buried. When it was this one (it slept for long, or its mailbox had no subscriber for a moment),
 * it rises again. */
static void on_gateway_gone(struct calls *k, struct slice gw)
{
    if (slice_eq(gw, slice_str(k->gw->id)) && executors_services(k->executors) > 0)
        resync_soon(k);
    calls_bury(k, gw);
}

static void on_gateway_back(struct calls *k, struct slice gw)
{
    if (slice_eq(gw, slice_str(k->gw->id))) /* we know */
        return;
    calls_ask_again(k, gw);
    executors_back(k->executors, gw);
}

static bool is_mailbox_event(const struct call_event *e)
{
    return e->op == CALL_EVENT_CALL || e->op == CALL_EVENT_RESULT || e->op == CALL_EVENT_AGAIN;
}

static void on_catalogue_message(struct hub_member *m, struct slice payload)
{
    struct calls *k = container_of(m, struct calls, catalogue_member);
    struct call_event e;
    if (!call_event_parse(payload, &e) || is_mailbox_event(&e)) {
        garbage_dropped("catalogue event");
        return;
    }
    if (e.op == CALL_EVENT_GATEWAY_BACK) {
        on_gateway_back(k, e.gw);
        return;
    }
    catalogue_follow(k->catalogue, &e);
    if (e.op == CALL_EVENT_GATEWAY_GONE)
        on_gateway_gone(k, e.gw);
}

static void on_mailbox_message(struct hub_member *m, struct slice payload)
{
    struct calls *k = container_of(m, struct calls, mailbox_member);
    struct call_event e;
    bool good = call_event_parse(payload, &e);
    good = good && e.corr.len <= WORD_MAX && e.gw.len <= WORD_MAX;
    if (good && e.op == CALL_EVENT_CALL && e.timeout_ms > 0)
        executors_accept(k->executors, &e);
    else if (good && e.op == CALL_EVENT_AGAIN)
        executors_again(k->executors, &e);
    else if (good && e.op == CALL_EVENT_RESULT)
        on_result(k, &e);
    else
        garbage_dropped("mailbox event");
}

/* Calls do not work until Redis agrees; who calls is told by Redis. */
static void on_refused(struct hub_member *m, struct slice why)
{
    (void)m;
    log_limited(LOG_REDIS, LOG_LEVEL_WARN, "redis refused a subscription for calls error=%s", log_value(why));
}

/* After a reconnect calls_on_up comes in the same turn and does the work; a moved slot has only these. */
static void on_catalogue_resync(struct hub_member *m)
{
    resync_soon(container_of(m, struct calls, catalogue_member));
}

static void on_mailbox_resync(struct hub_member *m)
{
    struct calls *k = container_of(m, struct calls, mailbox_member);
    k->back = true;
    resync_soon(k);
}

static void join(struct calls *k)
{
    struct slice channel = store_calls_channel(k->gw->store);
    k->catalogue_member.on_message = on_catalogue_message;
    k->catalogue_member.on_resync = on_catalogue_resync;
    k->catalogue_member.on_refused = on_refused;
    hub_join(k->gw->hub, channel, &k->catalogue_member);

    struct buf *mailbox = &k->gw->scratch;
    buf_reset(mailbox);
    buf_put_slice(mailbox, channel);
    buf_put_char(mailbox, ':');
    buf_put_slice(mailbox, slice_str(k->gw->id));
    k->mailbox_member.on_message = on_mailbox_message;
    k->mailbox_member.on_resync = on_mailbox_resync;
    k->mailbox_member.on_refused = on_refused;
    hub_join(k->gw->hub, buf_slice(mailbox), &k->mailbox_member);
}

/* --- connections -------------------------------------------------------------------------------------------------- */

void calls_conn_open(struct conn *c)
{
    catalogue_tell(c->gw->calls->catalogue, c);
}

void calls_regrant(struct conn *c, const struct grants *old)
{
    executors_revoke(c->gw->calls->executors, c);
    catalogue_retell(c->gw->calls->catalogue, c, old);
}

void calls_conn_close(struct conn *c)
{
    calls_forget(c);
    executors_close(c->gw->calls->executors, c);
}

bool calls_busy(const struct conn *c)
{
    return caller_of(c)->calls.count > 0 || executors_busy(c->gw->calls->executors, c);
}

bool calls_known(const struct calls *k, struct slice name)
{
    return catalogue_has(k->catalogue, name);
}

bool calls_serves(const struct conn *c, struct slice name)
{
    return executors_serves(c->gw->calls->executors, c, name);
}

bool calls_executes(const struct conn *c, struct slice name)
{
    return executors_executes(c->gw->calls->executors, c, name);
}

void calls_serve(struct conn *c, struct slice name)
{
    executors_serve(c->gw->calls->executors, c, name);
}

void calls_unserve(struct conn *c, struct slice name)
{
    executors_unserve(c->gw->calls->executors, c, name);
}

void calls_unserve_all(struct conn *c)
{
    executors_unserve_all(c->gw->calls->executors, c);
}

void calls_deliver(struct conn *c, size_t limit)
{
    executors_deliver(c->gw->calls->executors, c, limit);
}

void calls_return(struct conn *c, const struct action *a)
{
    executors_return(c->gw->calls->executors, c, a);
}

void calls_failed(struct conn *c, const struct action *a)
{
    executors_failed(c->gw->calls->executors, c, a);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

void calls_retire(struct calls *k)
{
    executors_retire(k->executors);
}

void calls_retime(struct calls *k)
{
    catalogue_retime(k->catalogue);
}

struct calls *calls_new(struct gateway *g)
{
    struct calls *k = sg_calloc(1, sizeof *k);
    k->gw = g;
    k->catalogue = catalogue_new(g);
    k->executors = executors_new(g);
    asks_init(&k->asks, k);
    map_init(&k->by_corr);
    evtimer_assign(&k->resync, g->base, on_resync_timer, k);
    event_assign(&k->beat, g->base, -1, EV_PERSIST, on_beat, k);
    timer_start(&k->beat, EXECUTORS_BEAT_MS);
    join(k);
    return k;
}

void calls_free(struct calls *k)
{
    assert(k->by_corr.count == 0);
    event_del(&k->beat);
    event_del(&k->resync);
    hub_leave(k->gw->hub, &k->catalogue_member);
    hub_leave(k->gw->hub, &k->mailbox_member);
    executors_free(k->executors); /* after its mailbox: its own burial is no news to it */
    catalogue_free(k->catalogue);
    asks_deinit(&k->asks);
    map_deinit(&k->by_corr);
    free(k);
}

/* --- for those who look ------------------------------------------------------------------------------------------- */

const struct catalogue *calls_catalogue(const struct calls *k)
{
    return k->catalogue;
}

const struct executors *calls_executors(const struct calls *k)
{
    return k->executors;
}

void calls_look(const struct conn *c, size_t max, call_look_fn *fn, void *arg)
{
    int64_t now_us = turn_now_us();
    list_each(&caller_of(c)->calls, n)
    {
        const struct call *call = container_of(n, struct call, node);
        if (max-- == 0)
            return;
        fn(arg, call->name, now_us - call->began_us);
    }
}

/* Function calls across the fleet. A call of a local client travels through Redis to the gateway of the least busy executor,
 * is a job there, and its result comes back to this gateway's mailbox; the catalogue of live functions is a replica by events.
 *
 * What ends a call: its result, a refusal by Redis, the burial of the executor's gateway, its deadline, or its caller's end.
 * Whichever comes first takes the call out of the maps, so everything later finds nothing and is silent. A result that
 * finds Redis away is lost, and its caller ends by the deadline. */
#include "gateway/calls.h"

#include <assert.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "gateway/log.h"
#include "gateway/metrics.h"
#include "gateway/turn.h"
#include "protocol/base/alloc.h"
#include "protocol/json.h"
#include "redis/change.h"
#include "redis/keys.h"

enum {
    LEASE_MS = 9000, /* a gateway that does not beat for so long is buried by the others */
    BEAT_MS = LEASE_MS / 3,
    BEAT_EXECUTORS = 256,  /* per command, so that a crowd does not hold Redis up */
    LATE_MS = 60000,       /* how long a job that missed its deadline may still be answered in silence */
    LATE_MAX = 4096,       /* such jobs remembered per connection; the oldest is forgotten */
    RUNNING_MAX = 4096,    /* jobs of one connection */
    SERVED_MAX = 1024,     /* functions of one connection */
    CATALOGUE_MAX = 65536, /* functions of the fleet */
    WORD_MAX = 64,         /* ids of gateways, executors and calls in events */
    TIMEOUT_MAX_MS = 24 * 3600 * 1000,
    VALUE_DEPTH_MAX = 60,
    DIALECTS_MAX = 8,
    TEXT_MAX = 16 << 20,
    TEXT_KEEP = 64 << 10,
    BURST_BYTES = 32 << 10
};

struct calls {
    struct gateway *gw;
    struct hub_member catalogue_member;
    struct hub_member mailbox_member;
    struct event beat;   /* every BEAT_MS */
    struct event sweep;  /* every sweep interval: heals what was lost without a trace */
    struct event resync; /* at the end of the turn, once for many reasons */
    struct list asks;    /* struct ask, in flight */

    /* the catalogue */
    struct map functions; /* struct function */
    int64_t rev;
    int64_t rev_seen; /* the newest that a beat told of; its events follow the answer at once */
    bool reading;     /* the list was asked for: events are not followed, its answer holds them */
    bool read_again;

    /* the calling side */
    struct map calls_by_corr; /* struct call */
    uint64_t corrs;           /* last one given */

    /* the executing side */
    struct map executors; /* struct executor, by the decimal id of its connection */
    struct list leaves;   /* struct ask: leaves that found Redis away */
    size_t serving;       /* services that are open to new calls */
    size_t running;       /* jobs within their deadline */
    bool register_again;  /* a registration failed */
    bool retired;         /* nothing is registered any more */
    struct buf text;      /* results on their way to or from Redis; never kept across a call */
};

/* A live function of the fleet. */
struct function {
    struct map_node node; /* calls->functions, key = name */
    bool listed;          /* while a list is adopted */
    char name[];
};

/* What a store callback needs. It may outlive the calls. */
struct ask {
    struct list_node node; /* calls->asks, or calls->leaves */
    struct calls *calls;   /* NULL when they went */
    uint64_t corr;         /* of a call */
    struct slice exec;     /* of a leave */
    struct slice name;     /* likewise */
    char bytes[];
};

struct decimal {
    char digits[24];
    size_t len;
};

/* A call that a local client made. */
struct call {
    struct list_node node; /* conn->calls */
    struct map_node by_corr;
    struct conn *conn; /* its close forgets the call before it goes */
    struct event deadline;
    int64_t began_us;
    struct decimal corr;
    char executor_gw[WORD_MAX]; /* known after Redis answered */
    size_t executor_gw_len;
    struct slice name;
    struct slice id;
    char bytes[];
};

/* What a connection executes; made with its first function, lives until the connection closes. */
struct executor {
    struct map_node node; /* calls->executors */
    struct conn *conn;
    struct decimal id;
    struct map services; /* struct service */
    size_t serving;
    struct list running; /* struct job */
    struct list late;    /* struct job, oldest first */
    struct map jobs;     /* running and late ones, by the id that the client knows */
    uint64_t job_ids;
};

/* One function of one connection: it serves it, or it did and still has jobs of it. */
struct service {
    struct map_node node; /* executor->services, key = name */
    struct executor *executor;
    bool serving;
    bool registered; /* Redis was told, or may have been */
    size_t jobs;     /* running and late */
    char name[];
};

struct job {
    struct list_node node; /* executor->running or executor->late */
    struct map_node by_id;
    struct service *service;
    struct event timer; /* the deadline, then the end of being late */
    bool late;
    char id[32]; /* "s-<n>", canonical JSON text */
    struct slice corr;
    struct slice caller_gw;
    char bytes[];
};

static struct slice gateway_slice(const struct calls *k)
{
    return slice_str(k->gw->id);
}

static struct decimal decimal_of(uint64_t n)
{
    struct decimal d;
    size_t at = sizeof d.digits;
    do {
        d.digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    d.len = sizeof d.digits - at;
    memmove(d.digits, d.digits + at, d.len);
    return d;
}

static struct slice decimal_slice(const struct decimal *d)
{
    return slice_of(d->digits, d->len);
}

static struct timeval timeval_of(int64_t ms)
{
    return (struct timeval){.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
}

static void timer_start(struct event *timer, int64_t ms)
{
    struct timeval tv = timeval_of(ms);
    evtimer_add(timer, &tv);
}

/* copy_into appends the bytes of a slice at *at and returns the copy. */
static struct slice copy_into(char **at, struct slice s)
{
    struct slice copy = {*at, s.len};
    if (s.len > 0)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return copy;
}

static void bad_bytes(const char *what)
{
    metric_add(METRIC_BAD_CHANGES, 1);
    log_warn("dropped malformed bytes from redis what=%s", what);
}

/* --- asking Redis ------------------------------------------------------------------------------------------------- */

static struct ask *ask_new(struct calls *k, struct slice exec, struct slice name)
{
    struct ask *a = sg_calloc(1, sizeof *a + exec.len + name.len);
    char *at = a->bytes;
    a->calls = k;
    a->exec = copy_into(&at, exec);
    a->name = copy_into(&at, name);
    list_append(&k->asks, &a->node);
    return a;
}

/* ask_take ends an ask at its answer: the calls it was made for (NULL when they went meanwhile). */
static struct calls *ask_take(struct ask *a)
{
    struct calls *k = a->calls;
    if (k)
        list_remove(&k->asks, &a->node);
    free(a);
    return k;
}

static void asks_orphan(struct calls *k)
{
    for (struct list_node *n; (n = list_pop(&k->asks));)
        container_of(n, struct ask, node)->calls = NULL;
    list_each(&k->leaves, n) free(container_of(n, struct ask, node));
    list_init(&k->leaves);
}

static void ignore_answer(void *arg, const struct store_result *r, int64_t n)
{
    (void)arg, (void)r, (void)n;
}

static void resync_soon(struct calls *k)
{
    timer_start(&k->resync, 0);
}

/* --- the catalogue ------------------------------------------------------------------------------------------------ */

/* One function that appeared or ended, and its frame in each dialect that somebody speaks. */
struct announcement {
    struct slice name;
    bool live;
    size_t len;
    struct {
        const struct dialect *dialect;
        struct frame *frame;
    } views[DIALECTS_MAX];
};

static struct frame *announcement_encode(struct buf *scratch, const struct announcement *a, const struct dialect *d)
{
    buf_reset(scratch);
    uint32_t messages = (a->live ? d->subscribe : d->unsubscribe)(scratch, KIND_FUNCTION, a->name);
    return frame_new(buf_slice(scratch), messages);
}

static struct frame *announcement_frame(struct buf *scratch, struct announcement *a, const struct dialect *d)
{
    for (size_t i = 0; i < a->len; i++)
        if (a->views[i].dialect == d)
            return a->views[i].frame;
    assert(a->len < DIALECTS_MAX); /* a new dialect may need a larger table */
    a->views[a->len].dialect = d;
    a->views[a->len].frame = announcement_encode(scratch, a, d);
    return a->views[a->len++].frame;
}

static void announce(struct calls *k, struct slice name, bool live)
{
    struct announcement a = {.name = name, .live = live};
    list_each(&k->gw->conns, n)
    {
        struct conn *c = container_of(n, struct conn, node);
        if (c->state == CONN_OPEN && grants_allow(c->grants, GRANT_CALL, name))
            conn_answer_frame(c, announcement_frame(&k->gw->scratch, &a, c->dialect));
    }
    for (size_t i = 0; i < a.len; i++)
        frame_unref(a.views[i].frame);
}

/* Clients get what they would be allowed to send: the dialects check the same. */
static bool name_valid(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == 0x7f)
            return false;
    return keys_name_fits(name) && json_utf8(name);
}

static struct function *function_find(const struct calls *k, struct slice name)
{
    struct map_node *n = map_find(&k->functions, name);
    return n ? container_of(n, struct function, node) : NULL;
}

static struct function *function_appeared(struct calls *k, struct slice name)
{
    struct function *f = function_find(k, name);
    if (f)
        return f;
    if (k->functions.count >= CATALOGUE_MAX || !name_valid(name)) {
        bad_bytes("function");
        return NULL;
    }
    f = sg_calloc(1, sizeof *f + name.len);
    memcpy(f->name, name.ptr, name.len);
    f->node.key = slice_of(f->name, name.len);
    map_insert(&k->functions, &f->node);
    announce(k, f->node.key, true);
    return f;
}

static void function_ended(struct calls *k, struct function *f)
{
    map_remove(&k->functions, &f->node);
    announce(k, f->node.key, false);
    free(f);
}

static void catalogue_adopt(struct calls *k, const struct store_functions *list)
{
    k->rev = k->rev_seen = list->rev;
    for (struct map_node *n = map_next(&k->functions, NULL); n; n = map_next(&k->functions, n))
        container_of(n, struct function, node)->listed = false;
    for (size_t i = 0; i < list->len; i++) {
        struct function *f = function_appeared(k, list->names[i]);
        if (f)
            f->listed = true;
    }
    for (struct map_node *n = map_next(&k->functions, NULL), *next; n; n = next) {
        next = map_next(&k->functions, n);
        struct function *f = container_of(n, struct function, node);
        if (!f->listed)
            function_ended(k, f);
    }
}

static void on_list(void *arg, const struct store_result *r, const struct store_functions *list);

static void catalogue_read(struct calls *k)
{
    if (k->reading) { /* that answer may be older than what was lost */
        k->read_again = true;
        return;
    }
    k->reading = true;
    store_fn_list(k->gw->store, on_list, ask_new(k, SLICE_NONE, SLICE_NONE));
}

static void on_list(void *arg, const struct store_result *r, const struct store_functions *list)
{
    struct calls *k = ask_take(arg);
    if (!k)
        return;
    bool again = k->read_again && r->status != STORE_AWAY; /* away: calls_on_up reads */
    k->reading = k->read_again = false;
    if (again)
        catalogue_read(k);
    else if (r->status == STORE_OK)
        catalogue_adopt(k, list);
    else if (r->status != STORE_AWAY)
        log_warn("cannot read the function catalogue error=%s", log_value(r->text)); /* the sweep tries again */
}

/* catalogue_follow applies one event to the replica, or reads it again when one before it was lost. */
static void catalogue_follow(struct calls *k, const struct call_event *e)
{
    if (k->reading)
        return;
    if (e->rev != k->rev + 1) {
        metric_add(METRIC_GAPS, 1);
        catalogue_read(k);
        return;
    }
    k->rev = e->rev;
    struct function *f = function_find(k, e->name);
    if (e->op == CALL_EVENT_APPEARED)
        (void)function_appeared(k, e->name);
    else if (e->op == CALL_EVENT_ENDED && f)
        function_ended(k, f);
}

static void gateway_gone(struct calls *k, struct slice gw);

static void on_catalogue_message(struct hub_member *m, struct slice payload)
{
    struct calls *k = container_of(m, struct calls, catalogue_member);
    struct call_event e;
    if (!call_event_parse(payload, &e) || e.op == CALL_EVENT_CALL || e.op == CALL_EVENT_RESULT) {
        bad_bytes("catalogue event");
        return;
    }
    catalogue_follow(k, &e);
    if (e.op == CALL_EVENT_GATEWAY_GONE)
        gateway_gone(k, e.gw);
}

bool calls_known(const struct calls *k, struct slice name)
{
    return map_find(&k->functions, name) != NULL;
}

/* --- the calling side --------------------------------------------------------------------------------------------- */

static void conn_send_scratch(struct conn *c, uint32_t messages)
{
    if (c->state == CONN_OPEN && messages > 0)
        conn_answer(c, buf_slice(&c->gw->scratch), messages);
}

static void on_call_deadline(evutil_socket_t fd, short what, void *arg);

static struct call *call_new(struct conn *c, struct slice name, struct slice id)
{
    struct calls *k = c->gw->calls;
    struct call *call = sg_calloc(1, sizeof *call + name.len + id.len);
    char *at = call->bytes;
    call->name = copy_into(&at, name);
    call->id = copy_into(&at, id);
    call->conn = c;
    call->began_us = turn_now_us();
    call->corr = decimal_of(++k->corrs);
    call->by_corr.key = decimal_slice(&call->corr);
    map_insert(&k->calls_by_corr, &call->by_corr);
    list_append(&c->calls, &call->node);
    evtimer_assign(&call->deadline, k->gw->base, on_call_deadline, call);
    timer_start(&call->deadline, k->gw->opt->call_timeout_ms);
    metric_add(METRIC_CALLS_IN_FLIGHT, 1);
    return call;
}

static struct call *call_find(const struct calls *k, struct slice corr)
{
    struct map_node *n = map_find(&k->calls_by_corr, corr);
    return n ? container_of(n, struct call, by_corr) : NULL;
}

/* call_unlink takes a call out of everything: from here on nothing can end it a second time. */
static void call_unlink(struct call *call)
{
    struct calls *k = call->conn->gw->calls;
    event_del(&call->deadline);
    map_remove(&k->calls_by_corr, &call->by_corr);
    list_remove(&call->conn->calls, &call->node);
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
    conn_send_scratch(c, messages);
}

static void call_succeed(struct call *call, struct slice value)
{
    struct conn *c = call->conn;
    buf_reset(&c->gw->scratch);
    uint32_t messages = c->dialect->ret(&c->gw->scratch, call->name, call->id, value);
    if (c->gw->scratch.failed) {
        call_fail(call, ERROR_OTHER, SLICE_LIT("result too large"), METRIC_CALLS_ERROR);
        return;
    }
    call_unlink(call);
    call_count(call, METRIC_CALLS_OK);
    free(call);
    conn_send_scratch(c, messages);
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
    } else {
        log_limited(LOG_FAILED, LOG_LEVEL_WARN, "redis refused a call error=%s", log_value(r->text));
        call_fail(call, ERROR_OTHER, SLICE_LIT("call refused"), METRIC_CALLS_ERROR);
    }
}

static void on_called(void *arg, const struct store_result *r, const struct store_executor *x)
{
    struct decimal corr = decimal_of(((struct ask *)arg)->corr);
    struct calls *k = ask_take(arg);
    struct call *call = k ? call_find(k, decimal_slice(&corr)) : NULL;
    if (!call) /* it ended meanwhile */
        return;
    if (r->status != STORE_OK) {
        call_refused(call, r);
        return;
    }
    if (x->gw.len > WORD_MAX) {
        bad_bytes("executor");
        return;
    }
    memcpy(call->executor_gw, x->gw.ptr, x->gw.len);
    call->executor_gw_len = x->gw.len;
}

/* By walking: there are at most calls-per-connection, and a table would cost every connection memory. */
static bool id_in_flight(const struct conn *c, struct slice id)
{
    list_each(&c->calls, n)
    {
        if (slice_eq(container_of(n, struct call, node)->id, id))
            return true;
    }
    return false;
}

void calls_call(struct conn *c, const struct action *a)
{
    struct calls *k = c->gw->calls;
    if (id_in_flight(c, a->id)) {
        conn_error(c, ERROR_ID, SLICE_LIT("call id in flight"), KIND_FUNCTION, a->name, a->id);
        return;
    }
    if (c->calls.count >= (size_t)c->gw->opt->calls_per_connection) {
        conn_error(c, ERROR_OTHER, SLICE_LIT("too many calls"), KIND_FUNCTION, a->name, a->id);
        return;
    }
    call_new(c, a->name, a->id);
    struct ask *ask = ask_new(k, SLICE_NONE, SLICE_NONE);
    ask->corr = k->corrs;
    struct decimal corr = decimal_of(k->corrs); /* the answer may come, and free the call, from inside the store */
    store_fn_call(k->gw->store, a->name, decimal_slice(&corr), gateway_slice(k), k->gw->opt->call_timeout_ms,
                  a->has_value ? a->value : SLICE_NONE, on_called, ask);
}

/* gateway_gone: whoever missed its lease was buried. The calls it executed fail at once; when it was this one (it slept for
 * long, or its mailbox had no subscriber for a moment), it rises again. */
static void gateway_gone(struct calls *k, struct slice gw)
{
    if (slice_eq(gw, gateway_slice(k)) && k->serving > 0)
        resync_soon(k);
    struct map *m = &k->calls_by_corr;
    for (struct map_node *n = map_next(m, NULL), *next; n; n = next) {
        next = map_next(m, n); /* stays: an answer that closes its connection ends other calls after the turn */
        struct call *call = container_of(n, struct call, by_corr);
        if (slice_eq(gw, slice_of(call->executor_gw, call->executor_gw_len)))
            call_fail(call, ERROR_OTHER, SLICE_LIT("executor gone"), METRIC_CALLS_ERROR);
    }
}

/* How a call ended, as it travels: "n", "v <json>" or "e <code> <text>". Codes beyond the protocol's become 8. */
struct outcome {
    bool failed;
    enum error_code code;
    struct slice rest; /* value (ptr NULL: none) or text */
};

static enum error_code code_of(int64_t code)
{
    return code >= ERROR_FUNC && code <= ERROR_OTHER ? (enum error_code)code : ERROR_OTHER;
}

static bool outcome_parse_error(struct slice body, struct outcome *out)
{
    struct slice digits;
    int64_t code;
    if (!slice_cut(&body, ' ', &digits) || !slice_i64(digits, &code) || !json_utf8(body))
        return false;
    *out = (struct outcome){.failed = true, .code = code_of(code), .rest = body};
    return true;
}

static bool outcome_parse(struct slice body, struct outcome *out)
{
    *out = (struct outcome){.rest = SLICE_NONE};
    if (slice_eq(body, SLICE_LIT("n")))
        return true;
    struct slice kind;
    if (!slice_cut(&body, ' ', &kind))
        return false;
    out->rest = body;
    if (slice_eq(kind, SLICE_LIT("v")))
        return json_valid(body, VALUE_DEPTH_MAX);
    return slice_eq(kind, SLICE_LIT("e")) && outcome_parse_error(body, out);
}

static void on_result(struct calls *k, const struct call_event *e)
{
    struct call *call = call_find(k, e->corr);
    if (!call) /* late, or its caller left */
        return;
    struct outcome o;
    if (!outcome_parse(e->body, &o)) {
        bad_bytes("result");
        call_fail(call, ERROR_OTHER, SLICE_LIT("bad result"), METRIC_CALLS_ERROR);
    } else if (o.failed) {
        call_fail(call, o.code, o.rest, METRIC_CALLS_ERROR);
    } else {
        call_succeed(call, o.rest);
    }
}

size_t calls_in_flight(const struct calls *k)
{
    return k->calls_by_corr.count;
}

/* --- the executing side: functions -------------------------------------------------------------------------------- */

static struct executor *executor_find(const struct calls *k, struct slice exec)
{
    struct map_node *n = map_find(&k->executors, exec);
    return n ? container_of(n, struct executor, node) : NULL;
}

static struct executor *executor_of(const struct conn *c)
{
    if (c->gw->calls->executors.count == 0)
        return NULL;
    struct decimal id = decimal_of(c->id);
    return executor_find(c->gw->calls, decimal_slice(&id));
}

static struct executor *executor_new(struct conn *c)
{
    struct executor *x = sg_calloc(1, sizeof *x);
    x->conn = c;
    x->id = decimal_of(c->id);
    map_init(&x->services);
    map_init(&x->jobs);
    list_init(&x->running);
    list_init(&x->late);
    x->node.key = decimal_slice(&x->id);
    map_insert(&c->gw->calls->executors, &x->node);
    return x;
}

static struct service *service_find(const struct executor *x, struct slice name)
{
    struct map_node *n = x ? map_find(&x->services, name) : NULL;
    return n ? container_of(n, struct service, node) : NULL;
}

static struct service *service_new(struct executor *x, struct slice name)
{
    struct service *s = sg_calloc(1, sizeof *s + name.len);
    memcpy(s->name, name.ptr, name.len);
    s->node.key = slice_of(s->name, name.len);
    s->executor = x;
    map_insert(&x->services, &s->node);
    return s;
}

static void service_release(struct service *s)
{
    if (s->serving || s->jobs > 0)
        return;
    map_remove(&s->executor->services, &s->node);
    free(s);
}

static void on_served(void *arg, const struct store_result *r, int64_t n)
{
    (void)n;
    struct calls *k = ask_take(arg);
    if (!k || r->status == STORE_OK)
        return;
    if (r->status != STORE_AWAY)
        log_limited(LOG_FAILED, LOG_LEVEL_WARN, "redis refused an executor error=%s", log_value(r->text));
    if (r->status != STORE_REFUSED) /* a refusal is final */
        k->register_again = true;
}

static void service_register(struct calls *k, struct service *s)
{
    if (k->retired)
        return;
    s->registered = true;
    store_fn_serve(k->gw->store, gateway_slice(k), decimal_slice(&s->executor->id), s->node.key, LEASE_MS, on_served,
                   ask_new(k, SLICE_NONE, SLICE_NONE));
}

static void on_left(void *arg, const struct store_result *r, int64_t n)
{
    (void)n;
    struct ask *a = arg;
    struct calls *k = a->calls;
    if (k && r->status == STORE_AWAY) { /* the registration may live on: leave again when Redis is back */
        list_remove(&k->asks, &a->node);
        list_append(&k->leaves, &a->node);
        return;
    }
    (void)ask_take(a);
}

static void leave_send(struct calls *k, struct ask *leave)
{
    store_fn_leave(k->gw->store, gateway_slice(k), leave->exec, leave->name, on_left, leave);
}

static void leaves_send_again(struct calls *k)
{
    for (size_t n = k->leaves.count; n > 0; n--) { /* one pass: those that find Redis away again come back */
        struct ask *leave = container_of(list_pop(&k->leaves), struct ask, node);
        list_append(&k->asks, &leave->node);
        leave_send(k, leave);
    }
}

static void executor_register(struct calls *k, struct executor *x)
{
    for (struct map_node *n = map_next(&x->services, NULL); n; n = map_next(&x->services, n)) {
        struct service *s = container_of(n, struct service, node);
        if (s->serving)
            service_register(k, s);
    }
}

/* resync makes Redis and this gateway agree: leaves first, then registrations, then the list, which so holds them all. */
static void resync(struct calls *k)
{
    event_del(&k->resync);
    leaves_send_again(k);
    k->register_again = false;
    for (struct map_node *n = map_next(&k->executors, NULL); n; n = map_next(&k->executors, n))
        executor_register(k, container_of(n, struct executor, node));
    catalogue_read(k);
}

void calls_serve(struct conn *c, struct slice name)
{
    struct calls *k = c->gw->calls;
    struct executor *x = executor_of(c);
    struct service *s = service_find(x, name);
    if (s && s->serving)
        return;
    if (x && x->serving >= SERVED_MAX) {
        conn_error(c, ERROR_OTHER, SLICE_LIT("too many functions"), KIND_FUNCTION, name, SLICE_NONE);
        return;
    }
    if (!x)
        x = executor_new(c);
    if (!s)
        s = service_new(x, name);
    s->serving = true;
    x->serving++;
    k->serving++;
    if (c->gw->redis_up) /* otherwise calls_on_up does it */
        service_register(k, s);
}

/* service_withdraw: Redis chooses it no more. */
static void service_withdraw(struct calls *k, struct service *s)
{
    if (!s->registered)
        return;
    s->registered = false;
    leave_send(k, ask_new(k, decimal_slice(&s->executor->id), s->node.key));
}

/* service_end: no new calls from here on. The service itself stays for its jobs. */
static void service_end(struct calls *k, struct service *s)
{
    if (!s->serving)
        return;
    s->serving = false;
    s->executor->serving--;
    k->serving--;
    service_withdraw(k, s);
}

void calls_retire(struct calls *k)
{
    k->retired = true;
    for (struct map_node *n = map_next(&k->executors, NULL); n; n = map_next(&k->executors, n)) {
        const struct executor *x = container_of(n, struct executor, node);
        for (struct map_node *m = map_next(&x->services, NULL); m; m = map_next(&x->services, m))
            service_withdraw(k, container_of(m, struct service, node));
    }
}

void calls_unserve(struct conn *c, struct slice name)
{
    struct service *s = service_find(executor_of(c), name);
    if (!s)
        return;
    service_end(c->gw->calls, s);
    service_release(s);
}

void calls_unserve_all(struct conn *c)
{
    struct executor *x = executor_of(c);
    if (!x)
        return;
    for (struct map_node *n = map_next(&x->services, NULL), *next; n; n = next) {
        next = map_next(&x->services, n);
        struct service *s = container_of(n, struct service, node);
        service_end(c->gw->calls, s);
        service_release(s);
    }
}

bool calls_serves(const struct conn *c, struct slice name)
{
    const struct service *s = service_find(executor_of(c), name);
    return s && s->serving;
}

bool calls_executes(const struct conn *c, struct slice name)
{
    const struct service *s = service_find(executor_of(c), name);
    return s && s->jobs > 0;
}

bool calls_busy(const struct conn *c)
{
    const struct executor *x = executor_of(c);
    return c->calls.count > 0 || (x && x->running.count > 0);
}

static void on_beaten(void *arg, const struct store_result *r, int64_t rev)
{
    struct calls *k = ask_take(arg);
    if (!k || r->status == STORE_AWAY)
        return;
    if (r->status != STORE_OK)
        log_warn("redis refused to renew the lease error=%s", log_value(r->text));
    else if (k->reading)
        return;
    else if (rev < k->rev) /* Redis went back */
        resync_soon(k);
    else
        k->rev_seen = rev;
}

static void beat_send(struct calls *k, const struct store_busy *busy, size_t len)
{
    store_fn_beat(k->gw->store, gateway_slice(k), LEASE_MS, busy, len, on_beaten, ask_new(k, SLICE_NONE, SLICE_NONE));
}

/* The exact counts, in case a result was lost; the first command renews the lease even when it names nobody. */
static void beat_send_all(struct calls *k)
{
    struct store_busy busy[BEAT_EXECUTORS];
    size_t len = 0;
    bool sent = false;
    for (struct map_node *n = map_next(&k->executors, NULL); n; n = map_next(&k->executors, n)) {
        struct executor *x = container_of(n, struct executor, node);
        if (x->serving == 0)
            continue;
        busy[len++] = (struct store_busy){decimal_slice(&x->id), (int64_t)x->running.count};
        if (len == BEAT_EXECUTORS) {
            beat_send(k, busy, len);
            len = 0;
            sent = true;
        }
    }
    if (len > 0 || !sent)
        beat_send(k, busy, len);
}

/* Jobs need the lease too: when it ends, their callers are told that the executor is gone. And whoever knows of a function beats,
 * because beats are what buries a gateway that died: its functions end also where nobody else serves any. */
static void on_beat(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct calls *k = arg;
    bool involved = k->serving + k->running + k->functions.count > 0;
    if (!k->gw->redis_up || (!involved && k->leaves.count == 0))
        return;
    bool gap = !k->reading && k->rev < k->rev_seen;
    if (gap)
        metric_add(METRIC_GAPS, 1);
    if (gap || k->register_again || k->leaves.count > 0)
        resync(k);
    if (involved)
        beat_send_all(k);
}

/* --- the executing side: jobs ------------------------------------------------------------------------------------- */

static void done_send(struct calls *k, struct slice exec, struct slice corr, struct slice caller_gw,
                      struct slice result)
{
    store_fn_done(k->gw->store, gateway_slice(k), exec, corr, caller_gw, result, ignore_answer, NULL);
}

static void on_job_timer(evutil_socket_t fd, short what, void *arg);

static struct job *job_new(struct calls *k, struct service *s, const struct call_event *e)
{
    struct executor *x = s->executor;
    struct job *j = sg_calloc(1, sizeof *j + e->corr.len + e->gw.len);
    char *at = j->bytes;
    j->corr = copy_into(&at, e->corr);
    j->caller_gw = copy_into(&at, e->gw);
    struct decimal number = decimal_of(++x->job_ids);
    at = j->id;
    copy_into(&at, SLICE_LIT("\"s-"));
    copy_into(&at, decimal_slice(&number));
    copy_into(&at, SLICE_LIT("\""));
    j->by_id.key = slice_of(j->id, (size_t)(at - j->id));
    map_insert(&x->jobs, &j->by_id);
    list_append(&x->running, &j->node);
    k->running++;
    j->service = s;
    s->jobs++;
    evtimer_assign(&j->timer, k->gw->base, on_job_timer, j);
    timer_start(&j->timer, e->timeout_ms < TIMEOUT_MAX_MS ? e->timeout_ms : TIMEOUT_MAX_MS);
    return j;
}

static void job_leave_list(struct job *j)
{
    struct executor *x = j->service->executor;
    list_remove(j->late ? &x->late : &x->running, &j->node);
    if (!j->late)
        x->conn->gw->calls->running--;
}

static void job_free(struct job *j)
{
    struct service *s = j->service;
    event_del(&j->timer);
    job_leave_list(j);
    map_remove(&s->executor->jobs, &j->by_id);
    free(j);
    s->jobs--;
    service_release(s);
}

static void job_report(struct job *j, struct slice result)
{
    struct executor *x = j->service->executor;
    done_send(x->conn->gw->calls, decimal_slice(&x->id), j->corr, j->caller_gw, result);
}

static void job_become_late(struct job *j)
{
    struct executor *x = j->service->executor;
    if (x->late.count >= LATE_MAX)
        job_free(container_of(list_first(&x->late), struct job, node));
    job_leave_list(j);
    j->late = true;
    list_append(&x->late, &j->node);
    timer_start(&j->timer, LATE_MS);
}

static void on_job_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct job *j = arg;
    if (j->late) {
        job_free(j);
        return;
    }
    job_report(j, SLICE_LIT("e 8 timeout"));
    job_become_late(j);
}

static struct job *job_find(const struct conn *c, struct slice id)
{
    struct executor *x = executor_of(c);
    struct map_node *n = x ? map_find(&x->jobs, id) : NULL;
    return n ? container_of(n, struct job, by_id) : NULL;
}

/* job_finish ends a job by what its executor sent; a late one ends in silence. */
static void job_finish(struct calls *k, struct job *j, struct slice result)
{
    if (!j->late)
        job_report(j, k->text.failed ? SLICE_LIT("e 8 result too large") : result);
    job_free(j);
    buf_reset(&k->text);
    buf_trim(&k->text, TEXT_KEEP);
}

void calls_return(struct conn *c, const struct action *a)
{
    struct calls *k = c->gw->calls;
    struct job *j = job_find(c, a->id);
    if (!j || !slice_eq(j->service->node.key, a->name)) {
        conn_error(c, ERROR_ID, SLICE_LIT("no such call"), KIND_FUNCTION, a->name, a->id);
        return;
    }
    buf_reset(&k->text);
    if (a->has_value) {
        buf_put_lit(&k->text, "v ");
        buf_put_slice(&k->text, a->value);
    } else {
        buf_put_char(&k->text, 'n');
    }
    job_finish(k, j, buf_slice(&k->text));
}

void calls_failed(struct conn *c, const struct action *a)
{
    struct calls *k = c->gw->calls;
    struct job *j = job_find(c, a->id);
    if (!j || (a->name.ptr && !slice_eq(j->service->node.key, a->name)))
        return; /* an error is never answered */
    struct slice text = SLICE_NONE;
    buf_reset(&c->gw->scratch);
    if (a->text_json.len > 0)
        (void)json_string(a->text_json, TEXT_MAX, &c->gw->scratch, &text);
    buf_reset(&k->text);
    buf_put_lit(&k->text, "e ");
    buf_put_i64(&k->text, code_of(a->error));
    buf_put_char(&k->text, ' ');
    buf_put_slice(&k->text, text);
    job_finish(k, j, buf_slice(&k->text));
}

/* Why a call from the mailbox cannot be handed to its executor, as a result; ptr NULL when it can. */
static struct slice job_refusal(const struct service *s, const struct call_event *e)
{
    if (!s || !s->serving || s->executor->conn->state != CONN_OPEN)
        return SLICE_LIT("e 8 executor gone");
    if (s->executor->running.count >= RUNNING_MAX)
        return SLICE_LIT("e 8 executor overloaded");
    if (e->body.len > 0 && (e->body.ptr[0] != '{' || !json_valid(e->body, VALUE_DEPTH_MAX))) {
        bad_bytes("arguments");
        return SLICE_LIT("e 8 bad arguments");
    }
    return SLICE_NONE;
}

static void on_job(struct calls *k, const struct call_event *e)
{
    struct service *s = service_find(executor_find(k, e->exec), e->name);
    struct slice refusal = job_refusal(s, e);
    if (refusal.ptr) {
        done_send(k, e->exec, e->corr, e->gw, refusal);
        if (!s || !s->serving) /* a registration that outlived its executor; leaving twice does no harm */
            leave_send(k, ask_new(k, e->exec, e->name));
        return;
    }
    struct conn *c = s->executor->conn;
    struct job *j = job_new(k, s, e);
    buf_reset(&c->gw->scratch);
    uint32_t messages =
        c->dialect->call(&c->gw->scratch, s->node.key, j->by_id.key, e->body.len > 0 ? e->body : SLICE_NONE);
    if (c->gw->scratch.failed) {
        job_report(j, SLICE_LIT("e 8 arguments too large"));
        job_free(j);
        return;
    }
    conn_send_scratch(c, messages); /* may close the connection, and end the job */
}

static void on_mailbox_message(struct hub_member *m, struct slice payload)
{
    struct calls *k = container_of(m, struct calls, mailbox_member);
    struct call_event e;
    bool good = call_event_parse(payload, &e);
    if (good && e.op == CALL_EVENT_CALL && e.corr.len <= WORD_MAX && e.gw.len <= WORD_MAX && e.timeout_ms > 0)
        on_job(k, &e);
    else if (good && e.op == CALL_EVENT_RESULT)
        on_result(k, &e);
    else
        bad_bytes("mailbox event");
}

/* --- connections -------------------------------------------------------------------------------------------------- */

void calls_conn_open(struct conn *c)
{
    const struct map *functions = &c->gw->calls->functions;
    struct buf *out = &c->gw->scratch;
    uint32_t messages = 0;
    buf_reset(out);
    for (struct map_node *n = map_next(functions, NULL); n; n = map_next(functions, n)) {
        if (!grants_allow(c->grants, GRANT_CALL, n->key))
            continue;
        messages += c->dialect->subscribe(out, KIND_FUNCTION, n->key);
        if (out->len < BURST_BYTES)
            continue;
        conn_send_scratch(c, messages);
        buf_reset(out);
        messages = 0;
    }
    conn_send_scratch(c, messages);
}

/* A function appeared or ended, for this client alone. */
static void announce_changes(struct conn *c, const struct grants *old)
{
    const struct map *functions = &c->gw->calls->functions;
    struct buf *out = &c->gw->scratch;
    uint32_t messages = 0;
    buf_reset(out);
    for (struct map_node *n = map_next(functions, NULL); n; n = map_next(functions, n)) {
        bool may = grants_allow(c->grants, GRANT_CALL, n->key);
        if (may == grants_allow(old, GRANT_CALL, n->key))
            continue;
        messages += (may ? c->dialect->subscribe : c->dialect->unsubscribe)(out, KIND_FUNCTION, n->key);
    }
    conn_send_scratch(c, messages);
}

static void end_revoked(struct conn *c, const struct executor *x)
{
    struct buf *out = &c->gw->scratch;
    uint32_t messages = 0;
    buf_reset(out);
    for (struct map_node *n = map_next(&x->services, NULL), *next; n; n = next) {
        next = map_next(&x->services, n);
        struct service *s = container_of(n, struct service, node);
        if (!s->serving || grants_allow(c->grants, GRANT_SERVE, n->key))
            continue;
        messages +=
            c->dialect->error(out, ERROR_NAME, SLICE_LIT("no longer granted"), KIND_FUNCTION, n->key, SLICE_NONE);
        metric_add(METRIC_ERRORS_3, 1);
        service_end(c->gw->calls, s);
        service_release(s);
    }
    conn_send_scratch(c, messages);
}

void calls_regrant(struct conn *c, const struct grants *old)
{
    const struct executor *x = executor_of(c);
    if (x)
        end_revoked(c, x);
    announce_changes(c, old);
}

static void calls_forget(struct conn *c)
{
    list_each(&c->calls, n)
    {
        struct call *call = container_of(n, struct call, node);
        call_unlink(call);
        metric_add(METRIC_CALLS_ABANDONED, 1);
        free(call);
    }
}

/* No new calls first; then the running ones fail, which lets go of their services; then what is left of those. */
static void executor_close(struct calls *k, struct executor *x)
{
    for (struct map_node *n = map_next(&x->services, NULL); n; n = map_next(&x->services, n))
        service_end(k, container_of(n, struct service, node));
    list_each(&x->running, n)
    {
        struct job *j = container_of(n, struct job, node);
        job_report(j, SLICE_LIT("e 8 executor gone"));
        job_free(j);
    }
    list_each(&x->late, n) job_free(container_of(n, struct job, node));
    for (struct map_node *n; (n = map_next(&x->services, NULL));)
        service_release(container_of(n, struct service, node));
    map_remove(&k->executors, &x->node);
    map_deinit(&x->services);
    map_deinit(&x->jobs);
    free(x);
}

void calls_conn_close(struct conn *c)
{
    calls_forget(c);
    struct executor *x = executor_of(c);
    if (x)
        executor_close(c->gw->calls, x);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void on_resync_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    resync(arg);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct calls *k = arg;
    if (k->gw->redis_up)
        catalogue_read(k);
}

/* After a reconnect calls_on_up comes in the same turn and does the work; a moved slot has only these. */
static void on_catalogue_resync(struct hub_member *m)
{
    resync_soon(container_of(m, struct calls, catalogue_member));
}

static void on_mailbox_resync(struct hub_member *m)
{
    resync_soon(container_of(m, struct calls, mailbox_member));
}

static void join(struct calls *k)
{
    struct slice root = store_calls_root(k->gw->store);
    k->catalogue_member.on_message = on_catalogue_message;
    k->catalogue_member.on_resync = on_catalogue_resync;
    hub_join(k->gw->hub, root, &k->catalogue_member);

    buf_reset(&k->text);
    buf_put_slice(&k->text, root);
    buf_put_char(&k->text, ':');
    buf_put_slice(&k->text, gateway_slice(k));
    k->mailbox_member.on_message = on_mailbox_message;
    k->mailbox_member.on_resync = on_mailbox_resync;
    hub_join(k->gw->hub, buf_slice(&k->text), &k->mailbox_member);
}

void calls_retime(struct calls *k)
{
    if (k->gw->opt->sweep_interval_ms > 0)
        timer_start(&k->sweep, k->gw->opt->sweep_interval_ms);
}

struct calls *calls_new(struct gateway *g)
{
    struct calls *k = sg_calloc(1, sizeof *k);
    k->gw = g;
    list_init(&k->asks);
    list_init(&k->leaves);
    map_init(&k->functions);
    map_init(&k->calls_by_corr);
    map_init(&k->executors);
    buf_init(&k->text, TEXT_MAX);
    evtimer_assign(&k->resync, g->base, on_resync_timer, k);
    event_assign(&k->beat, g->base, -1, EV_PERSIST, on_beat, k);
    event_assign(&k->sweep, g->base, -1, EV_PERSIST, on_sweep, k);
    timer_start(&k->beat, BEAT_MS);
    calls_retime(k);
    join(k);
    return k;
}

void calls_on_up(struct calls *k)
{
    resync(k);
}

void calls_free(struct calls *k)
{
    assert(k->calls_by_corr.count == 0);
    assert(k->executors.count == 0);
    event_del(&k->beat);
    event_del(&k->sweep);
    event_del(&k->resync);
    hub_leave(k->gw->hub, &k->catalogue_member);
    hub_leave(k->gw->hub, &k->mailbox_member);
    if (k->gw->redis_up)
        store_fn_gone(k->gw->store, gateway_slice(k), ignore_answer, NULL);
    asks_orphan(k);
    for (struct map_node *n = map_next(&k->functions, NULL), *next; n; n = next) {
        next = map_next(&k->functions, n);
        free(container_of(n, struct function, node));
    }
    map_deinit(&k->functions);
    map_deinit(&k->calls_by_corr);
    map_deinit(&k->executors);
    buf_deinit(&k->text);
    free(k);
}

/* Calls without Redis and sockets: the store, the hub and the connections' output are replaced by text. What was asked of Redis
 * and what a client was told are compared as they read; answers, events and deadlines come when a test says so. */
#include "gateway/calls/calls.h"

#include <event2/event.h>
#include <stdarg.h>

#include "gateway/net/pace.h"
#include "gateway/observe/metrics.h"
#include "tests/unit/unit.h"

enum { CONNS_MAX = 8, ASKED_MAX = 8192 };
enum { WAITING_MAX = 20 }; /* bytes of calls that may wait for one connection */

/* --- Redis, played by the test --- */

enum ask_op { ASK_WRITE, ASK_LIST, ASK_CALL, ASK_HELD };

struct asked {
    enum ask_op op;
    void (*cb)(void);
    void *arg;
};

static struct {
    struct gateway g;
    size_t under_way, under_way_bytes; /* as pace.c is told */
    struct options opt;
    struct event_base *base;
    struct hub_member *catalogue, *mailbox;
    struct buf asks; /* what Redis was asked since it was last looked at */
    struct asked pending[ASKED_MAX];
    size_t pending_len;
    bool away; /* everything is answered from inside the question */
    struct party {
        struct conn conn;
        struct caller caller;
    } conns[CONNS_MAX];
    struct buf told[CONNS_MAX];
    size_t conns_len;
} w;

static const char *text_take(struct buf *b)
{
    static char taken[4096];
    size_t len = b->len < sizeof taken - 1 ? b->len : sizeof taken - 1;
    if (len > 0)
        memcpy(taken, b->ptr, len);
    taken[len] = '\0';
    buf_reset(b);
    return taken;
}

static void text_add(struct buf *b, const char *word)
{
    buf_put_slice(b, slice_str(word));
}

/* words appends slices with spaces between them and a semicolon behind; one with ptr NULL ends them. */
static void words(struct buf *b, const char *verb, ...)
{
    va_list list;
    va_start(list, verb);
    text_add(b, verb);
    for (struct slice s; (s = va_arg(list, struct slice)).ptr;) {
        buf_put_char(b, ' ');
        buf_put_slice(b, s);
    }
    va_end(list);
    buf_put_lit(b, "; ");
}

static const struct store_result result_ok = {.status = STORE_OK};
static const struct store_result result_away = {.status = STORE_AWAY};
static const struct store_result result_unknown = {.status = STORE_REFUSED, .refusal = REFUSAL_NAME};
static const struct store_result result_broken = {.status = STORE_BROKEN};

static void asked_answer(const struct asked *a, const struct store_result *r, int64_t n, const void *body)
{
    switch (a->op) {
    case ASK_WRITE:
        ((store_write_fn *)a->cb)(a->arg, r, n);
        break;
    case ASK_LIST:
        ((store_fn_list_fn *)a->cb)(a->arg, r, body);
        break;
    case ASK_CALL:
        ((store_fn_call_fn *)a->cb)(a->arg, r, body);
        break;
    case ASK_HELD:
        ((store_fn_held_fn *)a->cb)(a->arg, r, body);
        break;
    }
}

static void ask(enum ask_op op, void (*cb)(void), void *arg)
{
    struct asked a = {op, cb, arg};
    if (w.away) {
        asked_answer(&a, &result_away, 0, NULL);
        return;
    }
    CU_ASSERT_FATAL(w.pending_len < ASKED_MAX);
    w.pending[w.pending_len++] = a;
}

/* answer gives the oldest open question of that sort its answer. */
static void answer(enum ask_op op, const struct store_result *r, int64_t n, const void *body)
{
    size_t i = 0;
    while (i < w.pending_len && w.pending[i].op != op)
        i++;
    CU_ASSERT_FATAL(i < w.pending_len);
    struct asked a = w.pending[i];
    memmove(&w.pending[i], &w.pending[i + 1], (--w.pending_len - i) * sizeof a);
    asked_answer(&a, r, n, body);
}

/* answer_all: every question meets the same fate (lists and calls only when the link is away). */
static void answer_all(const struct store_result *r)
{
    while (w.pending_len > 0)
        answer(w.pending[0].op, r, 0, NULL);
}

/* answer_writes: likewise those that are answered by a number. */
static void answer_writes(const struct store_result *r)
{
    for (size_t n = w.pending_len, i = 0; i < n; i++) {
        struct asked a = w.pending[0];
        memmove(&w.pending[0], &w.pending[1], --w.pending_len * sizeof a);
        if (a.op == ASK_WRITE)
            asked_answer(&a, r, 0, NULL);
        else
            w.pending[w.pending_len++] = a;
    }
}

static void answer_list(int64_t rev, const char *one, const char *two)
{
    struct slice names[2];
    struct store_functions f = {.rev = rev, .names = names};
    if (one)
        names[f.len++] = slice_str(one);
    if (two)
        names[f.len++] = slice_str(two);
    answer(ASK_LIST, &result_ok, 0, &f);
}

static void answer_call(const char *gw)
{
    struct store_executor x = {.gw = slice_str(gw), .exec = SLICE_LIT("1")};
    answer(ASK_CALL, &result_ok, 0, &x);
}

struct slice store_calls_channel(const struct store *s)
{
    (void)s;
    return SLICE_LIT("sg:@{calls}");
}

void store_fn_serve(struct store *s, struct slice gw, struct slice exec, struct slice name, int64_t lease_ms,
                    store_write_fn *cb, void *arg)
{
    (void)s, (void)gw, (void)lease_ms;
    words(&w.asks, "serve", exec, name, SLICE_NONE);
    ask(ASK_WRITE, (void (*)(void))cb, arg);
}

void store_fn_leave(struct store *s, struct slice gw, struct slice exec, struct slice name, store_write_fn *cb,
                    void *arg)
{
    (void)s, (void)gw;
    words(&w.asks, "leave", exec, name, SLICE_NONE);
    ask(ASK_WRITE, (void (*)(void))cb, arg);
}

void store_fn_gone(struct store *s, struct slice gw, store_write_fn *cb, void *arg)
{
    (void)s;
    words(&w.asks, "gone", gw, SLICE_NONE);
    ask(ASK_WRITE, (void (*)(void))cb, arg);
}

void store_fn_beat(struct store *s, struct slice gw, int64_t lease_ms, const struct store_busy *busy, size_t nbusy,
                   store_write_fn *cb, void *arg)
{
    (void)s, (void)gw, (void)lease_ms;
    text_add(&w.asks, "beat");
    for (size_t i = 0; i < nbusy; i++) {
        buf_put_char(&w.asks, ' ');
        buf_put_slice(&w.asks, busy[i].exec);
        buf_put_char(&w.asks, '=');
        buf_put_i64(&w.asks, busy[i].inflight);
    }
    text_add(&w.asks, "; ");
    ask(ASK_WRITE, (void (*)(void))cb, arg);
}

void store_fn_list(struct store *s, store_fn_list_fn *cb, void *arg)
{
    (void)s;
    text_add(&w.asks, "list; ");
    ask(ASK_LIST, (void (*)(void))cb, arg);
}

void store_fn_call(struct store *s, struct slice name, struct slice corr, struct slice gw, int64_t timeout_ms,
                   struct slice args, store_fn_call_fn *cb, void *arg)
{
    (void)s, (void)timeout_ms;
    words(&w.asks, "call", name, corr, gw, args, SLICE_NONE);
    ask(ASK_CALL, (void (*)(void))cb, arg);
}

void store_fn_done(struct store *s, struct slice executor_gw, struct slice exec, struct slice corr,
                   struct slice caller_gw, struct slice result, store_write_fn *cb, void *arg)
{
    (void)s, (void)executor_gw;
    words(&w.asks, "done", exec, corr, caller_gw, result, SLICE_NONE);
    ask(ASK_WRITE, (void (*)(void))cb, arg);
}

void store_fn_held(struct store *s, struct slice gw, struct slice place, store_fn_held_fn *cb, void *arg)
{
    (void)s, (void)gw;
    words(&w.asks, "held", place, SLICE_NONE);
    ask(ASK_HELD, (void (*)(void))cb, arg);
}

void store_fn_back(struct store *s, struct slice gw, int64_t number, store_write_fn *cb, void *arg)
{
    (void)s, (void)gw;
    text_add(&w.asks, "back ");
    buf_put_i64(&w.asks, number);
    text_add(&w.asks, "; ");
    ask(ASK_WRITE, (void (*)(void))cb, arg);
}

void store_fn_again(struct store *s, struct slice caller_gw, const struct store_again *calls, size_t ncalls,
                    store_write_fn *cb, void *arg)
{
    (void)s, (void)caller_gw, (void)cb, (void)arg;
    for (size_t i = 0; i < ncalls; i++)
        words(&w.asks, "again", calls[i].gw, calls[i].corr, SLICE_NONE);
}

void hub_join(struct hub *h, struct slice channel, struct hub_member *m)
{
    (void)h;
    if (slice_eq(channel, SLICE_LIT("sg:@{calls}")))
        w.catalogue = m;
    else if (slice_eq(channel, SLICE_LIT("sg:@{calls}:here")))
        w.mailbox = m;
}

void hub_leave(struct hub *h, struct hub_member *m)
{
    (void)h;
    if (m == w.catalogue)
        w.catalogue = NULL;
    else if (m == w.mailbox)
        w.mailbox = NULL;
}

static void catalogue_event(const char *payload)
{
    w.catalogue->on_message(w.catalogue, slice_str(payload));
}

static void mailbox_event(const char *payload)
{
    w.mailbox->on_message(w.mailbox, slice_str(payload));
}

/* --- clients, whose dialect is words --- */

static struct buf *told_of(const struct conn *c)
{
    return &w.told[container_of((struct conn *)(uintptr_t)c, struct party, conn) - w.conns];
}

void conn_answer(struct conn *c, struct slice wire, uint32_t messages)
{
    CU_ASSERT(messages > 0);
    buf_put_slice(told_of(c), wire);
}

void conn_answer_frame(struct conn *c, struct frame *f)
{
    conn_answer(c, slice_of(f->bytes, f->len), f->messages);
}

void conn_tell(struct conn *c, struct slice wire, uint32_t messages)
{
    conn_answer(c, wire, messages);
}

size_t conn_waiting_max(const struct conn *c)
{
    (void)c;
    return WAITING_MAX;
}

void conn_wait_for_room(struct conn *c)
{
    CU_ASSERT_TRUE(c->waits & WAIT_CALLS);
}

void conn_weigh(struct conn *c)
{
    (void)c;
}

void pace_asked(struct conn *c, size_t requests, size_t slots)
{
    (void)c;
    (void)requests;
    (void)slots;
}

void pace_begins(struct conn *c, size_t bytes)
{
    (void)c;
    w.under_way++;
    w.under_way_bytes += bytes;
}

void pace_ends(struct gateway *g, uint64_t conn, size_t bytes)
{
    CU_ASSERT(conn > 0);
    CU_ASSERT(w.under_way > 0 && w.under_way_bytes >= bytes);
    w.under_way--;
    w.under_way_bytes -= bytes;
    (void)g;
}

static uint32_t say_error(struct buf *out, enum error_code code, struct slice text, enum kind kind, struct slice name,
                          struct slice id)
{
    char digit = (char)('0' + (int)code);
    CU_ASSERT(kind == KIND_FUNCTION);
    words(out, "error", slice_of(&digit, 1), text, name, id, SLICE_NONE);
    return 1;
}

void conn_error(struct conn *c, enum error_code code, struct slice text, enum kind kind, struct slice name,
                struct slice id)
{
    say_error(told_of(c), code, text, kind, name, id);
}

static uint32_t say_subscribe(struct buf *out, enum kind kind, struct slice name)
{
    CU_ASSERT(kind == KIND_FUNCTION);
    words(out, "subscribe", name, SLICE_NONE);
    return 1;
}

static uint32_t say_unsubscribe(struct buf *out, enum kind kind, struct slice name)
{
    CU_ASSERT(kind == KIND_FUNCTION);
    words(out, "unsubscribe", name, SLICE_NONE);
    return 1;
}

static uint32_t say_call(struct buf *out, struct slice name, struct slice id, struct slice args)
{
    words(out, "call", name, id, args, SLICE_NONE);
    return 1;
}

static uint32_t say_return(struct buf *out, struct slice name, struct slice id, struct slice value)
{
    words(out, "return", name, id, value, SLICE_NONE);
    return 1;
}

static const struct call_codec wordy_calls = {.call = say_call, .ret = say_return};
static const struct dialect wordy = {
    .name = "words", .call = &wordy_calls, .error = say_error, .offered = say_subscribe, .withdrawn = say_unsubscribe};

static char *all[] = {"*"}, *some[] = {"a*"};
static const struct grants everything = {.name = "everything", .verbs = {[GRANT_CALL] = {all, 1}}};
static const struct grants only_a = {.name = "only a", .verbs = {[GRANT_CALL] = {some, 1}}};

/* client is told the functions it may call, as the first thing in told(). */
static struct conn *client(const struct grants *grants)
{
    struct conn *c = &w.conns[w.conns_len++].conn;
    *c = (struct conn){.gw = &w.g, .id = w.conns_len, .dialect = &wordy, .grants = grants};
    list_init(&caller_of(c)->calls);
    buf_init(told_of(c), 1 << 20);
    list_append(&w.g.conns->open, &c->node);
    calls_conn_open(c);
    return c;
}

static void client_leaves(struct conn *c)
{
    c->state = CONN_CLOSING;
    calls_conn_close(c);
    list_remove(&w.g.conns->open, &c->node);
}

static const char *told(struct conn *c)
{
    return text_take(told_of(c));
}

static const char *asked(void)
{
    return text_take(&w.asks);
}

static struct action act(enum action_op op, const char *name, const char *id, const char *value)
{
    return (struct action){.op = op,
                           .kind = KIND_FUNCTION,
                           .name = slice_str(name),
                           .id = slice_str(id),
                           .has_id = true,
                           .value = value ? slice_str(value) : SLICE_NONE,
                           .has_value = value != NULL};
}

static void call(struct conn *c, const char *name, const char *id, const char *args)
{
    struct action a = act(ACTION_CALL, name, id, args);
    calls_call(c, &a);
}

static void ret(struct conn *c, const char *name, const char *id, const char *value)
{
    struct action a = act(ACTION_RETURN, name, id, value);
    calls_return(c, &a);
}

static void fail(struct conn *c, int code, const char *text_json, const char *id)
{
    struct action a = {.op = ACTION_CALL_FAILED, .error = (enum error_code)code, .id = slice_str(id), .has_id = true};
    a.text_json = slice_str(text_json);
    calls_failed(c, &a);
}

static void serve(struct conn *c, const char *name)
{
    calls_serve(c, slice_str(name));
}

/* --- time, which passes when a test says so --- */

struct timers {
    bool periodic;
    size_t len;
    struct event *found[ASKED_MAX];
};

static int timer_found(const struct event_base *base, const struct event *ev, void *arg)
{
    (void)base;
    struct timers *t = arg;
    bool periodic = event_get_events(ev) & EV_PERSIST;
    if (periodic == t->periodic && t->len < ASKED_MAX)
        t->found[t->len++] = (struct event *)ev;
    return 0;
}

/* time_passes fires every timer that is armed now: the periodic ones, or the deadlines (each once). */
static void time_passes(bool periodic)
{
    static struct timers t;
    t = (struct timers){.periodic = periodic};
    event_base_foreach_event(w.base, timer_found, &t);
    for (size_t i = 0; i < t.len; i++)
        event_active(t.found[i], EV_TIMEOUT, 1);
    event_base_loop(w.base, EVLOOP_NONBLOCK);
}

static void deadlines_pass(void)
{
    time_passes(false);
}

static void beat_passes(void)
{
    time_passes(true);
}

/* The rest of the turn: what was put off to its end. */
static void turn_ends(void)
{
    event_base_loop(w.base, EVLOOP_NONBLOCK);
}

/* --- the world --- */

static void open_unread(void)
{
    memset(&w, 0, sizeof w);
    memset(metrics, 0, METRIC_COUNT * sizeof(*metrics));
    w.base = event_base_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(w.base);
    w.opt.call_timeout_ms = 30000;
    w.opt.calls_per_connection = 2;
    w.g.opt = &w.opt;
    w.g.base = w.base;
    w.g.redis_up = true;
    memcpy(w.g.id, "here", sizeof "here");
    w.g.conns = conns_new();
    w.g.caller_at = offsetof(struct party, caller);
    buf_init(&w.g.scratch, 1 << 20);
    buf_init(&w.asks, 1 << 20);
    w.g.calls = calls_new(&w.g);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w.catalogue);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w.mailbox);
}

/* A gateway that has read a catalogue of revision 7 with the functions `add` and `sub`. */
static void open_world(void)
{
    open_unread();
    calls_on_up(w.g.calls);
    answer_list(7, "add", "sub");
    asked();
}

static void close_world(void)
{
    while (w.g.conns->open.count > 0)
        client_leaves(container_of(list_first(&w.g.conns->open), struct conn, node));
    calls_free(w.g.calls);
    conns_free(w.g.conns);
    CU_ASSERT_PTR_NULL(w.catalogue);
    CU_ASSERT_PTR_NULL(w.mailbox);
    answer_all(&result_away); /* they find nobody */
    for (size_t i = 0; i < w.conns_len; i++)
        buf_deinit(&w.told[i]);
    buf_deinit(&w.g.scratch);
    buf_deinit(&w.asks);
    event_base_free(w.base);
}

/* --- the catalogue --- */

static void test_new_client_is_told_what_it_may_call(void)
{
    open_world();
    struct conn *a = client(&only_a);
    CU_ASSERT_STRING_EQUAL(told(a), "subscribe add; ");
    struct conn *b = client(&everything);
    const char *text = told(b);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "subscribe add; "));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "subscribe sub; "));
    CU_ASSERT_EQUAL(strlen(text), strlen("subscribe add; subscribe sub; "));
    close_world();
}

static void test_events_are_announced_to_those_who_may_call(void)
{
    open_world();
    struct conn *a = client(&only_a), *b = client(&everything), *closing = client(&everything);
    closing->state = CONN_CLOSING;
    told(a), told(b), told(closing);
    catalogue_event("f+ 8 mul");
    CU_ASSERT_STRING_EQUAL(told(a), "");
    CU_ASSERT_STRING_EQUAL(told(b), "subscribe mul; ");
    CU_ASSERT_STRING_EQUAL(told(closing), "");
    CU_ASSERT(calls_known(w.g.calls, SLICE_LIT("mul")));
    catalogue_event("f- 9 mul");
    catalogue_event("f- 10 add");
    CU_ASSERT_STRING_EQUAL(told(a), "unsubscribe add; ");
    CU_ASSERT_STRING_EQUAL(told(b), "unsubscribe mul; unsubscribe add; ");
    CU_ASSERT_FALSE(calls_known(w.g.calls, SLICE_LIT("mul")));
    CU_ASSERT_STRING_EQUAL(asked(), "");
    close_world();
}

static void test_lost_event_reads_the_list_and_tells_the_difference(void)
{
    open_world();
    struct conn *b = client(&everything);
    told(b);
    catalogue_event("f+ 9 mul"); /* 8 was lost */
    CU_ASSERT_STRING_EQUAL(asked(), "list; ");
    CU_ASSERT_STRING_EQUAL(told(b), "");
    CU_ASSERT_EQUAL(metrics[METRIC_GAPS], 1);
    catalogue_event("f+ 10 div"); /* held by the answer */
    answer_list(10, "add", "div");
    CU_ASSERT_STRING_EQUAL(told(b), "subscribe div; unsubscribe sub; ");
    catalogue_event("f+ 11 pow");
    CU_ASSERT_STRING_EQUAL(told(b), "subscribe pow; ");
    CU_ASSERT_STRING_EQUAL(asked(), "");
    close_world();
}

static void test_read_under_way_is_repeated_when_it_may_be_too_old(void)
{
    open_unread();
    calls_on_up(w.g.calls);
    w.catalogue->on_resync(w.catalogue);
    turn_ends();
    CU_ASSERT_STRING_EQUAL(asked(), "list; ");
    answer_list(7, "add", NULL);
    CU_ASSERT_FALSE(calls_known(w.g.calls, SLICE_LIT("add")));
    CU_ASSERT_STRING_EQUAL(asked(), "list; ");
    answer_list(8, "sub", NULL);
    CU_ASSERT(calls_known(w.g.calls, SLICE_LIT("sub")));
    close_world();
}

static void test_reconnect_does_the_work_once(void)
{
    open_world();
    struct conn *c = client(&everything);
    serve(c, "mul");
    asked();
    w.catalogue->on_resync(w.catalogue);
    w.mailbox->on_resync(w.mailbox);
    calls_on_up(w.g.calls);
    turn_ends();
    CU_ASSERT_STRING_EQUAL(asked(), "back 0; serve 1 mul; list; ");
    close_world();
}

static void test_list_that_cannot_be_read_leaves_the_replica(void)
{
    open_world();
    calls_on_up(w.g.calls);
    answer(ASK_LIST, &result_broken, 0, NULL);
    CU_ASSERT(calls_known(w.g.calls, SLICE_LIT("add")));
    catalogue_event("f+ 8 mul"); /* it is still followed */
    CU_ASSERT(calls_known(w.g.calls, SLICE_LIT("mul")));
    close_world();
}

static void test_malformed_events_are_counted(void)
{
    static const char *const payloads[] = {"",      "f+",        "f+ 8",  "f+ 8 ",    "f+ x mul",
                                           "r 1 n", "f+ 8 a\tb", "g- 8 ", "f* 8 mul", "f+ -8 mul"};
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        open_world();
        struct conn *b = client(&everything);
        told(b);
        catalogue_event(payloads[i]);
        CU_ASSERT_EQUAL(metrics[METRIC_BAD_CHANGES], 1);
        CU_ASSERT_STRING_EQUAL(told(b), "");
        close_world();
    }
}

/* --- the calling side --- */

static void test_call_returns_what_the_executor_sent(void)
{
    open_world();
    struct conn *c = client(&everything);
    told(c);
    call(c, "add", "\"x\"", "{\"a\":1.0}");
    CU_ASSERT_STRING_EQUAL(asked(), "call add 1 here {\"a\":1.0}; ");
    CU_ASSERT_EQUAL(calls_in_flight(w.g.calls), 1);
    answer_call("there");
    CU_ASSERT_STRING_EQUAL(told(c), "");
    mailbox_event("r 1 v {\"n\": 1e2}");
    CU_ASSERT_STRING_EQUAL(told(c), "return add \"x\" {\"n\": 1e2}; ");
    CU_ASSERT_EQUAL(calls_in_flight(w.g.calls), 0);
    CU_ASSERT_EQUAL(metrics[METRIC_CALLS_OK], 1);
    CU_ASSERT_EQUAL(metrics[METRIC_CALLS_IN_FLIGHT], 0);
    mailbox_event("r 1 n");
    CU_ASSERT_STRING_EQUAL(told(c), "");
    close_world();
}

static void test_result_may_come_before_the_answer(void)
{
    open_world();
    struct conn *c = client(&everything);
    told(c);
    call(c, "add", "1", NULL);
    CU_ASSERT_STRING_EQUAL(asked(), "call add 1 here; ");
    mailbox_event("r 1 n");
    CU_ASSERT_STRING_EQUAL(told(c), "return add 1; ");
    answer_call("there");
    catalogue_event("g- 8 there");
    CU_ASSERT_STRING_EQUAL(told(c), "");
    close_world();
}

static void test_results_are_checked(void)
{
    static const struct {
        const char *result, *told;
        bool bad;
    } cases[] = {
        {"n", "return add 1; ", false},
        {"v null", "return add 1 null; ", false},
        {"t", "error 8 timeout add 1; ", false},
        {"e 6 b is missing", "error 6 b is missing add 1; ", false},
        {"e 8 ", "error 8  add 1; ", false},
        {"e 9 x", "error 8 x add 1; ", false},
        {"e 0 x", "error 8 x add 1; ", false},
        {"e -1 x", "error 8 x add 1; ", false},
        {"v NaN", "error 8 bad result add 1; ", true},
        {"v {}x", "error 8 bad result add 1; ", true},
        {"e 8 \xff", "error 8 bad result add 1; ", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        open_world();
        struct conn *c = client(&everything);
        told(c);
        call(c, "add", "1", NULL);
        char payload[64] = "r 1 ";
        memcpy(payload + 4, cases[i].result, strlen(cases[i].result) + 1);
        mailbox_event(payload);
        CU_ASSERT_STRING_EQUAL(told(c), cases[i].told);
        CU_ASSERT_EQUAL(metrics[METRIC_BAD_CHANGES], cases[i].bad);
        CU_ASSERT_EQUAL(calls_in_flight(w.g.calls), 0);
        close_world();
    }
}

static void test_refused_calls(void)
{
    static const struct {
        const struct store_result *result;
        const char *told;
    } cases[] = {
        {&result_unknown, "error 3 unknown name add 1; "},
        {&result_broken, "error 8 call refused add 1; "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        open_world();
        struct conn *c = client(&everything);
        told(c);
        call(c, "add", "1", NULL);
        answer(ASK_CALL, cases[i].result, 0, NULL);
        CU_ASSERT_STRING_EQUAL(told(c), cases[i].told);
        mailbox_event("r 1 n");
        deadlines_pass();
        CU_ASSERT_STRING_EQUAL(told(c), "");
        CU_ASSERT_EQUAL(metrics[METRIC_CALLS_ERROR], 1);
        close_world();
    }
}

static void test_call_while_redis_is_away(void)
{
    open_world();
    struct conn *c = client(&everything);
    told(c);
    w.away = true;
    call(c, "add", "1", NULL);
    CU_ASSERT_STRING_EQUAL(told(c), "error 8 redis away add 1; ");
    CU_ASSERT_EQUAL(calls_in_flight(w.g.calls), 0);
    close_world();
}

static void test_limits_of_a_caller(void)
{
    open_world();
    struct conn *c = client(&everything), *other = client(&everything);
    told(c), told(other);
    call(c, "add", "1", NULL);
    call(c, "sub", "1", NULL);
    CU_ASSERT_STRING_EQUAL(told(c), "error 4 call id in flight sub 1; ");
    call(c, "add", "\"1\"", NULL);
    call(c, "add", "2", NULL);
    CU_ASSERT_STRING_EQUAL(told(c), "error 8 too many calls: wait for some (calls_per_connection) add 2; ");
    call(c, "add", "1", NULL); /* looked at first */
    CU_ASSERT_STRING_EQUAL(told(c), "error 4 call id in flight add 1; ");
    call(other, "add", "1", NULL);
    CU_ASSERT_STRING_EQUAL(told(other), "");
    mailbox_event("r 1 n");
    told(c);
    call(c, "add", "1", NULL);
    CU_ASSERT_STRING_EQUAL(told(c), "");
    close_world();
}

static void test_deadline_ends_a_call_once(void)
{
    open_world();
    struct conn *c = client(&everything);
    told(c);
    call(c, "add", "1", NULL);
    call(c, "sub", "2", NULL);
    mailbox_event("r 2 n");
    CU_ASSERT_STRING_EQUAL(told(c), "return sub 2; ");
    deadlines_pass();
    CU_ASSERT_STRING_EQUAL(told(c), "error 8 timeout add 1; ");
    CU_ASSERT_EQUAL(metrics[METRIC_CALLS_TIMEOUT], 1);
    mailbox_event("r 1 v 3");
    answer_call("there");
    CU_ASSERT_STRING_EQUAL(told(c), "");
    close_world();
}

static void test_buried_gateway_fails_its_calls(void)
{
    open_world();
    struct conn *c = client(&everything), *d = client(&everything);
    told(c), told(d);
    call(c, "add", "1", NULL);
    call(c, "add", "2", NULL);
    call(d, "add", "3", NULL);
    answer_call("there");
    answer_call("elsewhere");
    answer_call("there");
    catalogue_event("g- 8 there");
    CU_ASSERT_STRING_EQUAL(told(c), "error 8 executor gone add 1; ");
    CU_ASSERT_STRING_EQUAL(told(d), "error 8 executor gone add 3; ");
    mailbox_event("r 2 n");
    CU_ASSERT_STRING_EQUAL(told(c), "return add 2; ");
    close_world();
}

static void test_burial_counts_while_the_list_is_read(void)
{
    open_world();
    struct conn *c = client(&everything);
    told(c);
    call(c, "add", "1", NULL);
    answer_call("there");
    calls_on_up(w.g.calls);
    catalogue_event("g- 8 there");
    CU_ASSERT_STRING_EQUAL(told(c), "error 8 executor gone add 1; ");
    close_world();
}

static void test_caller_that_left_is_forgotten(void)
{
    open_world();
    struct conn *c = client(&everything);
    call(c, "add", "1", NULL);
    call(c, "add", "2", NULL);
    answer_call("there");
    told(c);
    client_leaves(c);
    CU_ASSERT_EQUAL(calls_in_flight(w.g.calls), 0);
    CU_ASSERT_EQUAL(metrics[METRIC_CALLS_IN_FLIGHT], 0);
    mailbox_event("r 1 n");
    catalogue_event("g- 8 there");
    answer_call("there");
    deadlines_pass();
    CU_ASSERT_STRING_EQUAL(told(c), "");
    close_world();
}

/* --- the executing side --- */

static void test_serving_is_registered_once(void)
{
    open_world();
    struct conn *c = client(&everything);
    serve(c, "mul");
    serve(c, "mul");
    CU_ASSERT_STRING_EQUAL(asked(), "serve 1 mul; ");
    CU_ASSERT(calls_serves(c, SLICE_LIT("mul")));
    CU_ASSERT_FALSE(calls_known(w.g.calls, SLICE_LIT("mul"))); /* until Redis says so */
    calls_unserve(c, SLICE_LIT("mul"));
    calls_unserve(c, SLICE_LIT("mul"));
    CU_ASSERT_STRING_EQUAL(asked(), "leave 1 mul; ");
    CU_ASSERT_FALSE(calls_serves(c, SLICE_LIT("mul")));
    serve(c, "mul");
    serve(c, "div");
    asked();
    calls_unserve_all(c);
    const char *text = asked();
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "leave 1 mul; "));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "leave 1 div; "));
    close_world();
}

static void test_limit_of_functions(void)
{
    open_world();
    struct conn *c = client(&everything);
    told(c);
    char name[] = "f0000";
    for (int i = 0; i < 1024; i++) {
        for (int digit = 0, n = i; digit < 4; digit++, n /= 10)
            name[4 - digit] = (char)('0' + n % 10);
        serve(c, name);
    }
    CU_ASSERT_STRING_EQUAL(told(c), "");
    serve(c, "more");
    CU_ASSERT_STRING_EQUAL(told(c), "error 8 too many functions more; ");
    serve(c, name); /* served already */
    CU_ASSERT_STRING_EQUAL(told(c), "");
    calls_unserve(c, SLICE_LIT("f0000"));
    serve(c, "more");
    CU_ASSERT_STRING_EQUAL(told(c), "");
    close_world();
}

/* A client that serves `mul` and was handed one call of it, "s-1". */
static struct conn *executor(void)
{
    open_world();
    struct conn *c = client(&everything);
    serve(c, "mul");
    mailbox_event("c 9 there 1 5000 3 mul {\"a\":2}");
    asked();
    return c;
}

static void test_job_is_handed_over_and_its_value_sent(void)
{
    open_world();
    struct conn *c = client(&everything);
    serve(c, "mul");
    told(c), asked();
    mailbox_event("c 9 there 1 5000 3 mul {\"a\":2}");
    CU_ASSERT_STRING_EQUAL(told(c), "call mul \"s-1\" {\"a\":2}; ");
    mailbox_event("c 10 there 1 5000 3 mul ");
    CU_ASSERT_STRING_EQUAL(told(c), "call mul \"s-2\"; ");
    CU_ASSERT(calls_executes(c, SLICE_LIT("mul")));
    ret(c, "mul", "\"s-2\"", "[1.50]");
    CU_ASSERT_STRING_EQUAL(asked(), "done 1 10 there v [1.50]; ");
    ret(c, "mul", "\"s-1\"", NULL);
    CU_ASSERT_STRING_EQUAL(asked(), "done 1 9 there n; ");
    CU_ASSERT_FALSE(calls_executes(c, SLICE_LIT("mul")));
    CU_ASSERT_STRING_EQUAL(told(c), "");
    ret(c, "mul", "\"s-1\"", NULL);
    CU_ASSERT_STRING_EQUAL(told(c), "error 4 no such call mul \"s-1\"; ");
    CU_ASSERT_STRING_EQUAL(asked(), "");
    close_world();
}

static void test_return_of_what_is_not_in_flight(void)
{
    struct conn *c = executor();
    struct conn *other = client(&everything);
    told(c), told(other);
    ret(c, "mul", "\"s-7\"", NULL);
    CU_ASSERT_STRING_EQUAL(told(c), "error 4 no such call mul \"s-7\"; ");
    ret(c, "div", "\"s-1\"", NULL);
    CU_ASSERT_STRING_EQUAL(told(c), "error 4 no such call div \"s-1\"; ");
    ret(other, "mul", "\"s-1\"", NULL);
    CU_ASSERT_STRING_EQUAL(told(other), "error 4 no such call mul \"s-1\"; ");
    CU_ASSERT_STRING_EQUAL(asked(), "");
    close_world();
}

static void test_job_fails(void)
{
    static const struct {
        int code;
        const char *text_json, *done;
    } cases[] = {
        {6, "\"b is missing\"", "done 1 9 there e 6 b is missing; "},
        {6, "\"tab\\t\\u00e9\"", "done 1 9 there e 6 tab\t\xc3\xa9; "},
        {8, "", "done 1 9 there e 8 ; "},
        {99, "\"x\"", "done 1 9 there e 8 x; "},
        {0, "\"x\"", "done 1 9 there e 8 x; "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct conn *c = executor();
        told(c);
        fail(c, 6, "\"x\"", "\"s-7\""); /* ignored */
        struct action other = {.error = ERROR_OTHER, .name = SLICE_LIT("div"), .id = SLICE_LIT("\"s-1\"")};
        calls_failed(c, &other); /* likewise: that is a call of mul */
        CU_ASSERT_STRING_EQUAL(asked(), "");
        fail(c, cases[i].code, cases[i].text_json, "\"s-1\"");
        CU_ASSERT_STRING_EQUAL(asked(), cases[i].done);
        fail(c, 6, "\"x\"", "\"s-1\"");
        CU_ASSERT_STRING_EQUAL(asked(), "");
        CU_ASSERT_STRING_EQUAL(told(c), "");
        close_world();
    }
}

static void test_job_misses_its_deadline(void)
{
    struct conn *c = executor();
    told(c);
    mailbox_event("c 10 there 1 5000 3 mul ");
    told(c);
    deadlines_pass();
    const char *text = asked();
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "done 1 9 there t; "));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "done 1 10 there t; "));
    CU_ASSERT(calls_executes(c, SLICE_LIT("mul")));
    ret(c, "mul", "\"s-1\"", "1"); /* late: silence */
    CU_ASSERT_STRING_EQUAL(told(c), "");
    ret(c, "mul", "\"s-1\"", "1");
    CU_ASSERT_STRING_EQUAL(told(c), "error 4 no such call mul \"s-1\"; ");
    deadlines_pass();
    ret(c, "mul", "\"s-2\"", "1"); /* too late */
    CU_ASSERT_STRING_EQUAL(told(c), "error 4 no such call mul \"s-2\"; ");
    CU_ASSERT_STRING_EQUAL(asked(), "");
    close_world();
}

static void test_jobs_and_late_jobs_are_bounded(void)
{
    enum { MOST = 4096 };
    struct conn *c = executor();
    for (int i = 1; i < MOST; i++) {
        char event[64];
        snprintf(event, sizeof event, "c x%d there 1 5000 3 mul ", i);
        mailbox_event(event);
    }
    CU_ASSERT_STRING_EQUAL(asked(), "");
    mailbox_event("c 11 there 1 5000 3 mul ");
    CU_ASSERT_STRING_EQUAL(asked(), "done 1 11 there e 8 executor overloaded; ");
    deadlines_pass();
    mailbox_event("c 12 there 1 1 3 mul ");
    answer_all(&result_away);
    told(c), asked();
    while (!strstr(asked(), "done 1 12 there t; ")) /* its millisecond passes; nothing else is due */
        event_base_loop(w.base, EVLOOP_ONCE);
    ret(c, "mul", "\"s-1\"", NULL); /* the oldest had to go */
    CU_ASSERT_STRING_EQUAL(told(c), "error 4 no such call mul \"s-1\"; ");
    ret(c, "mul", "\"s-2\"", NULL);
    ret(c, "mul", "\"s-4097\"", NULL);
    CU_ASSERT_STRING_EQUAL(told(c), "");
    close_world();
}

static void test_calls_wait_for_room(void)
{
    struct conn *c = executor();
    told(c);
    c->congested = true;
    mailbox_event("c 10 there 1 5000 3 mul {\"a\":3}");
    mailbox_event("c 11 there 1 5000 3 mul ");
    CU_ASSERT_STRING_EQUAL(told(c), "");
    CU_ASSERT_TRUE(c->waits & WAIT_CALLS);
    ret(c, "mul", "\"s-2\"", "1"); /* it does not know of it */
    CU_ASSERT_STRING_EQUAL(told(c), "error 4 no such call mul \"s-2\"; ");
    fail(c, 8, "\"no\"", "\"s-2\"");
    CU_ASSERT_STRING_EQUAL(asked(), "");
    c->congested = false;
    mailbox_event("c 12 there 1 5000 3 mul ");
    CU_ASSERT_STRING_EQUAL(told(c), ""); /* behind the others */
    calls_deliver(c, 1);
    CU_ASSERT_STRING_EQUAL(told(c), "call mul \"s-2\" {\"a\":3}; call mul \"s-3\"; call mul \"s-4\"; ");
    CU_ASSERT_FALSE(c->waits & WAIT_CALLS);
    mailbox_event("c 13 there 1 5000 3 mul ");
    CU_ASSERT_STRING_EQUAL(told(c), "call mul \"s-5\"; ");
    ret(c, "mul", "\"s-2\"", "1");
    CU_ASSERT_STRING_EQUAL(asked(), "done 1 10 there v 1; ");
    close_world();
}

static void test_calls_that_wait_are_bounded(void)
{
    struct conn *c = executor();
    told(c);
    c->congested = true;
    mailbox_event("c 10 there 1 5000 3 mul {\"a\":\"123456789\"}");
    CU_ASSERT_STRING_EQUAL(asked(), "");
    mailbox_event("c 11 there 1 5000 3 mul {\"a\":4}");
    CU_ASSERT_STRING_EQUAL(asked(), "done 1 11 there e 8 busy; ");
    mailbox_event("c 12 there 1 5000 3 mul ");
    CU_ASSERT_STRING_EQUAL(asked(), "");
    c->congested = false;
    calls_deliver(c, 1);
    CU_ASSERT_STRING_EQUAL(told(c), "call mul \"s-2\" {\"a\":\"123456789\"}; call mul \"s-3\"; ");
    close_world();
}

static void test_call_that_waited_too_long_is_never_executed(void)
{
    struct conn *c = executor();
    told(c);
    c->congested = true;
    mailbox_event("c 10 there 1 5000 3 mul ");
    deadlines_pass();
    CU_ASSERT_PTR_NOT_NULL(strstr(asked(), "done 1 10 there t; "));
    CU_ASSERT_FALSE(c->waits & WAIT_CALLS);
    c->congested = false;
    calls_deliver(c, 1);
    CU_ASSERT_STRING_EQUAL(told(c), "");
    close_world();
}

static void test_calls_that_wait_end_with_their_function(void)
{
    struct conn *c = executor();
    told(c);
    c->congested = true;
    mailbox_event("c 10 there 1 5000 3 mul {}");
    calls_unserve(c, SLICE_LIT("mul"));
    c->congested = false;
    calls_deliver(c, 1);
    CU_ASSERT_STRING_EQUAL(told(c), "");
    CU_ASSERT_STRING_EQUAL(asked(), "leave 1 mul; done 1 10 there e 8 executor gone; ");
    c->congested = true;
    serve(c, "mul");
    asked();
    mailbox_event("c 11 there 1 5000 3 mul {}");
    client_leaves(c);
    CU_ASSERT_STRING_EQUAL(asked(),
                           "leave 1 mul; done 1 9 there e 8 executor gone; done 1 11 there e 8 executor gone; ");
    close_world();
}

static void test_job_survives_unsubscribe(void)
{
    struct conn *c = executor();
    told(c);
    calls_unserve(c, SLICE_LIT("mul"));
    CU_ASSERT_STRING_EQUAL(asked(), "leave 1 mul; ");
    CU_ASSERT_FALSE(calls_serves(c, SLICE_LIT("mul")));
    CU_ASSERT(calls_executes(c, SLICE_LIT("mul")));
    ret(c, "mul", "\"s-1\"", "1");
    CU_ASSERT_STRING_EQUAL(asked(), "done 1 9 there v 1; ");
    CU_ASSERT_FALSE(calls_executes(c, SLICE_LIT("mul")));
    close_world();
}

static void test_executor_that_left_fails_its_jobs(void)
{
    struct conn *c = executor();
    told(c);
    client_leaves(c);
    CU_ASSERT_STRING_EQUAL(asked(), "leave 1 mul; done 1 9 there e 8 executor gone; ");
    deadlines_pass();
    CU_ASSERT_STRING_EQUAL(asked(), "");
    close_world();
}

static void test_call_for_nobody_is_refused_and_the_registration_ended(void)
{
    struct conn *c = executor();
    told(c);
    mailbox_event("c 10 there 5 5000 3 mul ");
    CU_ASSERT_STRING_EQUAL(asked(), "done 5 10 there e 8 executor gone; leave 5 mul; ");
    mailbox_event("c 11 there 1 5000 3 div ");
    CU_ASSERT_STRING_EQUAL(asked(), "done 1 11 there e 8 executor gone; leave 1 div; ");
    c->state = CONN_CLOSING; /* it leaves at the end of the turn */
    mailbox_event("c 12 there 1 5000 3 mul ");
    CU_ASSERT_STRING_EQUAL(asked(), "done 1 12 there e 8 executor gone; ");
    CU_ASSERT_STRING_EQUAL(told(c), "");
    close_world();
}

static void test_malformed_calls_are_not_handed_over(void)
{
    static const char *const arguments[] = {"[]", "{\"a\":NaN}", "{}}", "1", "{\"a\":\"\xff\"}"};
    for (size_t i = 0; i < sizeof arguments / sizeof arguments[0]; i++) {
        struct conn *c = executor();
        told(c);
        char payload[64] = "c 10 there 1 5000 3 mul ";
        memcpy(payload + strlen(payload), arguments[i], strlen(arguments[i]) + 1);
        mailbox_event(payload);
        CU_ASSERT_STRING_EQUAL(asked(), "done 1 10 there e 8 bad arguments; ");
        CU_ASSERT_STRING_EQUAL(told(c), "");
        CU_ASSERT_EQUAL(metrics[METRIC_BAD_CHANGES], 1);
        close_world();
    }
}

static void test_mailbox_garbage_is_counted(void)
{
    static const char *const payloads[] = {
        "", "c", "c 10 there 1 5000 9 mul ", "c 10 there 1 0 3 mul ", "f+ 8 mul", "r 1", "r 1 x"};
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        struct conn *c = executor();
        told(c);
        mailbox_event(payloads[i]);
        CU_ASSERT_EQUAL(metrics[METRIC_BAD_CHANGES], 1);
        CU_ASSERT_STRING_EQUAL(told(c), "");
        CU_ASSERT_STRING_EQUAL(asked(), "");
        close_world();
    }
}

/* --- Redis comes and goes --- */

static void answer_held(const char *next, const char *exec, const char *name)
{
    struct store_registration one = {slice_str(exec ? exec : ""), slice_str(name ? name : "")};
    struct store_held h = {.next = slice_str(next), .len = exec ? 1 : 0, .registrations = &one};
    answer(ASK_HELD, &result_ok, 0, &h);
}

/* Whatever Redis holds and is not true is taken away, be it in the second piece. */
static void test_leave_that_found_redis_away_is_made_good(void)
{
    open_world();
    struct conn *c = client(&everything), *d = client(&everything);
    serve(c, "mul");
    serve(d, "mul");
    asked();
    answer_writes(&result_ok);
    w.away = true;
    w.g.redis_up = false;
    client_leaves(c);
    CU_ASSERT_STRING_EQUAL(asked(), "leave 1 mul; ");
    struct conn *e = client(&everything); /* comes and goes unnoticed */
    serve(e, "div");
    client_leaves(e);
    CU_ASSERT_STRING_EQUAL(asked(), "");
    calls_on_up(w.g.calls); /* for a moment only */
    CU_ASSERT_STRING_EQUAL(asked(), "back 0; serve 2 mul; held 0; list; ");
    w.away = false;
    w.g.redis_up = true;
    calls_on_up(w.g.calls);
    CU_ASSERT_STRING_EQUAL(asked(), "back 0; serve 2 mul; held 0; list; ");
    answer_held("17", "2", "mul");
    CU_ASSERT_STRING_EQUAL(asked(), "held 17; ");
    answer_held("0", "1", "mul");
    CU_ASSERT_STRING_EQUAL(asked(), "leave 1 mul; ");
    answer_writes(&result_ok);
    calls_on_up(w.g.calls);
    CU_ASSERT_STRING_EQUAL(asked(), "back 0; serve 2 mul; "); /* the list is on its way */
    close_world();
}

/* Redis that refuses to write refuses an end too: it is tried again by every beat until it is true. */
static void test_refused_leave_is_made_good(void)
{
    open_world();
    struct conn *c = client(&everything);
    serve(c, "mul");
    answer_writes(&result_ok);
    client_leaves(c);
    asked();
    answer(ASK_WRITE, &result_broken, 0, NULL);
    beat_passes();
    CU_ASSERT_STRING_EQUAL(asked(), "held 0; list; beat; ");
    answer_held("0", "1", "mul");
    CU_ASSERT_STRING_EQUAL(asked(), "leave 1 mul; ");
    answer(ASK_WRITE, &result_ok, 7, NULL);     /* the beat */
    answer(ASK_WRITE, &result_broken, 0, NULL); /* still */
    answer_list(7, "add", "sub");
    beat_passes();
    CU_ASSERT_STRING_EQUAL(asked(), "held 0; list; beat; ");
    answer_held("0", "1", "mul");
    answer_writes(&result_ok);
    asked();
    beat_passes();
    CU_ASSERT_STRING_EQUAL(asked(), "beat; ");
    close_world();
}

/* --- a link is cut under calls --- */

static void test_result_that_nobody_heard_is_sent_again(void)
{
    struct conn *c = executor();
    told(c);
    answer_writes(&result_ok);
    w.away = true;
    w.g.redis_up = false;
    ret(c, "mul", "\"s-1\"", "1");
    CU_ASSERT_STRING_EQUAL(asked(), "done 1 9 there v 1; ");
    w.away = false;
    w.g.redis_up = true;
    calls_on_up(w.g.calls);
    CU_ASSERT_STRING_EQUAL(asked(), "back 0; done - 9 there v 1; serve 1 mul; list; "); /* counted once */
    answer(ASK_WRITE, &result_ok, 0, NULL);                                             /* back */
    answer(ASK_WRITE, &result_ok, 0, NULL);                                             /* nobody listened */
    beat_passes();
    CU_ASSERT_STRING_EQUAL(asked(), "done - 9 there v 1; beat 1=0; ");
    answer(ASK_WRITE, &result_ok, 1, NULL); /* serve */
    answer(ASK_WRITE, &result_ok, 1, NULL); /* somebody did */
    beat_passes();
    CU_ASSERT_STRING_EQUAL(asked(), "beat 1=0; ");
    mailbox_event("a 9 there"); /* but did not get it */
    CU_ASSERT_STRING_EQUAL(asked(), "done - 9 there v 1; ");
    close_world();
}

static void test_caller_asks_for_a_call_that_is_not_known(void)
{
    struct conn *c = executor();
    mailbox_event("a 10 there");
    CU_ASSERT_STRING_EQUAL(asked(), "done - 10 there e 8 executor gone; ");
    mailbox_event("a 9 there"); /* runs */
    mailbox_event("c 9 there 1 5000 3 mul {}");
    CU_ASSERT_STRING_EQUAL(asked(), "");
    CU_ASSERT_PTR_NULL(strstr(told(c), "s-2")); /* at most once */
    CU_ASSERT_EQUAL(metrics[METRIC_BAD_CHANGES], 1);
    close_world();
}

static void test_comeback_asks_for_results(void)
{
    open_world();
    struct conn *c = client(&everything);
    told(c);
    call(c, "add", "1", NULL);
    call(c, "add", "2", NULL);
    answer_call("there");
    answer_call("yonder");
    asked();
    catalogue_event("b there");
    CU_ASSERT_STRING_EQUAL(asked(), "again there 1; ");
    catalogue_event("b here");
    CU_ASSERT_STRING_EQUAL(asked(), "");
    calls_on_up(w.g.calls);
    const char *text = asked();
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "back 2; "));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "again there 1; "));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "again yonder 2; "));
    mailbox_event("r 1 n");
    mailbox_event("r 1 n");
    CU_ASSERT_STRING_EQUAL(told(c), "return add 1; ");
    close_world();
}

/* The link went with the question in it: Redis tells afterwards what it got. */
static void test_call_in_a_cut_link(void)
{
    open_world();
    w.opt.calls_per_connection = 3;
    struct conn *c = client(&everything);
    told(c);
    call(c, "add", "1", NULL);
    call(c, "add", "2", NULL);
    call(c, "add", "3", NULL);
    for (int i = 0; i < 3; i++)
        answer(ASK_CALL, &result_away, 0, NULL);
    CU_ASSERT_STRING_EQUAL(told(c), "");
    CU_ASSERT_EQUAL(calls_in_flight(w.g.calls), 3);
    asked();
    calls_on_up(w.g.calls);
    CU_ASSERT_STRING_EQUAL(asked(), "back 3; list; ");
    answer(ASK_WRITE, &result_broken, 0, NULL);
    CU_ASSERT_STRING_EQUAL(told(c), "");
    beat_passes();
    CU_ASSERT_STRING_EQUAL(asked(), "back 3; beat; ");
    answer(ASK_WRITE, &result_ok, 2, NULL);
    CU_ASSERT_STRING_EQUAL(told(c), "error 8 redis away add 3; ");
    mailbox_event("r 1 v 5");
    CU_ASSERT_STRING_EQUAL(told(c), "return add 1 5; ");
    deadlines_pass();
    CU_ASSERT_STRING_EQUAL(told(c), "error 8 timeout add 2; ");
    close_world();
}

static void test_executor_that_is_away(void)
{
    static const struct store_result away = {.status = STORE_REFUSED, .refusal = REFUSAL_AWAY};
    open_world();
    struct conn *c = client(&everything);
    told(c);
    call(c, "add", "1", NULL);
    answer(ASK_CALL, &away, 0, NULL);
    CU_ASSERT_STRING_EQUAL(told(c), "error 8 executor away add 1; ");
    close_world();
}

static void test_timeout_that_the_executor_saw_first(void)
{
    open_world();
    struct conn *c = client(&everything);
    told(c);
    call(c, "add", "1", NULL);
    mailbox_event("r 1 t");
    CU_ASSERT_STRING_EQUAL(told(c), "error 8 timeout add 1; ");
    CU_ASSERT_EQUAL(metrics[METRIC_CALLS_TIMEOUT], 1);
    CU_ASSERT_EQUAL(metrics[METRIC_CALLS_ERROR], 0);
    close_world();
}

static void test_kept_results_are_bounded(void)
{
    enum { MOST = 8192 };
    struct conn *c = executor();
    told(c);
    answer_writes(&result_ok);
    w.away = true;
    for (int i = 0; i <= MOST; i++) {
        char event[64];
        snprintf(event, sizeof event, "c x%d there 9 5000 3 mul ", i); /* nobody has it: a result at once */
        mailbox_event(event);
    }
    CU_ASSERT_EQUAL(metrics[METRIC_RESULTS_LOST], 1);
    asked();
    mailbox_event("a x0 there");
    CU_ASSERT_STRING_EQUAL(asked(), "done - x0 there e 8 executor gone; ");
    close_world();
}

static void test_beat_tells_the_exact_counts(void)
{
    open_world();
    struct conn *c = client(&everything);
    beat_passes();
    CU_ASSERT_STRING_EQUAL(asked(),
                           "beat; "); /* nothing to keep alive here, but whoever died elsewhere is to be buried */
    serve(c, "mul");
    serve(c, "div");
    mailbox_event("c 9 there 1 5000 3 mul ");
    mailbox_event("c 10 there 1 5000 3 div ");
    asked();
    beat_passes();
    CU_ASSERT_STRING_EQUAL(asked(), "beat 1=2; ");
    ret(c, "mul", "\"s-1\"", NULL);
    asked();
    beat_passes();
    CU_ASSERT_STRING_EQUAL(asked(), "beat 1=1; ");
    calls_unserve_all(c);
    asked();
    beat_passes(); /* the job needs the lease, nobody needs a count */
    CU_ASSERT_STRING_EQUAL(asked(), "beat; ");
    ret(c, "div", "\"s-2\"", NULL);
    asked();
    beat_passes();
    CU_ASSERT_STRING_EQUAL(asked(), "beat; ");
    close_world();
}

static void test_beat_finds_a_silent_loss(void)
{
    open_world();
    struct conn *c = client(&everything);
    serve(c, "mul");
    answer(ASK_WRITE, &result_ok, 8, NULL);
    catalogue_event("f+ 8 mul");
    asked();
    beat_passes();
    answer(ASK_WRITE, &result_ok, 9, NULL);
    catalogue_event("f+ 9 div"); /* right behind the answer */
    asked();
    beat_passes();
    CU_ASSERT_STRING_EQUAL(asked(), "beat 1=0; ");
    answer(ASK_WRITE, &result_ok, 10, NULL); /* whose event never comes */
    beat_passes();
    CU_ASSERT_STRING_EQUAL(asked(), "serve 1 mul; list; beat 1=0; ");
    CU_ASSERT_EQUAL(metrics[METRIC_GAPS], 1);
    close_world();
}

static void test_beat_finds_a_redis_that_went_back(void)
{
    open_world();
    struct conn *c = client(&everything);
    serve(c, "mul");
    answer(ASK_WRITE, &result_ok, 8, NULL);
    catalogue_event("f+ 8 mul");
    beat_passes();
    asked();
    answer(ASK_WRITE, &result_ok, 0, NULL);
    turn_ends();
    CU_ASSERT_STRING_EQUAL(asked(), "serve 1 mul; list; ");
    told(c);
    answer_list(1, "mul", NULL);
    CU_ASSERT_PTR_NOT_NULL(strstr(told(c), "unsubscribe "));
    close_world();
}

static void test_failed_registration_is_repeated(void)
{
    open_world();
    struct conn *c = client(&everything);
    serve(c, "mul");
    serve(c, "mul{");
    asked();
    answer(ASK_WRITE, &result_broken, 0, NULL);
    answer(ASK_WRITE, &result_unknown, 0, NULL);
    beat_passes();
    CU_ASSERT_PTR_NOT_NULL(strstr(asked(), "serve 1 mul; "));
    answer_all(&result_away);
    close_world();
}

static void test_buried_gateway_rises(void)
{
    open_world();
    struct conn *c = client(&everything);
    catalogue_event("g- 8 here");
    turn_ends();
    CU_ASSERT_STRING_EQUAL(asked(), "");
    serve(c, "mul");
    asked();
    catalogue_event("g- 9 here");
    turn_ends();
    CU_ASSERT_STRING_EQUAL(asked(), "serve 1 mul; list; ");
    close_world();
}

static void test_end_leaves_the_fleet(void)
{
    open_world();
    struct conn *c = client(&everything);
    serve(c, "mul");
    beat_passes();
    calls_on_up(w.g.calls);
    client_leaves(c);
    asked();
    calls_free(w.g.calls);
    CU_ASSERT_STRING_EQUAL(asked(), "gone here; ");
    CU_ASSERT(w.pending_len > 3);
    answer_all(&result_away);
    w.g.calls = calls_new(&w.g);
    close_world();
}

UNIT_MAIN("gateway/calls/calls", UNIT(test_new_client_is_told_what_it_may_call),
          UNIT(test_events_are_announced_to_those_who_may_call),
          UNIT(test_lost_event_reads_the_list_and_tells_the_difference),
          UNIT(test_read_under_way_is_repeated_when_it_may_be_too_old), UNIT(test_reconnect_does_the_work_once),
          UNIT(test_list_that_cannot_be_read_leaves_the_replica), UNIT(test_malformed_events_are_counted),
          UNIT(test_call_returns_what_the_executor_sent), UNIT(test_result_may_come_before_the_answer),
          UNIT(test_results_are_checked), UNIT(test_refused_calls), UNIT(test_call_while_redis_is_away),
          UNIT(test_limits_of_a_caller), UNIT(test_deadline_ends_a_call_once),
          UNIT(test_buried_gateway_fails_its_calls), UNIT(test_burial_counts_while_the_list_is_read),
          UNIT(test_caller_that_left_is_forgotten), UNIT(test_serving_is_registered_once),
          UNIT(test_limit_of_functions), UNIT(test_job_is_handed_over_and_its_value_sent),
          UNIT(test_return_of_what_is_not_in_flight), UNIT(test_job_fails), UNIT(test_job_misses_its_deadline),
          UNIT(test_jobs_and_late_jobs_are_bounded), UNIT(test_job_survives_unsubscribe),
          UNIT(test_calls_wait_for_room), UNIT(test_calls_that_wait_are_bounded),
          UNIT(test_call_that_waited_too_long_is_never_executed), UNIT(test_calls_that_wait_end_with_their_function),
          UNIT(test_executor_that_left_fails_its_jobs),
          UNIT(test_call_for_nobody_is_refused_and_the_registration_ended),
          UNIT(test_malformed_calls_are_not_handed_over), UNIT(test_mailbox_garbage_is_counted),
          UNIT(test_leave_that_found_redis_away_is_made_good), UNIT(test_refused_leave_is_made_good),
          UNIT(test_result_that_nobody_heard_is_sent_again), UNIT(test_caller_asks_for_a_call_that_is_not_known),
          UNIT(test_comeback_asks_for_results), UNIT(test_call_in_a_cut_link), UNIT(test_executor_that_is_away),
          UNIT(test_timeout_that_the_executor_saw_first), UNIT(test_kept_results_are_bounded),
          UNIT(test_beat_tells_the_exact_counts), UNIT(test_beat_finds_a_silent_loss),
          UNIT(test_beat_finds_a_redis_that_went_back), UNIT(test_failed_registration_is_repeated),
          UNIT(test_buried_gateway_rises), UNIT(test_end_leaves_the_fleet))

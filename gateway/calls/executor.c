/* What local clients serve. An executor is a connection with functions; each of these (a service) is registered in Redis, and is
 * kept, closed to new calls, until the last job of it ended. A job ends by what its executor sends, by its deadline, or with the
 * connection; the late ones are remembered for a while, so that their answers are no mistakes. */
#include "gateway/calls/executor.h"

#include <assert.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "gateway/base/decimal.h"
#include "gateway/base/timer.h"
#include "gateway/calls/outcome.h"
#include "gateway/calls/results.h"
#include "gateway/net/pace.h"
#include "gateway/observe/garbage.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "gateway/observe/turn.h"
#include "protocol/base/alloc.h"
#include "protocol/json.h"

enum {
    LEASE_MS = 3 * EXECUTORS_BEAT_MS, /* a gateway that does not beat for so long is buried by the others */
    BEAT_EXECUTORS = 256,             /* per command, so that a crowd does not hold Redis up */
    LATE_MS = 60000,                  /* how long a job that missed its deadline may still be answered in silence */
    LATE_MAX = 4096,                  /* such jobs remembered per connection; the oldest is forgotten */
    RUNNING_MAX = 4096,               /* jobs of one connection */
    SERVED_MAX = 1024,                /* functions of one connection */
    TIMEOUT_MAX_MS = 24 * 3600 * 1000,
    TEXT_MAX = 16 << 20,
    TEXT_KEEP = 64 << 10
};

struct executors {
    struct gateway *gw;
    struct asks asks;
    struct map by_id;   /* struct executor */
    struct map by_call; /* struct job: all of them */
    struct results *results;
    size_t serving;      /* services that are open to new calls */
    size_t running;      /* jobs within their deadline */
    size_t waiting;      /* of them: not handed over yet */
    bool register_again; /* a registration failed */
    bool stale;          /* the end of one failed: Redis may hold what is not true any more */
    bool retired;        /* nothing is registered any more */
    struct buf text;     /* a result on its way to Redis; never kept across a call */
};

/* What a connection executes; made with its first function, lives until the connection closes. */
struct executor {
    struct map_node node; /* executors->by_id */
    struct executors *all;
    struct conn *conn;
    struct decimal id;   /* of the connection */
    struct map services; /* struct service */
    size_t serving;
    struct list running; /* struct job */
    struct list waiting; /* struct job, of them, for which the connection has no room yet, oldest first */
    size_t waiting_bytes;
    struct list late; /* struct job, oldest first */
    struct map jobs;  /* running and late ones, by the id that the client knows */
    uint64_t job_ids; /* last one given */
};

/* One function of one connection: it serves it, or it did and still has jobs of it. */
struct service {
    struct map_node node; /* executor->services, key = name */
    struct executor *executor;
    bool serving;
    bool registered; /* Redis was told, or may have been */
    size_t jobs;     /* running and late */
    int64_t answered, timed_out, sum_us, max_us, last_us;
    char name[];
};

struct job {
    struct list_node node; /* executor->running or executor->late */
    struct map_node by_id;
    struct map_node by_call;
    struct service *service;
    struct event timer; /* the deadline, then the end of being late */
    int64_t deadline_us;
    bool late;
    int64_t began_us;
    bool waits;                  /* its executor does not know of it yet */
    struct list_node in_waiting; /* then */
    struct slice args;           /* then: a copy, its own */
    char id[32];                 /* "s-<n>", canonical JSON text */
    struct result_call call;
    struct result_key key;
    char bytes[];
};

static void ignore_answer(void *arg, const struct store_result *r, int64_t n)
{
    (void)arg, (void)r, (void)n;
}

/* --- executors ---------------------------------------------------------------------------------------------------- */

static struct executor *executor_find(const struct executors *xs, struct slice id)
{
    struct map_node *n = map_find(&xs->by_id, id);
    return n ? container_of(n, struct executor, node) : NULL;
}

static struct executor *executor_of(const struct executors *xs, const struct conn *c)
{
    if (xs->by_id.count == 0)
        return NULL;
    struct decimal id = decimal_of(c->id);
    return executor_find(xs, decimal_slice(&id));
}

static struct executor *executor_new(struct executors *xs, struct conn *c)
{
    struct executor *x = sg_calloc(1, sizeof *x);
    x->all = xs;
    x->conn = c;
    x->id = decimal_of(c->id);
    map_init(&x->services);
    map_init(&x->jobs);
    list_init(&x->running);
    list_init(&x->waiting);
    list_init(&x->late);
    x->node.key = decimal_slice(&x->id);
    map_insert(&xs->by_id, &x->node);
    return x;
}

static void executor_free(struct executor *x)
{
    map_remove(&x->all->by_id, &x->node);
    map_deinit(&x->services);
    map_deinit(&x->jobs);
    free(x);
}

/* --- registration ------------------------------------------------------------------------------------------------- */

static void on_served(void *arg, const struct store_result *r, int64_t n)
{
    (void)n;
    struct executors *xs = ask_take(arg);
    if (!xs || r->status == STORE_OK)
        return;
    if (r->status != STORE_AWAY)
        log_limited(LOG_FAILED, LOG_LEVEL_WARN, "redis refused an executor error=%s", log_value(r->text));
    if (r->status != STORE_REFUSED) /* a refusal is final */
        xs->register_again = true;
}

static void service_register(struct service *s)
{
    struct executors *xs = s->executor->all;
    if (xs->retired)
        return;
    s->registered = true;
    store_fn_serve(xs->gw->store, slice_str(xs->gw->id), decimal_slice(&s->executor->id), s->node.key, LEASE_MS,
                   on_served, ask_new(&xs->asks));
}

static void on_left(void *arg, const struct store_result *r, int64_t n)
{
    (void)n;
    struct executors *xs = ask_take(arg);
    if (xs && r->status != STORE_OK) /* the registration may live on */
        xs->stale = true;
}

static void leave(struct executors *xs, struct slice exec, struct slice name)
{
    store_fn_leave(xs->gw->store, slice_str(xs->gw->id), exec, name, on_left, ask_new(&xs->asks));
}

/* service_withdraw: Redis chooses it no more. */
static void service_withdraw(struct service *s)
{
    if (!s->registered)
        return;
    s->registered = false;
    leave(s->executor->all, decimal_slice(&s->executor->id), s->node.key);
}

static void executor_register(const struct executor *x)
{
    for (struct map_node *n = map_next(&x->services, NULL); n; n = map_next(&x->services, n)) {
        struct service *s = container_of(n, struct service, node);
        if (s->serving)
            service_register(s);
    }
}

static struct service *service_find(const struct executor *x, struct slice name)
{
    struct map_node *n = x ? map_find(&x->services, name) : NULL;
    return n ? container_of(n, struct service, node) : NULL;
}

static bool registration_true(const struct executors *xs, const struct store_registration *held)
{
    const struct service *s = service_find(executor_find(xs, held->exec), held->name);
    return s && s->serving && !xs->retired;
}

static void held_read(struct executors *xs, struct slice place);

static void on_held(void *arg, const struct store_result *r, const struct store_held *h)
{
    struct executors *xs = ask_take(arg);
    if (!xs)
        return;
    if (r->status != STORE_OK) {
        xs->stale = true;
        return;
    }
    for (size_t i = 0; i < h->len; i++)
        if (!registration_true(xs, &h->registrations[i]))
            leave(xs, h->registrations[i].exec, h->registrations[i].name);
    if (!slice_eq(h->next, SLICE_LIT("0")))
        held_read(xs, h->next);
}

/* held_read looks through what Redis holds of this gateway, a piece at a time: what nobody serves is to go. */
static void held_read(struct executors *xs, struct slice place)
{
    store_fn_held(xs->gw->store, slice_str(xs->gw->id), place, on_held, ask_new(&xs->asks));
}

void executors_register(struct executors *xs)
{
    bool stale = xs->stale;
    xs->register_again = xs->stale = false;
    for (struct map_node *n = map_next(&xs->by_id, NULL); n; n = map_next(&xs->by_id, n))
        executor_register(container_of(n, struct executor, node));
    if (stale)
        held_read(xs, SLICE_LIT("0"));
}

bool executors_unsettled(const struct executors *xs)
{
    return xs->register_again || xs->stale;
}

void executors_retire(struct executors *xs)
{
    xs->retired = true;
    for (struct map_node *n = map_next(&xs->by_id, NULL); n; n = map_next(&xs->by_id, n)) {
        const struct executor *x = container_of(n, struct executor, node);
        for (struct map_node *m = map_next(&x->services, NULL); m; m = map_next(&x->services, m))
            service_withdraw(container_of(m, struct service, node));
    }
}

/* The first command renews the lease even when it names nobody. */
void executors_beat(const struct executors *xs, struct asks *asks, store_write_fn *on_beaten)
{
    struct slice gw = slice_str(xs->gw->id);
    struct store_busy busy[BEAT_EXECUTORS];
    size_t len = 0;
    bool sent = false;
    for (struct map_node *n = map_next(&xs->by_id, NULL); n; n = map_next(&xs->by_id, n)) {
        struct executor *x = container_of(n, struct executor, node);
        if (x->serving == 0)
            continue;
        busy[len++] = (struct store_busy){decimal_slice(&x->id), (int64_t)x->running.count};
        if (len == BEAT_EXECUTORS) {
            store_fn_beat(xs->gw->store, gw, LEASE_MS, busy, len, on_beaten, ask_new(asks));
            len = 0;
            sent = true;
        }
    }
    if (len > 0 || !sent)
        store_fn_beat(xs->gw->store, gw, LEASE_MS, busy, len, on_beaten, ask_new(asks));
}

/* --- services ----------------------------------------------------------------------------------------------------- */

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

/* service_end: no new calls from here on. The service itself stays for its jobs. */
static void service_end(struct service *s)
{
    if (!s->serving)
        return;
    s->serving = false;
    s->executor->serving--;
    s->executor->all->serving--;
    service_withdraw(s);
}

void executors_serve(struct executors *xs, struct conn *c, struct slice name)
{
    struct executor *x = executor_of(xs, c);
    struct service *s = service_find(x, name);
    if (s && s->serving)
        return;
    if (x && x->serving >= SERVED_MAX) {
        conn_error(c, ERROR_OTHER, SLICE_LIT("too many functions"), KIND_FUNCTION, name, SLICE_NONE);
        return;
    }
    if (!x)
        x = executor_new(xs, c);
    if (!s)
        s = service_new(x, name);
    s->serving = true;
    x->serving++;
    xs->serving++;
    if (xs->gw->redis_up) /* otherwise executors_register does it */
        service_register(s);
    pace_asked(c, 0, 0);
}

void executors_unserve(struct executors *xs, const struct conn *c, struct slice name)
{
    struct service *s = service_find(executor_of(xs, c), name);
    if (!s)
        return;
    service_end(s);
    service_release(s);
}

void executors_unserve_all(struct executors *xs, const struct conn *c)
{
    struct executor *x = executor_of(xs, c);
    if (!x)
        return;
    for (struct map_node *n = map_next(&x->services, NULL), *next; n; n = next) {
        next = map_next(&x->services, n);
        struct service *s = container_of(n, struct service, node);
        service_end(s);
        service_release(s);
    }
}

void executors_revoke(struct executors *xs, struct conn *c)
{
    const struct executor *x = executor_of(xs, c);
    if (!x)
        return;
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
        service_end(s);
        service_release(s);
    }
    conn_answer_scratch(c, messages);
}

bool executors_serves(const struct executors *xs, const struct conn *c, struct slice name)
{
    const struct service *s = service_find(executor_of(xs, c), name);
    return s && s->serving;
}

bool executors_executes(const struct executors *xs, const struct conn *c, struct slice name)
{
    const struct service *s = service_find(executor_of(xs, c), name);
    return s && s->jobs > 0;
}

bool executors_busy(const struct executors *xs, const struct conn *c)
{
    const struct executor *x = executor_of(xs, c);
    return x && x->running.count > 0;
}

size_t executors_services(const struct executors *xs)
{
    return xs->serving;
}

size_t executors_jobs(const struct executors *xs)
{
    return xs->running + executors_unheard(xs);
}

size_t executors_unheard(const struct executors *xs)
{
    return results_unheard(xs->results);
}

/* --- jobs --------------------------------------------------------------------------------------------------------- */

static struct job *job_of_call(const struct executors *xs, struct result_call call)
{
    struct result_key key = result_key_of(call);
    struct map_node *n = map_find(&xs->by_call, slice_of(key.bytes, key.len));
    return n ? container_of(n, struct job, by_call) : NULL;
}

static int64_t timeout_ms_of(const struct call_event *e)
{
    return e->timeout_ms < TIMEOUT_MAX_MS ? e->timeout_ms : TIMEOUT_MAX_MS;
}

static void on_job_timer(evutil_socket_t fd, short what, void *arg);

static struct job *job_new(struct service *s, const struct call_event *e)
{
    struct executor *x = s->executor;
    struct job *j = sg_calloc(1, sizeof *j + e->corr.len + e->gw.len);
    char *at = j->bytes;
    j->call.corr = slice_put(&at, e->corr);
    j->call.caller_gw = slice_put(&at, e->gw);
    j->key = result_key_of(j->call);
    j->by_call.key = slice_of(j->key.bytes, j->key.len);
    map_insert(&x->all->by_call, &j->by_call);
    struct decimal number = decimal_of(++x->job_ids);
    at = j->id;
    slice_put(&at, SLICE_LIT("\"s-"));
    slice_put(&at, decimal_slice(&number));
    slice_put(&at, SLICE_LIT("\""));
    j->by_id.key = slice_of(j->id, (size_t)(at - j->id));
    map_insert(&x->jobs, &j->by_id);
    list_append(&x->running, &j->node);
    x->all->running++;
    j->service = s;
    j->began_us = turn_now_us();
    s->jobs++;
    evtimer_assign(&j->timer, x->all->gw->base, on_job_timer, j);
    timer_start(&j->timer, timeout_ms_of(e));
    j->deadline_us = turn_now_us() + timeout_ms_of(e) * 1000;
    return j;
}

static void job_leave_list(struct job *j)
{
    struct executor *x = j->service->executor;
    list_remove(j->late ? &x->late : &x->running, &j->node);
    if (!j->late)
        x->all->running--;
}

/* job_wait keeps what the executor is to be told until there is room for it. */
static void job_wait(struct job *j, struct slice args)
{
    struct executor *x = j->service->executor;
    char *copy = args.len > 0 ? sg_malloc(args.len) : NULL;
    if (copy)
        memcpy(copy, args.ptr, args.len);
    j->args = copy ? slice_of(copy, args.len) : SLICE_NONE;
    j->waits = true;
    list_append(&x->waiting, &j->in_waiting);
    x->waiting_bytes += args.len;
    metric_add(METRIC_QUEUED_BYTES, (int64_t)args.len);
    x->all->waiting++;
    conn_waits(x->conn, WAIT_CALLS, true);
    conn_wait_for_room(x->conn);
}

/* job_waits_no_more returns what it was to be told, which is the caller's to free. */
static struct slice job_waits_no_more(struct job *j)
{
    struct executor *x = j->service->executor;
    if (!j->waits)
        return SLICE_NONE;
    j->waits = false;
    list_remove(&x->waiting, &j->in_waiting);
    x->waiting_bytes -= j->args.len;
    metric_add(METRIC_QUEUED_BYTES, -(int64_t)j->args.len);
    x->all->waiting--;
    conn_waits(x->conn, WAIT_CALLS, x->waiting.count > 0);
    conn_weigh(x->conn);
    return j->args;
}

static void args_free(struct slice args)
{
    free((char *)(uintptr_t)args.ptr);
}

static void job_free(struct job *j)
{
    struct service *s = j->service;
    event_del(&j->timer);
    args_free(job_waits_no_more(j));
    job_leave_list(j);
    map_remove(&s->executor->jobs, &j->by_id);
    map_remove(&s->executor->all->by_call, &j->by_call);
    free(j);
    s->jobs--;
    service_release(s);
}

static void job_report(const struct job *j, struct slice result)
{
    const struct executor *x = j->service->executor;
    int64_t left_ms = (j->deadline_us - turn_now_us()) / 1000;
    results_put(x->all->results, j->call, decimal_slice(&x->id), left_ms, result);
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
    j->deadline_us = 0; /* whoever waited has given up likewise: nothing to keep */
    j->service->timed_out++;
    job_report(j, SLICE_LIT("t"));
    if (j->waits) /* the executor never heard of it */
        job_free(j);
    else
        job_become_late(j);
}

static struct job *job_find(const struct executors *xs, const struct conn *c, struct slice id)
{
    struct executor *x = executor_of(xs, c);
    struct map_node *n = x ? map_find(&x->jobs, id) : NULL;
    return n ? container_of(n, struct job, by_id) : NULL;
}

static void service_answered(struct service *s, int64_t us)
{
    s->answered++;
    s->sum_us += us;
    s->last_us = us;
    s->max_us = us > s->max_us ? us : s->max_us;
}

/* job_finish ends a job by what its executor sent; a late one ends in silence. */
static void job_finish(struct job *j, const struct outcome *o)
{
    struct buf *text = &j->service->executor->all->text;
    buf_reset(text);
    outcome_put(text, o);
    if (!j->late) {
        service_answered(j->service, turn_now_us() - j->began_us);
        job_report(j, text->failed ? SLICE_LIT("e 8 result too large") : buf_slice(text));
    }
    job_free(j);
    buf_reset(text);
    buf_trim(text, TEXT_KEEP);
}

void executors_return(struct executors *xs, struct conn *c, const struct action *a)
{
    struct job *j = job_find(xs, c, a->id);
    if (!j || j->waits || !slice_eq(j->service->node.key, a->name)) {
        conn_error(c, ERROR_ID, SLICE_LIT("no such call"), KIND_FUNCTION, a->name, a->id);
        return;
    }
    job_finish(j, &(struct outcome){.rest = a->has_value ? a->value : SLICE_NONE});
}

void executors_failed(struct executors *xs, struct conn *c, const struct action *a)
{
    struct job *j = job_find(xs, c, a->id);
    if (!j || j->waits || (a->name.ptr && !slice_eq(j->service->node.key, a->name)))
        return; /* an error is never answered */
    struct slice text = SLICE_NONE;
    buf_reset(&c->gw->scratch);
    if (a->text_json.len > 0)
        (void)json_string(a->text_json, TEXT_MAX, &c->gw->scratch, &text);
    job_finish(j, &(struct outcome){.failed = true, .code = outcome_code(a->error), .rest = text});
}

/* Calls reach an executor in the order in which they came. */
static bool has_to_wait(const struct executor *x)
{
    return x->waiting.count > 0 || !conn_room(x->conn);
}

/* Why a call cannot be handed to its executor, as a result; ptr NULL when it can. */
static struct slice job_refusal(const struct service *s, const struct call_event *e)
{
    if (!s || !s->serving || s->executor->conn->state != CONN_OPEN)
        return SLICE_LIT("e 8 executor gone");
    if (s->executor->running.count >= RUNNING_MAX)
        return SLICE_LIT("e 8 executor overloaded");
    if (has_to_wait(s->executor) && s->executor->waiting_bytes + e->body.len > conn_waiting_max(s->executor->conn))
        return SLICE_LIT("e 8 busy");
    if (e->body.len > 0 && (e->body.ptr[0] != '{' || !json_valid(e->body, OUTCOME_DEPTH_MAX))) {
        garbage_dropped("arguments");
        return SLICE_LIT("e 8 bad arguments");
    }
    return SLICE_NONE;
}

void executors_again(struct executors *xs, const struct call_event *e)
{
    struct result_call call = {e->corr, e->gw};
    if (!results_again(xs->results, call) && !job_of_call(xs, call))
        results_put(xs->results, call, SLICE_LIT("-"), 0, SLICE_LIT("e 8 executor gone"));
}

void executors_resend(struct executors *xs)
{
    results_resend(xs->results);
}

static void job_send(struct job *j, struct slice args)
{
    struct conn *c = j->service->executor->conn;
    buf_reset(&c->gw->scratch);
    uint32_t messages =
        c->dialect->call->call(&c->gw->scratch, j->service->node.key, j->by_id.key, args.len > 0 ? args : SLICE_NONE);
    if (c->gw->scratch.failed) {
        job_report(j, SLICE_LIT("e 8 arguments too large"));
        job_free(j);
        return;
    }
    conn_ask(c, buf_slice(&c->gw->scratch), messages);
}

void executors_accept(struct executors *xs, const struct call_event *e)
{
    struct result_call call = {e->corr, e->gw};
    struct service *s = service_find(executor_find(xs, e->exec), e->name);
    if (job_of_call(xs, call)) {
        garbage_dropped("call");
        return;
    }
    struct slice refusal = job_refusal(s, e);
    if (refusal.ptr) {
        results_put(xs->results, call, e->exec, timeout_ms_of(e), refusal);
        if (!s || !s->serving) /* a registration that outlived its executor; leaving twice does no harm */
            leave(xs, e->exec, e->name);
        return;
    }
    bool wait = has_to_wait(s->executor);
    struct job *j = job_new(s, e);
    if (wait)
        job_wait(j, e->body);
    else
        job_send(j, e->body);
}

void executors_deliver(const struct executors *xs, const struct conn *c, size_t limit)
{
    struct executor *x = xs->waiting ? executor_of(xs, c) : NULL;
    struct list_node *n;
    while (x && c->out.bytes < limit && (n = list_first(&x->waiting))) {
        struct job *j = container_of(n, struct job, in_waiting);
        struct slice args = job_waits_no_more(j);
        if (j->service->serving) {
            job_send(j, args);
        } else { /* it ended before the executor knew */
            job_report(j, SLICE_LIT("e 8 executor gone"));
            job_free(j);
        }
        args_free(args);
    }
}

/* --- for those who look -------------------------------------------------------------------------------------------- */

static void look_at(const struct executor *x, service_look_fn *fn, void *arg)
{
    for (struct map_node *n = map_next(&x->services, NULL); n; n = map_next(&x->services, n)) {
        const struct service *s = container_of(n, struct service, node);
        fn(arg, &(struct service_look){.conn = x->conn->id,
                                       .name = n->key,
                                       .serving = s->serving,
                                       .running = s->jobs,
                                       .answered = s->answered,
                                       .timed_out = s->timed_out,
                                       .sum_us = s->sum_us,
                                       .max_us = s->max_us,
                                       .last_us = s->last_us});
    }
}

void executors_look(const struct executors *xs, uint64_t *cursor, service_look_fn *fn, void *arg)
{
    for (struct map_node *n = map_scan(&xs->by_id, cursor); n; n = n->next)
        look_at(container_of(n, struct executor, node), fn, arg);
}

void executors_look_at(const struct executors *xs, const struct conn *c, service_look_fn *fn, void *arg)
{
    const struct executor *x = executor_of(xs, c);
    if (x)
        look_at(x, fn, arg);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

/* No new calls first; then the running ones fail, which lets go of their services; then what is left of those. */
void executors_close(struct executors *xs, const struct conn *c)
{
    struct executor *x = executor_of(xs, c);
    if (!x)
        return;
    for (struct map_node *n = map_next(&x->services, NULL); n; n = map_next(&x->services, n))
        service_end(container_of(n, struct service, node));
    list_each(&x->running, n)
    {
        struct job *j = container_of(n, struct job, node);
        job_report(j, SLICE_LIT("e 8 executor gone"));
        job_free(j);
    }
    list_each(&x->late, n) job_free(container_of(n, struct job, node));
    for (struct map_node *n; (n = map_next(&x->services, NULL));)
        service_release(container_of(n, struct service, node));
    executor_free(x);
}

struct executors *executors_new(struct gateway *g)
{
    struct executors *xs = sg_calloc(1, sizeof *xs);
    xs->gw = g;
    asks_init(&xs->asks, xs);
    map_init(&xs->by_id);
    map_init(&xs->by_call);
    xs->results = results_new(g);
    buf_init(&xs->text, TEXT_MAX);
    return xs;
}

void executors_free(struct executors *xs)
{
    assert(xs->by_id.count == 0);
    if (xs->gw->redis_up)
        store_fn_gone(xs->gw->store, slice_str(xs->gw->id), ignore_answer, NULL);
    asks_deinit(&xs->asks);
    results_free(xs->results);
    map_deinit(&xs->by_id);
    map_deinit(&xs->by_call);
    buf_deinit(&xs->text);
    free(xs);
}

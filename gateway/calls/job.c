/* Calls that executors were handed: a job ends by what its executor sends, by its deadline, or with the connection; the late ones are
 * remembered for a while, so that their answers are no mistakes. */
#include <assert.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/base/timer.h"
#include "gateway/calls/executor_parts.h"
#include "gateway/calls/outcome.h"
#include "gateway/observe/garbage.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "gateway/observe/turn.h"
#include "protocol/base/alloc.h"
#include "protocol/json.h"

enum {
    LATE_MS = 60000,    /* how long a job that missed its deadline may still be answered in silence */
    LATE_MAX = 4096,    /* such jobs remembered per connection; the oldest is forgotten */
    RUNNING_MAX = 4096, /* jobs of one connection */
    TIMEOUT_MAX_MS = 24 * 3600 * 1000,
    TEXT_KEEP = 64 << 10
};

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

void job_free(struct job *j)
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

void job_report(const struct job *j, struct slice result)
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
        (void)json_string(a->text_json, EXECUTOR_TEXT_MAX, &c->gw->scratch, &text);
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

void executors_back(struct executors *xs, struct slice gw)
{
    results_back(xs->results, gw);
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
    conn_tell(c, buf_slice(&c->gw->scratch), messages);
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
            service_leave(xs, e->exec, e->name);
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

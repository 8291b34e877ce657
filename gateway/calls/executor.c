/* What local clients serve. An executor is a connection with functions; each of these (a service) is registered in Redis, and is
 * kept, closed to new calls, until the last job of it ended. */
#include "gateway/calls/executor.h"

#include <assert.h>
#include <stdlib.h>

#include "gateway/calls/executor_parts.h"
#include "gateway/net/pace.h"
#include "gateway/observe/metrics.h"
#include "gateway/observe/turn.h"
#include "protocol/base/alloc.h"

enum {
    SERVED_MAX = 1024 /* functions of one connection */
};

static void ignore_answer(void *arg, const struct store_result *r, int64_t n)
{
    (void)arg, (void)r, (void)n;
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
    buf_init(&xs->text, EXECUTOR_TEXT_MAX);
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

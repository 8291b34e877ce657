/* What is registered in Redis: who serves which function. It is told again until it is true. */
#include <stdlib.h>

#include "gateway/calls/executor_parts.h"
#include "gateway/net/pace.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "protocol/base/alloc.h"

enum {
    LEASE_MS = 3 * EXECUTORS_BEAT_MS, /* a gateway that does not beat for so long is buried by the others */
    BEAT_EXECUTORS = 256              /* per command, so that a crowd does not hold Redis up */
};

/* --- executors ---------------------------------------------------------------------------------------------------- */

struct executor *executor_find(const struct executors *xs, struct slice id)
{
    struct map_node *n = map_find(&xs->by_id, id);
    return n ? container_of(n, struct executor, node) : NULL;
}

struct executor *executor_of(const struct executors *xs, const struct conn *c)
{
    if (xs->by_id.count == 0)
        return NULL;
    struct decimal id = decimal_of(c->id);
    return executor_find(xs, decimal_slice(&id));
}

struct executor *executor_new(struct executors *xs, struct conn *c)
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

void executor_free(struct executor *x)
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

void service_register(struct service *s)
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

void service_leave(struct executors *xs, struct slice exec, struct slice name)
{
    store_fn_leave(xs->gw->store, slice_str(xs->gw->id), exec, name, on_left, ask_new(&xs->asks));
}

/* service_withdraw: Redis chooses it no more. */
static void service_withdraw(struct service *s)
{
    if (!s->registered)
        return;
    s->registered = false;
    service_leave(s->executor->all, decimal_slice(&s->executor->id), s->node.key);
}

static void executor_register(const struct executor *x)
{
    for (struct map_node *n = map_next(&x->services, NULL); n; n = map_next(&x->services, n)) {
        struct service *s = container_of(n, struct service, node);
        if (s->serving)
            service_register(s);
    }
}

struct service *service_find(const struct executor *x, struct slice name)
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
            service_leave(xs, h->registrations[i].exec, h->registrations[i].name);
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

struct service *service_new(struct executor *x, struct slice name)
{
    struct service *s = sg_calloc(1, sizeof *s + name.len);
    memcpy(s->name, name.ptr, name.len);
    s->node.key = slice_of(s->name, name.len);
    s->executor = x;
    map_insert(&x->services, &s->node);
    return s;
}

void service_release(struct service *s)
{
    if (s->serving || s->jobs > 0)
        return;
    map_remove(&s->executor->services, &s->node);
    free(s);
}

void service_end(struct service *s)
{
    if (!s->serving)
        return;
    s->serving = false;
    s->executor->serving--;
    s->executor->all->serving--;
    service_withdraw(s);
}

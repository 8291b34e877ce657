/* The rest of Redis: no functions in this world. */
#include <stdlib.h>

#include "redis/store.h"
#include "tests/unit/engine/world_parts.h"

struct slice store_calls_channel(const struct store *s)
{
    (void)s;
    return SLICE_LIT("calls");
}

static void fn_ok(struct errand *e)
{
    e->rev = 1;
}

#define FN_WRITE(function, ...)                                                                                        \
    void function(__VA_ARGS__, store_write_fn *cb, void *arg)                                                          \
    {                                                                                                                  \
        errand_send(errand_new(s, fn_ok, errand_wrote, SLICE_NONE, (void *)cb, arg));                                  \
    }

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
FN_WRITE(store_fn_serve, struct store *s, struct slice gw, struct slice exec, struct slice name, int64_t lease_ms)
FN_WRITE(store_fn_leave, struct store *s, struct slice gw, struct slice exec, struct slice name)
FN_WRITE(store_fn_gone, struct store *s, struct slice gw)
FN_WRITE(store_fn_beat, struct store *s, struct slice gw, int64_t lease_ms, const struct store_busy *busy, size_t nbusy)
FN_WRITE(store_fn_done, struct store *s, struct slice executor_gw, struct slice exec, struct slice corr,
         struct slice caller_gw, struct slice result)
FN_WRITE(store_fn_back, struct store *s, struct slice gw, int64_t number)
FN_WRITE(store_fn_again, struct store *s, struct slice caller_gw, const struct store_again *calls, size_t ncalls)
#pragma GCC diagnostic pop

static void held_answer(struct errand *e, bool away)
{
    struct store_result r = errand_result(e, away);
    struct store_held held = {.next = SLICE_LIT("0")};
    ((store_fn_held_fn *)e->cb)(e->arg, &r, &held);
}

void store_fn_held(struct store *s, struct slice gw, struct slice place, store_fn_held_fn *cb, void *arg)
{
    (void)gw, (void)place;
    errand_send(errand_new(s, fn_ok, held_answer, SLICE_NONE, (void *)cb, arg));
}

static void functions_answer(struct errand *e, bool away)
{
    struct store_result r = errand_result(e, away);
    struct store_functions none = {.rev = 1};
    ((store_fn_list_fn *)e->cb)(e->arg, &r, &none);
}

void store_fn_list(struct store *s, store_fn_list_fn *cb, void *arg)
{
    errand_send(errand_new(s, fn_ok, functions_answer, SLICE_NONE, (void *)cb, arg));
}

void store_fn_call(struct store *s, struct slice name, struct slice corr, struct slice gw, int64_t timeout_ms,
                   struct slice args, store_fn_call_fn *cb, void *arg)
{
    (void)s, (void)name, (void)corr, (void)gw, (void)timeout_ms, (void)args, (void)cb, (void)arg;
    abort();
}

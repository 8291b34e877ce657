/* Functions and their calls, and the fleet. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/base/alloc.h"
#include "redis/op.h"
#include "redis/store.h"

/* --- calls --- */

void store_fn_serve(struct store *s, struct slice gw, struct slice exec, struct slice name, int64_t lease_ms,
                    store_write_fn *cb, void *arg)
{
    struct words w;
    words_begin(&w, OP_WRITE, SLICE_LIT("sg_fn_serve"), s->calls_root, 4);
    words_put(&w, gw);
    words_put(&w, exec);
    words_put(&w, name);
    words_put_i64(&w, lease_ms);
    words_send(&w, op_write(s, cb, arg));
}

void store_fn_leave(struct store *s, struct slice gw, struct slice exec, struct slice name, store_write_fn *cb,
                    void *arg)
{
    struct words w;
    words_begin(&w, OP_WRITE, SLICE_LIT("sg_fn_leave"), s->calls_root, 3);
    words_put(&w, gw);
    words_put(&w, exec);
    words_put(&w, name);
    words_send(&w, op_write(s, cb, arg));
}

void store_fn_gone(struct store *s, struct slice gw, store_write_fn *cb, void *arg)
{
    struct words w;
    words_begin(&w, OP_WRITE, SLICE_LIT("sg_fn_gone"), s->calls_root, 1);
    words_put(&w, gw);
    words_send(&w, op_write(s, cb, arg));
}

void store_fn_beat(struct store *s, struct slice gw, int64_t lease_ms, const struct store_busy *busy, size_t nbusy,
                   store_write_fn *cb, void *arg)
{
    struct words w;
    words_begin(&w, OP_WRITE, SLICE_LIT("sg_fn_beat"), s->calls_root, 2 + 2 * nbusy);
    words_put(&w, gw);
    words_put_i64(&w, lease_ms);
    for (size_t i = 0; i < nbusy; i++) {
        words_put(&w, busy[i].exec);
        words_put_i64(&w, busy[i].inflight);
    }
    words_send(&w, op_write(s, cb, arg));
}

static bool read_held(struct store *s, const struct reply *reply, struct store_held *h)
{
    if (reply->type != REPLY_ARRAY || reply->len % 2 != 1 || !shape_text(reply_at(reply, 0), &h->next))
        return false;
    size_t len = reply->len / 2;
    struct store_registration *all = op_scratch(s, len * sizeof *all);
    for (size_t i = 0; i < len; i++) {
        if (!shape_text(reply_at(reply, 2 * i + 1), &all[i].exec) ||
            !shape_text(reply_at(reply, 2 * i + 2), &all[i].name))
            return false;
    }
    h->len = len;
    h->registrations = all;
    return true;
}

static void finish_held(struct op *op, const struct store_result *r, const struct reply *reply)
{
    struct store_held h = {.len = 0};
    if (reply && !read_held(op->store, reply, &h)) {
        h = (struct store_held){.len = 0};
        r = op_misshaped(op);
    }
    op->cb.held(op->arg, r, &h);
}

void store_fn_held(struct store *s, struct slice gw, struct slice place, store_fn_held_fn *cb, void *arg)
{
    struct op *op = op_new(s);
    struct words w;
    op->finish = finish_held;
    op->cb.held = cb;
    op->arg = arg;
    words_begin(&w, OP_READ, SLICE_LIT("sg_fn_held"), s->calls_root, 2);
    words_put(&w, gw);
    words_put(&w, place);
    words_send(&w, op);
}

static bool read_functions(struct store *s, const struct reply *reply, struct store_functions *f)
{
    if (reply->type != REPLY_ARRAY || reply->len < 1 || !shape_count(reply_at(reply, 0), &f->rev))
        return false;
    size_t len = reply->len - 1;
    struct slice *names = op_scratch(s, len * sizeof *names);
    for (size_t i = 0; i < len; i++) {
        if (!shape_text(reply_at(reply, i + 1), &names[i]))
            return false;
    }
    f->len = len;
    f->names = names;
    return true;
}

static void finish_functions(struct op *op, const struct store_result *r, const struct reply *reply)
{
    struct store_functions f = {.rev = 0};
    if (reply && !read_functions(op->store, reply, &f)) {
        f = (struct store_functions){.rev = 0};
        r = op_misshaped(op);
    }
    op->cb.functions(op->arg, r, &f);
}

void store_fn_list(struct store *s, store_fn_list_fn *cb, void *arg)
{
    struct op *op = op_new(s);
    struct words w;
    op->finish = finish_functions;
    op->cb.functions = cb;
    op->arg = arg;
    words_begin(&w, OP_READ, SLICE_LIT("sg_fn_list"), s->calls_root, 0);
    words_send(&w, op);
}

static void finish_executor(struct op *op, const struct store_result *r, const struct reply *reply)
{
    struct store_executor x = {.gw = SLICE_NONE};
    if (reply) {
        bool good = shape_is_array(reply, 2) && shape_text(reply_at(reply, 0), &x.gw) &&
                    shape_text(reply_at(reply, 1), &x.exec);
        if (!good) {
            x = (struct store_executor){.gw = SLICE_NONE};
            r = op_misshaped(op);
        }
    }
    op->cb.executor(op->arg, r, &x);
}

void store_fn_call(struct store *s, struct slice name, struct slice corr, struct slice gw, int64_t timeout_ms,
                   struct slice args, store_fn_call_fn *cb, void *arg)
{
    struct op *op = op_new(s);
    struct words w;
    op->finish = finish_executor;
    op->cb.executor = cb;
    op->arg = arg;
    words_begin(&w, OP_WRITE, SLICE_LIT("sg_fn_call"), s->calls_root, 5);
    words_put(&w, name);
    words_put(&w, corr);
    words_put(&w, gw);
    words_put_i64(&w, timeout_ms);
    words_put(&w, args);
    words_send(&w, op);
}

void store_fn_done(struct store *s, struct slice executor_gw, struct slice exec, struct slice corr,
                   struct slice caller_gw, struct slice result, store_write_fn *cb, void *arg)
{
    struct words w;
    words_begin(&w, OP_WRITE, SLICE_LIT("sg_fn_done"), s->calls_root, 5);
    words_put(&w, executor_gw);
    words_put(&w, exec);
    words_put(&w, corr);
    words_put(&w, caller_gw);
    words_put(&w, result);
    words_send(&w, op_write(s, cb, arg));
}

void store_fn_back(struct store *s, struct slice gw, int64_t number, store_write_fn *cb, void *arg)
{
    struct words w;
    words_begin(&w, OP_WRITE, SLICE_LIT("sg_fn_back"), s->calls_root, 2);
    words_put(&w, gw);
    words_put_i64(&w, number);
    words_send(&w, op_write(s, cb, arg));
}

void store_fn_again(struct store *s, struct slice caller_gw, const struct store_again *calls, size_t ncalls,
                    store_write_fn *cb, void *arg)
{
    struct words w;
    words_begin(&w, OP_WRITE, SLICE_LIT("sg_fn_again"), s->calls_root, 1 + 2 * ncalls);
    words_put(&w, caller_gw);
    for (size_t i = 0; i < ncalls; i++) {
        words_put(&w, calls[i].gw);
        words_put(&w, calls[i].corr);
    }
    words_send(&w, op_write(s, cb, arg));
}

/* --- the fleet --- */

void store_fleet_beat(struct store *s, struct slice gw, struct slice record, int64_t keep_ms, store_write_fn *cb,
                      void *arg)
{
    struct words w;
    words_begin(&w, OP_WRITE, SLICE_LIT("sg_fleet_beat"), s->calls_root, 3);
    words_put(&w, gw);
    words_put(&w, record);
    words_put_i64(&w, keep_ms);
    words_send(&w, op_write(s, cb, arg));
}

static bool read_fleet(struct store *s, const struct reply *reply, struct store_fleet *f)
{
    if (reply->type != REPLY_ARRAY || reply->len % 3 != 0)
        return false;
    size_t len = reply->len / 3;
    struct store_gateway *gateways = op_scratch(s, len * sizeof *gateways);
    for (size_t i = 0; i < len; i++) {
        struct store_gateway *g = &gateways[i];
        if (!shape_text(reply_at(reply, 3 * i), &g->gw) || !reply_i64(reply_at(reply, 3 * i + 1), &g->age_ms) ||
            !shape_text(reply_at(reply, 3 * i + 2), &g->record))
            return false;
    }
    f->len = len;
    f->gateways = gateways;
    return true;
}

static void finish_fleet(struct op *op, const struct store_result *r, const struct reply *reply)
{
    struct store_fleet f = {.len = 0};
    if (reply && !read_fleet(op->store, reply, &f)) {
        f = (struct store_fleet){.len = 0};
        r = op_misshaped(op);
    }
    op->cb.fleet(op->arg, r, &f);
}

void store_fleet_list(struct store *s, int64_t keep_ms, store_fleet_fn *cb, void *arg)
{
    struct op *op = op_new(s);
    struct words w;
    op->finish = finish_fleet;
    op->cb.fleet = cb;
    op->arg = arg;
    words_begin(&w, OP_READ, SLICE_LIT("sg_fleet_list"), s->calls_root, 1);
    words_put_i64(&w, keep_ms);
    words_send(&w, op);
}

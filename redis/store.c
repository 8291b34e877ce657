/* Variables and lists: what is read of them, and what is written. */
#include "redis/store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/base/alloc.h"
#include "redis/keys.h"
#include "redis/op.h"

/* --- variables --- */

/* [rev, nil, bytes] says how large a value is for which there was no room. */
static bool read_larger(const struct reply *reply, size_t *larger)
{
    int64_t bytes;
    if (reply_at(reply, 1)->type != REPLY_NIL || !shape_count(reply_at(reply, 2), &bytes) || bytes == 0)
        return false;
    *larger = (size_t)bytes;
    return true;
}

static void finish_var(struct op *op, const struct store_result *r, const struct reply *reply)
{
    struct store_var v = {.rev = 0};
    if (reply) {
        const struct reply *value = reply_at(reply, 1);
        bool good = reply->type == REPLY_ARRAY && reply->len <= 3 && shape_count(reply_at(reply, 0), &v.rev);
        v.exists = value->type != REPLY_NIL || reply->len == 3;
        good = good && (!v.exists ||
                        ((reply->len == 3 ? read_larger(reply, &v.larger) : shape_text(value, &v.value)) && v.rev > 0));
        if (!good) {
            v = (struct store_var){.rev = 0};
            r = op_misshaped(op);
        }
    }
    op->cb.var(op->arg, r, &v);
}

void store_var_read(struct store *s, struct slice name, size_t room, store_var_fn *cb, void *arg)
{
    struct op *op = op_new(s);
    struct slice root;
    struct words w;
    op->finish = finish_var;
    op->cb.var = cb;
    op->arg = arg;
    if (!op_root(op, name, &root))
        return;
    words_begin(&w, OP_READ, SLICE_LIT("sg_var_read"), root, 1);
    words_put_i64(&w, (int64_t)room);
    words_send(&w, op);
}

/* --- lists --- */

static struct wish *wish_new(const struct store_range *ranges, size_t nranges, const struct slice *ids, size_t nids)
{
    size_t bytes = 0;
    for (size_t i = 0; i < nids; i++)
        bytes += ids[i].len;
    struct wish *w = sg_malloc(sizeof *w + nranges * sizeof *ranges + nids * sizeof *ids + bytes);
    w->nranges = nranges;
    w->nids = nids;
    w->ranges = (struct store_range *)(w + 1);
    w->ids = (struct slice *)(w->ranges + nranges);
    if (nranges)
        memcpy(w->ranges, ranges, nranges * sizeof *ranges);
    char *at = (char *)(w->ids + nids);
    for (size_t i = 0; i < nids; i++) {
        memcpy(at, ids[i].ptr, ids[i].len);
        w->ids[i] = slice_of(at, ids[i].len);
        at += ids[i].len;
    }
    return w;
}

/* read_range reads [id, value, id, value …], at most as many as were asked for, and cuts range->count to what there was. */
static bool read_range(const struct reply *pairs, struct store_range *range, struct store_item *items)
{
    if (pairs->type != REPLY_ARRAY || pairs->len % 2 != 0)
        return false;
    size_t count = pairs->len / 2;
    if (range->count < 0 || count > (uint64_t)range->count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!shape_text(reply_at(pairs, 2 * i), &items[i].id) ||
            !shape_text(reply_at(pairs, 2 * i + 1), &items[i].value))
            return false;
        items[i].index = range->start + (int64_t)i;
    }
    range->count = (int64_t)count;
    return true;
}

static bool is_absent(const struct reply *r)
{
    return r->type == REPLY_NIL || (r->type == REPLY_BOOL && r->integer == 0) || shape_is_array(r, 0);
}

/* read_found reads [index, value], or what stands for an item that is not there. */
static bool read_found(const struct reply *r, struct slice id, struct store_item *item)
{
    *item = (struct store_item){.index = -1};
    if (is_absent(r))
        return true;
    if (r->type == REPLY_INTEGER && r->integer == 0) {
        item->index = STORE_NOT_READ;
        return true;
    }
    item->id = id;
    return shape_is_array(r, 2) && shape_count(reply_at(r, 0), &item->index) &&
           shape_text(reply_at(r, 1), &item->value);
}

static size_t count_items(const struct reply *ranges)
{
    size_t count = 0;
    for (size_t i = 0; i < ranges->len; i++)
        count += reply_at(ranges, i)->len / 2;
    return count;
}

static bool read_list(struct op *op, const struct reply *reply, struct store_list *l)
{
    const struct reply *ranges = reply_at(reply, 3), *ids = reply_at(reply, 4);
    struct wish *wish = op->wish;
    int64_t larger = 0;
    bool head = shape_is_array(reply, 6) && shape_count(reply_at(reply, 5), &larger) &&
                shape_count(reply_at(reply, 0), &l->rev) && shape_bool(reply_at(reply, 1), &l->exists) &&
                shape_count(reply_at(reply, 2), &l->total);
    if (!head || !shape_is_array(ranges, wish->nranges) || !shape_is_array(ids, wish->nids))
        return false;
    size_t nitems = count_items(ranges);
    struct store_item *items = op_scratch(op->store, (nitems + wish->nids) * sizeof *items);
    struct store_item *found = items + nitems;
    for (size_t i = 0, at = 0; i < wish->nranges; i++) {
        if (!read_range(reply_at(ranges, i), &wish->ranges[i], items + at))
            return false;
        at += (size_t)wish->ranges[i].count;
    }
    for (size_t i = 0; i < wish->nids; i++) {
        if (!read_found(reply_at(ids, i), wish->ids[i], &found[i]))
            return false;
    }
    l->larger = (size_t)larger;
    l->nranges = wish->nranges;
    l->ranges = wish->ranges;
    l->items = items;
    l->nids = wish->nids;
    l->ids = found;
    return true;
}

static void finish_list(struct op *op, const struct store_result *r, const struct reply *reply)
{
    struct store_list l = {.rev = 0};
    if (reply && !read_list(op, reply, &l)) {
        l = (struct store_list){.rev = 0};
        r = op_misshaped(op);
    }
    op->cb.list(op->arg, r, &l);
}

void store_list_read(struct store *s, struct slice name, const struct store_want *want, store_list_fn *cb, void *arg)
{
    struct op *op = op_new(s);
    struct slice root;
    struct words w;
    op->finish = finish_list;
    op->cb.list = cb;
    op->arg = arg;
    if (!op_root(op, name, &root))
        return;
    words_begin(&w, OP_READ, SLICE_LIT("sg_list_read"), root, 3 + 2 * want->nranges + want->nids);
    op->wish = wish_new(want->ranges, want->nranges, want->ids, want->nids);
    char max[4 + OP_DECIMAL_MAX];
    int len = snprintf(max, sizeof max, "max=%zu", want->room);
    words_put(&w, slice_of(max, (size_t)len));
    words_put_i64(&w, (int64_t)want->nranges);
    for (size_t i = 0; i < want->nranges; i++) {
        words_put_i64(&w, want->ranges[i].start);
        words_put_i64(&w, want->ranges[i].count);
    }
    words_put_i64(&w, (int64_t)want->nids);
    for (size_t i = 0; i < want->nids; i++)
        words_put(&w, want->ids[i]);
    words_send(&w, op);
}

/* --- state --- */

static bool read_rev(const struct reply *r, int64_t *out)
{
    return reply_i64(r, out) && *out >= -1;
}

static void finish_state(struct op *op, const struct store_result *r, const struct reply *reply)
{
    struct store_state st = {.var_rev = 0};
    if (reply) {
        bool good = shape_is_array(reply, 4) && read_rev(reply_at(reply, 0), &st.var_rev) &&
                    shape_bool(reply_at(reply, 1), &st.var_exists) && read_rev(reply_at(reply, 2), &st.list_rev) &&
                    shape_bool(reply_at(reply, 3), &st.list_exists);
        if (!good) {
            st = (struct store_state){.var_rev = 0};
            r = op_misshaped(op);
        }
    }
    op->cb.state(op->arg, r, &st);
}

void store_state(struct store *s, struct slice name, store_state_fn *cb, void *arg)
{
    struct op *op = op_new(s);
    struct slice root;
    struct words w;
    op->finish = finish_state;
    op->cb.state = cb;
    op->arg = arg;
    if (!op_root(op, name, &root))
        return;
    words_begin(&w, OP_READ, SLICE_LIT("sg_state"), root, 0);
    words_send(&w, op);
}

void store_probe(struct store *s, struct slice gw, store_state_fn *cb, void *arg)
{
    struct op *op = op_new(s);
    struct words w;
    char root[256];
    op->finish = finish_state;
    op->cb.state = cb;
    op->arg = arg;
    words_begin(&w, OP_READ, SLICE_LIT("sg_state"), op_probe_root(s, gw, root, sizeof root), 0);
    words_send(&w, op);
}

/* --- writes --- */

/* write_name sends a write of a name with `nargs` arguments. */
static void write_name(struct store *s, struct slice function, struct slice name, const struct slice *args,
                       size_t nargs, store_write_fn *cb, void *arg)
{
    struct op *op = op_write(s, cb, arg);
    struct slice root;
    struct words w;
    if (!op_root(op, name, &root))
        return;
    words_begin(&w, OP_WRITE, function, root, nargs);
    for (size_t i = 0; i < nargs; i++)
        words_put(&w, args[i]);
    words_send(&w, op);
}

void store_var_set(struct store *s, struct slice name, struct slice value, store_write_fn *cb, void *arg)
{
    write_name(s, SLICE_LIT("sg_var_set"), name, &value, 1, cb, arg);
}

void store_var_set_at(struct store *s, struct slice name, struct slice value, int64_t rev, store_write_fn *cb,
                      void *arg)
{
    struct op *op = op_write(s, cb, arg);
    struct slice root;
    struct words w;
    if (!op_root(op, name, &root))
        return;
    words_begin(&w, OP_WRITE, SLICE_LIT("sg_var_set"), root, 2);
    words_put(&w, value);
    words_put_i64(&w, rev);
    words_send(&w, op);
}

void store_list_insert(struct store *s, struct slice name, int64_t index, struct slice id, struct slice value,
                       store_write_fn *cb, void *arg)
{
    struct op *op = op_write(s, cb, arg);
    struct slice root;
    struct words w;
    if (!op_root(op, name, &root))
        return;
    words_begin(&w, OP_WRITE, SLICE_LIT("sg_list_insert"), root, 3);
    words_put_i64(&w, index);
    words_put(&w, id);
    words_put(&w, value);
    words_send(&w, op);
}

void store_list_move(struct store *s, struct slice name, struct slice id, int64_t index, store_write_fn *cb, void *arg)
{
    struct op *op = op_write(s, cb, arg);
    struct slice root;
    struct words w;
    if (!op_root(op, name, &root))
        return;
    words_begin(&w, OP_WRITE, SLICE_LIT("sg_list_move"), root, 2);
    words_put(&w, id);
    words_put_i64(&w, index);
    words_send(&w, op);
}

void store_list_set(struct store *s, struct slice name, struct slice id, struct slice value, store_write_fn *cb,
                    void *arg)
{
    write_name(s, SLICE_LIT("sg_list_set"), name, (struct slice[]){id, value}, 2, cb, arg);
}

void store_list_delete(struct store *s, struct slice name, struct slice id, store_write_fn *cb, void *arg)
{
    write_name(s, SLICE_LIT("sg_list_delete"), name, &id, 1, cb, arg);
}

/* The index as text, which lives as long as `text`. */
static struct slice index_text(char text[32], int64_t index)
{
    return slice_of(text, (size_t)snprintf(text, 32, "%lld", (long long)index));
}

void store_list_set_at(struct store *s, struct slice name, int64_t index, struct slice value, store_write_fn *cb,
                       void *arg)
{
    char text[32];
    write_name(s, SLICE_LIT("sg_list_set_at"), name, (struct slice[]){index_text(text, index), value}, 2, cb, arg);
}

void store_list_delete_at(struct store *s, struct slice name, int64_t index, store_write_fn *cb, void *arg)
{
    char text[32];
    struct slice word = index_text(text, index);
    write_name(s, SLICE_LIT("sg_list_delete_at"), name, &word, 1, cb, arg);
}

void store_list_set_all(struct store *s, struct slice name, struct slice items_json, store_write_fn *cb, void *arg)
{
    write_name(s, SLICE_LIT("sg_list_set_all"), name, &items_json, 1, cb, arg);
}

/* One operation in flight is an `op`: what kind of answer it awaits and whom to tell. Answers are read into borrowed structures
 * whose arrays live in scratch memory of the store, since callbacks run one at a time. */
#include "redis/store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/base/alloc.h"
#include "protocol/base/list.h"
#include "redis/keys.h"

enum {
    OPS_KEPT = 1024,           /* finished ops that are kept for the next */
    DECIMAL_MAX = 21,          /* an int64_t as text */
    ARGS_INLINE = 12,          /* arguments of everything but lists of ranges, ids or executors */
    SCRATCH_KEPT = 256 * 1024, /* bytes of scratch memory kept between answers */
};

/* The ranges and ids of a list read, in one piece of memory. */
struct wish {
    size_t nranges, nids;
    struct store_range *ranges;
    struct slice *ids; /* their bytes follow the array */
};

struct op {
    struct store *store;
    struct list_node node; /* in store.spare when finished */
    void (*finish)(struct op *op, const struct store_result *r, const struct reply *reply);
    union {
        store_var_fn *var;
        store_list_fn *list;
        store_state_fn *state;
        store_count_fn *count;
        store_write_fn *write;
        store_fn_held_fn *held;
        store_fn_list_fn *functions;
        store_fn_call_fn *executor;
        store_fleet_fn *fleet;
    } cb;
    void *arg;
    struct wish *wish; /* lists: what was asked for; NULL otherwise */
};

struct store {
    struct link *link;
    struct slice prefix;
    int db;
    struct slice calls_root, calls_channel; /* the former begins the latter */
    char *key;                              /* the root of the name of the command that is being built */
    struct list spare;
    void *scratch;
    size_t scratch_size;
};

/* --- life --- */

struct store *store_new(struct link *l, const char *prefix, int db)
{
    static const char calls[] = "@{calls}";
    struct store *s = sg_calloc(1, sizeof *s);
    size_t len = strlen(prefix);
    s->link = l;
    s->prefix = slice_of(sg_memdup(prefix, len), len);
    s->db = db;
    size_t root_len = len + sizeof calls - 1;
    char *root = sg_malloc(root_len + KEYS_DB_MAX);
    memcpy(root, prefix, len);
    memcpy(root + len, calls, sizeof calls - 1);
    s->calls_root = slice_of(root, root_len);
    s->calls_channel = slice_of(root, keys_channel(s->calls_root, db, root, root_len + KEYS_DB_MAX));
    s->key = sg_malloc(len + KEYS_NAME_MAX + 2);
    list_init(&s->spare);
    return s;
}

void store_free(struct store *s)
{
    if (!s)
        return;
    list_each(&s->spare, n) free(container_of(n, struct op, node));
    free((char *)s->prefix.ptr);
    free((char *)s->calls_root.ptr);
    free(s->key);
    free(s->scratch);
    free(s);
}

size_t store_channel(const struct store *s, struct slice name, char *out, size_t size)
{
    return keys_channel(slice_of(out, keys_root(s->prefix, name, out, size)), s->db, out, size);
}

struct slice store_calls_channel(const struct store *s)
{
    return s->calls_channel;
}

/* len 0: it does not fit. */
static struct slice probe_root(const struct store *s, struct slice gw, char *out, size_t size)
{
    int len = snprintf(out, size, "%.*s@{probe:%.*s}", (int)s->prefix.len, s->prefix.ptr, (int)gw.len, gw.ptr);
    return slice_of(out, len > 0 && (size_t)len < size ? (size_t)len : 0);
}

size_t store_probe_channel(const struct store *s, struct slice gw, char *out, size_t size)
{
    struct slice root = probe_root(s, gw, out, size);
    return root.len > 0 ? keys_channel(root, s->db, out, size) : 0;
}

/* scratch_take returns memory for the arrays of one answer. Their sizes were compared with what was asked for. */
static void *scratch_take(struct store *s, size_t size)
{
    if (!s->scratch || size > s->scratch_size) {
        free(s->scratch);
        s->scratch = sg_malloc(size);
        s->scratch_size = size;
    }
    return s->scratch;
}

static void scratch_trim(struct store *s)
{
    if (s->scratch_size <= SCRATCH_KEPT)
        return;
    free(s->scratch);
    s->scratch = NULL;
    s->scratch_size = 0;
}

static struct op *op_new(struct store *s)
{
    struct list_node *n = list_pop(&s->spare);
    struct op *op = n ? container_of(n, struct op, node) : sg_malloc(sizeof *op);
    *op = (struct op){.store = s};
    return op;
}

static void op_free(struct op *op)
{
    struct store *s = op->store;
    free(op->wish);
    if (s->spare.count < OPS_KEPT)
        list_append(&s->spare, &op->node);
    else
        free(op);
}

/* --- results --- */

static const struct {
    struct slice word;
    enum store_refusal refusal;
} refusals[] = {
    {{"SGNAME", 6}, REFUSAL_NAME}, {{"SGJSON", 6}, REFUSAL_JSON}, {{"SGID", 4}, REFUSAL_ID},
    {{"SGARG", 5}, REFUSAL_ARG},   {{"SGREV", 5}, REFUSAL_REV},   {{"SGDATA", 6}, REFUSAL_DATA},
    {{"SGAWAY", 6}, REFUSAL_AWAY},
};

static struct store_result refused_or_broken(struct slice text)
{
    struct slice rest = text, word = text;
    (void)slice_cut(&rest, ' ', &word);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        if (slice_eq(word, refusals[i].word))
            return (struct store_result){STORE_REFUSED, refusals[i].refusal, text};
    }
    return (struct store_result){STORE_BROKEN, REFUSAL_NONE, text};
}

static struct store_result result_of(const struct reply *reply)
{
    if (!reply)
        return (struct store_result){STORE_AWAY, REFUSAL_NONE, SLICE_LIT("Redis is away")};
    if (reply->type == REPLY_ERROR)
        return refused_or_broken(reply->text);
    return (struct store_result){STORE_OK, REFUSAL_NONE, SLICE_NONE};
}

static const struct store_result broken_shape = {
    STORE_BROKEN, REFUSAL_NONE, {"the answer has not the promised shape", 37}};

/* Either what lies there is odd, which is the business of this name alone, or the answer belongs to another question, and so do those
 * behind it. */
static const struct store_result *misshaped(const struct op *op)
{
    link_check(op->store->link);
    return &broken_shape;
}

static void on_reply(void *arg, const struct reply *reply)
{
    struct op *op = arg;
    struct store *s = op->store;
    struct store_result r = result_of(reply);
    op->finish(op, &r, r.status == STORE_OK ? reply : NULL);
    op_free(op);
    if (reply) /* without one we may be inside another answer's callback, which still reads the scratch memory */
        scratch_trim(s);
}

/* --- shapes --- */

static bool is_array(const struct reply *r, size_t len)
{
    return r->type == REPLY_ARRAY && r->len == len;
}

static bool read_count(const struct reply *r, int64_t *out)
{
    return reply_i64(r, out) && *out >= 0;
}

static bool read_bool(const struct reply *r, bool *out)
{
    int64_t n;
    if (r->type == REPLY_BOOL)
        n = r->integer;
    else if (!reply_i64(r, &n))
        return false;
    *out = n == 1;
    return n == 0 || n == 1;
}

static bool read_text(const struct reply *r, struct slice *out)
{
    *out = r->text;
    return r->type == REPLY_STRING;
}

/* --- commands --- */

enum access { READ, WRITE };

/* The words of one command. Numbers are spelled into memory of its own, so that they live as long as it. */
struct words {
    struct slice *argv;
    size_t argc, max;
    char (*decimals)[DECIMAL_MAX];
    size_t ndecimals;
    struct slice inline_argv[ARGS_INLINE];
    char inline_decimals[ARGS_INLINE][DECIMAL_MAX];
};

static void words_init(struct words *w, size_t max)
{
    bool small = max <= ARGS_INLINE;
    w->argv = small ? w->inline_argv : sg_malloc(max * sizeof *w->argv);
    w->decimals = small ? w->inline_decimals : sg_malloc(max * sizeof *w->decimals);
    w->argc = w->ndecimals = 0;
    w->max = max;
}

static void words_deinit(struct words *w)
{
    if (w->argv == w->inline_argv)
        return;
    free(w->argv);
    free(w->decimals);
}

static void word(struct words *w, struct slice text)
{
    assert(w->argc < w->max);
    w->argv[w->argc++] = text;
}

static void word_i64(struct words *w, int64_t n)
{
    char *end = w->decimals[w->ndecimals++] + DECIMAL_MAX, *at = end;
    uint64_t rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (n < 0)
        *--at = '-';
    word(w, slice_of(at, (size_t)(end - at)));
}

static void words_begin(struct words *w, enum access access, struct slice function, struct slice root, size_t nargs)
{
    words_init(w, 4 + nargs);
    word(w, access == READ ? SLICE_LIT("FCALL_RO") : SLICE_LIT("FCALL"));
    word(w, function);
    word(w, SLICE_LIT("1"));
    word(w, root);
}

static void words_send(struct words *w, struct op *op)
{
    link_command(op->store->link, on_reply, op, w->argc, w->argv);
    words_deinit(w);
}

/* root_of answers for Redis when the name cannot be one. Returns false then; op is gone. */
static bool root_of(struct op *op, struct slice name, struct slice *root)
{
    static const struct store_result refused = {STORE_REFUSED, REFUSAL_NAME, {"SGNAME not a name", 17}};
    struct store *s = op->store;
    size_t len = keys_root(s->prefix, name, s->key, s->prefix.len + KEYS_NAME_MAX + 2);
    *root = slice_of(s->key, len);
    if (len > 0)
        return true;
    op->finish(op, &refused, NULL);
    op_free(op);
    return false;
}

/* --- variables --- */

/* [rev, nil, bytes] says how large a value is for which there was no room. */
static bool read_larger(const struct reply *reply, size_t *larger)
{
    int64_t bytes;
    if (reply_at(reply, 1)->type != REPLY_NIL || !read_count(reply_at(reply, 2), &bytes) || bytes == 0)
        return false;
    *larger = (size_t)bytes;
    return true;
}

static void finish_var(struct op *op, const struct store_result *r, const struct reply *reply)
{
    struct store_var v = {.rev = 0};
    if (reply) {
        const struct reply *value = reply_at(reply, 1);
        bool good = reply->type == REPLY_ARRAY && reply->len <= 3 && read_count(reply_at(reply, 0), &v.rev);
        v.exists = value->type != REPLY_NIL || reply->len == 3;
        good = good && (!v.exists ||
                        ((reply->len == 3 ? read_larger(reply, &v.larger) : read_text(value, &v.value)) && v.rev > 0));
        if (!good) {
            v = (struct store_var){.rev = 0};
            r = misshaped(op);
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
    if (!root_of(op, name, &root))
        return;
    words_begin(&w, READ, SLICE_LIT("sg_var_read"), root, 1);
    word_i64(&w, (int64_t)room);
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
        if (!read_text(reply_at(pairs, 2 * i), &items[i].id) || !read_text(reply_at(pairs, 2 * i + 1), &items[i].value))
            return false;
        items[i].index = range->start + (int64_t)i;
    }
    range->count = (int64_t)count;
    return true;
}

static bool is_absent(const struct reply *r)
{
    return r->type == REPLY_NIL || (r->type == REPLY_BOOL && r->integer == 0) || is_array(r, 0);
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
    return is_array(r, 2) && read_count(reply_at(r, 0), &item->index) && read_text(reply_at(r, 1), &item->value);
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
    bool head = is_array(reply, 6) && read_count(reply_at(reply, 5), &larger) &&
                read_count(reply_at(reply, 0), &l->rev) && read_bool(reply_at(reply, 1), &l->exists) &&
                read_count(reply_at(reply, 2), &l->total);
    if (!head || !is_array(ranges, wish->nranges) || !is_array(ids, wish->nids))
        return false;
    size_t nitems = count_items(ranges);
    struct store_item *items = scratch_take(op->store, (nitems + wish->nids) * sizeof *items);
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
        r = misshaped(op);
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
    if (!root_of(op, name, &root))
        return;
    words_begin(&w, READ, SLICE_LIT("sg_list_read"), root, 3 + 2 * want->nranges + want->nids);
    op->wish = wish_new(want->ranges, want->nranges, want->ids, want->nids);
    char max[4 + DECIMAL_MAX];
    int len = snprintf(max, sizeof max, "max=%zu", want->room);
    word(&w, slice_of(max, (size_t)len));
    word_i64(&w, (int64_t)want->nranges);
    for (size_t i = 0; i < want->nranges; i++) {
        word_i64(&w, want->ranges[i].start);
        word_i64(&w, want->ranges[i].count);
    }
    word_i64(&w, (int64_t)want->nids);
    for (size_t i = 0; i < want->nids; i++)
        word(&w, want->ids[i]);
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
        bool good = is_array(reply, 4) && read_rev(reply_at(reply, 0), &st.var_rev) &&
                    read_bool(reply_at(reply, 1), &st.var_exists) && read_rev(reply_at(reply, 2), &st.list_rev) &&
                    read_bool(reply_at(reply, 3), &st.list_exists);
        if (!good) {
            st = (struct store_state){.var_rev = 0};
            r = misshaped(op);
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
    if (!root_of(op, name, &root))
        return;
    words_begin(&w, READ, SLICE_LIT("sg_state"), root, 0);
    words_send(&w, op);
}

/* [channel, number] */
static void finish_listeners(struct op *op, const struct store_result *r, const struct reply *reply)
{
    int64_t n = 0;
    if (reply && !(is_array(reply, 2) && read_count(reply_at(reply, 1), &n)))
        r = &broken_shape;
    op->cb.count(op->arg, r, n);
}

void store_listeners(struct store *s, struct slice name, store_count_fn *cb, void *arg)
{
    struct op *op = op_new(s);
    struct slice root;
    struct words w;
    char channel[1024];
    op->finish = finish_listeners;
    op->cb.count = cb;
    op->arg = arg;
    if (!root_of(op, name, &root))
        return;
    words_init(&w, 3);
    word(&w, SLICE_LIT("PUBSUB"));
    word(&w, SLICE_LIT("SHARDNUMSUB"));
    word(&w, slice_of(channel, store_channel(s, name, channel, sizeof channel)));
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
    words_begin(&w, READ, SLICE_LIT("sg_state"), probe_root(s, gw, root, sizeof root), 0);
    words_send(&w, op);
}

/* --- writes --- */

static void finish_write(struct op *op, const struct store_result *r, const struct reply *reply)
{
    int64_t n = 0;
    if (reply && !reply_i64(reply, &n))
        n = 0;
    if (op->cb.write)
        op->cb.write(op->arg, r, n);
}

static struct op *op_write(struct store *s, store_write_fn *cb, void *arg)
{
    struct op *op = op_new(s);
    op->finish = finish_write;
    op->cb.write = cb;
    op->arg = arg;
    return op;
}

/* write_name sends a write of a name with `nargs` arguments. */
static void write_name(struct store *s, struct slice function, struct slice name, const struct slice *args,
                       size_t nargs, store_write_fn *cb, void *arg)
{
    struct op *op = op_write(s, cb, arg);
    struct slice root;
    struct words w;
    if (!root_of(op, name, &root))
        return;
    words_begin(&w, WRITE, function, root, nargs);
    for (size_t i = 0; i < nargs; i++)
        word(&w, args[i]);
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
    if (!root_of(op, name, &root))
        return;
    words_begin(&w, WRITE, SLICE_LIT("sg_var_set"), root, 2);
    word(&w, value);
    word_i64(&w, rev);
    words_send(&w, op);
}

void store_list_insert(struct store *s, struct slice name, int64_t index, struct slice id, struct slice value,
                       store_write_fn *cb, void *arg)
{
    struct op *op = op_write(s, cb, arg);
    struct slice root;
    struct words w;
    if (!root_of(op, name, &root))
        return;
    words_begin(&w, WRITE, SLICE_LIT("sg_list_insert"), root, 3);
    word_i64(&w, index);
    word(&w, id);
    word(&w, value);
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

/* --- calls --- */

void store_fn_serve(struct store *s, struct slice gw, struct slice exec, struct slice name, int64_t lease_ms,
                    store_write_fn *cb, void *arg)
{
    struct words w;
    words_begin(&w, WRITE, SLICE_LIT("sg_fn_serve"), s->calls_root, 4);
    word(&w, gw);
    word(&w, exec);
    word(&w, name);
    word_i64(&w, lease_ms);
    words_send(&w, op_write(s, cb, arg));
}

void store_fn_leave(struct store *s, struct slice gw, struct slice exec, struct slice name, store_write_fn *cb,
                    void *arg)
{
    struct words w;
    words_begin(&w, WRITE, SLICE_LIT("sg_fn_leave"), s->calls_root, 3);
    word(&w, gw);
    word(&w, exec);
    word(&w, name);
    words_send(&w, op_write(s, cb, arg));
}

void store_fn_gone(struct store *s, struct slice gw, store_write_fn *cb, void *arg)
{
    struct words w;
    words_begin(&w, WRITE, SLICE_LIT("sg_fn_gone"), s->calls_root, 1);
    word(&w, gw);
    words_send(&w, op_write(s, cb, arg));
}

void store_fn_beat(struct store *s, struct slice gw, int64_t lease_ms, const struct store_busy *busy, size_t nbusy,
                   store_write_fn *cb, void *arg)
{
    struct words w;
    words_begin(&w, WRITE, SLICE_LIT("sg_fn_beat"), s->calls_root, 2 + 2 * nbusy);
    word(&w, gw);
    word_i64(&w, lease_ms);
    for (size_t i = 0; i < nbusy; i++) {
        word(&w, busy[i].exec);
        word_i64(&w, busy[i].inflight);
    }
    words_send(&w, op_write(s, cb, arg));
}

static bool read_held(struct store *s, const struct reply *reply, struct store_held *h)
{
    if (reply->type != REPLY_ARRAY || reply->len % 2 != 1 || !read_text(reply_at(reply, 0), &h->next))
        return false;
    size_t len = reply->len / 2;
    struct store_registration *all = scratch_take(s, len * sizeof *all);
    for (size_t i = 0; i < len; i++) {
        if (!read_text(reply_at(reply, 2 * i + 1), &all[i].exec) ||
            !read_text(reply_at(reply, 2 * i + 2), &all[i].name))
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
        r = misshaped(op);
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
    words_begin(&w, READ, SLICE_LIT("sg_fn_held"), s->calls_root, 2);
    word(&w, gw);
    word(&w, place);
    words_send(&w, op);
}

static bool read_functions(struct store *s, const struct reply *reply, struct store_functions *f)
{
    if (reply->type != REPLY_ARRAY || reply->len < 1 || !read_count(reply_at(reply, 0), &f->rev))
        return false;
    size_t len = reply->len - 1;
    struct slice *names = scratch_take(s, len * sizeof *names);
    for (size_t i = 0; i < len; i++) {
        if (!read_text(reply_at(reply, i + 1), &names[i]))
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
        r = misshaped(op);
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
    words_begin(&w, READ, SLICE_LIT("sg_fn_list"), s->calls_root, 0);
    words_send(&w, op);
}

static void finish_executor(struct op *op, const struct store_result *r, const struct reply *reply)
{
    struct store_executor x = {.gw = SLICE_NONE};
    if (reply) {
        bool good =
            is_array(reply, 2) && read_text(reply_at(reply, 0), &x.gw) && read_text(reply_at(reply, 1), &x.exec);
        if (!good) {
            x = (struct store_executor){.gw = SLICE_NONE};
            r = misshaped(op);
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
    words_begin(&w, WRITE, SLICE_LIT("sg_fn_call"), s->calls_root, 5);
    word(&w, name);
    word(&w, corr);
    word(&w, gw);
    word_i64(&w, timeout_ms);
    word(&w, args);
    words_send(&w, op);
}

void store_fn_done(struct store *s, struct slice executor_gw, struct slice exec, struct slice corr,
                   struct slice caller_gw, struct slice result, store_write_fn *cb, void *arg)
{
    struct words w;
    words_begin(&w, WRITE, SLICE_LIT("sg_fn_done"), s->calls_root, 5);
    word(&w, executor_gw);
    word(&w, exec);
    word(&w, corr);
    word(&w, caller_gw);
    word(&w, result);
    words_send(&w, op_write(s, cb, arg));
}

void store_fn_back(struct store *s, struct slice gw, int64_t number, store_write_fn *cb, void *arg)
{
    struct words w;
    words_begin(&w, WRITE, SLICE_LIT("sg_fn_back"), s->calls_root, 2);
    word(&w, gw);
    word_i64(&w, number);
    words_send(&w, op_write(s, cb, arg));
}

void store_fn_again(struct store *s, struct slice caller_gw, const struct store_again *calls, size_t ncalls,
                    store_write_fn *cb, void *arg)
{
    struct words w;
    words_begin(&w, WRITE, SLICE_LIT("sg_fn_again"), s->calls_root, 1 + 2 * ncalls);
    word(&w, caller_gw);
    for (size_t i = 0; i < ncalls; i++) {
        word(&w, calls[i].gw);
        word(&w, calls[i].corr);
    }
    words_send(&w, op_write(s, cb, arg));
}

/* --- the fleet --- */

void store_fleet_beat(struct store *s, struct slice gw, struct slice record, int64_t keep_ms, store_write_fn *cb,
                      void *arg)
{
    struct words w;
    words_begin(&w, WRITE, SLICE_LIT("sg_fleet_beat"), s->calls_root, 3);
    word(&w, gw);
    word(&w, record);
    word_i64(&w, keep_ms);
    words_send(&w, op_write(s, cb, arg));
}

static bool read_fleet(struct store *s, const struct reply *reply, struct store_fleet *f)
{
    if (reply->type != REPLY_ARRAY || reply->len % 3 != 0)
        return false;
    size_t len = reply->len / 3;
    struct store_gateway *gateways = scratch_take(s, len * sizeof *gateways);
    for (size_t i = 0; i < len; i++) {
        struct store_gateway *g = &gateways[i];
        if (!read_text(reply_at(reply, 3 * i), &g->gw) || !reply_i64(reply_at(reply, 3 * i + 1), &g->age_ms) ||
            !read_text(reply_at(reply, 3 * i + 2), &g->record))
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
        r = misshaped(op);
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
    words_begin(&w, READ, SLICE_LIT("sg_fleet_list"), s->calls_root, 1);
    word_i64(&w, keep_ms);
    words_send(&w, op);
}

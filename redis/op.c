/* A command goes out as words, its answer comes back to the op that it was sent for. */
#include "redis/op.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/base/alloc.h"
#include "redis/keys.h"

enum {
    OPS_KEPT = 1024,           /* finished ops that are kept for the next */
    SCRATCH_KEPT = 256 * 1024, /* bytes of scratch memory kept between answers */
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

struct slice op_probe_root(const struct store *s, struct slice gw, char *out, size_t size)
{
    int len = snprintf(out, size, "%.*s@{probe:%.*s}", (int)s->prefix.len, s->prefix.ptr, (int)gw.len, gw.ptr);
    return slice_of(out, len > 0 && (size_t)len < size ? (size_t)len : 0);
}

size_t store_probe_channel(const struct store *s, struct slice gw, char *out, size_t size)
{
    struct slice root = op_probe_root(s, gw, out, size);
    return root.len > 0 ? keys_channel(root, s->db, out, size) : 0;
}

size_t store_census_channel(const struct store *s, struct slice gw, char *out, size_t size)
{
    int len = snprintf(out, size, "%.*s@{census%s%.*s}", (int)s->prefix.len, s->prefix.ptr, gw.len ? ":" : "",
                       (int)gw.len, gw.len ? gw.ptr : "");
    return len > 0 && (size_t)len < size ? keys_channel(slice_of(out, (size_t)len), s->db, out, size) : 0;
}

void *op_scratch(struct store *s, size_t size)
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

struct op *op_new(struct store *s)
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

const struct store_result op_broken_shape = {STORE_BROKEN, REFUSAL_NONE, {"the answer has not the promised shape", 37}};

const struct store_result *op_misshaped(const struct op *op)
{
    link_check(op->store->link);
    return &op_broken_shape;
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

bool shape_is_array(const struct reply *r, size_t len)
{
    return r->type == REPLY_ARRAY && r->len == len;
}

bool shape_count(const struct reply *r, int64_t *out)
{
    return reply_i64(r, out) && *out >= 0;
}

bool shape_bool(const struct reply *r, bool *out)
{
    int64_t n;
    if (r->type == REPLY_BOOL)
        n = r->integer;
    else if (!reply_i64(r, &n))
        return false;
    *out = n == 1;
    return n == 0 || n == 1;
}

bool shape_text(const struct reply *r, struct slice *out)
{
    *out = r->text;
    return r->type == REPLY_STRING;
}

/* --- commands --- */

void words_init(struct words *w, size_t max)
{
    bool small = max <= OP_ARGS_INLINE;
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

void words_put(struct words *w, struct slice text)
{
    assert(w->argc < w->max);
    w->argv[w->argc++] = text;
}

void words_put_i64(struct words *w, int64_t n)
{
    char *end = w->decimals[w->ndecimals++] + OP_DECIMAL_MAX, *at = end;
    uint64_t rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (n < 0)
        *--at = '-';
    words_put(w, slice_of(at, (size_t)(end - at)));
}

void words_begin(struct words *w, enum op_access access, struct slice function, struct slice root, size_t nargs)
{
    words_init(w, 4 + nargs);
    words_put(w, access == OP_READ ? SLICE_LIT("FCALL_RO") : SLICE_LIT("FCALL"));
    words_put(w, function);
    words_put(w, SLICE_LIT("1"));
    words_put(w, root);
}

void words_send(struct words *w, struct op *op)
{
    link_command(op->store->link, on_reply, op, w->argc, w->argv);
    words_deinit(w);
}

bool op_root(struct op *op, struct slice name, struct slice *root)
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

/* --- writes --- */

static void finish_write(struct op *op, const struct store_result *r, const struct reply *reply)
{
    int64_t n = 0;
    if (reply && !reply_i64(reply, &n))
        n = 0;
    if (op->cb.write)
        op->cb.write(op->arg, r, n);
}

struct op *op_write(struct store *s, store_write_fn *cb, void *arg)
{
    struct op *op = op_new(s);
    op->finish = finish_write;
    op->cb.write = cb;
    op->arg = arg;
    return op;
}

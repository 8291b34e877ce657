/* Operations in flight, for the files of the store: what kind of answer each awaits and whom to tell. Answers are read into borrowed
 * structures whose arrays live in scratch memory of the store, since callbacks run one at a time. */
#ifndef SYNCGATE_REDIS_OP_H
#define SYNCGATE_REDIS_OP_H

#include "protocol/base/list.h"
#include "redis/store.h"

enum { OP_DECIMAL_MAX = 21 }; /* an int64_t as text */
enum { OP_ARGS_INLINE = 12 }; /* arguments of everything but lists of ranges, ids or executors */

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

enum op_access { OP_READ, OP_WRITE };

/* The words of one command. Numbers are spelled into memory of its own, so that they live as long as it. */
struct words {
    struct slice *argv;
    size_t argc, max;
    char (*decimals)[OP_DECIMAL_MAX];
    size_t ndecimals;
    struct slice inline_argv[OP_ARGS_INLINE];
    char inline_decimals[OP_ARGS_INLINE][OP_DECIMAL_MAX];
};

/* op_scratch returns memory for the arrays of one answer. Their sizes were compared with what was asked for. */
void *op_scratch(struct store *s, size_t size);
struct op *op_new(struct store *s);
/* Either what lies there is odd, which is the business of this name alone, or the answer belongs to another question, and so do those
 * behind it. */
const struct store_result *op_misshaped(const struct op *op);
/* shape_…: is the answer that, and what does it hold? */
bool shape_is_array(const struct reply *r, size_t len);
bool shape_count(const struct reply *r, int64_t *out);
bool shape_bool(const struct reply *r, bool *out);
bool shape_text(const struct reply *r, struct slice *out);
/* words_begin, any words, words_send: one command. */
void words_put(struct words *w, struct slice text);
void words_put_i64(struct words *w, int64_t n);
void words_begin(struct words *w, enum op_access access, struct slice function, struct slice root, size_t nargs);
void words_send(struct words *w, struct op *op);
/* op_root answers for Redis when the name cannot be one. Returns false then; op is gone. */
bool op_root(struct op *op, struct slice name, struct slice *root);
void words_init(struct words *w, size_t max);
/* len 0: it does not fit. */
struct slice op_probe_root(const struct store *s, struct slice gw, char *out, size_t size);
/* op_broken_shape: an answer that is not what was promised. */
extern const struct store_result op_broken_shape;
/* op_write: of a command whose answer is a number, or nothing. */
struct op *op_write(struct store *s, store_write_fn *cb, void *arg);

#endif

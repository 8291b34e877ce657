/* Results on two shelves. What Redis handed to nobody, or did not get, is unheard and sent again by every beat until its caller
 * gives up. What it handed to somebody is kept a little longer: the link of that gateway may have been dying, and then it asks.
 * A caller takes the first result of a call and ignores what comes behind. Each shelf is bounded; the oldest make room. */
#include "gateway/calls/results.h"

#include <stdlib.h>

#include "gateway/base/ask.h"
#include "gateway/observe/metrics.h"
#include "gateway/observe/turn.h"
#include "protocol/base/alloc.h"

enum {
    UNHEARD_MAX = 8192,
    UNHEARD_BYTES_MAX = 32 << 20,
    HEARD_MAX = 4096,
    HEARD_BYTES_MAX = 4 << 20,
    HEARD_MS = 10000 /* by then a gateway knows that its link was dead, and is back */
};

struct shelf {
    struct list list; /* struct result, oldest first */
    size_t bytes;
    size_t count_max, bytes_max;
};

struct results {
    struct gateway *gw;
    struct asks asks;
    struct map by_call; /* struct result */
    struct shelf unheard, heard;
};

struct result {
    struct map_node by_call;
    struct list_node node; /* of the shelf */
    struct shelf *shelf;   /* NULL: forgotten while Redis is asked, freed by the answer */
    struct ask ask;        /* while it is being sent */
    bool sending;
    bool counted; /* it was sent once: its executor does not count it again */
    int64_t until_us;
    struct slice exec, text;
    struct result_call call;
    struct result_key key;
    size_t size;
    char bytes[];
};

struct result_key result_key_of(struct result_call call)
{
    struct result_key key;
    char *at = key.bytes;
    slice_put(&at, call.corr);
    slice_put(&at, SLICE_LIT(" "));
    slice_put(&at, call.caller_gw);
    key.len = (size_t)(at - key.bytes);
    return key;
}

static struct result *result_find(const struct results *rs, const struct result_key *key)
{
    struct map_node *n = map_find(&rs->by_call, slice_of(key->bytes, key->len));
    return n ? container_of(n, struct result, by_call) : NULL;
}

static void shelf_take(struct result *r)
{
    list_remove(&r->shelf->list, &r->node);
    r->shelf->bytes -= r->size;
    r->shelf = NULL;
}

static void result_forget(struct results *rs, struct result *r)
{
    shelf_take(r);
    map_remove(&rs->by_call, &r->by_call);
    if (!r->sending)
        free(r);
}

static struct result *shelf_oldest(const struct shelf *s)
{
    struct list_node *n = list_first(&s->list);
    return n ? container_of(n, struct result, node) : NULL;
}

/* The newest stays whatever its size. */
static void shelf_put(struct results *rs, struct shelf *s, struct result *r)
{
    while (s->list.count > 0 && (s->list.count >= s->count_max || s->bytes + r->size > s->bytes_max)) {
        if (s == &rs->unheard)
            metric_add(METRIC_RESULTS_LOST, 1);
        result_forget(rs, shelf_oldest(s));
    }
    list_append(&s->list, &r->node);
    s->bytes += r->size;
    r->shelf = s;
}

/* Heard ones stand in the order in which they end, but for those whose caller gives up earlier; these wait for the others. */
static void forget_old(struct results *rs, int64_t now_us)
{
    for (struct result *r; (r = shelf_oldest(&rs->heard)) && r->until_us <= now_us;)
        result_forget(rs, r);
}

static void result_heard(struct results *rs, struct result *r)
{
    int64_t now_us = turn_now_us(), end_us = now_us + (int64_t)HEARD_MS * 1000;
    if (r->until_us > end_us)
        r->until_us = end_us;
    shelf_take(r);
    shelf_put(rs, &rs->heard, r);
    forget_old(rs, now_us);
}

static void on_sent(void *arg, const struct store_result *answer, int64_t n)
{
    struct result *r = arg;
    struct results *rs = ask_end(&r->ask);
    r->sending = false;
    if (!rs || !r->shelf)
        free(r);
    else if (answer->status == STORE_REFUSED) /* nobody can get it */
        result_forget(rs, r);
    else if (answer->status == STORE_OK && n > 0)
        result_heard(rs, r);
}

/* The answer may come from inside, which leaves it where it is. */
static void result_send(struct results *rs, struct result *r)
{
    struct slice exec = r->counted ? SLICE_LIT("-") : r->exec; /* no executor has that id */
    if (r->sending)
        return;
    r->sending = r->counted = true;
    ask_begin(&r->ask, &rs->asks);
    store_fn_done(rs->gw->store, slice_str(rs->gw->id), exec, r->call.corr, r->call.caller_gw, r->text, on_sent, r);
}

static struct result *result_new(struct result_call call, struct slice exec, struct slice text)
{
    size_t len = call.corr.len + call.caller_gw.len + exec.len + text.len;
    struct result *r = sg_calloc(1, sizeof *r + len);
    char *at = r->bytes;
    r->call.corr = slice_put(&at, call.corr);
    r->call.caller_gw = slice_put(&at, call.caller_gw);
    r->exec = slice_put(&at, exec);
    r->text = slice_put(&at, text);
    r->key = result_key_of(call);
    r->by_call.key = slice_of(r->key.bytes, r->key.len);
    r->size = sizeof *r + len;
    return r;
}

static void ignore_answer(void *arg, const struct store_result *r, int64_t n)
{
    (void)arg, (void)r, (void)n;
}

void results_put(struct results *rs, struct result_call call, struct slice exec, int64_t left_ms, struct slice result)
{
    if (left_ms <= 0) {
        store_fn_done(rs->gw->store, slice_str(rs->gw->id), exec, call.corr, call.caller_gw, result, ignore_answer,
                      NULL);
        return;
    }
    struct result_key key = result_key_of(call);
    struct result *before = result_find(rs, &key);
    if (before)
        result_forget(rs, before);
    struct result *r = result_new(call, exec, result);
    r->until_us = turn_now_us() + left_ms * 1000;
    map_insert(&rs->by_call, &r->by_call);
    shelf_put(rs, &rs->unheard, r);
    result_send(rs, r);
}

bool results_again(struct results *rs, struct result_call call)
{
    struct result_key key = result_key_of(call);
    struct result *r = result_find(rs, &key);
    if (r)
        result_send(rs, r);
    return r;
}

static void send_shelf(struct results *rs, const struct shelf *s, struct slice caller_gw)
{
    list_each(&s->list, n)
    {
        struct result *r = container_of(n, struct result, node);
        if (!caller_gw.ptr || slice_eq(r->call.caller_gw, caller_gw))
            result_send(rs, r);
    }
}

void results_back(struct results *rs, struct slice caller_gw)
{
    forget_old(rs, turn_now_us());
    send_shelf(rs, &rs->heard, caller_gw);
    send_shelf(rs, &rs->unheard, caller_gw);
}

void results_resend(struct results *rs)
{
    int64_t now_us = turn_now_us();
    forget_old(rs, now_us);
    list_each(&rs->unheard.list, n)
    {
        struct result *r = container_of(n, struct result, node);
        if (r->until_us <= now_us)
            result_forget(rs, r);
        else
            result_send(rs, r);
    }
}

size_t results_unheard(const struct results *rs)
{
    return rs->unheard.list.count;
}

static void shelf_init(struct shelf *s, size_t count_max, size_t bytes_max)
{
    list_init(&s->list);
    s->count_max = count_max;
    s->bytes_max = bytes_max;
}

static void shelf_clear(struct results *rs, struct shelf *s)
{
    for (struct result *r; (r = shelf_oldest(s));)
        result_forget(rs, r);
}

struct results *results_new(struct gateway *g)
{
    struct results *rs = sg_calloc(1, sizeof *rs);
    rs->gw = g;
    asks_init(&rs->asks, rs);
    map_init(&rs->by_call);
    shelf_init(&rs->unheard, UNHEARD_MAX, UNHEARD_BYTES_MAX);
    shelf_init(&rs->heard, HEARD_MAX, HEARD_BYTES_MAX);
    return rs;
}

void results_free(struct results *rs)
{
    shelf_clear(rs, &rs->unheard);
    shelf_clear(rs, &rs->heard);
    asks_deinit(&rs->asks);
    map_deinit(&rs->by_call);
    free(rs);
}

/* The live functions of the fleet, as a replica by events. An event whose revision is not the next one tells of a loss, a beat
 * of one at the end (catalogue_heard, catalogue_gap), and the sweep of what was lost without a trace. */
#include "gateway/calls/catalogue.h"

#include <assert.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "gateway/base/ask.h"
#include "gateway/base/timer.h"
#include "gateway/net/conns.h"
#include "gateway/observe/garbage.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "protocol/base/alloc.h"
#include "protocol/json.h"
#include "redis/keys.h"

enum {
    FUNCTIONS_MAX = 65536, /* of the fleet */
    DIALECTS_MAX = 8,
    BURST_BYTES = 32 << 10
};

struct catalogue {
    struct gateway *gw;
    struct asks asks;     /* the list, when it was asked for */
    struct event sweep;   /* every sweep interval */
    struct map functions; /* struct function */
    int64_t rev;
    int64_t rev_event; /* of the last event, be it followed or not */
    int64_t rev_seen;  /* the newest that a beat told of; its events follow the answer at once */
    bool reading;      /* the list was asked for: events are not followed, its answer holds them */
    bool read_again;
    bool back; /* Redis went back since catalogue_back was asked */
};

/* A live function of the fleet. */
struct function {
    struct map_node node; /* catalogue->functions, key = name */
    bool listed;          /* while a list is adopted */
    char name[];
};

/* --- announcements ------------------------------------------------------------------------------------------------ */

/* One function that appeared or ended, and its frame in each dialect that somebody speaks. */
struct announcement {
    struct slice name;
    bool live;
    size_t len;
    struct {
        const struct dialect *dialect;
        struct frame *frame;
    } views[DIALECTS_MAX];
};

static struct frame *announcement_encode(struct buf *scratch, const struct announcement *a, const struct dialect *d)
{
    buf_reset(scratch);
    uint32_t messages = (a->live ? d->offered : d->withdrawn)(scratch, KIND_FUNCTION, a->name);
    return frame_new(buf_slice(scratch), messages);
}

static struct frame *announcement_frame(struct buf *scratch, struct announcement *a, const struct dialect *d)
{
    for (size_t i = 0; i < a->len; i++)
        if (a->views[i].dialect == d)
            return a->views[i].frame;
    assert(a->len < DIALECTS_MAX); /* a new dialect may need a larger table */
    a->views[a->len].dialect = d;
    a->views[a->len].frame = announcement_encode(scratch, a, d);
    return a->views[a->len++].frame;
}

/* Does its dialect speak of functions that it may call? */
static bool is_told(const struct conn *c)
{
    return c->dialect->call && c->dialect->offered;
}

static void announce(struct gateway *g, struct slice name, bool live)
{
    struct announcement a = {.name = name, .live = live};
    list_each(&g->conns->open, n)
    {
        struct conn *c = container_of(n, struct conn, node);
        if (c->state == CONN_OPEN && is_told(c) && grants_allow(c->grants, GRANT_CALL, name))
            conn_answer_frame(c, announcement_frame(&g->scratch, &a, c->dialect));
    }
    for (size_t i = 0; i < a.len; i++)
        frame_unref(a.views[i].frame);
}

void catalogue_tell(const struct catalogue *k, struct conn *c)
{
    struct buf *out = &c->gw->scratch;
    uint32_t messages = 0;
    if (!is_told(c))
        return;
    buf_reset(out);
    for (struct map_node *n = map_next(&k->functions, NULL); n; n = map_next(&k->functions, n)) {
        if (!grants_allow(c->grants, GRANT_CALL, n->key))
            continue;
        messages += c->dialect->offered(out, KIND_FUNCTION, n->key);
        if (out->len < BURST_BYTES)
            continue;
        conn_answer_scratch(c, messages);
        buf_reset(out);
        messages = 0;
    }
    conn_answer_scratch(c, messages);
}

void catalogue_retell(const struct catalogue *k, struct conn *c, const struct grants *old)
{
    struct buf *out = &c->gw->scratch;
    uint32_t messages = 0;
    if (!is_told(c))
        return;
    buf_reset(out);
    for (struct map_node *n = map_next(&k->functions, NULL); n; n = map_next(&k->functions, n)) {
        bool may = grants_allow(c->grants, GRANT_CALL, n->key);
        if (may == grants_allow(old, GRANT_CALL, n->key))
            continue;
        messages += (may ? c->dialect->offered : c->dialect->withdrawn)(out, KIND_FUNCTION, n->key);
    }
    conn_answer_scratch(c, messages);
}

/* --- functions ---------------------------------------------------------------------------------------------------- */

/* Clients get what they would be allowed to send: the dialects check the same. */
static bool name_valid(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == 0x7f)
            return false;
    return keys_name_fits(name) && json_utf8(name);
}

static struct function *function_find(const struct catalogue *k, struct slice name)
{
    struct map_node *n = map_find(&k->functions, name);
    return n ? container_of(n, struct function, node) : NULL;
}

static struct function *function_appeared(struct catalogue *k, struct slice name)
{
    struct function *f = function_find(k, name);
    if (f)
        return f;
    if (k->functions.count >= FUNCTIONS_MAX || !name_valid(name)) {
        garbage_dropped("function");
        return NULL;
    }
    f = sg_calloc(1, sizeof *f + name.len);
    memcpy(f->name, name.ptr, name.len);
    f->node.key = slice_of(f->name, name.len);
    map_insert(&k->functions, &f->node);
    announce(k->gw, f->node.key, true);
    return f;
}

static void function_ended(struct catalogue *k, struct function *f)
{
    map_remove(&k->functions, &f->node);
    announce(k->gw, f->node.key, false);
    free(f);
}

bool catalogue_has(const struct catalogue *k, struct slice name)
{
    return function_find(k, name) != NULL;
}

const struct map *catalogue_map(const struct catalogue *k)
{
    return &k->functions;
}

size_t catalogue_count(const struct catalogue *k)
{
    return k->functions.count;
}

/* --- the list and the events -------------------------------------------------------------------------------------- */

static void adopt(struct catalogue *k, const struct store_functions *list)
{
    k->back = k->back || list->rev < k->rev_event;
    k->rev = k->rev_event = k->rev_seen = list->rev;
    for (struct map_node *n = map_next(&k->functions, NULL); n; n = map_next(&k->functions, n))
        container_of(n, struct function, node)->listed = false;
    for (size_t i = 0; i < list->len; i++) {
        struct function *f = function_appeared(k, list->names[i]);
        if (f)
            f->listed = true;
    }
    for (struct map_node *n = map_next(&k->functions, NULL), *next; n; n = next) {
        next = map_next(&k->functions, n);
        struct function *f = container_of(n, struct function, node);
        if (!f->listed)
            function_ended(k, f);
    }
}

static void on_list(void *arg, const struct store_result *r, const struct store_functions *list)
{
    struct catalogue *k = ask_take(arg);
    if (!k)
        return;
    bool again = k->read_again && r->status != STORE_AWAY; /* away: it is read when the link is up */
    k->reading = k->read_again = false;
    if (again)
        catalogue_read(k);
    else if (r->status == STORE_OK)
        adopt(k, list);
    else if (r->status != STORE_AWAY)
        log_limited(LOG_REDIS, LOG_LEVEL_WARN, "cannot read the function catalogue error=%s",
                    log_value(r->text)); /* the sweep tries again */
}

void catalogue_read(struct catalogue *k)
{
    if (k->reading) { /* that answer may be older than what was lost */
        k->read_again = true;
        return;
    }
    k->reading = true;
    store_fn_list(k->gw->store, on_list, ask_new(&k->asks));
}

void catalogue_follow(struct catalogue *k, const struct call_event *e)
{
    k->back = k->back || e->rev <= k->rev_event; /* one link keeps the order */
    k->rev_event = e->rev;
    if (k->reading)
        return;
    if (e->rev != k->rev + 1) {
        metric_add(METRIC_GAPS, 1);
        catalogue_read(k);
        return;
    }
    k->rev = e->rev;
    struct function *f = function_find(k, e->name);
    if (e->op == CALL_EVENT_APPEARED)
        (void)function_appeared(k, e->name);
    else if (e->op == CALL_EVENT_ENDED && f)
        function_ended(k, f);
}

bool catalogue_heard(struct catalogue *k, int64_t rev)
{
    if (k->reading)
        return true;
    if (rev < k->rev)
        return false;
    k->rev_seen = rev;
    return true;
}

bool catalogue_back(struct catalogue *k)
{
    bool back = k->back;
    k->back = false;
    return back;
}

bool catalogue_gap(const struct catalogue *k)
{
    return !k->reading && k->rev < k->rev_seen;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct catalogue *k = arg;
    if (k->gw->redis_up)
        catalogue_read(k);
}

void catalogue_retime(struct catalogue *k)
{
    if (k->gw->opt->sweep_interval_ms > 0)
        timer_start(&k->sweep, k->gw->opt->sweep_interval_ms);
}

struct catalogue *catalogue_new(struct gateway *g)
{
    struct catalogue *k = sg_calloc(1, sizeof *k);
    k->gw = g;
    asks_init(&k->asks, k);
    map_init(&k->functions);
    event_assign(&k->sweep, g->base, -1, EV_PERSIST, on_sweep, k);
    catalogue_retime(k);
    return k;
}

void catalogue_free(struct catalogue *k)
{
    event_del(&k->sweep);
    asks_deinit(&k->asks);
    for (struct map_node *n = map_next(&k->functions, NULL), *next; n; n = next) {
        next = map_next(&k->functions, n);
        free(container_of(n, struct function, node));
    }
    map_deinit(&k->functions);
    free(k);
}

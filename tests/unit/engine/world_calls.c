/* Calls as Redis holds them, after redis/functions/calls.lua: who serves what, leases, and the way of a call to the least busy executor. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/base/clock.h"
#include "redis/store.h"
#include "tests/unit/engine/world_parts.h"

enum { EXECUTORS = 256, GATEWAYS = 64, CLOCK_STEP_MAX = 3000, CALLER_LEASE = 60000 };

struct executor_row {
    char gw[WORD_SIZE], exec[WORD_SIZE];
    int inflight;
    bool serves[WORLD_NAMES];
};

struct gateway_row {
    char gw[WORD_SIZE];
    bool leased, called;
    int64_t lease_ends;
    int64_t last; /* number of its last call */
};

static struct {
    struct executor_row executors[EXECUTORS];
    struct gateway_row gateways[GATEWAYS];
    int nexecutors, ngateways;
    int64_t rev;
    bool clock;
    int64_t shown, moved; /* the lease clock */
    int turn;             /* among executors that are equally busy */
} fn;

void calls_flush(void)
{
    memset(&fn, 0, sizeof(fn));
}

struct slice store_calls_channel(const struct store *s)
{
    (void)s;
    return SLICE_LIT("calls");
}

static int to_mailbox(const char *gw, const char *what)
{
    char channel[32];
    snprintf(channel, sizeof(channel), "calls:%.20s", gw);
    return publish(channel, "%s", what);
}

/* --- leases --- */

static int64_t clock_read(void)
{
    int64_t passed = clock_now_ms() - fn.moved;
    if (!fn.clock)
        return clock_now_ms();
    return fn.shown + (passed < CLOCK_STEP_MAX ? passed : CLOCK_STEP_MAX);
}

static struct gateway_row *gateway_find(const char *gw)
{
    for (int i = 0; i < fn.ngateways; i++)
        if (strcmp(fn.gateways[i].gw, gw) == 0)
            return &fn.gateways[i];
    return NULL;
}

static struct gateway_row *gateway_row(const char *gw)
{
    struct gateway_row *row = gateway_find(gw);
    if (row)
        return row;
    assert(fn.ngateways < GATEWAYS);
    row = &fn.gateways[fn.ngateways++];
    snprintf(row->gw, sizeof(row->gw), "%s", gw);
    return row;
}

static int64_t lease_renew(const char *gw, int64_t ms)
{
    int64_t now = clock_read();
    fn.clock = true;
    fn.shown = now;
    fn.moved = clock_now_ms();
    struct gateway_row *row = gateway_row(gw);
    row->leased = true;
    row->lease_ends = now + ms;
    return now;
}

static bool is_leased(const char *gw)
{
    const struct gateway_row *row = gateway_find(gw);
    return row && row->leased && row->lease_ends > clock_read();
}

/* --- who serves what --- */

static bool is_live(int name)
{
    for (int i = 0; i < fn.nexecutors; i++)
        if (fn.executors[i].serves[name])
            return true;
    return false;
}

static struct executor_row *executor_find(const char *gw, const char *exec)
{
    for (int i = 0; i < fn.nexecutors; i++)
        if (strcmp(fn.executors[i].gw, gw) == 0 && strcmp(fn.executors[i].exec, exec) == 0)
            return &fn.executors[i];
    return NULL;
}

bool calls_registered(const char *gw)
{
    for (int i = 0; i < fn.nexecutors; i++)
        if (strcmp(fn.executors[i].gw, gw) == 0)
            return true;
    return false;
}

static struct executor_row *executor_row(const char *gw, const char *exec)
{
    struct executor_row *row = executor_find(gw, exec);
    if (row)
        return row;
    assert(fn.nexecutors < EXECUTORS);
    row = &fn.executors[fn.nexecutors++];
    *row = (struct executor_row){.inflight = 0};
    snprintf(row->gw, sizeof(row->gw), "%s", gw);
    snprintf(row->exec, sizeof(row->exec), "%s", exec);
    return row;
}

static void name_leave(struct executor_row *row, int name)
{
    bool served = row->serves[name];
    row->serves[name] = false;
    if (served && !is_live(name))
        publish("calls", "f- %lld f%d", (long long)++fn.rev, name);
}

static void executor_drop(struct executor_row *row)
{
    *row = fn.executors[--fn.nexecutors];
}

static void gateway_bury(const char *gw)
{
    struct gateway_row *row = gateway_find(gw);
    bool known = row && row->leased;
    char name[WORD_SIZE];
    snprintf(name, sizeof(name), "%s", gw); /* it may stand in the row that goes */
    for (int i = 0; i < fn.nexecutors;) {
        struct executor_row *x = &fn.executors[i];
        if (strcmp(x->gw, name) != 0) {
            i++;
            continue;
        }
        for (int k = 0; k < WORLD_NAMES; k++)
            name_leave(x, k);
        executor_drop(x);
        known = true;
    }
    if (row)
        *row = fn.gateways[--fn.ngateways];
    if (!known)
        return;
    callers_bury(name);
    publish("calls", "g- %lld %s", (long long)++fn.rev, name);
}

/* --- what gateways ask; e->name is the function --- */

static void put_word(char out[WORD_SIZE], struct slice word)
{
    assert(word.len < WORD_SIZE);
    snprintf(out, WORD_SIZE, "%.*s", (int)word.len, word.ptr);
}

static struct errand *fn_errand(struct store *s, void (*run)(struct errand *), void (*answer)(struct errand *, bool),
                                struct slice gw, void *cb, void *arg)
{
    struct errand *e = errand_new(s, run, answer, SLICE_NONE, cb, arg);
    put_word(e->gw, gw);
    return e;
}

static void run_serve(struct errand *e)
{
    bool live = is_live(e->name);
    lease_renew(e->gw, e->ms);
    executor_row(e->gw, e->exec)->serves[e->name] = true;
    if (!live)
        publish("calls", "f+ %lld f%d", (long long)++fn.rev, e->name);
    e->rev = fn.rev;
}

void store_fn_serve(struct store *s, struct slice gw, struct slice exec, struct slice name, int64_t lease_ms,
                    store_write_fn *cb, void *arg)
{
    struct errand *e = fn_errand(s, run_serve, errand_wrote, gw, (void *)cb, arg);
    put_word(e->exec, exec);
    e->name = number_of(name);
    e->ms = lease_ms;
    errand_send(e);
}

static void run_leave(struct errand *e)
{
    struct executor_row *row = executor_find(e->gw, e->exec);
    bool serves = false;
    e->rev = fn.rev;
    if (!row || !row->serves[e->name])
        return;
    name_leave(row, e->name);
    for (int k = 0; k < WORLD_NAMES; k++)
        serves = serves || row->serves[k];
    if (!serves)
        executor_drop(row);
    e->rev = fn.rev;
}

void store_fn_leave(struct store *s, struct slice gw, struct slice exec, struct slice name, store_write_fn *cb,
                    void *arg)
{
    struct errand *e = fn_errand(s, run_leave, errand_wrote, gw, (void *)cb, arg);
    put_word(e->exec, exec);
    e->name = number_of(name);
    errand_send(e);
}

static void run_gone(struct errand *e)
{
    gateway_bury(e->gw);
    e->rev = fn.rev;
}

void store_fn_gone(struct store *s, struct slice gw, store_write_fn *cb, void *arg)
{
    errand_send(fn_errand(s, run_gone, errand_wrote, gw, (void *)cb, arg));
}

static void run_beat(struct errand *e)
{
    int64_t now = lease_renew(e->gw, e->ms);
    for (size_t i = 0; i < e->nbusy; i++) {
        struct executor_row *row = executor_find(e->gw, e->busy[i].exec);
        if (row)
            row->inflight = e->busy[i].inflight;
    }
    for (int i = 0; i < fn.ngateways;) {
        if (fn.gateways[i].leased && fn.gateways[i].lease_ends <= now)
            gateway_bury(fn.gateways[i].gw);
        else
            i++;
    }
    e->rev = fn.rev;
}

void store_fn_beat(struct store *s, struct slice gw, int64_t lease_ms, const struct store_busy *busy, size_t nbusy,
                   store_write_fn *cb, void *arg)
{
    struct errand *e = fn_errand(s, run_beat, errand_wrote, gw, (void *)cb, arg);
    e->ms = lease_ms;
    assert(nbusy <= WORLD_CLIENTS);
    for (size_t i = 0; i < nbusy; i++) {
        put_word(e->busy[i].exec, busy[i].exec);
        e->busy[i].inflight = (int)busy[i].inflight;
    }
    e->nbusy = nbusy;
    errand_send(e);
}

/* What is registered as of the answer: nothing else runs meanwhile. */
static void run_held(struct errand *e)
{
    for (int i = 0; i < fn.nexecutors; i++)
        for (int k = 0; k < WORLD_NAMES && strcmp(fn.executors[i].gw, e->gw) == 0; k++) {
            if (!fn.executors[i].serves[k] || e->nheld == HELD_MAX)
                continue;
            snprintf(e->held[e->nheld].exec, WORD_SIZE, "%s", fn.executors[i].exec);
            e->held[e->nheld++].name = k;
        }
}

static void held_answer(struct errand *e, bool away)
{
    struct store_registration registrations[HELD_MAX];
    char names[HELD_MAX][8];
    struct store_result r = errand_result(e, away);
    for (size_t i = 0; i < e->nheld; i++) {
        snprintf(names[i], sizeof(names[i]), "f%d", e->held[i].name);
        registrations[i] = (struct store_registration){slice_str(e->held[i].exec), slice_str(names[i])};
    }
    struct store_held held = {.next = SLICE_LIT("0"), .len = e->nheld, .registrations = registrations};
    ((store_fn_held_fn *)e->cb)(e->arg, &r, &held);
}

void store_fn_held(struct store *s, struct slice gw, struct slice place, store_fn_held_fn *cb, void *arg)
{
    (void)place;
    errand_send(fn_errand(s, run_held, held_answer, gw, (void *)cb, arg));
}

static void run_list(struct errand *e)
{
    e->rev = fn.rev;
    e->nids = 0;
    for (int k = 0; k < WORLD_NAMES; k++)
        if (is_live(k))
            e->ids[e->nids++] = k;
}

static void list_answer(struct errand *e, bool away)
{
    char texts[WORLD_NAMES][8];
    struct slice names[WORLD_NAMES];
    struct store_result r = errand_result(e, away);
    for (size_t i = 0; i < e->nids; i++) {
        snprintf(texts[i], sizeof(texts[i]), "f%d", e->ids[i]);
        names[i] = slice_str(texts[i]);
    }
    struct store_functions f = {.rev = e->rev, .len = e->nids, .names = names};
    ((store_fn_list_fn *)e->cb)(e->arg, &r, &f);
}

void store_fn_list(struct store *s, store_fn_list_fn *cb, void *arg)
{
    errand_send(fn_errand(s, run_list, list_answer, SLICE_LIT("-"), (void *)cb, arg));
}

/* --- calls --- */

/* Notes that this call of the gateway came. False: it said meanwhile that this one will not come any more. */
static bool call_note(const char *gw, int64_t number)
{
    struct gateway_row *row = gateway_row(gw);
    if (row->called && number <= row->last)
        return false;
    row->last = number;
    if (!row->called && !row->leased) {
        row->leased = true;
        row->lease_ends = clock_read() + CALLER_LEASE;
    }
    row->called = true;
    return true;
}

static struct executor_row *least_busy(int name, const bool *deaf)
{
    struct executor_row *best = NULL;
    fn.turn++;
    for (int i = 0; i < fn.nexecutors; i++) {
        int at = (i + fn.turn) % fn.nexecutors;
        struct executor_row *x = &fn.executors[at];
        if (x->serves[name] && !deaf[at] && (!best || x->inflight < best->inflight))
            best = x;
    }
    return best;
}

static void run_call(struct errand *e)
{
    bool deaf[EXECUTORS] = {false}, away = false;
    char event[sizeof(e->event)];
    struct executor_row *x;
    e->ran = true;
    if (!call_note(e->gw, e->index)) {
        e->refusal = REFUSAL_ARG;
        return;
    }
    while ((x = least_busy(e->name, deaf))) {
        bool leased = is_leased(x->gw);
        snprintf(event, sizeof(event), "c %lld %s %s %lld 2 f%d %s", (long long)e->index, e->gw, x->exec,
                 (long long)e->ms, e->name, e->body);
        if (leased && to_mailbox(x->gw, event)) {
            x->inflight++;
            snprintf(e->exec, WORD_SIZE, "%s", x->exec);
            snprintf(e->other, WORD_SIZE, "%s", x->gw);
            return;
        }
        away = away || leased;
        deaf[x - fn.executors] = true;
    }
    e->refusal = away ? REFUSAL_AWAY : REFUSAL_NAME;
}

static void call_answer(struct errand *e, bool away)
{
    struct store_result r = errand_result(e, away);
    struct store_executor x = {slice_str(e->other), slice_str(e->exec)};
    if (away && e->ran)
        callers_unsure(slice_str(e->body));
    ((store_fn_call_fn *)e->cb)(e->arg, &r, &x);
}

void store_fn_call(struct store *s, struct slice name, struct slice corr, struct slice gw, int64_t timeout_ms,
                   struct slice args, store_fn_call_fn *cb, void *arg)
{
    struct errand *e = fn_errand(s, run_call, call_answer, gw, (void *)cb, arg);
    e->name = number_of(name);
    e->index = as_number(corr);
    e->ms = timeout_ms;
    snprintf(e->body, sizeof(e->body), "%.*s", (int)args.len, args.ptr);
    errand_send(e);
}

static void run_done(struct errand *e)
{
    char event[sizeof(e->event)];
    struct executor_row *row = executor_find(e->gw, e->exec);
    if (row && row->inflight > 0)
        row->inflight--;
    snprintf(event, sizeof(event), "r %lld %s", (long long)e->index, e->body);
    e->rev = to_mailbox(e->other, event);
}

void store_fn_done(struct store *s, struct slice executor_gw, struct slice exec, struct slice corr,
                   struct slice caller_gw, struct slice result, store_write_fn *cb, void *arg)
{
    struct errand *e = fn_errand(s, run_done, errand_wrote, executor_gw, (void *)cb, arg);
    put_word(e->exec, exec);
    put_word(e->other, caller_gw);
    e->index = as_number(corr);
    snprintf(e->body, sizeof(e->body), "%.*s", (int)result.len, result.ptr);
    errand_send(e);
}

static void run_back(struct errand *e)
{
    const struct gateway_row *row = gateway_find(e->gw);
    e->ran = true;
    e->rev = row && row->called ? row->last : 0;
    publish("calls", "b %s", e->gw);
    if (e->index > e->rev)
        call_note(e->gw, e->index);
}

/* Who asks again is told that all of them came. */
static void back_answer(struct errand *e, bool away)
{
    if (away && e->ran)
        callers_unsure_all(e->gw);
    errand_wrote(e, away);
}

void store_fn_back(struct store *s, struct slice gw, int64_t number, store_write_fn *cb, void *arg)
{
    struct errand *e = fn_errand(s, run_back, back_answer, gw, (void *)cb, arg);
    e->index = number;
    errand_send(e);
}

static void run_again(struct errand *e)
{
    char event[sizeof(e->event)];
    snprintf(event, sizeof(event), "a %lld %s", (long long)e->index, e->gw);
    e->rev = to_mailbox(e->other, event);
}

/* Redis takes them as one; here each is an errand of its own. */
void store_fn_again(struct store *s, struct slice caller_gw, const struct store_again *calls, size_t ncalls,
                    store_write_fn *cb, void *arg)
{
    for (size_t i = 0; i < ncalls; i++) {
        struct errand *e = fn_errand(s, run_again, errand_wrote, caller_gw, (void *)cb, arg);
        put_word(e->other, calls[i].gw);
        e->index = as_number(calls[i].corr);
        errand_send(e);
    }
}

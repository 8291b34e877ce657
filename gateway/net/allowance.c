/* A wheel, because waits differ: a moment for one message too many, a minute for many bytes at a low rate. Whoever waits longer than the
 * wheel goes round is put on once more. */
#include "gateway/net/allowance.h"

#include "gateway/base/bucket.h"
#include "gateway/base/clock.h"
#include "gateway/net/conn.h"
#include "gateway/observe/metrics.h"

enum { NS_PER_MS = 1000 * 1000 };

/* Reading goes on when there is room for a tick's worth, so that the next message does not end it again. */
#define GOES_ON_NS (BUCKET_FULL_NS - (int64_t)ALLOWANCE_TICK_MS * NS_PER_MS)

/* One row each, in the order of the enum. */
static const struct {
    size_t per_second; /* where in the options */
    const char *key;
    enum metric metric;
    const char *closed;
} rates[ALLOWANCES] = {
    [ALLOWANCE_NAMES] = {offsetof(struct options, names_per_second), "names_per_second", METRIC_LIMITED_NAMES,
                         "asks for new names faster than names_per_second for too long"},
    [ALLOWANCE_MESSAGES] = {offsetof(struct options, messages_per_second), "messages_per_second",
                            METRIC_LIMITED_MESSAGES, "sends faster than messages_per_second for too long"},
    [ALLOWANCE_BYTES] = {offsetof(struct options, bytes_per_second), "bytes_per_second", METRIC_LIMITED_BYTES,
                         "sends faster than bytes_per_second for too long"},
    [ALLOWANCE_ANSWERS] = {offsetof(struct options, answer_bytes_per_second), "answer_bytes_per_second",
                           METRIC_LIMITED_ANSWERS, "asks for more than answer_bytes_per_second for too long"},
};

static int64_t per_second(const struct conn *c, enum allowance what)
{
    return *(const int64_t *)(const void *)((const char *)c->gw->opt + rates[what].per_second);
}

const char *allowance_key(enum allowance what)
{
    return rates[what].key;
}

bool allowance_over(const struct conn *c, enum allowance what)
{
    return c->over & 1u << what;
}

static struct conn *conn_at(struct list_node *n)
{
    return container_of(n, struct conn, paced);
}

void slowed_init(struct slowed *s)
{
    for (size_t i = 0; i < SLOWED_SLOTS; i++)
        list_init(&s->slots[i]);
}

/* Only the low bits of the time are kept. */
static int64_t over_for_ms(const struct conn *c, int64_t now_ms)
{
    return (uint32_t)((uint32_t)now_ms - c->over_since_ms);
}

/* With that bucket half empty again a client has calmed down: what it does next is not the same flood. */
static bool is_calm(const struct conn *c, enum allowance what, int64_t empty_at_ns, int64_t now_ms)
{
    return !per_second(c, what) || empty_at_ns - now_ms * NS_PER_MS < BUCKET_FULL_NS / 2;
}

/* before: when the bucket that flows over would have been empty without what it was given now. */
static void set_over(struct conn *c, enum allowance what, int64_t before_ns, int64_t now_ms)
{
    unsigned over = 0;
    for (int i = 0; i < ALLOWANCES; i++) {
        enum allowance each = (enum allowance)i;
        if (allowance_over(c, each) && !is_calm(c, each, each == what ? before_ns : c->empty_at_ns[each], now_ms))
            over |= 1u << each;
    }
    if (!over)
        c->over_since_ms = (uint32_t)now_ms;
    c->over = (over | 1u << what) & ((1u << ALLOWANCES) - 1);
}

bool allowance_take(struct conn *c, enum allowance what, int64_t now_ms, int64_t amount)
{
    int64_t rate = per_second(c, what);
    if (!rate)
        return false;
    int64_t before_ns = c->empty_at_ns[what];
    int64_t ahead = bucket_put(&c->empty_at_ns[what], now_ms * NS_PER_MS, amount, rate);
    if (ahead <= BUCKET_FULL_NS) {
        if (c->over && ahead < BUCKET_FULL_NS / 2) /* as is_calm */
            c->over = c->over & ~(1u << what) & ((1u << ALLOWANCES) - 1);
        return false;
    }
    set_over(c, what, before_ns, now_ms);
    if (!(c->reading_held & HOLD_RATE))
        metric_add(rates[what].metric, 1);
    return true;
}

/* What is left to wait, by the slowest of its buckets; 0: nothing. A rate that a reload took away holds nobody. */
static int64_t wait_ns(const struct conn *c, int64_t now_ms)
{
    int64_t longest = 0;
    for (int what = 0; what < ALLOWANCES; what++) {
        int64_t left = c->empty_at_ns[what] - now_ms * NS_PER_MS - GOES_ON_NS;
        if (per_second(c, (enum allowance)what) && left > longest)
            longest = left;
    }
    return longest;
}

static void put(struct slowed *s, struct conn *c, int64_t now_ms)
{
    int64_t ticks =
        (wait_ns(c, now_ms) + (int64_t)ALLOWANCE_TICK_MS * NS_PER_MS - 1) / ((int64_t)ALLOWANCE_TICK_MS * NS_PER_MS);
    int64_t patience_ms = c->gw->opt->rate_patience_ms;
    int64_t left = (patience_ms - over_for_ms(c, now_ms)) / ALLOWANCE_TICK_MS + 1;
    if (patience_ms && ticks > left)
        ticks = left;
    ticks = ticks < 1 ? 1 : ticks < SLOWED_SLOTS ? ticks : SLOWED_SLOTS - 1;
    c->slowed_slot = (s->at + (unsigned)ticks) % SLOWED_SLOTS;
    list_append(&s->slots[c->slowed_slot], &c->paced);
}

void allowance_slow(struct slowed *s, struct conn *c, int64_t now_ms)
{
    if (c->state != CONN_OPEN || list_linked(&c->paced))
        return;
    put(s, c, now_ms);
    hold_reading(c, HOLD_RATE, true);
}

void slowed_forget(struct slowed *s, struct conn *c)
{
    list_remove(&s->slots[c->slowed_slot], &c->paced);
}

/* Why it is to be closed; NULL: it is not. */
static const char *flood(const struct conn *c, int64_t now_ms)
{
    int64_t patience_ms = c->gw->opt->rate_patience_ms;
    if (!patience_ms || over_for_ms(c, now_ms) < patience_ms)
        return NULL;
    for (int what = 0; what < ALLOWANCES; what++)
        if (allowance_over(c, (enum allowance)what) && per_second(c, (enum allowance)what))
            return rates[what].closed;
    return NULL;
}

void slowed_tick(struct slowed *s, slowed_close_fn *close)
{
    int64_t now = clock_now_ms();
    s->at = (s->at + 1) % SLOWED_SLOTS;
    struct list *due = &s->slots[s->at];
    for (size_t left = due->count; left > 0; left--) {
        struct conn *c = conn_at(list_first(due));
        const char *why = flood(c, now);
        if (why) {
            close(c, 1008, why);
            continue;
        }
        list_remove(due, &c->paced);
        if (wait_ns(c, now) > 0)
            put(s, c, now);
        else
            hold_reading(c, HOLD_RATE, false);
    }
}

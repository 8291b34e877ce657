/* Who did too much in a second waits in a wheel (allowance.c) until its bucket has room again; who asked while all together had too much
 * under way waits in a list, in order of arrival, until Redis took half of it. A connection is in one of them at most. */
#include "gateway/net/pace.h"

#include "gateway/base/clock.h"
#include "protocol/base/alloc.h"

/* What one connection may have under way. Its requests are a subscription or a page each, and end with --subscribe-timeout. A page has a
 * slot of 8 bytes for each of its items. */
enum { WRITES_MAX = 1024, WRITE_BYTES_MAX = 4 * 1024 * 1024, REQUESTS_MAX = 4096, SLOTS_MAX = 100 * REQUESTS_MAX };

/* What all may have under way. A request with a name that nobody else asked for takes about 1.2 kB; the link takes 64 MiB and 100 000
 * commands, and whoever is over that is refused. */
enum {
    ALL_WRITES_MAX = 50 * 1000,
    ALL_BYTES_MAX = 16 * 1024 * 1024,
    ALL_REQUESTS_MAX = 100 * 1000,
    ALL_SLOTS_MAX = 100 * ALL_REQUESTS_MAX
};

/* Each may send one message more at least, of up to --max-message, before it waits again. */
enum { RESUMED_PER_TURN = 16 };

struct pace {
    struct slowed slowed;      /* those that did too much in a second … */
    struct list queued;        /* … struct conn that asked while Redis had too much to do for all */
    size_t asked, asked_bytes; /* of Redis, by all, and not answered yet: writes, calls, questions */
    size_t requests, slots;    /* that wait for Redis, and the room of their windows */
};

struct pace *pace_new(void)
{
    struct pace *p = sg_calloc(1, sizeof(*p));
    slowed_init(&p->slowed);
    list_init(&p->queued);
    return p;
}

void pace_free(struct pace *p)
{
    free(p);
}

void pace_forget(struct conn *c)
{
    if (!list_linked(&c->paced))
        return;
    if (c->reading_held & HOLD_RATE)
        slowed_forget(&c->gw->pace->slowed, c);
    else
        list_remove(&c->gw->pace->queued, &c->paced);
}

/* --- in a second --- */

void pace_received(struct conn *c, size_t bytes)
{
    int64_t now = clock_now_ms();
    bool over = allowance_take(c, ALLOWANCE_MESSAGES, now, 1);
    if (allowance_take(c, ALLOWANCE_BYTES, now, (int64_t)bytes) || over)
        allowance_slow(&c->gw->pace->slowed, c, now);
}

void pace_answer(struct conn *c, size_t bytes)
{
    int64_t now = clock_now_ms();
    if (allowance_take(c, ALLOWANCE_ANSWERS, now, (int64_t)bytes))
        allowance_slow(&c->gw->pace->slowed, c, now);
}

static void take_name(struct conn *c)
{
    int64_t now = clock_now_ms();
    if (allowance_take(c, ALLOWANCE_NAMES, now, 1))
        allowance_slow(&c->gw->pace->slowed, c, now);
}

void pace_tick(struct gateway *g, slowed_close_fn *close)
{
    slowed_tick(&g->pace->slowed, close);
}

/* --- all together --- */

static bool all_below(const struct gateway *g, size_t divisor)
{
    const struct pace *p = g->pace;
    return p->asked < ALL_WRITES_MAX / divisor && p->asked_bytes < ALL_BYTES_MAX / divisor &&
           p->requests < ALL_REQUESTS_MAX / divisor && p->slots < ALL_SLOTS_MAX / divisor;
}

static void weigh_all(struct conn *c)
{
    if (all_below(c->gw, 1) || c->state != CONN_OPEN || list_linked(&c->paced))
        return;
    list_append(&c->gw->pace->queued, &c->paced);
    hold_reading(c, HOLD_REDIS, true);
}

void pace_end_turn(struct gateway *g)
{
    struct list_node *first;
    for (int n = 0; n < RESUMED_PER_TURN && (first = list_first(&g->pace->queued)) && all_below(g, 2); n++) {
        list_remove(&g->pace->queued, first);
        hold_reading(container_of(first, struct conn, paced), HOLD_REDIS, false);
    }
}

/* --- writes and the like --- */

static void weigh_writes(struct conn *c)
{
    bool full = c->writes_in_flight >= WRITES_MAX || c->write_bytes_in_flight >= WRITE_BYTES_MAX;
    bool low = c->writes_in_flight <= WRITES_MAX / 2 && c->write_bytes_in_flight <= WRITE_BYTES_MAX / 2;
    if (c->state == CONN_OPEN && (full || low))
        hold_reading(c, HOLD_WRITES, full);
}

void pace_begins(struct conn *c, size_t bytes)
{
    c->gw->pace->asked++;
    c->gw->pace->asked_bytes += bytes;
    c->writes_in_flight++;
    c->write_bytes_in_flight += (uint32_t)bytes;
    weigh_writes(c);
    weigh_all(c);
}

void pace_ends(struct gateway *g, uint64_t conn, size_t bytes)
{
    struct conn *c = conn_find(g, conn);
    g->pace->asked--;
    g->pace->asked_bytes -= bytes;
    if (!c)
        return;
    c->writes_in_flight--;
    c->write_bytes_in_flight -= (uint32_t)bytes;
    weigh_writes(c);
}

/* --- requests --- */

void pace_waits(struct conn *c, uint32_t slots)
{
    c->gw->pace->requests++;
    c->gw->pace->slots += slots;
}

void pace_waits_no_more(struct conn *c, uint32_t slots)
{
    c->gw->pace->requests--;
    c->gw->pace->slots -= slots;
}

void pace_asked(struct conn *c, size_t requests, size_t slots)
{
    take_name(c);
    if (c->state == CONN_OPEN && (requests >= REQUESTS_MAX || slots >= SLOTS_MAX))
        hold_reading(c, HOLD_REQUESTS, true);
    weigh_all(c);
}

void pace_answered(struct conn *c, size_t requests, size_t slots)
{
    if ((c->reading_held & HOLD_REQUESTS) && c->state == CONN_OPEN && requests <= REQUESTS_MAX / 2 &&
        slots <= SLOTS_MAX / 2)
        hold_reading(c, HOLD_REQUESTS, false);
}

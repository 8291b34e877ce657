/* Two lists, in order of arrival: who asked too often has to wait until its bucket has room again; who asked while all together had
 * too much under way has to wait until Redis took half of it. A connection is in one of them at most. */
#include "gateway/net/pace.h"

#include "gateway/base/clock.h"
#include "protocol/base/alloc.h"

/* What one connection may have under way. Its requests are a subscription or a page each, and end with --subscribe-timeout. A page has a
 * slot of 8 bytes for each of its items. */
enum { WRITES_MAX = 1024, WRITE_BYTES_MAX = 4 * 1024 * 1024, REQUESTS_MAX = 4096, SLOTS_MAX = 100 * REQUESTS_MAX };

/* How often one connection may ask: a crowd of names at once, as after a reconnect, and then so many a second. */
enum { ASKS_PER_SECOND = 1000, ASKS_AT_ONCE = 5000, ASK_US = 1000 * 1000 / ASKS_PER_SECOND };

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
    struct list slowed;        /* struct conn that asked too often … */
    struct list queued;        /* … or asked while Redis had too much to do for all */
    size_t asked, asked_bytes; /* of Redis, by all, and not answered yet: writes, calls, questions */
    size_t requests, slots;    /* that wait for Redis, and the room of their windows */
};

struct pace *pace_new(void)
{
    struct pace *p = sg_calloc(1, sizeof(*p));
    list_init(&p->slowed);
    list_init(&p->queued);
    return p;
}

void pace_free(struct pace *p)
{
    free(p);
}

static void wait_in(struct list *l, struct conn *c, enum hold why)
{
    if (c->state != CONN_OPEN || list_linked(&c->paced))
        return;
    list_append(l, &c->paced);
    hold_reading(c, why, true);
}

static void resume(struct list *l, struct conn *c, enum hold why)
{
    list_remove(l, &c->paced);
    hold_reading(c, why, false);
}

static struct conn *first(const struct list *l)
{
    struct list_node *n = list_first(l);
    return n ? container_of(n, struct conn, paced) : NULL;
}

void pace_forget(struct conn *c)
{
    if (list_linked(&c->paced))
        list_remove(c->reading_held & HOLD_ASKS ? &c->gw->pace->slowed : &c->gw->pace->queued, &c->paced);
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
    if (!all_below(c->gw, 1))
        wait_in(&c->gw->pace->queued, c, HOLD_REDIS);
}

void pace_end_turn(struct gateway *g)
{
    struct conn *c;
    for (int n = 0; n < RESUMED_PER_TURN && (c = first(&g->pace->queued)) && all_below(g, 2); n++)
        resume(&g->pace->queued, c, HOLD_REDIS);
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

/* A bucket that empties with time, kept as the time at which it is empty. */
static void take_room(struct conn *c)
{
    int64_t now_us = clock_now_ms() * 1000;
    c->asks_until_us = (c->asks_until_us > now_us ? c->asks_until_us : now_us) + ASK_US;
    if (c->asks_until_us - now_us > (int64_t)ASKS_AT_ONCE * ASK_US)
        wait_in(&c->gw->pace->slowed, c, HOLD_ASKS);
}

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
    take_room(c);
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

/* Who came first is over by about as much as who came later. */
void pace_tick(struct gateway *g)
{
    int64_t now_us = clock_now_ms() * 1000;
    int64_t allowed_us = (int64_t)(ASKS_AT_ONCE - ASKS_PER_SECOND * PACE_TICK_MS / 1000) * ASK_US;
    struct conn *c;
    while ((c = first(&g->pace->slowed)) && c->asks_until_us - now_us <= allowed_us)
        resume(&g->pace->slowed, c, HOLD_ASKS);
}

/* Looks after all connections as time goes by: who does not answer pings, who takes nothing, who keeps what nobody else needs. */
#include "gateway/net/conn.h"

#include "gateway/base/clock.h"
#include "gateway/net/socket.h"
#include "gateway/observe/metrics.h"

enum {
    BEGUN_MAX_BYTES = 64 * 1024 * 1024, /* of long messages that nobody has but those that took a part of them */
    MISSED_PONGS_MAX = 2
};

/* Bytes that live only because this connection and others took a part of them; divided by these. */
static size_t kept_alone(const struct conn *c)
{
    const struct frame *f = outq_peek(&c->out);
    return f->begun == f->refs ? f->len / f->begun : 0;
}

/* A value that is large and changes is there once for all who keep up; who stopped in the middle of an older one keeps that. Together
 * they may keep so much, then those go that need the longest: they are the ones that keep the oldest. */
static void end_longest_begun(struct gateway *g)
{
    size_t bytes = 0;
    if (frame_bytes_live() <= BEGUN_MAX_BYTES)
        return;
    list_each(&g->conns->begun, n) bytes += kept_alone(container_of(n, struct conn, begun));
    while (bytes > BEGUN_MAX_BYTES && g->conns->begun.count) {
        struct conn *c = container_of(list_first(&g->conns->begun), struct conn, begun);
        bytes -= kept_alone(c);
        conn_begun_no_more(c);
        conn_close(c, 1013, "takes too long for a large message");
        socket_kill(c); /* a close frame would have to wait for the rest */
    }
}

void conn_tick_stalled(struct gateway *g)
{
    end_longest_begun(g);
    int64_t now = clock_now_ms();
    struct list_node *n;
    while ((n = list_first(&g->conns->watched))) {
        struct conn *c = container_of(n, struct conn, closing);
        if (c->close_deadline_ms > now)
            return;
        bool stalled = !conn_took_something(c);
        conn_unwatch(c);
        if (stalled)
            conn_close(c, 1013, "takes nothing of what waits for it");
        else
            conn_watch(c);
    }
}

static struct frame *ping_frame(void)
{
    /* FIN, opcode 9. It has a payload, because libwebsockets 4.3 does not report a pong without one. */
    static const char bytes[] = {(char)0x89, 4, 'l', 'i', 'v', 'e'};
    return frame_new(slice_of(bytes, sizeof(bytes)), 0);
}

/* A peer that takes what we have for it lives, however long the pings have to wait; and whose pongs are not read cannot miss any.
 * Whoever is watched ends when it takes nothing, and must not be looked at in between, or the watch sees a shorter time than it is to. */
static bool surely_lives(struct conn *c)
{
    return c->reading_held || c->watched || (c->congested && conn_took_something(c));
}

static void ping(struct conn *c, struct frame *f)
{
    if (c->state != CONN_OPEN)
        return;
    if (surely_lives(c))
        c->missed_pongs = 0;
    if (c->missed_pongs >= MISSED_PONGS_MAX) {
        bool stuck = c->congested; /* then a close frame would never get out */
        conn_close(c, 1001, "ping timeout");
        if (stuck)
            socket_kill(c);
        return;
    }
    c->missed_pongs++;
    outq_trim(&c->out);
    if (!c->congested)
        conn_queue(c, f, OUTQ_OTHER);
}

void conn_tick(struct gateway *g)
{
    g->conns->wheel_at = (g->conns->wheel_at + 1) % WHEEL_SLOTS;
    struct frame *f = ping_frame();
    list_each(&g->conns->wheel[g->conns->wheel_at], n) ping(container_of(n, struct conn, wheel), f);
    frame_unref(f);
    int64_t now = clock_now_ms();
    list_each(&g->conns->closing, n)
    {
        struct conn *c = container_of(n, struct conn, closing);
        if (now >= c->close_deadline_ms)
            socket_kill(c);
    }
}
